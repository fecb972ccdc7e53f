"""The laws that every segmenter must keep, as one call for the tests of a custom segmenter.

    from segmenters.testing import check_segmenter

    def test_my_segmenter_keeps_the_laws():
        check_segmenter(my_segmenter())

The rest of the toolkit relies on these laws: a segmenter that breaks one gives wrong runs without
an error.
"""

import functools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from segmenters.base import Predictor, Segmenter
from segmenters.errors import SegmenterError
from segmenters.features import HasFeatures

_SLACK = 1e-5  # largest distance of a score from [0, 1]: rounding of a softmax
_SHARE = 1e-3  # largest share of pixels whose label depends on the order of sums


def check_segmenter(
    segmenter: Segmenter,
    images: Tensor | None = None,
    *,
    seed: int = 0,
    tolerance: float = 1e-4,
    by_score: bool = True,
) -> list[str]:
    """Check a segmenter against all laws.

    Args:
        segmenter: Any segmenter that follows the protocol.
        images: Three or more images to test it on, ``batch 3 height width``, RGB in [-1, 1]; None
            uses smooth random ones of 64 pixels.
        seed: Seed of the random images.
        tolerance: Largest difference of scores that differ only in the order of sums.
        by_score: Whether a pixel's label is the concept with the highest score in its plane. False
            if labels are found in another way, such as by whole segments.

    Returns:
        The checks, a few words each.

    Raises:
        SegmenterError: the first broken law, with the found and the expected value.

    Example:
        >>> from segmenters import load_segmenter
        >>> check_segmenter(load_segmenter("colour"))[0]
        'follows the protocol'
    """
    laws = _Laws(segmenter, images, seed, tolerance, by_score)
    checked = []
    for words, law in laws.all():
        law()
        checked.append(words)
    return checked


class _Laws:
    def __init__(
        self,
        segmenter: Segmenter,
        images: Tensor | None,
        seed: int,
        tolerance: float,
        by_score: bool,
    ) -> None:
        self.segmenter, self.tolerance, self.by_score = segmenter, tolerance, by_score
        self.given, self.seed = images, seed

    def all(self) -> Iterator[tuple[str, Callable[[], None]]]:
        yield "follows the protocol", self.protocol
        yield "planes have their shape and hold their own concepts", self.planes
        yield "labels are the same twice, and images untouched", self.determinism
        yield "labels and scores do not depend on their batch", self.batches
        yield "scores lie in [0, 1]", self.scores
        if self.by_score:
            yield "the highest score is the label", self.agreement
        yield "gradients reach the image they are of, and no other", self.gradients
        yield "any size is read, and comes back", self.sizes
        yield "what is not an image is refused in one line", self.refusals
        if isinstance(self.segmenter, HasFeatures):
            features = functools.partial(self.features, self.segmenter)
            yield "features are of one image each", features
        yield "the fingerprint stays", self.fingerprint

    def _demand(self, holds: bool, found: str, expected: str) -> None:
        if not holds:
            raise SegmenterError(f"{self.segmenter.name} {found}; expected {expected}")

    def _images(self, height: int = 64, width: int = 64) -> Tensor:
        if self.given is not None and (height, width) == (64, 64):
            return self.given.to(self.segmenter.device)
        smooth = _smooth_images(height, width, seed=self.seed)
        return smooth.to(self.segmenter.device)

    @torch.no_grad()
    def _score(self, images: Tensor) -> Tensor:
        return self.segmenter.score(images)

    def protocol(self) -> None:
        members = [name for name in vars(Segmenter) if not name.startswith("_")]
        missing = [name for name in members if not hasattr(self.segmenter, name)]
        self._demand(not missing, f"lacks {', '.join(missing)}", f"{', '.join(members)}")
        self._demand(len(self.segmenter.vocabulary) > 0, "knows no concept", "at least one")
        key = self.segmenter.fingerprint
        self._demand(
            len(key) == 64 and set(key) <= set("0123456789abcdef"),
            f"has the fingerprint {key[:20]!r}",
            "64 hexadecimal digits",
        )
        self._key = key

    def _check_planes(self, images: Tensor) -> None:
        planes, vocabulary = self.segmenter.segment(images), self.segmenter.vocabulary
        shape = tuple(planes.shape)
        expected = (len(images), len(vocabulary.planes), *images.shape[2:])
        self._demand(shape == expected, f"gives planes of shape {shape}", f"{expected}")
        whole = not planes.is_floating_point() and planes.dtype != torch.bool
        self._demand(whole, f"gives {planes.dtype} labels", "whole numbers")
        for position, plane in enumerate(vocabulary.planes):
            own = {0, *(concept.id for concept in vocabulary.in_plane(plane))}
            others = set(planes[:, position].unique().tolist()) - own
            self._demand(
                not others, f"marks plane {plane!r} with {sorted(others)[:3]}", "its own ids, or 0"
            )

    def planes(self) -> None:
        self._check_planes(self._images())

    def determinism(self) -> None:
        images = self._images()
        before = images.clone()
        same = torch.equal(self.segmenter.segment(images), self.segmenter.segment(images))
        self._demand(same, "gives one image two labels", "the same twice")
        same = torch.equal(self._score(images), self._score(images))
        self._demand(same, "gives one image two scores", "the same bits")
        self._demand(torch.equal(images, before), "changes the images it is given", "them as is")

    def batches(self) -> None:
        images = self._images()
        alone = torch.cat([self._score(image[None]) for image in images])
        apart = float((alone - self._score(images)).abs().max())
        self._demand(
            apart <= self.tolerance,
            f"gives scores that differ by {apart:.1e} in another batch",
            "the same up to rounding",
        )
        alone = torch.cat([self.segmenter.segment(image[None]) for image in images])
        share = float((alone != self.segmenter.segment(images)).float().mean())
        self._demand(
            share <= _SHARE, f"labels {share:.1%} of pixels otherwise in another batch", "the same"
        )

    def scores(self) -> None:
        images = self._images()
        score = self._score(images)
        shape = tuple(score.shape)
        expected = (len(images), len(self.segmenter.vocabulary), *images.shape[2:])
        self._demand(shape == expected, f"gives scores of shape {shape}", f"{expected}")
        self._demand(score.dtype == torch.float32, f"gives {score.dtype}", "torch.float32")
        self._demand(bool(score.isfinite().all()), "gives NaN or infinity", "finite scores")
        low, high = (float(value) for value in score.aminmax())
        inside = low >= -_SLACK and high <= 1 + _SLACK
        self._demand(inside, f"gives scores from {low:.3g} to {high:.3g}", "all in [0, 1]")

    def agreement(self) -> None:
        images, vocabulary = self._images(), self.segmenter.vocabulary
        planes, score = self.segmenter.segment(images), self._score(images)
        for position, plane in enumerate(vocabulary.planes):
            ids = torch.tensor([c.id for c in vocabulary.in_plane(plane)], device=score.device)
            labels = planes[:, position]
            marked = labels > 0
            own = score.gather(1, (labels - 1).clamp(min=0)[:, None])[:, 0]
            lower = own < score[:, ids - 1].amax(dim=1) - self.tolerance  # equals may be either
            share = float(lower[marked].float().mean()) if marked.any() else 0.0
            self._demand(
                share <= _SHARE,
                f"labels {share:.1%} of plane {plane!r} with another concept than its highest",
                "the highest",
            )

    def gradients(self) -> None:
        images = self._images()[:2].clone().requires_grad_(True)
        score = self.segmenter.score(images)
        self._demand(score.requires_grad, "cuts gradients off", "score without no_grad")
        score[0].square().sum().backward()
        found = torch.full_like(images, torch.nan) if images.grad is None else images.grad
        self._demand(bool(found.isfinite().all()), "gives no finite gradient", "one")
        own, other = (float(part.abs().max()) for part in found)
        self._demand(own > 0, "gives an image no gradient", "one that is not zero everywhere")
        self._demand(other == 0, "lets a score depend on another image", "only its own")

    def sizes(self) -> None:
        for height, width in ((48, 80), (33, 32)):
            images = self._images(height, width)[:1]
            self._check_planes(images)
            shape, expected = tuple(self._score(images).shape[2:]), (height, width)
            self._demand(shape == expected, f"gives scores of {shape}", f"{expected}")

    def refusals(self) -> None:
        images = self._images()
        wrong = {
            "a grey image": images[:, :1], "an image without a batch": images[0],
            "channels last": images.permute(0, 2, 3, 1), "four channels": images[:, [0, 1, 2, 0]],
        }  # fmt: skip
        for what, given in wrong.items():
            for name in ("segment", "score"):
                try:
                    getattr(self.segmenter, name)(given)
                except SegmenterError as error:
                    one = "\n" not in str(error)
                    self._demand(one, f"reports {what} in several lines", "one line")
                    continue
                except Exception as error:
                    fault = f"raises {type(error).__name__} in {name} for {what}"
                    self._demand(False, fault, "SegmenterError")
                self._demand(False, f"takes {what} in {name}", "SegmenterError")

    def features(self, segmenter: HasFeatures) -> None:
        images = self._images()
        together = segmenter.features(images)
        good = together.ndim == 2 and len(together) == len(images)
        self._demand(good, f"gives features {tuple(together.shape)}", "(batch, n)")
        self._demand(bool(together.isfinite().all()), "gives NaN features", "finite ones")
        alone = torch.cat([segmenter.features(image[None]) for image in images])
        span = float(together.abs().max()) or 1.0
        near = float((alone - together).abs().max()) <= self.tolerance * span
        self._demand(near, "gives other features in another batch", "the same up to rounding")

    def fingerprint(self) -> None:
        same = self.segmenter.fingerprint == self._key
        self._demand(same, "changes its fingerprint by being used", "the same")


def check_predictor(
    predictor: Predictor,
    images: Tensor | None = None,
    *,
    seed: int = 0,
    tolerance: float = 1e-4,
    gradients: bool = True,
) -> list[str]:
    """Check a predictor of attributes against all laws.

    Args:
        predictor: Any predictor that follows the protocol.
        images: Three or more images to test it on, ``batch 3 height width``, RGB in [-1, 1]; None
            uses smooth random ones of 64 pixels.
        seed: Seed of the random images.
        tolerance: Largest difference of values between batches, as a share of their range.
        gradients: Whether values are differentiable; False for a program without gradients.

    Returns:
        The checks, a few words each.

    Raises:
        SegmenterError: the first broken law, with the found and the expected value.

    Example:
        >>> from segmenters import load_predictor
        >>> check_predictor(load_predictor("scenes"))[0]
        'follows the protocol'
    """

    def demand(holds: bool, found: str, expected: str) -> None:
        if not holds:
            raise SegmenterError(f"{predictor.name} {found}; expected {expected}")

    members = [name for name in vars(Predictor) if not name.startswith("_")]
    missing = [name for name in members if not hasattr(predictor, name)]
    if missing:
        raise SegmenterError(
            f"the predictor lacks {', '.join(missing)}; expected {', '.join(members)}"
        )
    names, key = predictor.attributes, predictor.fingerprint
    are_names = isinstance(names, tuple) and bool(names) and all(isinstance(n, str) for n in names)
    demand(
        are_names and len({*names}) == len(names), f"lists {names!r}", "different names in a tuple"
    )
    if images is None:
        images = _smooth_images(64, 64, seed=seed)
    images = images.to(predictor.device)
    with torch.no_grad():
        together = predictor.predict(images)
        shape, expected = tuple(together.shape), (len(images), len(names))
        demand(shape == expected, f"gives values of shape {shape}", f"{expected}")
        demand(bool(together.isfinite().all()), "gives NaN or infinite values", "finite ones")
        alone = torch.cat([predictor.predict(image[None]) for image in images])
        span = float(together.abs().max()) or 1.0
        near = float((alone - together).abs().max()) <= tolerance * span
        demand(near, "gives other values in another batch", "the same up to rounding")
        predictor.predict(_smooth_images(33, 48, seed=seed).to(predictor.device))
    checked = ["follows the protocol", "values are of one image each", "any size is read"]
    if gradients:
        given = images[:2].clone().requires_grad_(True)
        values = predictor.predict(given)
        demand(values.requires_grad, "cuts gradients off", "predict without no_grad")
        values[0].square().sum().backward()
        found = torch.full_like(given, torch.nan) if given.grad is None else given.grad
        demand(bool(found.isfinite().all()), "gives no finite gradient", "one")
        own, other = (float(part.abs().max()) for part in found)
        demand(own > 0 and other == 0, "has gradients of another image, or none", "its own")
        checked.append("gradients reach the image they are of, and no other")
    for what, wrong in {"a grey image": images[:, :1], "no batch": images[0]}.items():
        try:
            predictor.predict(wrong)
        except SegmenterError as error:
            demand("\n" not in str(error), f"reports {what} in several lines", "one line")
        except Exception as error:
            demand(False, f"raises {type(error).__name__} for {what}", "SegmenterError")
        else:
            demand(False, f"takes {what}", "SegmenterError")
    demand(predictor.fingerprint == key, "changes its fingerprint by being used", "the same")
    return [*checked, "what is not an image is refused in one line", "the fingerprint stays"]


def _smooth_images(height: int, width: int, *, seed: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    coarse = torch.rand(3, 3, 8, 8, generator=draw) * 2 - 1
    return torch.nn.functional.interpolate(
        coarse, (height, width), mode="bilinear", align_corners=False
    )
