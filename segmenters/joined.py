"""Joins two segmenters to one, with one vocabulary: ``faces+colour``."""

import hashlib

import torch
from jaxtyping import Float, Int
from torch import Tensor

from segmenters.base import Segmenter
from segmenters.errors import SegmenterError
from segmenters.features import image_features
from segmenters.notebook import ShownSegmenter


class JoinedSegmenter(ShownSegmenter):
    """Two segmenters as one: the planes of the first, then those of the second.

    A name of the second that the first has too is extended by its own; see ``Vocabulary.join``.

    Raises:
        SegmenterError: a segmenter joined to itself.

    Example:
        >>> JoinedSegmenter(load_segmenter("scenes"), load_segmenter("colour")).name
        'scenes+colour'
    """

    def __init__(self, first: Segmenter, second: Segmenter) -> None:
        joined = [first]
        while joined:  # all segmenters joined before
            one = joined.pop()
            joined += [getattr(one, n) for n in ("first", "second", "inner") if hasattr(one, n)]
            if one.fingerprint == second.fingerprint:
                raise SegmenterError(
                    f"{second.name} is joined to itself; expected each segmenter once; leave one "
                    "of them out"
                )
        self.first = first
        self.second = second
        self.name = f"{first.name}+{second.name}"
        self.vocabulary = first.vocabulary.join(second.vocabulary, name=second.name)
        self.fingerprint = hashlib.sha256(
            f"{first.fingerprint}+{second.fingerprint}".encode()
        ).hexdigest()
        self.device = first.device

    def segment(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Int[Tensor, "batch plane height width"]:
        second = self.second.segment(images)
        moved = torch.where(second > 0, second + len(self.first.vocabulary), second)
        return torch.cat([self.first.segment(images), moved], dim=1)

    def score(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch concept height width"]:
        return torch.cat([self.first.score(images), self.second.score(images)], dim=1)

    def features(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch feature"]:
        """The features of the first, then those of the second; see ``segmenters.features``."""
        both = (image_features(segmenter, images) for segmenter in (self.first, self.second))
        return torch.cat(list(both), dim=1)
