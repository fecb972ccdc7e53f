"""Features of whole images, one vector each, for distances between sets of images.

A segmenter may have ``features``; otherwise they are computed from its scores. The values have no
unit and are comparable only with those of the same segmenter.
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from segmenters.base import Segmenter


@runtime_checkable
class HasFeatures(Protocol):
    """An optional method of a ``Segmenter``: one vector per image."""

    def features(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch n"]:
        """Features of whole images; row k depends on image k only.

        Args:
            images: RGB in [-1, 1].
        """
        ...


@torch.no_grad()
def image_features(
    segmenter: Segmenter, images: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, "batch n"]:
    """A segmenter's own features, or otherwise mean and deviation of its scores.

    Args:
        segmenter: Any segmenter.
        images: RGB in [-1, 1], on its device.

    Returns:
        ``segmenter.features(images)``, or the mean of each concept's score over all pixels,
        followed by its (population) standard deviation, 2 · concepts in all.

    Example:
        >>> image_features(load_segmenter("colour"), torch.zeros(1, 3, 8, 8)).shape
        torch.Size([1, 22])
    """
    if isinstance(segmenter, HasFeatures):
        return segmenter.features(images)
    deviation, mean = torch.std_mean(segmenter.score(images), dim=(2, 3), correction=0)
    return torch.cat([mean, deviation], dim=1)
