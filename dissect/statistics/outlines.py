"""What units outline in single images, and how much of it each concept fills; compiled.

``reference.count_outline`` is the slow reference for one unit, image and concept.
"""

from typing import no_type_check

import numba
import numpy as np
from jaxtyping import Float, Int

from dissect.statistics.labels import ConceptMasks
from dissect.statistics.resize import cells, taps


def count_outlines(
    maps: Float[np.ndarray, "pair height width"],
    known: ConceptMasks,
    limits: Float[np.ndarray, "unit concept"],
    units: Int[np.ndarray, " pair"],
    images: Int[np.ndarray, " pair"],
    active: Int[np.ndarray, "unit image concept"],
    inside: Int[np.ndarray, "unit image concept"],
    *,
    native: bool,
) -> None:
    """Count what some units outline in some images, and how much of it each concept fills.

    Args:
        maps: Map of each pair of a unit and an image.
        known: Masks of the images.
        limits: The threshold of each pair.
        units, images: Unit and image of each pair.
        active, inside: Filled in place; see the fields of ``TopImages``.
        native: Compare at the layer's own resolution.
    """
    along = []
    for size, target in zip(maps.shape[1:], known.masks.shape[1:], strict=True):
        if native:
            nearest = cells(size, target)
            along.append((nearest, nearest, np.zeros(target, np.float32)))
        else:
            along.append(taps(size, target))
    _count_outlines(
        np.ascontiguousarray(maps), along[0], along[1], known.starts, known.concepts,
        known.masks.reshape(len(known.masks), known.masks.shape[1] * known.masks.shape[2]),
        np.ascontiguousarray(limits, np.float32), units, images, active, inside,
    )  # fmt: skip


@numba.njit(nogil=True, cache=True, boundscheck=False)
@no_type_check
def _count_outlines(  # noqa: ANN202
    maps,  # noqa: ANN001
    rows,  # noqa: ANN001
    columns,  # noqa: ANN001
    starts,  # noqa: ANN001
    concepts,  # noqa: ANN001
    masks,  # noqa: ANN001
    limits,  # noqa: ANN001
    units,  # noqa: ANN001
    images,  # noqa: ANN001
    active,  # noqa: ANN001
    inside,  # noqa: ANN001
):
    row_low, row_high, row_weight = rows
    column_low, column_high, column_weight = columns
    height, width = len(row_low), len(column_low)
    one = np.float32(1)
    blended = np.empty(maps.shape[2], np.float32)
    values = np.empty(height * width, np.float32)
    for pair in range(len(units)):
        unit, image = units[pair], images[pair]
        own = maps[pair]
        for y in range(height):
            above, below, weight = own[row_low[y]], own[row_high[y]], row_weight[y]
            for x in range(len(blended)):
                blended[x] = above[x] * (one - weight) + below[x] * weight
            for x in range(width):
                low, high, across = column_low[x], column_high[x], column_weight[x]
                values[y * width + x] = blended[low] * (one - across) + blended[high] * across
        for mask in range(starts[image], starts[image + 1]):
            concept = concepts[mask]
            limit = limits[unit, concept]
            marked = masks[mask]
            n_active = np.int32(0)
            n_inside = np.int32(0)
            for pixel in range(len(values)):
                fires = np.int32(values[pixel] > limit)
                n_active += fires
                n_inside += fires & np.int32(marked[pixel])
            active[unit, image, concept] = n_active
            inside[unit, image, concept] = n_inside
