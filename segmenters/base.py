"""What segmenters and predictors are, and how two segmenters become one.

A segmenter looks at images and says, for each pixel and each plane, which concept is there. The
dissection pass needs nothing else of it; causal search also needs the differentiable scores. It may
have ``features`` of whole images too (``segmenters.features``).
"""

import hashlib
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from segmenters.errors import SegmenterError
from segmenters.features import image_features
from segmenters.vocabulary import Vocabulary


@runtime_checkable
class Segmenter(Protocol):
    """Marks concepts in images.

    Attributes:
        name: How ``load_segmenter`` finds it.
        vocabulary: Concepts it can mark.
        fingerprint: Hex digest that changes whenever its answers could: weights and settings.
        device: Where images should be.
    """

    name: str
    vocabulary: Vocabulary
    fingerprint: str
    device: torch.device

    def segment(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Int[Tensor, "batch plane height width"]:
        """Label every pixel.

        Args:
            images: RGB in [-1, 1]; any values, they are not clipped by the caller.

        Returns:
            Concept ids, 0 where a plane holds none; planes in the order of ``vocabulary.planes``,
            at the height and width of the images. Sample k depends on image k alone.
        """
        ...

    def score(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch concept height width"]:
        """How strongly each pixel shows each concept, in [0, 1], differentiable in the images.

        Row c belongs to the concept of id c + 1.
        """
        ...


@runtime_checkable
class Predictor(Protocol):
    """Tells attributes of whole images.

    Attributes:
        name: How ``load_predictor`` finds it.
        attributes: Names, in the order of the columns it gives.
        fingerprint: Hex digest that changes whenever its answers could.
        device: Where images should be.
    """

    name: str
    attributes: tuple[str, ...]
    fingerprint: str
    device: torch.device

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


class JoinedSegmenter:
    """Two segmenters read as one: the planes of the first, then those of the second.

    Names of the second that the first has too are marked with its own; see ``Vocabulary.join``.

    Raises:
        SegmenterError: a segmenter joined to itself.
    """

    def __init__(self, first: Segmenter, second: Segmenter) -> None:
        joined = [first]
        while joined:  # whatever was joined before
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
        """Those of the first, then those of the second; see ``segmenters.features``."""
        both = (image_features(segmenter, images) for segmenter in (self.first, self.second))
        return torch.cat(list(both), dim=1)
