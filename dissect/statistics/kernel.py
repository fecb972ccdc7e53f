"""Counts one block of images: resize, compare and tally in one pass over the maps.

For each pixel of the mask grid it interpolates a unit's value and compares it with the unit's
edges. It counts the pixels above each edge, for each code: the combination of concepts at a pixel.
``dissect.statistics.reference`` is the slow reference; a test holds the two equal bit by bit.

Terms:

- A *chunk* of units is counted together; its values lie unit by unit, for vector instructions.
- A *tile* is some rows of one image's grid, so that a chunk's values on it stay in the cache.
- A *group* is the pixels of a tile whose codes agree in every set, in neighbouring *slots* (see
  ``groups.py``). It is counted as a whole and then added to the rows of its codes. So no lookup is
  needed per pixel, and a second set of labels costs almost nothing.
- A *piece* is eight slots of a group. It is compared with one edge after the other until no value
  of the piece is above the edge. Edges ascend, so further edges would count nothing.

numba compiles the loops, which release the interpreter's lock (GIL). Each thread takes chunks of
units (and parts of the block where chunks are few). Counts are integers, so the result does not
depend on the number of threads.
"""

import functools
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import no_type_check

import numba
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dissect.statistics.collect import bins_of
from dissect.statistics.edges import HIGHEST, LOWEST, Levels, levels_of
from dissect.statistics.groups import GroupedCodes
from dissect.statistics.resize import taps
from dissect.statistics.vectors import (
    LANES,
    PIECE,
    TAME,
    count_piece,
    transpose_square,
    write_level,
    write_tame_level,
)

_STRIP = 64  # source pixels transposed at a time: 8 KiB
_MOST_16_BITS = 65_535


@numba.njit(nogil=True, cache=True, boundscheck=False)
@no_type_check
def _transpose(maps, begin, end, factors, source):  # noqa: ANN001, ANN202
    """Put maps[unit, begin:end] · factors[unit] into source[pixel, unit].

    Lanes of missing units hold copies. Returns whether all values are tame.
    """
    last = len(maps) - 1
    bound = np.float32(TAME)
    tame = True
    for strip in range(begin, end, _STRIP):
        strip_end = min(end, strip + _STRIP)
        rest = strip
        if len(maps) == LANES:
            flat = source[strip - begin :].reshape(-1)
            while rest + LANES <= strip_end:
                transpose_square(flat, rest - strip, maps, rest, factors)
                rest += LANES
        for u in range(0, len(maps) if rest < strip_end else 0, 4):
            first = maps[u, rest:strip_end]
            second = maps[min(u + 1, last), rest:strip_end]
            third = maps[min(u + 2, last), rest:strip_end]
            fourth = maps[min(u + 3, last), rest:strip_end]
            for i in range(len(first)):
                lanes = source[rest - begin + i]
                lanes[u] = first[i] * factors[u]
                lanes[u + 1] = second[i] * factors[u + 1]
                lanes[u + 2] = third[i] * factors[u + 2]
                lanes[u + 3] = fourth[i] * factors[u + 3]
        lanes = source[strip - begin : strip_end - begin].reshape(-1)
        for i in range(len(lanes)):
            tame &= abs(lanes[i]) <= bound  # not where it is NaN
    return tame


@numba.njit(nogil=True, cache=True, boundscheck=False)
@no_type_check
def _interpolate(source, top, bottom, rows, columns, slots, middles, tame, blended, levels):  # noqa: ANN001, ANN202
    """Resize rows top … bottom - 1, rounding as ``resize`` does, into levels[slot, unit]."""
    row_low, row_high, row_weight = rows
    column_low, column_high, column_weight = columns
    one = np.float32(1)
    n_columns = len(blended) // LANES
    width = len(column_low)
    for y in range(top, bottom):
        weight = row_weight[y]
        rest = one - weight
        begin = (row_low[y] - row_low[top]) * n_columns
        above = source[begin : begin + n_columns].reshape(-1)
        begin = (row_high[y] - row_low[top]) * n_columns
        below = source[begin : begin + n_columns].reshape(-1)
        own = slots[y * width : (y + 1) * width]
        if tame:
            row = blended
            if weight == 0:  # a · 1 + b · 0 = a for values that are finite
                row = above
            else:
                for i in range(len(blended)):
                    blended[i] = above[i] * rest + below[i] * weight
            for x in range(width):
                low, high, weight = column_low[x], column_high[x], column_weight[x]
                write_tame_level(levels, own[x], row, low, high, weight, middles)
        else:
            for i in range(len(blended)):
                blended[i] = above[i] * rest + below[i] * weight
            for x in range(width):
                low, high, weight = column_low[x], column_high[x], column_weight[x]
                write_level(levels, own[x], blended, low, high, weight, middles)


@numba.njit(nogil=True, cache=True, boundscheck=False)
@no_type_check
def _tally(  # noqa: ANN202
    maps,  # noqa: ANN001
    place,  # noqa: ANN001
    scale,  # noqa: ANN001
    units,  # noqa: ANN001
    rows,  # noqa: ANN001
    columns,  # noqa: ANN001
    tile_rows,  # noqa: ANN001
    grouped,  # noqa: ANN001
    images,  # noqa: ANN001
    above,  # noqa: ANN001
    pixels,  # noqa: ANN001
):
    """Count a chunk of units in some images of a cluster.

    Args:
        maps: float32 (image, unit, pixel).
        place: Row of the cluster's first image in ``maps``, and the unit there of unit 0.
        scale: Result of ``levels_of`` for all units.
        units: First unit of the chunk, and the one after its last; at most ``LANES``.
        rows, columns: ``taps`` along both axes.
        tile_rows: Rows of a tile.
        grouped: The groups of the cluster.
        images: First image of the cluster to count, and the one after the last.
        above: int32 (set, code, edge, lane): filled with the pixels above each edge.
        pixels: int32 (set, code): zeros; filled with the pixels of each code.
    """
    slots, groups, n_groups = grouped
    row_low, row_high, _ = rows
    height, width, n_columns = len(row_low), len(columns[0]), columns[1][-1] + 1
    first_image, end_image = images
    first_unit, n_units = units[0], units[1] - units[0]
    n_sets, n_codes, n_even, _ = above.shape
    steps, unit_middles, edges = scale

    n_source_rows, n_slots = 0, 0
    for t in range(n_groups.shape[1]):
        bottom = min(height, (t + 1) * tile_rows)
        n_source_rows = max(n_source_rows, row_high[bottom - 1] + 1 - row_low[t * tile_rows])
        for image in range(first_image, end_image):
            n_slots = max(n_slots, groups[image, t, n_groups[image, t] - 1, 1])
    source = np.zeros((n_source_rows * n_columns, LANES), np.float32)
    blended = np.empty(n_columns * LANES, np.float32)
    levels = np.empty(-(-n_slots // PIECE) * PIECE * LANES, np.int16)
    factors = np.zeros(LANES, np.float32)
    middles = np.zeros(LANES, np.float32)
    # No value is above the highest level, so lanes without a unit end the search for edges.
    thresholds = np.full(n_even * LANES, HIGHEST, np.int16)
    for u in range(n_units):
        factors[u] = np.float32(1) / steps[first_unit + u]
        middles[u] = unit_middles[first_unit + u]
        for edge in range(edges.shape[1]):
            thresholds[edge * LANES + u] = edges[first_unit + u, edge]
    in_group = np.zeros(n_even * LANES, np.int16)
    # Sums of few pixels, in half the memory; they are added to ``above`` before one can overflow.
    sums = np.zeros((n_sets, n_codes, n_even * LANES), np.uint16)
    above[:] = 0
    n_summed = 0

    for image in range(first_image, end_image):
        first_map = place[1] + first_unit
        chunk = maps[place[0] + image, first_map : first_map + n_units]
        for t in range(n_groups.shape[1]):
            top, bottom = t * tile_rows, min(height, (t + 1) * tile_rows)
            n_summed += (bottom - top) * width
            if n_summed > _MOST_16_BITS:
                _add_sums(sums, above)
                n_summed = (bottom - top) * width
            begin, end = row_low[top] * n_columns, (row_high[bottom - 1] + 1) * n_columns
            tame = _transpose(chunk, begin, end, factors, source)
            _interpolate(
                source, top, bottom, rows, columns, slots[image], middles, tame, blended, levels
            )
            for g in range(n_groups[image, t]):
                first, behind = groups[image, t, g, 0], groups[image, t, g, 1]
                end_slot = -(-behind // PIECE) * PIECE
                levels[behind * LANES : end_slot * LANES] = LOWEST  # above no edge
                reached = 0
                for slot in range(first, end_slot, PIECE):
                    seen = count_piece(levels, slot, thresholds, n_even, in_group)
                    reached = max(reached, seen)
                length = reached * LANES
                for s in range(n_sets):
                    code = groups[image, t, g, 2 + s]
                    pixels[s, code] += behind - first
                    row = sums[s, code]
                    for i in range(length):
                        row[i] += np.uint16(in_group[i])
                in_group[:length] = 0
    _add_sums(sums, above)


@numba.njit(nogil=True, cache=True, boundscheck=False)
@no_type_check
def _add_sums(sums, above):  # noqa: ANN001, ANN202
    """Add sums of 16 bits to those of 32 bits, and clear them."""
    added, into = sums.reshape(-1), above.reshape(-1)
    for i in range(len(added)):
        into[i] += np.int32(added[i])
    sums[:] = 0


@functools.cache
def _pool(n_threads: int, process: int) -> ThreadPoolExecutor:
    """Thread pool of this process for all calls; after a fork a new pool replaces the parent's."""
    return ThreadPoolExecutor(n_threads, thread_name_prefix="dissect-tally")


@functools.lru_cache(maxsize=256)
def _places(size: int, target: int) -> tuple[np.ndarray | None, tuple[np.ndarray, ...]]:
    """Source pixels along an axis that are read for any target pixel, and the taps among these.

    The first is None if all are read; of a large layer only some pixels are.
    """
    low, high, weight = taps(size, target)
    used = np.unique(np.concatenate([low, high]))
    if len(used) == size:
        return None, (low, high, weight)
    return used, (np.searchsorted(used, low), np.searchsorted(used, high), weight)


@dataclass(frozen=True)
class Sources:
    """Maps as the kernel reads them.

    Attributes:
        content: float32 (image, unit, pixel), contiguous: the pixels of a map that are read.
        first_unit: Unit of the layer that is the first one in ``content``.
        rows, columns: ``taps`` among these pixels along both axes.
    """

    content: Float[np.ndarray, "batch unit pixel"]
    first_unit: int
    rows: tuple[np.ndarray, ...]
    columns: tuple[np.ndarray, ...]

    @classmethod
    def of(
        cls,
        maps: Float[Tensor, "batch unit height width"],
        grid: tuple[int, int],
        share: slice | None = None,
    ) -> "Sources":
        """The maps of a block; nothing is copied where they can be read in place.

        Args:
            maps: A layer's output, on the processor.
            grid: Height and width of the mask grid.
            share: Units that will be counted; None: all.
        """
        used_rows, rows = _places(maps.shape[2], grid[0])
        used_columns, columns = _places(maps.shape[3], grid[1])
        first = 0
        whole = used_rows is None and used_columns is None
        if share is not None and not (
            whole and maps.is_contiguous() and maps.dtype == torch.float32
        ):
            maps, first = maps[:, share], share.start
        content = maps.float().numpy()
        if used_rows is not None:
            content = content[:, :, used_rows]
        if used_columns is not None:
            content = content[:, :, :, used_columns]
        flat = (len(content), content.shape[1], content.shape[2] * content.shape[3])
        return cls(np.ascontiguousarray(content).reshape(flat), first, rows, columns)


def count_above(
    sources: Sources,
    first_image: int,
    grouped: GroupedCodes,
    scale: Levels,
    units: tuple[int, int],
    images: tuple[int, int] | None = None,
) -> tuple[Int[np.ndarray, "set code level lane"], Int[np.ndarray, "set code"]]:
    """Count a chunk of at most ``LANES`` units of a cluster.

    Args:
        sources: Maps of its block.
        first_image: Row of its first image in the block.
        grouped: The codes of its mask-grid pixels.
        scale: ``levels_of`` the edges of all units of the layer.
        units: First unit, and the one after the last.
        images: First image of the cluster to count, and the one after the last; None: all.

    Returns:
        For each code the pixels above each edge, and all of its pixels, int32 (a block has fewer
        than 2³¹ pixels). The last edge may be a padding that nothing is above.
    """
    n_sets, n_images, _, _ = grouped.codes.shape
    n_edges = scale[2].shape[1]
    above = np.empty((n_sets, grouped.n_codes, max(2, n_edges + n_edges % 2), LANES), np.int32)
    pixels = np.zeros((n_sets, grouped.n_codes), np.int32)
    _tally(
        sources.content, (first_image, -sources.first_unit), scale, units, sources.rows,
        sources.columns, grouped.tile_rows, grouped.groups, images or (0, n_images), above, pixels,
    )  # fmt: skip
    return above, pixels


def tally(
    maps: Float[Tensor, "batch unit height width"],
    grouped: GroupedCodes,
    edges: Float[Tensor, "unit edge"],
    *,
    n_threads: int | None = None,
) -> Int[np.ndarray, "set code unit bin"]:
    """Count some images.

    Bin n of a unit holds the pixels whose value is strictly above exactly n of its edges. The pass
    rejects maps that are not finite. Here a resized NaN counts as above no edge, and infinity as
    above every finite edge.

    Args:
        maps: A layer's output, on the processor; ``device.tally_there`` counts on other devices.
        grouped: The codes of their mask-grid pixels.
        edges: Each unit's thresholds, float32, rising.
        n_threads: Threads to use; as many as torch does if None.

    Returns:
        Pixel counts, int32 (a block has fewer than 2³¹ pixels).
    """
    codes, n_codes = grouped.codes, grouped.n_codes
    n_sets, n_images, height, width = codes.shape
    n_units, n_edges = edges.shape
    if codes.size == 0 or n_units == 0:
        return np.zeros((n_sets, n_codes, n_units, n_edges + 1), np.int32)
    sources, scale = Sources.of(maps, (height, width)), levels_of(edges.numpy())
    n_threads = n_threads or torch.get_num_threads()
    chunks = range(0, n_units, LANES)
    n_parts = min(n_images, -(-n_threads // len(chunks)))
    cuts = [n_images * part // n_parts for part in range(n_parts + 1)]
    tables = np.zeros((n_parts, n_sets, n_codes, n_units, n_edges + 1), np.int32)

    def count(job: tuple[int, int]) -> None:
        part, first = job
        units = first, min(first + LANES, n_units)
        found = count_above(sources, 0, grouped, scale, units, (cuts[part], cuts[part + 1]))
        bins_of(*found, tables[part][:, :, slice(*units)])

    jobs = [(part, first) for part in range(n_parts) for first in chunks]
    if n_threads == 1 or len(jobs) == 1:
        for job in jobs:
            count(job)
    else:
        for _ in _pool(n_threads, os.getpid()).map(count, jobs):
            pass  # raises what a thread raised
    return tables[0] if n_parts == 1 else tables.sum(axis=0, dtype=np.int32)
