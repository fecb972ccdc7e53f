"""How strongly edits change images, for any content: mean |after − before| / 2, in [0, 1]."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from dissect.edits.applying import intervene
from dissect.edits.edit import Edit
from dissect.studies.originals import Originals


class ImageChange:
    """Measures how strongly edits change the images of the first block of some samples.

    No segmenter runs, so many sets of units can be tried in little time. The unedited images are
    kept in memory.

    Args:
        originals: Samples; one block of them is used.
    """

    def __init__(self, originals: Originals) -> None:
        self._originals = originals
        self._number = originals.numbers[0]
        with torch.no_grad():
            self._before = originals.images(self._number).clamp(-1, 1)

    @torch.no_grad()
    def of(self, edits: Sequence[Edit]) -> float:
        """Mean of |after − before| / 2 over images, channels and pixels; images in [-1, 1]."""
        with intervene(self._originals.generator, edits, bases=self._originals.bases):
            return self.against(self._originals.images(self._number))

    def against(self, images: Float[Tensor, "batch channels height width"]) -> float:
        """The same for given edited images of the block."""
        return float((images.clamp(-1, 1) - self._before).abs().double().mean()) / 2
