"""Adds the table of a cluster to the counts of its layer, a few units at a time."""

from typing import no_type_check

import numba
import numpy as np

_UNITS = 16  # the rows of this many units stay in the second-level cache, as long runs to add


@numba.njit(nogil=True, cache=True, boundscheck=False)
@no_type_check
def collect(  # noqa: ANN201, PLR0912
    table,  # noqa: ANN001
    members,  # noqa: ANN001
    per_image,  # noqa: ANN001
    areas,  # noqa: ANN001
    histogram,  # noqa: ANN001
    chosen,  # noqa: ANN001
    denominators,  # noqa: ANN001
    inside,  # noqa: ANN001
    active,  # noqa: ANN001
    shuffled,  # noqa: ANN001
    products,  # noqa: ANN001
    squares,  # noqa: ANN001
    first,  # noqa: ANN001
):
    """Add one cluster for some units of a layer; threads may take other units meanwhile.

    Args:
        table: int32 (set, code, unit, bin), as ``tally`` gives it: own masks, and in the
            evaluation fold those of other images.
        members: (code, plane): concept ids of a code, 0 for none.
        per_image: int32 (image, unit, bin): the same pixels by image; unused on the calibration
            fold.
        areas: int64 (image, concept): pixels of each concept.
        histogram: int64 (set, row, unit, bin); modified in place (incremented).
        chosen: (threshold, unit, concept): edges at which pairs are scored; of length 0 on the
            calibration fold, where only the histogram is incremented.
        denominators: For each concept, the row that counts the pixels above the threshold.
        inside, active, shuffled, products: int64 (threshold, unit, concept); modified in place.
        squares: int64 (moment, threshold, unit, concept); modified in place.
        first: Index in the layer of the table's first unit.
    """
    n_sets, n_codes, n_all, n_bins = table.shape
    n_rows = histogram.shape[1]
    occurs = np.zeros(n_rows, np.bool_)
    occurs[0] = True
    for code in range(n_codes):
        for plane in range(members.shape[1]):
            occurs[members[code, plane]] = True
    counts = np.empty((n_sets, n_rows, _UNITS * n_bins), np.int32)
    n_images = len(areas)
    # Entry n: pixels of bin n and all later bins, for each image and each row that counts all.
    above = np.zeros((n_images, n_bins + 1), np.int64)
    behind = np.zeros((n_rows, n_bins + 1), np.int64)
    is_denominator = np.zeros(n_rows, np.bool_)
    for concept in range(len(denominators)):
        is_denominator[denominators[concept]] = True
    denominator_rows = np.flatnonzero(is_denominator & occurs)
    image_pixels = np.int64(0)
    if chosen.shape[0]:
        image_pixels = np.int64(_sum(per_image[0, 0], 0, n_bins))
    for start in range(0, n_all, _UNITS):
        n_units = min(_UNITS, n_all - start)
        _add_codes(table, members, occurs, counts, start, n_units)
        for s in range(n_sets):
            for row in range(n_rows):
                if occurs[row]:
                    for u in range(n_units):
                        cells = histogram[s, row, first + start + u]
                        for n in range(n_bins):
                            cells[n] += counts[s, row, u * n_bins + n]
        for u in range(n_units if chosen.shape[0] else 0):
            unit = first + start + u
            for image in range(n_images):
                for n in range(n_bins - 1, -1, -1):
                    above[image, n] = above[image, n + 1] + per_image[image, start + u, n]
            from_row = u * n_bins
            for row in denominator_rows:
                cells = counts[0, row]
                for n in range(n_bins - 1, -1, -1):
                    behind[row, n] = behind[row, n + 1] + cells[from_row + n]
            for kind in range(chosen.shape[0]):
                end = from_row + n_bins
                for concept in range(chosen.shape[2]):
                    # Bin n and above hold what is strictly above edge n - 1.
                    edge = chosen[kind, unit, concept] + 1
                    a = behind[denominators[concept], edge]
                    if not occurs[concept + 1]:  # no intersection: the union is the active pixels
                        active[kind, unit, concept] += a
                        squares[2, kind, unit, concept] += a * a
                        continue
                    begin = from_row + edge
                    i = np.int64(_sum(counts[0, concept + 1], begin, end))
                    area = i + np.int64(_sum(counts[0, concept + 1], from_row, begin))
                    other = np.int64(_sum(counts[1, concept + 1], begin, end))
                    union = a + area - i
                    product = np.int64(0)
                    for image in range(n_images):
                        product += above[image, edge] * areas[image, concept]
                    # In quarters of a pixel, so that squares stay whole numbers of 64 bits.
                    beyond = 4 * i - (4 * product + image_pixels // 2) // image_pixels
                    inside[kind, unit, concept] += i
                    active[kind, unit, concept] += a
                    shuffled[kind, unit, concept] += other
                    products[kind, unit, concept] += product
                    squares[0, kind, unit, concept] += i * i
                    squares[1, kind, unit, concept] += i * union
                    squares[2, kind, unit, concept] += union * union
                    squares[3, kind, unit, concept] += (i - other) * (i - other)
                    squares[4, kind, unit, concept] += beyond * beyond


@numba.njit(nogil=True, cache=True, boundscheck=False)
@no_type_check
def _sum(cells, begin, end):  # noqa: ANN001, ANN202
    total = np.int32(0)
    for n in range(begin, end):
        total += cells[n]
    return total


@numba.njit(nogil=True, cache=True, boundscheck=False)
@no_type_check
def _add_codes(table, members, occurs, counts, start, n_units):  # noqa: ANN001, ANN202
    """Sum the rows of a few units from their codes: every code is one long run of cells."""
    n_sets, n_codes, _, n_bins = table.shape
    length = n_units * n_bins
    for s in range(n_sets):
        for row in range(counts.shape[1]):
            if occurs[row]:
                counts[s, row, :length] = 0
        for code in range(n_codes):
            cells = table[s, code, start : start + n_units].reshape(length)
            _raise(counts[s, 0], cells, length)
            for plane in range(members.shape[1]):
                if members[code, plane]:
                    _raise(counts[s, members[code, plane]], cells, length)


@numba.njit(nogil=True, cache=True, boundscheck=False)
@no_type_check
def _raise(row, cells, length):  # noqa: ANN001, ANN202
    for n in range(length):
        row[n] += cells[n]
