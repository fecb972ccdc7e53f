"""How far a generator's images are from renders, in ways that a floor makes readable.

Distances are Fréchet distances between normal distributions fitted to two sets of vectors:

    d² = ‖μ₁ - μ₂‖² + tr(Σ₁ + Σ₂ - 2 (Σ₁^½ Σ₂ Σ₁^½)^½)

- *vgg*: means over space of blocks 3 to 5 of VGG16, a network that no training here has used;
- *wavelet*: how strong each band of a Haar wavelet transform is, and the coarsest image itself;
- *encoder*: pooled features of the scenes segmenter's encoder, which the projected discriminator
  looks through: no judge of quality, given since earlier cards had it;
- *areas*: how many percent of the image each object covers, as segmented. A training with
  proportions brings their means and variances to those of renders, as another segmenter sees them.

Beside them precision and recall in the VGG features, and things that can be counted (suns in a
daytime sky, doors of a house). The floor of each is its value between two sets of fresh renders of
the same size: what a perfect generator would get.

References:
    Heusel et al., GANs Trained by a Two Time-Scale Update Rule …, NeurIPS 2017 (the distance).
    Kynkäänniemi et al., Improved Precision and Recall Metric …, NeurIPS 2019, section 3.
    Bau et al., Seeing What a GAN Cannot Generate, ICCV 2019, section 3.1 (over segmentations).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from dissect.generators.base import Generator
from dissect.studies.repair import frechet
from dissect.studies.repair.frechet import Moments
from dissect.worlds import render_scenes
from segmenters.predictors.vgg16 import VGG16Trunk
from segmenters.scenes import SIZE, ScenesNetwork, ScenesPredictor, ScenesSegmenter
from segmenters.scenes_vocabulary import ATTRIBUTES, SCENES_VOCABULARY

_BATCH = 64
_RENDER_SEEDS = (40_000, 41_000)  # of no training set
_LEAST_PIXELS = 12  # of a concept that an image is said to show
_LEAST_PART = 4  # pixels of a connected part that is counted as one thing
_DAY = 0.5  # lighting from which a scene is counted as day
_THINGS = (("sun", 0), ("moon", 0), ("door", 1), ("chimney", 1), ("house", 0))  # and their planes
COUNTED = ("suns", "moons", "doors", "chimneys", "houses")


def frechet_distance(
    first: Float[Tensor, "sample size"], second: Float[Tensor, "sample size"]
) -> float:
    """d² between the normal distributions fitted to two sets of vectors.

    Example:
        >>> x = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
        >>> round(frechet_distance(x, x + 2), 3)  # 3 · 2²
        12.0
    """
    return frechet.frechet_distance(*(Moments.of(x.numpy()) for x in (first, second)))


def wavelet_statistics(
    images: Float[Tensor, "batch 3 height width"],
) -> Float[Tensor, "batch 63"]:
    """Mean |coefficient| of each band of three Haar levels and channel, and a coarse image.

    A level splits 2 × 2 pixels a b / c d into the mean and three differences, each divided by 2.

    Args:
        images: RGB in [-1, 1], sides multiples of 8.

    Returns:
        27 strengths (level, band, channel), fine to coarse, and 36 means of the remaining image
        (channel, three rows, four columns).
    """
    x, strengths = images, []
    for _ in range(3):
        a, b = x[..., ::2, ::2], x[..., ::2, 1::2]
        c, d = x[..., 1::2, ::2], x[..., 1::2, 1::2]
        bands = torch.stack([a - b + c - d, a + b - c - d, a - b - c + d], 1) / 2
        strengths.append(bands.abs().mean(dim=(3, 4)).flatten(1))
        x = (a + b + c + d) / 4
    coarse = functional.adaptive_avg_pool2d(x, (3, 4)).flatten(1)
    return torch.cat([*strengths, coarse], dim=1)


def _distances(
    first: Float[Tensor, "n size"], second: Float[Tensor, "m size"]
) -> Float[Tensor, "n m"]:
    return torch.cdist(first.double(), second.double())


def precision_and_recall(
    real: Float[Tensor, "n size"], fake: Float[Tensor, "m size"], *, k: int = 3
) -> tuple[float, float]:
    """Share of fakes inside the manifold of reals, and of reals inside that of fakes.

    A set's manifold is the union of balls around its vectors, each reaching to the k-th nearest
    other vector of the set.

    Example:
        >>> x = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
        >>> precision_and_recall(x, x)
        (1.0, 1.0)
    """

    def covered(points: Tensor, of: Tensor) -> float:
        radius = _distances(of, of).kthvalue(k + 1, dim=1).values  # itself is the nearest
        return (_distances(points, of) <= radius).any(dim=1).double().mean().item()

    return covered(fake, real), covered(real, fake)


def count_parts(plane: Int[np.ndarray, "height width"], concept: int) -> int:
    """Connected parts (touching sides) of a concept, of four pixels or more."""
    parts, n = ndimage.label(plane == concept)
    return int((np.bincount(parts.ravel(), minlength=n + 1)[1:] >= _LEAST_PART).sum())


@dataclass(frozen=True)
class Measured:
    """What was seen in a set of images.

    Args:
        vgg: Pooled features of VGG16; no columns where its weights are not at hand.
        wavelet: Statistics of the Haar transform.
        encoder: Pooled features of the scenes segmenter's encoder.
        areas: Percent of each image that each object covers.
        shares: Fraction of all pixels that each concept covers.
        present: Fraction of images in which each concept covers at least 12 pixels.
        counts: Connected parts in each image, in the order of ``COUNTED``.
        day: Whether the predictor says that an image is by day.
    """

    vgg: Float[Tensor, "sample feature"]
    wavelet: Float[Tensor, "sample statistic"]
    encoder: Float[Tensor, "sample feature"]
    areas: Float[Tensor, "sample object"]
    shares: Float[Tensor, " concept"]
    present: Float[Tensor, " concept"]
    counts: Float[Tensor, "sample counted"]
    day: Float[Tensor, " sample"]

    def rates(self) -> dict[str, float]:
        """Suns in a daytime sky; moons at night; doors and chimneys of a house."""
        doors, chimneys, houses = self.counts[:, 2:].sum(dim=0).tolist()
        by_day = (self.counts[:, 0] * self.day).sum() / self.day.sum().clamp(min=1)
        by_night = (self.counts[:, 1] * (1 - self.day)).sum() / (1 - self.day).sum().clamp(min=1)
        two_suns = ((self.counts[:, 0] > 1).float() * self.day).sum() / self.day.sum().clamp(min=1)
        return {
            "suns per daytime sky": by_day.item(),
            "daytime skies with two suns or more": two_suns.item(),
            "moons per other sky": by_night.item(),
            "doors per house": doors / max(1.0, houses),
            "chimneys per house": chimneys / max(1.0, houses),
            "houses per image": houses / len(self.counts),
        }


@torch.no_grad()
def measure(
    batches: Iterable[Tensor], network: ScenesNetwork, vgg: VGG16Trunk | None = None
) -> Measured:
    """Look at images with the scenes segmenter and, where it is at hand, VGG16."""
    segmenter = ScenesSegmenter(network, device="cpu")
    predictor = ScenesPredictor(network, device="cpu")
    seen: dict[str, list[Tensor]] = {
        name: [] for name in ("vgg", "wavelet", "encoder", "areas", "counts", "day")
    }
    ids = {concept.name: concept.id for concept in SCENES_VOCABULARY}
    things = tuple((ids[name], plane) for name, plane in _THINGS)
    for batch in batches:
        images = batch.clamp(-1, 1)
        labels = segmenter.segment(images)
        seen["vgg"].append(
            vgg.pooled(images) if vgg is not None else images.new_zeros(len(images), 0)
        )
        seen["wavelet"].append(wavelet_statistics(images))
        seen["encoder"].append(network.pooled(images))
        seen["areas"].append(
            torch.stack([(labels == c.id).sum(dim=(1, 2, 3)) for c in SCENES_VOCABULARY], 1)
        )
        planes = labels.numpy()
        seen["counts"].append(
            torch.tensor(
                [[count_parts(one[plane], c) for c, plane in things] for one in planes],
                dtype=torch.float32,
            )
        )
        lighting = predictor.predict(images)[:, ATTRIBUTES.index("lighting")]
        seen["day"].append((lighting >= _DAY).float())
    whole = {name: torch.cat(values) for name, values in seen.items()}
    count = whole["areas"].float()
    objects = [c.id - 1 for c in SCENES_VOCABULARY.in_plane("object")]
    return Measured(
        vgg=whole["vgg"],
        wavelet=whole["wavelet"],
        encoder=whole["encoder"],
        areas=count[:, objects] * (100 / SIZE**2),
        shares=count.mean(dim=0) / SIZE**2,
        present=(count >= _LEAST_PIXELS).float().mean(dim=0),
        counts=whole["counts"],
        day=whole["day"],
    )


def renders(n_images: int, *, seed: int) -> Iterator[Tensor]:
    """Batches of fresh scenes."""
    for start in range(0, n_images, _BATCH):
        indices = range(start, min(start + _BATCH, n_images))
        yield render_scenes(indices, seed=seed, size=SIZE).images


@torch.no_grad()
def samples(generator: Generator, n_images: int, *, seed: int = 0) -> Iterator[Tensor]:
    """Batches of a generator's images, nothing truncated, nothing chosen."""
    for start in range(0, n_images, _BATCH):
        indices = range(start, min(start + _BATCH, n_images))
        yield generator.synthesize(generator.sample(indices, seed=seed))


DISTANCES = {
    "vgg": "Fréchet, VGG16 blocks 3 to 5",
    "wavelet": "Fréchet, Haar bands",
    "areas": "Fréchet, % of image per object",
    "encoder": "Fréchet, encoder features (trained through: no judge)",
}
"""Names of the distances → what they are called in a card."""


def compare(first: Measured, second: Measured) -> dict[str, float]:
    """Distances, precision and recall of ``second`` (fakes) against ``first`` (reals)."""
    found = {
        name: frechet_distance(getattr(first, name), getattr(second, name))
        for name in DISTANCES
        if getattr(first, name).shape[1]
    }
    if first.vgg.shape[1]:
        found["precision"], found["recall"] = precision_and_recall(first.vgg, second.vgg)
    return found


def reference(
    network: ScenesNetwork,
    vgg: VGG16Trunk | None,
    *,
    n_images: int,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[Measured, Measured]:
    """Two sets of fresh renders: the truth, and what a perfect generator would be."""
    say(f"measuring two sets of {n_images} renders")
    first, second = (measure(renders(n_images, seed=s), network, vgg) for s in _RENDER_SEEDS)
    return first, second
