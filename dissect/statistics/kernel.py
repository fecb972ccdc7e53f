"""Counts one block of images: resize, bin and tally in one pass over the maps.

For each pixel of the mask grid a unit's value is interpolated, its bin found, and one cell of the
table (code, unit, bin) raised, where the code names the combination of concepts at that pixel.
``dissect.statistics.reference`` says the same thing slowly; a test holds the two equal bit by bit.

The words used below:

- A *chunk* of units is counted together; its values lie unit by unit, for vector instructions.
- A *tile* is some rows of one image's grid, so that a chunk's values on it stay in the cache.
- A *group* is the pixels of a tile whose codes agree in every set, in neighbouring *slots* (see
  ``groups.py``). It is counted as a whole and then added to the rows of its codes: nothing is
  looked up for a single pixel, and a second set of labels costs next to nothing.
- A *piece* is eight slots of a group, compared with one edge after the other until no value of the
  piece is above the edge. Edges rise, so the others would count nothing.

The loops are compiled by numba and leave the interpreter's lock alone. Each thread takes chunks of
units (and parts of the block where chunks are few), and counts are integers: the result does not
depend on the number of threads.
"""

import functools
import os
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dissect.statistics.device import tally_torch
from dissect.statistics.groups import PIECE, GroupedCodes
from dissect.statistics.resize import taps

_CHUNK = 16  # units: two vectors of AVX2, four of NEON
_STRIP = 64  # source pixels transposed at a time: 8 KiB

# In loops over a few units, the bound is read from an array although it is known: LLVM unrolls
# short loops of known length into scalar code instead of using vectors.


@numba.njit(nogil=True, cache=True, boundscheck=False)
def _transpose(maps, begin, end, source):  # noqa: ANN001, ANN202
    """Put maps[unit, begin:end] into source[pixel, unit]; lanes of missing units hold copies."""
    last = len(maps) - 1
    for strip in range(begin, end, _STRIP):
        strip_end = min(end, strip + _STRIP)
        for u in range(0, len(maps), 4):
            first = maps[u, strip:strip_end]
            second = maps[min(u + 1, last), strip:strip_end]
            third = maps[min(u + 2, last), strip:strip_end]
            fourth = maps[min(u + 3, last), strip:strip_end]
            for i in range(len(first)):
                lanes = source[strip - begin + i]
                lanes[u] = first[i]
                lanes[u + 1] = second[i]
                lanes[u + 2] = third[i]
                lanes[u + 3] = fourth[i]


@numba.njit(nogil=True, cache=True, boundscheck=False)
def _interpolate(source, top, bottom, rows, columns, slots, blended, values):  # noqa: ANN001, ANN202
    """Resize rows top … bottom - 1 into values[slot, unit], rounding as ``resize`` does."""
    row_low, row_high, row_weight = rows
    column_low, column_high, column_weight = columns
    one = np.float32(1)
    n_columns = len(blended)
    width = len(column_low)
    flat = blended.reshape(-1)
    for y in range(top, bottom):
        weight = row_weight[y]
        rest = one - weight
        begin = (row_low[y] - row_low[top]) * n_columns
        above = source[begin : begin + n_columns].reshape(-1)
        begin = (row_high[y] - row_low[top]) * n_columns
        below = source[begin : begin + n_columns].reshape(-1)
        for i in range(len(flat)):
            flat[i] = above[i] * rest + below[i] * weight
        for x in range(width):
            weight = column_weight[x]
            rest = one - weight
            left = blended[column_low[x]]
            right = blended[column_high[x]]
            value = values[slots[y * width + x]]
            for u in range(len(value)):
                value[u] = left[u] * rest + right[u] * weight


@numba.njit(nogil=True, cache=True, boundscheck=False)
def _count(values, first, end, edges, n_edges, above):  # noqa: ANN001, ANN202
    """Add pieces first … end - 1 of 16 units to above[edge, unit]; returns how many edges it saw.

    All three arrays are flat, with ``_CHUNK`` units a row: strides known to the compiler keep
    the addresses out of the loop.
    """
    reached = 0
    for piece in range(first, end):
        v = values[piece * (PIECE * _CHUNK) :]
        edge = 0
        while edge < n_edges:
            some = np.int32(0)
            for u in range(_CHUNK):
                t = edges[edge * _CHUNK + u]
                # Without the casts numba would count in 64 bits, with half as many lanes.
                n = np.int32(
                    np.int32(v[u] > t)
                    + np.int32(v[_CHUNK + u] > t)
                    + np.int32(v[2 * _CHUNK + u] > t)
                    + np.int32(v[3 * _CHUNK + u] > t)
                    + np.int32(v[4 * _CHUNK + u] > t)
                    + np.int32(v[5 * _CHUNK + u] > t)
                    + np.int32(v[6 * _CHUNK + u] > t)
                    + np.int32(v[7 * _CHUNK + u] > t)
                )
                above[edge * _CHUNK + u] = np.int32(above[edge * _CHUNK + u] + n)
                some = np.int32(some | n)
            edge += 1
            if some == 0:
                break
        reached = max(reached, edge)
    return reached


@numba.njit(nogil=True, cache=True, boundscheck=False)
def _tally(maps, edges, rows, columns, tile_rows, grouped, images, first_unit, table):  # noqa: ANN001, ANN202, PLR0912
    """Chunk ``first_unit`` … of some images: maps[b,unit,pixel], table[s,code,unit,bin]."""
    slots, groups, n_groups = grouped
    row_low, row_high, _ = rows
    height, n_columns = len(row_low), columns[1][-1] + 1
    first_image, end_image = images
    n_units = min(_CHUNK, maps.shape[1] - first_unit)
    n_sets, n_codes = table.shape[:2]
    n_edges = edges.shape[1]

    n_source_rows, n_slots = 0, 0
    for t in range(n_groups.shape[1]):
        bottom = min(height, (t + 1) * tile_rows)
        n_source_rows = max(n_source_rows, row_high[bottom - 1] + 1 - row_low[t * tile_rows])
        for image in range(first_image, end_image):
            n_slots = max(n_slots, groups[image, t, n_groups[image, t] - 1, 1])
    n_slots = -(-n_slots // PIECE) * PIECE
    source = np.zeros((n_source_rows * n_columns, _CHUNK), np.float32)
    blended = np.empty((n_columns, _CHUNK), np.float32)
    values = np.empty((n_slots, _CHUNK), np.float32)
    flat = values.reshape(-1)
    # Nothing is above infinity: lanes without a unit end the search for edges.
    thresholds = np.full(n_edges * _CHUNK, np.inf, np.float32)
    for u in range(n_units):
        for edge in range(n_edges):
            thresholds[edge * _CHUNK + u] = edges[first_unit + u, edge]
    in_group = np.zeros(n_edges * _CHUNK, np.int32)
    above = np.zeros((n_sets, n_codes, n_edges * _CHUNK), np.int32)
    area = np.zeros((n_sets, n_codes), np.int32)

    for image in range(first_image, end_image):
        for t in range(n_groups.shape[1]):
            top, bottom = t * tile_rows, min(height, (t + 1) * tile_rows)
            begin, end = row_low[top] * n_columns, (row_high[bottom - 1] + 1) * n_columns
            _transpose(maps[image, first_unit : first_unit + n_units], begin, end, source)
            _interpolate(source, top, bottom, rows, columns, slots[image], blended, values)
            for g in range(n_groups[image, t]):
                first, behind = groups[image, t, g, 0], groups[image, t, g, 1]
                end_piece = -(-behind // PIECE)
                values[behind : end_piece * PIECE] = -np.inf  # above no edge
                reached = _count(flat, first // PIECE, end_piece, thresholds, n_edges, in_group)
                for s in range(n_sets):
                    code = groups[image, t, g, 2 + s]
                    area[s, code] += behind - first
                    row = above[s, code]
                    for i in range(reached * _CHUNK):
                        row[i] += in_group[i]
                in_group[: reached * _CHUNK] = 0

    for s in range(n_sets):
        for code in range(n_codes):
            if area[s, code] == 0:
                continue  # the table starts as zeros
            for u in range(n_units):
                bins = table[s, code, first_unit + u]
                before = area[s, code]
                for edge in range(n_edges):
                    bins[edge] = before - above[s, code, edge * _CHUNK + u]
                    before = above[s, code, edge * _CHUNK + u]
                bins[n_edges] = before


@functools.cache
def _pool(n_threads: int, process: int) -> ThreadPoolExecutor:
    """Threads for all calls of this process; those of the parent are gone after a fork."""
    return ThreadPoolExecutor(n_threads, thread_name_prefix="dissect-tally")


@functools.lru_cache(maxsize=256)
def _places(size: int, target: int) -> tuple[np.ndarray | None, tuple[np.ndarray, ...]]:
    """Source pixels along an axis that any target pixel looks at, and the taps among these.

    The first is None where all are: a large layer is read at some of its pixels only.
    """
    low, high, weight = taps(size, target)
    used = np.unique(np.concatenate([low, high]))
    if len(used) == size:
        return None, (low, high, weight)
    return used, (np.searchsorted(used, low), np.searchsorted(used, high), weight)


def tally(
    maps: Float[Tensor, "batch unit height width"],
    grouped: GroupedCodes,
    edges: Float[Tensor, "unit edge"],
    *,
    n_threads: int | None = None,
) -> Int[np.ndarray, "set code unit bin"]:
    """Count some images.

    Bin n of a unit holds the pixels whose value is strictly above exactly n of its edges. The pass
    refuses maps that are not finite; here a resized value of NaN is above no edge, infinity above
    every finite one.

    Args:
        maps: A layer's output. On a device other than the processor, that device counts.
        grouped: The codes of their mask-grid pixels.
        edges: Each unit's thresholds, float32, rising.
        n_threads: Threads to use; as many as torch does if None.

    Returns:
        Pixel counts, int32 (a block has fewer than 2³¹ pixels).
    """
    codes, n_codes = grouped.codes, grouped.n_codes
    if maps.device.type != "cpu":
        return tally_torch(maps, torch.from_numpy(codes), edges, n_codes=n_codes)
    n_sets, n_images, height, width = codes.shape
    n_units, n_edges = edges.shape
    if codes.size == 0 or n_units == 0:
        return np.zeros((n_sets, n_codes, n_units, n_edges + 1), np.int32)
    sources = maps.float().numpy()
    used_rows, rows = _places(maps.shape[2], height)
    used_columns, columns = _places(maps.shape[3], width)
    if used_rows is not None:
        sources = sources[:, :, used_rows]
    if used_columns is not None:
        sources = sources[:, :, :, used_columns]
    sources = np.ascontiguousarray(sources).reshape(n_images, n_units, -1)
    thresholds = np.ascontiguousarray(edges.numpy())

    n_threads = n_threads or torch.get_num_threads()
    chunks = range(0, n_units, _CHUNK)
    n_parts = min(n_images, -(-n_threads // len(chunks)))
    cuts = [n_images * part // n_parts for part in range(n_parts + 1)]
    tables = np.zeros((n_parts, n_sets, n_codes, n_units, n_edges + 1), np.int32)

    def count(job: tuple[int, int]) -> None:
        part, first_unit = job
        images = cuts[part], cuts[part + 1]
        _tally(
            sources,
            thresholds,
            rows,
            columns,
            grouped.tile_rows,
            grouped.groups,
            images,
            first_unit,
            tables[part],
        )

    jobs = [(part, first) for part in range(n_parts) for first in chunks]
    if n_threads == 1 or len(jobs) == 1:
        for job in jobs:
            count(job)
    else:
        for _ in _pool(n_threads, os.getpid()).map(count, jobs):
            pass  # raises what a thread raised
    return tables[0] if n_parts == 1 else tables.sum(axis=0, dtype=np.int32)
