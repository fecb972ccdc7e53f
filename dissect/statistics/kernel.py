"""Counts one block of images: resize, bin and tally in one pass over the maps.

For each pixel of the mask grid a unit's value is interpolated, its bin found, and one cell of the
table (code, unit, bin) raised, where the code names the combination of concepts at that pixel.
``dissect.statistics.reference`` says the same thing slowly; a test holds the two equal bit by bit.

The loop is compiled by numba and leaves the interpreter's lock alone; threads take chunks of units,
so each owns its part of the table and the result does not depend on their number.
"""

from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dissect.statistics.resize import taps

_CHUNK = 64  # units; table rows of one code stay in the first-level cache
_BODY = 16  # edges compared for every value; with those of a run they hold back all but 5 %


@numba.njit(nogil=True, cache=True, boundscheck=False)
def _tally(maps, codes, edges, rows, columns, table, first, last):  # noqa: ANN001, ANN202, PLR0912
    """maps[b,h,w,u], codes[s,b,y,x], edges[u,e], table[s,code,u,bin]; units first … last - 1."""
    row_low, row_high, row_weight = rows
    column_low, column_high, column_weight = columns
    n_sets, n_images, height, width = codes.shape
    n_edges = edges.shape[1]
    n_units = last - first
    blended = np.empty((maps.shape[2], n_units), np.float32)
    values = np.empty(n_units, np.float32)
    bins = np.empty(n_units, np.int32)
    thresholds = np.ascontiguousarray(edges[first:last].T)
    n_body = min(n_edges, _BODY)
    one = np.float32(1)
    for image in range(n_images):
        for y in range(height):
            weight = row_weight[y]
            above = maps[image, row_low[y]]
            below = maps[image, row_high[y]]
            for x in range(maps.shape[2]):
                for u in range(n_units):
                    blended[x, u] = (
                        above[x, first + u] * (one - weight) + below[x, first + u] * weight
                    )
            for x in range(width):
                weight = column_weight[x]
                left = blended[column_low[x]]
                right = blended[column_high[x]]
                for u in range(n_units):
                    values[u] = left[u] * (one - weight) + right[u] * weight
                    bins[u] = 0
                # Most values end below the body's last edge: one vector compare for each edge and
                # eight units. The few in the tail are followed up one by one.
                for edge in range(n_body):
                    for u in range(n_units):
                        bins[u] += np.int32(values[u] > thresholds[edge, u])
                for u in range(n_units):
                    if bins[u] == n_body:
                        edge = n_body
                        while edge < n_edges and values[u] > thresholds[edge, u]:
                            edge += 1
                        bins[u] = edge
                for s in range(n_sets):
                    cells = table[s, codes[s, image, y, x]]
                    for u in range(n_units):
                        cells[first + u, bins[u]] += 1


def tally(
    maps: Float[Tensor, "batch unit height width"],
    codes: Int[Tensor, "set batch grid_height grid_width"],
    edges: Float[Tensor, "unit edge"],
    *,
    n_codes: int,
    n_threads: int | None = None,
) -> Int[np.ndarray, "set code unit bin"]:
    """Count a block.

    Bin n of a unit holds the pixels whose value is strictly above exactly n of its edges.

    Args:
        maps: A layer's output, finite.
        codes: For each set of labels, the code of every mask-grid pixel, 0 … n_codes - 1.
        edges: Each unit's thresholds, rising.
        n_codes: Number of codes.
        n_threads: Threads to use; as many as torch does if None.

    Returns:
        Pixel counts, int32 (a block has fewer than 2³¹ pixels).
    """
    n_sets, _, height, width = codes.shape
    n_units, n_edges = edges.shape
    channels_last = maps.permute(0, 2, 3, 1).contiguous().float().numpy()
    table = np.zeros((n_sets, n_codes, n_units, n_edges + 1), np.int32)
    arguments = (
        channels_last,
        codes.numpy(),
        edges.numpy(),
        taps(maps.shape[2], height),
        taps(maps.shape[3], width),
        table,
    )
    n_threads = n_threads or torch.get_num_threads()
    chunk = max(1, min(_CHUNK, -(-n_units // n_threads)))
    starts = range(0, n_units, chunk)
    with ThreadPoolExecutor(n_threads) as pool:
        done = [
            pool.submit(_tally, *arguments, start, min(start + chunk, n_units)) for start in starts
        ]
        for future in done:
            future.result()
    return table
