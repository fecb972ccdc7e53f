"""Regions: the part of the image in which an edit acts, as a mask that is resized to a layer.

A region is a map of numbers in [0, 1] over the whole image, of any height and width: 1 where the
edit acts fully, 0 where it does not act. For a layer of another size, each of its cells takes the
mean over its area.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from dissect.errors import ConfigError

Region = Float[np.ndarray, "height width"]


def check_region(values: object) -> Region:
    """A region as a read-only float32 array.

    Args:
        values: Booleans or numbers in [0, 1], (height, width).

    Raises:
        ConfigError: another shape, numbers out of range, or no pixel above 0.
    """
    try:
        region = np.array(values, dtype=np.float32)
    except (TypeError, ValueError):
        raise ConfigError(
            "region is not an array of numbers; expected a mask (height, width) in [0, 1]"
        ) from None
    if region.ndim != 2 or region.size == 0:
        raise ConfigError(
            f"region has the shape {region.shape}; expected (height, width), a mask of the image"
        )
    # NaN fails every comparison, so the comparisons state the valid range.
    if not ((region >= 0) & (region <= 1)).all():
        raise ConfigError(
            f"region holds {region.min():g} … {region.max():g}; expected numbers from 0 to 1"
        )
    if not region.any():
        raise ConfigError(
            f"region marks none of its {region.shape[0]} × {region.shape[1]} pixels; expected at "
            "least one above 0; leave it out to edit everywhere"
        )
    region.setflags(write=False)
    return region


def box(image_size: int, corners: Sequence[int]) -> Region:
    """The region of a box in an image's pixels.

    Args:
        image_size: Height and width of the image.
        corners: top, left, bottom, right; bottom and right are exclusive.

    Raises:
        ConfigError: a box that exceeds the image or holds no pixel.

    Example:
        >>> float(box(4, (0, 0, 2, 4)).sum())
        8.0
    """
    if len(corners) != 4:
        raise ConfigError(
            f"region has {len(corners)} numbers; expected four: top, left, bottom, right"
        )
    top, left, bottom, right = corners
    if not (0 <= top < bottom <= image_size and 0 <= left < right <= image_size):
        raise ConfigError(
            f"region {top},{left},{bottom},{right} is not inside the image; expected top < bottom "
            f"and left < right, from 0 to {image_size} pixels"
        )
    region = np.zeros((image_size, image_size), np.float32)
    region[top:bottom, left:right] = 1
    return check_region(region)


def parse_box(text: str, image_size: int, *, name: str) -> Region:
    """The region of a rectangle given as text.

    Args:
        text: top,left,bottom,right in pixels.
        image_size: Height and width of the image.
        name: Name of the setting, for the message.

    Raises:
        ConfigError: other text, or a rectangle that ``box`` refuses.

    Example:
        >>> float(parse_box("0,0,2,4", 4, name="--box").sum())
        8.0
    """
    parts = text.split(",")
    if not all(part.strip().isdigit() for part in parts):
        raise ConfigError(f"{name} is {text!r}; expected top,left,bottom,right in pixels")
    return box(image_size, [int(part) for part in parts])


def pool(region: Region | None, grid: tuple[int, int]) -> Region:
    """Resize the region to another grid: the mean over the area of each cell.

    With o(i, j) the overlap of target cell i and source pixel j along an axis, m = O R Oᵀ. This
    holds for smaller and larger grids, and a region that is 1 everywhere stays exactly 1.

    Args:
        region: In [0, 1]; None: 1 everywhere.
        grid: Height and width of the result.

    Returns:
        float32 in [0, 1], (height, width) of the grid.
    """
    if region is None:
        return np.ones(grid, np.float32)
    rows, columns = (
        _overlap(size, target) for size, target in zip(region.shape, grid, strict=True)
    )
    whole = region.shape[0] * region.shape[1]
    pooled = rows @ region.astype(np.float64) @ columns.T / whole
    return pooled.clip(0, 1).astype(np.float32)


def overlaps(first: Region | None, second: Region | None) -> bool:
    """Whether two regions (None: everywhere) overlap so that their edits conflict.

    Soft borders that share a pixel do not conflict if a + b ≤ 1.
    """
    if first is None or second is None:
        return True
    grid = tuple(max(sizes) for sizes in zip(first.shape, second.shape, strict=True))
    return bool((pool(first, grid) + pool(second, grid) > 1 + 1e-6).any())


def _overlap(size: int, target: int) -> Float[np.ndarray, "target size"]:
    """Overlap of cells and pixels, in units of 1 / target of a source pixel.

    Integer arithmetic, so that each row adds up to exactly ``size``.
    """
    cells, pixels = np.arange(target)[:, None], np.arange(size)[None, :]
    end = np.minimum((cells + 1) * size, (pixels + 1) * target)
    start = np.maximum(cells * size, pixels * target)
    return np.maximum(end - start, 0).astype(np.float64)
