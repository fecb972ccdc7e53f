"""Resizing of unit maps to the mask grid, written out so that all implementations agree.

Bilinear: half-pixel centres (``align_corners=False``), no antialiasing, edges repeated. Rows are
blended first, then columns, each as ``a * (1 - t) + b * t`` in float32, so that the compiled kernel
and the plain tensor code round alike and their counts can be compared bit for bit.

Nearest: each pixel takes the value of the cell that contains its centre.
"""

from typing import no_type_check

import numba
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


def taps(size: int, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two source pixels that each target pixel blends, and the weight of the second.

    Args:
        size: Pixels of the source along one axis.
        target: Pixels of the target along it.

    Returns:
        low, high (int64) and weight (float32 in [0, 1]), each of shape ``target``.
    """
    position = np.maximum((np.arange(target) + 0.5) * (size / target) - 0.5, 0.0)
    low = np.minimum(position.astype(np.int64), size - 1)
    high = np.minimum(low + 1, size - 1)
    return low, high, (position - low).astype(np.float32)


def cells(size: int, target: int) -> Int[np.ndarray, " target"]:
    """Source pixel that contains the centre of each target pixel: floor((y + ½) · size / target).

    Integer arithmetic, so that rounding never moves a centre over a border.
    """
    return (2 * np.arange(target) + 1) * size // (2 * target)


def resize(
    maps: Float[Tensor, "batch unit height width"],
    grid: tuple[int, int],
    *,
    nearest: bool = False,
) -> Float[Tensor, "batch unit grid_height grid_width"]:
    """Resize maps to ``grid`` (height, width) in plain tensor code.

    Agrees with ``torch.nn.functional.interpolate``: up to rounding with ``mode="bilinear"``, and
    for ``nearest`` with ``mode="nearest-exact"``.
    """
    if nearest:
        rows, columns = (
            torch.from_numpy(cells(size, target)).to(maps.device)
            for size, target in zip(maps.shape[2:], grid, strict=True)
        )
        return maps[:, :, rows[:, None], columns]
    for axis, target in ((2, grid[0]), (3, grid[1])):
        low, high, weight = (
            torch.from_numpy(a).to(maps.device) for a in taps(maps.shape[axis], target)
        )
        weight = weight.reshape(-1, 1) if axis == 2 else weight
        maps = maps.index_select(axis, low) * (1 - weight) + maps.index_select(axis, high) * weight
    return maps


@numba.njit(nogil=True, cache=True, boundscheck=False)
@no_type_check
def sample(maps, pixels, width, rows, columns, values):  # noqa: ANN001, ANN201
    """``values_at`` for one image, compiled; the same bits.

    Args:
        maps: float32 (unit, height, width).
        pixels: int64, row-major numbers of pixels of the grid.
        width: Width of the grid.
        rows, columns: ``taps`` along both axes.
        values: float32 (unit, pixel); filled in place.
    """
    row_low, row_high, row_weight = rows
    column_low, column_high, column_weight = columns
    one = np.float32(1)
    map_width = maps.shape[2]
    places = np.empty((4, len(pixels)), np.int64)
    weights = np.empty((2, len(pixels)), np.float32)
    for k in range(len(pixels)):
        y, x = pixels[k] // width, pixels[k] % width
        above, below = row_low[y] * map_width, row_high[y] * map_width
        places[0, k], places[1, k] = above + column_low[x], below + column_low[x]
        places[2, k], places[3, k] = above + column_high[x], below + column_high[x]
        weights[0, k], weights[1, k] = row_weight[y], column_weight[x]
    for unit in range(len(maps)):
        own = maps[unit].ravel()
        for k in range(len(pixels)):
            down, across = weights[0, k], weights[1, k]
            left = own[places[0, k]] * (one - down) + own[places[1, k]] * down
            right = own[places[2, k]] * (one - down) + own[places[3, k]] * down
            values[unit, k] = left * (one - across) + right * across


def values_at(
    maps: Float[Tensor, "unit height width"],
    pixels: Int[Tensor, " pixel"],
    grid: tuple[int, int],
    *,
    nearest: bool = False,
) -> Float[Tensor, "unit pixel"]:
    """Values of ``resize`` at some pixels of the grid only (row-major numbers)."""
    y, x = pixels // grid[1], pixels % grid[1]
    if nearest:
        row, column = (
            torch.from_numpy(cells(size, target)).to(maps.device)
            for size, target in zip(maps.shape[1:], grid, strict=True)
        )
        return maps[:, row[y], column[x]]
    rows, columns = taps(maps.shape[1], grid[0]), taps(maps.shape[2], grid[1])
    row_low, row_high, row_weight = (torch.from_numpy(a).to(maps.device)[y] for a in rows)
    left, right, weight = (torch.from_numpy(a).to(maps.device)[x] for a in columns)
    above, below = maps[:, row_low], maps[:, row_high]
    place = torch.arange(len(pixels), device=maps.device)

    def blend(column: Tensor) -> Tensor:
        return above[:, place, column] * (1 - row_weight) + below[:, place, column] * row_weight

    return blend(left) * (1 - weight) + blend(right) * weight
