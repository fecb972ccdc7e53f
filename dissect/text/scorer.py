"""Similarity of images and texts, as losses and numbers, differentiable in the images.

    cosine        cos(E(x), t)
    distance      1 - mean over crops of cos(E(crop of x), t)
    directional   1 - cos(E(x) - E(x₀), Δt),   Δt = normalised(t - t₀)

E is the image tower, t the vector of a text: the normalised mean of its sentences' unit vectors.
Crops make a loss use the whole image instead of a pattern that only works at one size.

References:
    Patashnik et al., StyleCLIP, ICCV 2021, equation 1 (distance).
    Gal et al., StyleGAN-NADA, SIGGRAPH 2022, equation 3 (directional).
    Liu et al., FuseDream, 2021, section 3.1 (crops).
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from dissect.errors import ConfigError

CROPS = (0.7, 0.98)
"""Sides of crops as fractions of the image's, smallest and largest."""
_NO_CHANGE = 1e-6  # length of a difference of unit vectors below which it has no direction


class Towers(Protocol):
    """The members that a scorer uses, of ``segmenters.clip_models.ClipModel`` or your own class."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...

    def encode_images(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch embedding"]: ...

    def encode_texts(
        self, texts: Sequence[str], *, templates: Sequence[str]
    ) -> Float[Tensor, "text embedding"]: ...


class TextScorer:
    """Compares images with texts.

    Args:
        towers: Image and text tower, giving unit vectors.
        templates: Sentences with a place ``{}`` for a text.
        n_crops: Number of crops per image for ``distance``, besides the whole image; 0: no crops.
        seed: Seed of the crops.

    Raises:
        ConfigError: no template, or one without ``{}``.

    Example::

        scorer = TextScorer(load_clip("scenes-clip"))
        scorer.cosine(images, ["a house at night", "a house by day"])  # batch × 2
    """

    def __init__(
        self,
        towers: Towers,
        *,
        templates: Sequence[str] = ("{}",),
        n_crops: int = 0,
        seed: int = 0,
    ) -> None:
        odd = [template for template in templates if template.count("{}") != 1]
        if odd or not templates:
            raise ConfigError(
                f"templates are {list(templates)!r}; expected sentences with one {{}} for the text"
            )
        if n_crops < 0:
            raise ConfigError(f"n_crops is {n_crops}; expected a number from 0")
        self.towers, self.templates, self.n_crops, self.seed = (
            towers,
            tuple(templates),
            n_crops,
            seed,
        )

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the towers."""
        return self.towers.fingerprint

    def encode_images(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch embedding"]:
        """Unit vectors of images in [-1, 1]."""
        return self.towers.encode_images(images)

    def encode_texts(self, texts: Sequence[str]) -> Float[Tensor, "text embedding"]:
        """Unit vectors of texts.

        Raises:
            ConfigError: a text without a letter.
        """
        for text in texts:
            if not text.strip():
                raise ConfigError(f"the text is {text!r}; expected words")
        return self.towers.encode_texts(texts, templates=self.templates)

    def difference(self, target: str, neutral: str) -> Float[Tensor, " embedding"] | None:
        """Δt of length 1; None if both are the same text or have the same vector: no edit."""
        if target.split() == neutral.split():
            return None
        found, start = self.encode_texts([target, neutral])
        delta = found - start
        length = delta.norm()
        return None if length < _NO_CHANGE else delta / length

    def cosine(
        self, images: Float[Tensor, "batch 3 height width"], texts: Sequence[str]
    ) -> Float[Tensor, "batch text"]:
        """Cosine of each image and each text, in [-1, 1]."""
        return self.encode_images(images) @ self.encode_texts(texts).T

    def distance(
        self,
        images: Float[Tensor, "batch 3 height width"],
        text: Float[Tensor, " embedding"],
        *,
        step: int = 0,
    ) -> Float[Tensor, " batch"]:
        """The distance; see the module docstring.

        Args:
            images: RGB in [-1, 1].
            text: A row of ``encode_texts``.
            step: Step of an optimisation; each one has its own crops, the same for all images.
        """
        views = [images, *self.crops(images, step=step)]
        cosines = torch.stack([self.encode_images(view) @ text for view in views])
        return 1 - cosines.mean(dim=0)

    def crops(
        self, images: Float[Tensor, "batch 3 height width"], *, step: int
    ) -> list[Float[Tensor, "batch 3 side side"]]:
        """``n_crops`` squares with random side and place; the same for the same seed and step."""
        draws = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        found, size = [], images.shape[-1]
        for share, down, right in torch.rand(self.n_crops, 3, generator=draws).tolist():
            side = max(1, round((CROPS[0] + (CROPS[1] - CROPS[0]) * share) * size))
            top, left = (int(place * (size - side + 1)) for place in (down, right))
            found.append(images[..., top : top + side, left : left + side])
        return found

    def directional(
        self,
        images: Float[Tensor, "batch 3 height width"],
        originals: Float[Tensor, "batch 3 height width"],
        delta: Float[Tensor, " embedding"],
    ) -> Float[Tensor, " batch"]:
        """The directional loss; see the module docstring. It is 1 for an unchanged image.

        Args:
            images: RGB in [-1, 1].
            originals: x₀, the images before the edit.
            delta: Δt, see ``difference``.
        """
        change = self.encode_images(images) - self.encode_images(originals)
        return 1 - functional.normalize(change, dim=1, eps=_NO_CHANGE) @ delta
