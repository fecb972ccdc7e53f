"""``areas:SEGMENTER``: the share of the image that each concept of a segmenter covers."""

import torch
from jaxtyping import Float
from torch import Tensor

from segmenters.base import Segmenter


class AreaPredictor:
    """A ``Predictor`` whose attributes are the concepts of a segmenter.

    The value of a concept is the share of all pixels with its label, from 0 to 1, as in all other
    counts. Labels have no gradient, so the gradient of the mean score is used.

    Args:
        segmenter: Any segmenter.

    Example:
        >>> areas = AreaPredictor(load_segmenter("colour"))
        >>> black = areas.predict(torch.full((1, 3, 8, 8), -1.0))
        >>> areas.attributes[int(black.argmax())]
        'black'
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter
        self.name = f"areas:{segmenter.name}"
        self.attributes = segmenter.vocabulary.names
        self.fingerprint = segmenter.fingerprint
        self.device: torch.device = segmenter.device

    def predict(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch attribute"]:
        """The share of each concept.

        Args:
            images: RGB in [-1, 1].
        """
        with torch.no_grad():
            planes = self.segmenter.segment(images)
            ids = torch.arange(1, len(self.attributes) + 1, device=planes.device)
            shares = torch.stack(
                [(planes == one).any(dim=1).float().mean(dim=(1, 2)) for one in ids], dim=1
            )
        if not (images.requires_grad and torch.is_grad_enabled()):
            return shares
        scores = self.segmenter.score(images).mean(dim=(2, 3))
        return shares + (scores - scores.detach())
