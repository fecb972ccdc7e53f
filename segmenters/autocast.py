"""Masks in half precision on an accelerator: ``scenes+autocast``.

Half precision needs about half of the memory for a forward pass, so larger blocks fit, and less
time on accelerators that compute it faster. Masks differ a little from those in single precision,
so it has a separate fingerprint. On a processor it would be slower, so it is an error there. Scores
keep their precision, because gradients are computed from them.
"""

import hashlib

import torch
from jaxtyping import Float, Int
from torch import Tensor

from segmenters.base import Segmenter
from segmenters.errors import SegmenterError
from segmenters.features import image_features
from segmenters.notebook import ShownSegmenter


class Autocast(ShownSegmenter):
    """A ``Segmenter`` whose masks are computed under ``torch.autocast``.

    Args:
        inner: The segmenter.

    Raises:
        SegmenterError: a segmenter on the processor.
    """

    def __init__(self, inner: Segmenter) -> None:
        if inner.device.type == "cpu":
            raise SegmenterError(
                f"autocast was given {inner.name} on the cpu; expected an accelerator; add "
                "--device cuda, or leave autocast out"
            )
        self.inner = inner
        self.name = f"{inner.name}+autocast"
        self.vocabulary = inner.vocabulary
        self.device = inner.device
        self.fingerprint = hashlib.sha256(f"{inner.fingerprint}+autocast".encode()).hexdigest()

    def segment(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Int[Tensor, "batch plane height width"]:
        with torch.autocast(self.device.type, dtype=torch.float16):
            return self.inner.segment(images)

    def score(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch concept height width"]:
        return self.inner.score(images)

    def features(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch feature"]:
        return image_features(self.inner, images)


def modify(segmenter: Segmenter) -> Autocast:
    """Apply ``+autocast`` to the segmenters before it."""
    return Autocast(segmenter)
