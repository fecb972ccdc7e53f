"""Groups pixels with the same codes, so that a group is counted as a whole.

A *tile* is a set of neighbouring pixels of one image's mask grid. A *group* is the pixels of a tile
whose codes agree in every set. A group's pixels get neighbouring *slots*; each group begins at a
multiple of ``PIECE``.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, no_type_check

import numba
import numpy as np
import torch
from jaxtyping import Int, UInt
from torch import Tensor

from dissect.statistics.vectors import PIECE

_TILE = 8192  # pixels: 256 KiB of levels; no group outgrows a count of 16 bits


class Groups(NamedTuple):
    """The groups of one block.

    Attributes:
        slots: The slot of every pixel within its tile.
        members: For each group its first slot, its last slot + 1, and its code in each set.
        n_groups: Number of groups in each tile; later rows of ``members`` are unused.
    """

    slots: UInt[np.ndarray, "batch pixel"]
    members: Int[np.ndarray, "batch tile group field"]
    n_groups: Int[np.ndarray, "batch tile"]


def group_pixels(
    codes: Int[np.ndarray, "set batch pixel"], *, n_codes: int, n_tile_pixels: int
) -> Groups:
    """Group the pixels of a block.

    Args:
        codes: The code of each pixel of the grid, row by row, 0 … n_codes - 1.
        n_codes: Number of codes.
        n_tile_pixels: Pixels of a tile; the last one may be smaller.
    """
    n_sets, n_images, n_pixels = codes.shape
    n_tiles = -(-n_pixels // n_tile_pixels)
    found = Groups(
        np.empty((n_images, n_pixels), np.uint32),
        np.empty((n_images, n_tiles, n_tile_pixels, 2 + n_sets), np.int32),
        np.empty((n_images, n_tiles), np.int64),
    )
    _fill(codes, n_codes, n_tile_pixels, *found)
    return found


@numba.njit(nogil=True, cache=True, boundscheck=False)
@no_type_check
def _fill(codes, n_codes, tile, slots, groups, n_groups):  # noqa: ANN001, ANN202, PLR0912
    n_sets, n_images, n_pixels = codes.shape
    changes = np.empty(tile, np.bool_)
    begins = np.empty(tile + 1, np.uint32)
    order = np.empty(tile, np.uint32)
    sorted_order = np.empty(tile, np.uint32)
    places = np.empty(n_codes + 1, np.uint32)
    for image in range(n_images):
        for t in range(n_groups.shape[1]):
            top = t * tile
            size = min(n_pixels, top + tile) - top
            # Runs of equal codes are sorted, not pixels.
            changes[:] = False
            for s in range(n_sets):
                here = codes[s, image, top + 1 : top + size]
                before = codes[s, image, top : top + size - 1]
                change = changes[1:size]
                for i in range(len(here)):
                    change[i] |= here[i] != before[i]
            changes[0] = True
            n_runs = np.uint32(0)
            for i in range(size):
                begins[n_runs] = i
                n_runs += np.uint32(changes[i])
            begins[n_runs] = size
            # A stable counting sort for each set, the last one first, sorts by all of them.
            for run in range(n_runs):
                order[run] = run
            for s in range(n_sets - 1, -1, -1):
                labels = codes[s, image, top:]
                places[:] = 0
                for run in range(n_runs):
                    places[labels[begins[run]] + 1] += 1
                for code in range(n_codes):
                    places[code + 1] += places[code]
                for i in range(n_runs):
                    code = labels[begins[order[i]]]
                    sorted_order[places[code]] = order[i]
                    places[code] += 1
                order, sorted_order = sorted_order, order
            slot = 0
            g = -1
            for i in range(n_runs):
                begin = begins[order[i]]
                new = g < 0
                for s in range(n_sets):
                    new = new or codes[s, image, top + begin] != groups[image, t, g, 2 + s]
                if new:
                    slot = -(-slot // PIECE) * PIECE
                    g += 1
                    groups[image, t, g, 0] = slot
                    for s in range(n_sets):
                        groups[image, t, g, 2 + s] = codes[s, image, top + begin]
                own = slots[image, top + begin : top + begins[order[i] + 1]]
                for k in range(len(own)):
                    own[k] = slot + k
                slot += len(own)
                groups[image, t, g, 1] = slot
            n_groups[image, t] = g + 1


class Segments(NamedTuple):
    """Pixels of a cluster, sorted in the order in which an accelerator counts them.

    Attributes:
        pixels: int32: (image · height + y) · width + x of each pixel.
        bounds: int32 (segment + 1,): start of each segment; at the end, the number of pixels.
        codes: int32 (segment, set): the code of its pixels.
        areas: int32 (set, code): number of pixels.
    """

    pixels: Int[Tensor, " pixel"]
    bounds: Int[Tensor, " end"]
    codes: Int[Tensor, "segment set"]
    areas: Int[Tensor, "set code"]


@dataclass(frozen=True)
class GroupedCodes:
    """Codes of some images, and values derived from them once for all layers.

    Attributes:
        codes: int32 (set, image, y, x).
        n_codes: Number of codes.
        portions: (height, width) of maps → portions of the codes, computed by ``native.py``.
        segments: Device → segments on that device, computed by ``triton_kernel.py``.
    """

    codes: Int[np.ndarray, "set batch grid_height grid_width"]
    n_codes: int
    portions: dict[tuple[int, int], tuple[np.ndarray, np.ndarray, np.ndarray]] = field(
        default_factory=dict
    )
    segments: dict[torch.device, Segments] = field(default_factory=dict)

    @classmethod
    def of(
        cls, codes: Int[Tensor, "set batch grid_height grid_width"], *, n_codes: int
    ) -> "GroupedCodes":
        """From tensors.

        Args:
            codes: For each set of labels, the code of every mask-grid pixel, 0 … n_codes - 1.
            n_codes: Number of codes.
        """
        return cls(codes.contiguous().cpu().numpy(), n_codes)

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the mask grid."""
        return self.codes.shape[2], self.codes.shape[3]

    @property
    def tile_rows(self) -> int:
        """Rows of a tile."""
        height, width = self.codes.shape[2:]
        return max(1, min(_TILE // max(1, width), height))

    @cached_property
    def groups(self) -> Groups:
        """The groups of every tile."""
        n_sets, n_images, height, width = self.codes.shape
        return group_pixels(
            self.codes.reshape(n_sets, n_images, height * width),
            n_codes=self.n_codes,
            n_tile_pixels=self.tile_rows * width,
        )
