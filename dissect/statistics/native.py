"""Counts a cluster at the layer's own resolution: each cell of a unit map against the masks in it.

The table equals that of ``dissect.statistics.kernel.tally`` where unit maps are resized to the mask
grid by taking the nearest cell. It is computed in the other direction: a cell's value is binned
once and added for every code in the cell, as often as the code has pixels there. So the work falls
with the layer's resolution, and the counts are the same integers. A map that is finer than the mask
grid has cells without a pixel; they are skipped.

``dissect.statistics.reference.count_above`` with ``nearest=True`` is the slow reference; a test
holds the two equal bit by bit.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import no_type_check

import numba
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dissect.statistics.groups import GroupedCodes
from dissect.statistics.resize import cells

_CHUNK = 64  # units of one task; their rows of the table stay in the cache


@numba.njit(nogil=True, cache=True, boundscheck=False)
@no_type_check
def _portions(codes, rows, columns, n_codes):  # noqa: ANN001, ANN202
    """The codes in each cell, and the number of pixels of each.

    Args:
        codes: int32 (set, image, y, x).
        rows, columns: The first pixel of each cell along an axis, and one entry more: the end.
        n_codes: Number of codes.

    Returns:
        starts (set, image, row, column), with ``code`` and ``count`` of each portion: the portions
        of a cell are at starts … the start of the next cell; those of the last cell end at ``n``.
    """
    n_sets, n_images, _, _ = codes.shape
    n_rows, n_columns = len(rows) - 1, len(columns) - 1
    starts = np.empty(n_sets * n_images * n_rows * n_columns + 1, np.int64)
    code = np.empty(codes.size, np.int32)  # a portion has at least one pixel
    count = np.empty(codes.size, np.int32)
    held = np.zeros(n_codes, np.int32)
    n = cell = 0
    for s in range(n_sets):
        for image in range(n_images):
            for row in range(n_rows):
                for column in range(n_columns):
                    starts[cell] = n
                    cell += 1
                    for y in range(rows[row], rows[row + 1]):
                        for x in range(columns[column], columns[column + 1]):
                            found = codes[s, image, y, x]
                            if held[found] == 0:
                                code[n] = found
                                n += 1
                            held[found] += 1
                    for place in range(starts[cell - 1], n):
                        count[place] = held[code[place]]
                        held[code[place]] = 0
    starts[cell] = n
    return starts, code[:n].copy(), count[:n].copy()


@numba.njit(nogil=True, cache=True, boundscheck=False)
@no_type_check
def _tally(maps, starts, code, count, edges, table, first, last):  # noqa: ANN001, ANN202
    """maps[b,h,w,u], starts[s·b·h·w + 1], edges[u,e], table[s,code,u,bin]; units first … last-1."""
    n_images, n_rows, n_columns, _ = maps.shape
    n_sets, n_edges, n_units = table.shape[0], edges.shape[1], last - first
    n_cells = n_images * n_rows * n_columns
    bins = np.empty(n_units, np.int32)
    thresholds = np.ascontiguousarray(edges[first:last].T)
    flat = maps.reshape(n_cells, maps.shape[3])
    for cell in range(n_cells):
        if starts[cell] == starts[cell + 1]:  # no pixel here, in any set
            continue
        values = flat[cell, first:last]
        bins[:] = 0
        for edge in range(n_edges):
            for u in range(n_units):
                bins[u] += np.int32(values[u] > thresholds[edge, u])
        for s in range(n_sets):
            place = s * n_cells + cell
            for portion in range(starts[place], starts[place + 1]):
                raised = table[s, code[portion]]
                for u in range(n_units):
                    raised[first + u, bins[u]] += count[portion]


def tally_native(
    maps: Float[Tensor, "batch unit height width"],
    grouped: GroupedCodes,
    edges: Float[Tensor, "unit edge"],
    *,
    n_threads: int | None = None,
) -> Int[np.ndarray, "set code unit bin"]:
    """Count a cluster without resizing its maps.

    Args:
        maps: A layer's output, finite.
        grouped: The codes of their mask-grid pixels.
        edges: Each unit's thresholds, rising.
        n_threads: Threads to use; as many as torch does if None.

    Returns:
        Counts of mask-grid pixels, int32, as those of ``kernel.tally``.
    """
    codes, n_codes = grouped.codes, grouped.n_codes
    n_units, n_edges = edges.shape
    table = np.zeros((codes.shape[0], n_codes, n_units, n_edges + 1), np.int32)
    size = (maps.shape[2], maps.shape[3])
    if size not in grouped.portions:  # once, however many units and layers of this size there are
        rows, columns = map(_first_pixels, size, codes.shape[2:])
        grouped.portions[size] = _portions(codes, rows, columns, n_codes)
    portions = grouped.portions[size]
    channels_last = maps.permute(0, 2, 3, 1).contiguous().float().numpy()
    n_threads = n_threads or torch.get_num_threads()
    chunk = max(1, min(_CHUNK, -(-n_units // n_threads)))

    def count(start: int) -> None:
        end = min(start + chunk, n_units)
        _tally(channels_last, *portions, edges.numpy(), table, start, end)

    starts = range(0, n_units, chunk)
    if n_threads == 1:
        for start in starts:
            count(start)
        return table
    with ThreadPoolExecutor(n_threads) as pool:
        for _ in pool.map(count, starts):
            pass
    return table


def _first_pixels(size: int, target: int) -> Int[np.ndarray, " cell"]:
    """The first mask-grid pixel of each cell along an axis; at the end, the number of pixels."""
    return np.searchsorted(cells(size, target), np.arange(size + 1))
