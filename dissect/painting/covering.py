"""Converts strokes to edits: where two set the same unit at the same place, the later one wins.

``intervene`` rejects edits that contradict each other, which is right for a measurement. But paint
covers paint: a stroke loses, unit by unit, the part of its region that later strokes cover.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from dissect.edits.edit import Edit
from dissect.edits.regions import pool
from dissect.edits.unit_edits import Ablate, Insert
from dissect.painting.masks import LARGEST_SIDE
from dissect.painting.strokes import DRAW, Stroke

_Mask = Bool[np.ndarray, "side side"]


def to_edits(strokes: Sequence[Stroke], image_size: int) -> list[Edit]:
    """The edits of strokes, in order.

    Args:
        strokes: From the first to the last.
        image_size: Height and width of the image.

    Returns:
        Edits without contradictions; a completely covered stroke gives none.

    Raises:
        ConfigError: a region that exceeds the image.

    Example:
        >>> [edit.units for edit in to_edits([Stroke("remove", "b16.conv1", (3, 7))], 64)]
        [(3, 7)]
    """
    side = min(image_size, LARGEST_SIDE)
    regions = [_on_grid(stroke, image_size, side) for stroke in strokes]
    edits: list[Edit] = []
    for place, stroke in enumerate(strokes):
        later = [
            number
            for number in range(place + 1, len(strokes))
            if strokes[number].layer == stroke.layer
        ]
        # Units that lose the same part form one edit: usually all of them, or all but a few.
        parts: dict[tuple[int, ...], list[int]] = {}
        for position, unit in enumerate(stroke.units):
            claimed = tuple(number for number in later if unit in strokes[number].units)
            parts.setdefault(claimed, []).append(position)
        for claimed, positions in parts.items():
            region = regions[place]
            for number in claimed:
                region = region & ~regions[number]
            if region.any():
                edits.append(_edit(stroke, positions, None if region.all() else region))
    return edits


def _on_grid(stroke: Stroke, image_size: int, side: int) -> _Mask:
    """A stroke's region as pixels of one grid; every touched pixel belongs to it."""
    region = stroke.region(image_size)
    if region is None:
        return np.ones((side, side), bool)
    if region.shape == (side, side):
        return region
    return pool(region.astype(np.float32), (side, side)) > 0


def _edit(stroke: Stroke, positions: Sequence[int], region: _Mask | None) -> Edit:
    units = [stroke.units[position] for position in positions]
    if stroke.mode == DRAW:
        values = [stroke.values[position] * stroke.strength for position in positions]
        return Insert(stroke.layer, units, values, region)
    return Ablate(stroke.layer, units, region, stroke.strength)
