"""Places in an image at which the same units are inserted, and the pixels that change there.

Square boxes cover the image, in rows and columns one stride apart. For each box, units are inserted
in it alone, the edited image is segmented once, and pixels of the concept are counted in the box.
Boxes are grouped by **context**: the concepts that cover at least half of the unedited box. Planes
may give several; a box without any such concept is ``mixed``. If the concept itself covers half,
it is the box's only context.

References:
    Bau et al., GAN Dissection, ICLR 2019, section 4.4 (doors inserted into wall, sky and tree).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float

from dissect.edits.applying import intervene
from dissect.edits.edit import Edit
from dissect.edits.regions import box
from dissect.errors import SettingError
from dissect.generators.base import LayerInfo
from dissect.progress import ProgressBar
from dissect.studies.originals import Originals, count_pixels
from dissect.studies.pixels import Treatment

MIXED = "mixed"
"""The context of a box of which no concept covers half."""
COVERED = 0.5
"""Smallest share of a box that makes a concept its context."""


@dataclass(frozen=True)
class Places:
    """Boxes over an image, row by row.

    Args:
        image_size: Height and width of the image.
        side: Side of a box, in pixels.
        stride: Distance between boxes, in pixels; below ``side`` they overlap.

    Raises:
        ConfigError: a side or stride out of range.

    Example:
        >>> Places(8, 4, 4).corners
        [(0, 0, 4, 4), (0, 4, 4, 8), (4, 0, 8, 4), (4, 4, 8, 8)]
    """

    image_size: int
    side: int
    stride: int

    def __post_init__(self) -> None:
        for name in ("side", "stride"):
            if not 1 <= getattr(self, name) <= self.image_size:
                raise SettingError(
                    name,
                    f"is {getattr(self, name)}; expected 1 to {self.image_size} pixels, as "
                    "the image has",
                )

    @property
    def corners(self) -> list[tuple[int, int, int, int]]:
        """top, left, bottom, right of each box; omits a margin that is smaller than a box."""
        starts = range(0, self.image_size - self.side + 1, self.stride)
        return [(top, left, top + self.side, left + self.side) for top in starts for left in starts]

    def edits(self, treatment: Treatment, units: Sequence[int], place: int) -> list[Edit]:
        """The edits of units at one place."""
        region = box(self.image_size, self.corners[place])
        return replace(treatment, region=region).of(units)

    def crop(
        self, maps: Float[torch.Tensor, "*batch height width"], place: int
    ) -> Float[torch.Tensor, "*batch side side"]:
        """The pixels of one box."""
        top, left, bottom, right = self.corners[place]
        return maps[..., top:bottom, left:right]


def choose_places(image_size: int, info: LayerInfo, side: int | None, stride: int | None) -> Places:
    """Places for a layer: given side and stride, or defaults for the image's size.

    Args:
        image_size: Height and width of the image.
        info: Layer in which units are inserted.
        side: None takes an eighth of the image, in whole cells of the layer, at least one.
        stride: None takes the side.

    Raises:
        ConfigError: out of range, or a side below one cell, which no edit would fill.
    """
    cell = -(-image_size // min(info.height, info.width))
    if side is None:
        side = min(image_size, cell * max(1, round(image_size / 8 / cell)))
    places = Places(image_size, side, side if stride is None else stride)
    if side < cell:
        raise SettingError(
            "side",
            f"is {side}; expected at least {cell} pixels, one cell of the layer; give a "
            "larger --side or a later --layer",
        )
    return places


@dataclass(frozen=True, eq=False)
class PlaceCounts:
    """Measured changes in each box of each image.

    Attributes:
        before, after: Pixels of the concept.
        added: Pixels that have the concept only after.
        change: Mean of |after − before| / 2 over pixels and channels, in [0, 1].
        area: Pixels of a box.
    """

    before: Float[np.ndarray, "image place"]
    after: Float[np.ndarray, "image place"]
    added: Float[np.ndarray, "image place"]
    change: Float[np.ndarray, "image place"]
    area: int


def find_contexts(
    originals: Originals, places: Places, concept: str
) -> Bool[np.ndarray, "image place context"]:
    """The contexts of each unedited box: the vocabulary's concepts in order, then ``mixed``.

    Args:
        originals: The samples.
        places: The boxes.
        concept: The inserted concept; if it covers half of a box, it is the only context.

    Raises:
        SegmenterError: a concept that is not in the vocabulary.
    """
    column, n_concepts = originals.vocabulary[concept].id - 1, len(originals.vocabulary)
    n_places = len(places.corners)
    counts = np.concatenate(
        [
            np.stack(
                [
                    count_pixels(places.crop(originals.planes(number), place), n_concepts)
                    for place in range(n_places)
                ],
                axis=1,
            )
            for number in originals.numbers
        ]
    )
    covered = counts >= COVERED * places.side**2
    own = covered[..., column].copy()
    covered[own] = False
    covered[own, column] = True
    return np.concatenate([covered, ~covered.any(axis=-1, keepdims=True)], axis=-1)


@torch.no_grad()
def measure_places(
    originals: Originals,
    treatment: Treatment,
    units: Sequence[int],
    places: Places,
    concept: str,
    *,
    bar: ProgressBar,
) -> PlaceCounts:
    """Insert units at every place of every sample, one place at a time.

    Args:
        originals: Unedited samples for the comparison.
        treatment: The edit of the units; its region is set to each place.
        units: The units.
        places: The boxes.
        concept: Concept whose pixels are counted.
        bar: Progress bar; advances by one for each block and place.

    Raises:
        LayerError, ConfigError: see ``intervene``.
    """
    entry = originals.vocabulary[concept]
    plane = originals.vocabulary.planes.index(entry.plane)
    edits = [places.edits(treatment, units, place) for place in range(len(places.corners))]
    blocks = []
    for number in originals.numbers:
        images = originals.images(number).clamp(-1, 1)
        present = originals.planes(number)[:, plane] == entry.id
        found = []
        for place, here in enumerate(edits):
            with intervene(originals.generator, here, bases=originals.bases):
                edited = originals.images(number)
            after = places.crop(originals.label(edited)[:, plane] == entry.id, place)
            before = places.crop(present, place)
            moved = places.crop(edited.clamp(-1, 1) - images, place).abs().mean(dim=(1, 2, 3)) / 2
            pixels = [marked.sum(dim=(1, 2)) for marked in (before, after, after & ~before)]
            found.append(torch.stack([*pixels, moved.cpu()]).double())
            bar.update()
        blocks.append(torch.stack(found, dim=-1))
    return PlaceCounts(*torch.cat(blocks, dim=1).numpy(), area=places.side**2)
