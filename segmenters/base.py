"""The protocols of segmenters and of attribute predictors.

A segmenter labels every pixel of an image, in each plane, with a concept. The dissection pass uses
only these labels; the search for causal units also uses the differentiable scores. A segmenter may
also have ``features`` of whole images (``segmenters.features``).
"""

import hashlib
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from segmenters.vocabulary import Vocabulary


@runtime_checkable
class Segmenter(Protocol):
    """Marks concepts in images. Attributes or properties both work; nothing here sets them."""

    @property
    def name(self) -> str:
        """The name for ``load_segmenter``."""
        ...

    @property
    def vocabulary(self) -> Vocabulary:
        """The concepts that it can mark."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hex digest that changes whenever its results could: weights and settings."""
        ...

    @property
    def device(self) -> torch.device:
        """The device that images must be on."""
        ...

    def segment(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Int[Tensor, "batch plane height width"]:
        """Label every pixel.

        Args:
            images: RGB in [-1, 1]; may exceed the range, since callers do not clamp them.

        Returns:
            Concept ids, 0 where a plane has none; planes in the order of ``vocabulary.planes``,
            at the height and width of the images. Sample k depends on image k only.
        """
        ...

    def score(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch concept height width"]:
        """Score of each concept at each pixel, in [0, 1], differentiable in the images.

        Row c belongs to the concept with id c + 1.
        """
        ...


@runtime_checkable
class Predictor(Protocol):
    """Predicts attributes of whole images."""

    @property
    def name(self) -> str:
        """The name for ``load_predictor``."""
        ...

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names, in the order of the columns of ``predict``."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hex digest that changes whenever its results could: weights and settings."""
        ...

    @property
    def device(self) -> torch.device:
        """The device that images must be on."""
        ...

    def predict(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch attribute"]:
        """Values in each attribute's own unit, differentiable in the images.

        Args:
            images: RGB in [-1, 1].
        """
        ...


def hash_tensors(tensors: Mapping[str, Tensor], *settings: object) -> str:
    """SHA-256 over names, types, shapes and bytes of tensors, and over further settings."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}|{value.dtype}|{tuple(value.shape)}|".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    digest.update(repr(settings).encode())
    return digest.hexdigest()
