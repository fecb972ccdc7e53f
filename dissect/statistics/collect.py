"""Adds the table of a cluster to the counts of its layer, a few units at a time.

A cluster's counts come in two forms: the pixels *above* each edge, with neighbouring units side by
side, which the processor's kernel gives and ``collect`` adds; and a *table* of the pixels in each
bin, unit by unit, which the others give.
"""

from typing import no_type_check

import numba
import numpy as np


@numba.njit(nogil=True, cache=True, boundscheck=False)
@no_type_check
def bins_of(above, pixels, table):  # noqa: ANN001, ANN201
    """Fill a table: for each n the pixels that are above exactly n of its edges.

    Args:
        above: int32 (set, code, edge, unit): for each code the pixels above each edge. Further
            edges and units than those of the table are left out.
        pixels: int32 (set, code): all pixels of each code.
        table: int32 (set, code, unit, bin).
    """
    n_sets, n_codes, n_units, n_bins = table.shape
    for s in range(n_sets):
        for code in range(n_codes):
            for u in range(n_units):
                before = pixels[s, code]
                for edge in range(n_bins - 1):
                    table[s, code, u, edge] = before - above[s, code, edge, u]
                    before = above[s, code, edge, u]
                table[s, code, u, n_bins - 1] = before


@numba.njit(nogil=True, cache=True, boundscheck=False)
@no_type_check
def above_of(table):  # noqa: ANN001, ANN201
    """The inverse of ``bins_of``, for a table of at least one unit.

    Args:
        table: int32 (set, code, unit, bin).

    Returns:
        int32 (set, code, edge, unit) and int32 (set, code).
    """
    n_sets, n_codes, n_units, n_bins = table.shape
    above = np.empty((n_sets, n_codes, n_bins - 1, n_units), np.int32)
    pixels = np.empty((n_sets, n_codes), np.int32)
    for s in range(n_sets):
        for code in range(n_codes):
            for u in range(n_units):
                total = np.int32(0)
                for n in range(n_bins - 1, 0, -1):
                    total += table[s, code, u, n]
                    above[s, code, n - 1, u] = total
                pixels[s, code] = total + table[s, code, u, 0]
    return above, pixels


@numba.njit(nogil=True, cache=True, boundscheck=False)
@no_type_check
def collect(  # noqa: ANN201, PLR0912
    above,  # noqa: ANN001
    pixels,  # noqa: ANN001
    members,  # noqa: ANN001
    areas,  # noqa: ANN001
    histogram,  # noqa: ANN001
    chosen,  # noqa: ANN001
    denominators,  # noqa: ANN001
    inside,  # noqa: ANN001
    active,  # noqa: ANN001
    shuffled,  # noqa: ANN001
    products,  # noqa: ANN001
    squares,  # noqa: ANN001
    units,  # noqa: ANN001
):
    """Add one cluster for some units of a layer; threads may take other units meanwhile.

    Args:
        above: int32 (set, code, edge, unit): for each code the pixels above each edge, contiguous:
            own masks, and in the evaluation fold those of other images and the images themselves.
            Further edges and units are left out.
        pixels: int32 (set, code): all pixels of each code.
        members: (code, plane): concept ids of a code, 0 for none.
        areas: int64 (image, concept): pixels of each concept.
        histogram: int64 (set, row, unit, bin); modified in place (incremented).
        chosen: (threshold, unit, concept): edges at which pairs are scored; of length 0 on the
            calibration fold, where only the histogram is incremented.
        denominators: For each concept, the row that counts the pixels above the threshold.
        inside, active, shuffled, products: int64 (threshold, unit, concept); modified in place.
        squares: int64 (moment, threshold, unit, concept); modified in place.
        units: First unit in the layer, and the one after the last.
    """
    n_codes, n_lanes = above.shape[1], above.shape[3]
    n_sets, n_rows, _, n_bins = histogram.shape
    n_edges = n_bins - 1
    first, n_units = units[0], units[1] - units[0]
    occurs = np.zeros(n_rows, np.bool_)
    occurs[0] = True
    for code in range(n_codes):
        for plane in range(members.shape[1]):
            occurs[members[code, plane]] = True
    # Pixels of each row above each edge, and all of its pixels.
    rows = np.empty((n_sets, n_rows, n_edges * n_lanes), np.int32)
    whole = np.zeros((n_sets, n_rows), np.int64)
    for s in range(n_sets):
        _add_codes(above[s], pixels[s], members, occurs, rows[s], whole[s])
        for row in range(n_rows):
            if not occurs[row]:
                continue
            higher = rows[s, row]
            for u in range(n_units):
                cells = histogram[s, row, first + u]
                before = whole[s, row]
                for edge in range(n_edges):
                    here = np.int64(higher[edge * n_lanes + u])
                    cells[edge] += before - here
                    before = here
                cells[n_edges] += before
    if not chosen.shape[0]:
        return
    n_images, n_concepts = areas.shape
    in_image = above[-1].reshape(n_codes, -1)
    image_pixels = np.int64(pixels[-1, 0])
    for kind in range(chosen.shape[0]):
        for u in range(n_units):
            unit = first + u
            for concept in range(n_concepts):
                place = chosen[kind, unit, concept] * n_lanes + u
                denominator = denominators[concept]
                a = np.int64(rows[0, denominator, place]) if occurs[denominator] else np.int64(0)
                if not occurs[concept + 1]:  # no intersection: the union is the active pixels
                    active[kind, unit, concept] += a
                    squares[2, kind, unit, concept] += a * a
                    continue
                i = np.int64(rows[0, concept + 1, place])
                other = np.int64(rows[1, concept + 1, place])
                union = a + whole[0, concept + 1] - i
                product = np.int64(0)
                for image in range(n_images):
                    product += in_image[image, place] * areas[image, concept]
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
def _add_codes(above, pixels, members, occurs, rows, whole):  # noqa: ANN001, ANN202
    """Sum the rows of one set from their codes: every code is one long run of cells."""
    for row in range(len(rows)):
        if occurs[row]:
            rows[row] = 0
    for code in range(len(pixels)):
        if pixels[code] == 0:
            continue
        cells = above[code].reshape(-1)
        whole[0] += pixels[code]
        _raise(rows[0], cells)
        for plane in range(members.shape[1]):
            row = members[code, plane]
            if row:
                whole[row] += pixels[code]
                _raise(rows[row], cells)


@numba.njit(nogil=True, cache=True, boundscheck=False)
@no_type_check
def _raise(row, cells):  # noqa: ANN001, ANN202
    for n in range(len(row)):
        row[n] += cells[n]
