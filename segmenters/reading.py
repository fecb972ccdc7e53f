"""Preprocessing of images for a network: the size, mean and deviation.

One rule for all networks of other libraries. Let T be the training size of the network:

- If no side of the image is more than twice as long as T's, the image is resized to T.
- Otherwise it is cut into tiles of size T, which overlap by a quarter or more. A side shorter than
  T's is first enlarged to it, and the other one in proportion. Outputs are averaged where tiles
  overlap.

The network's output is resized to the image bilinearly, and compared only then.
"""

import math
from dataclasses import dataclass
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor

from segmenters.images import resize

_LARGE = 2  # multiple of T above which tiles are used
_STEP = 0.75  # largest step between tiles, as a share of a tile


@dataclass(frozen=True)
class Reading:
    """Preprocessing of an image for a network.

    Args:
        mean, std: For each channel: an image in [0, 1] minus mean, divided by std.
        size: Height and width to which it is resized, without keeping proportions.
        shortest, longest: Without ``size``, the length of the shorter side, unless the longer one
            would exceed ``longest``.
        multiple: Sides are rounded up to multiples of this.
        mode: ``bilinear`` or ``bicubic``.
        antialias: Whether it is smoothed when it is reduced.
        reversed: Whether the network takes blue, green, red.
        tiles: Whether large images are cut: ``auto`` by the rule above, ``tile`` always if they
            are larger than ``size``, ``resize`` never.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: tuple[int, int] | None = None
    shortest: int | None = None
    longest: int | None = None
    multiple: int = 1
    mode: str = "bilinear"
    antialias: bool = True
    reversed: bool = False
    tiles: str = "auto"

    def read(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch 3 rows columns"]:
        """Prepare images in [-1, 1] for the network, resized as a whole."""
        height, width = images.shape[-2:]
        return self.scale(self._resize(images, self._target(height, width)))

    def scale(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch 3 height width"]:
        """Normalise images in [-1, 1] for the network, at their own size."""
        unit = (images + 1) / 2
        if self.reversed:
            unit = unit.flip(1)
        mean, std = (unit.new_tensor(value)[:, None, None] for value in (self.mean, self.std))
        return (unit - mean) / std

    def cut(self, height: int, width: int) -> tuple[tuple[int, int], list[tuple[int, int]]] | None:
        """Size to which an image is resized and its tiles' upper left corners; None: no tiles.

        Example:
            >>> Reading((0, 0, 0), (1, 1, 1), size=(64, 64)).cut(64, 160)[1]
            [(0, 0), (0, 48), (0, 96)]
        """
        if self.size is None or self.tiles == "resize":
            return None
        limit = 1 if self.tiles == "tile" else _LARGE
        sides, tile = (height, width), self.size
        if all(side <= limit * of_tile for side, of_tile in zip(sides, tile, strict=True)):
            return None
        factor = max(1.0, *(t / side for t, side in zip(tile, sides, strict=True)))
        rows, columns = (max(t, round(factor * s)) for t, s in zip(tile, sides, strict=True))
        corners = product(_starts(rows, tile[0]), _starts(columns, tile[1]))
        return (rows, columns), list(corners)

    def _resize(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        return resize(images, size, mode=self.mode, antialias=self.antialias)

    def bring(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """Resize images to the size from ``cut``."""
        return self._resize(images, size)

    def _target(self, height: int, width: int) -> tuple[int, int]:
        if self.size is not None:
            target = self.size
        elif self.shortest is not None:
            target = self._by_shortest(height, width, self.shortest)
        else:
            target = (height, width)
        rows, columns = (math.ceil(side / self.multiple) * self.multiple for side in target)
        return rows, columns

    def _by_shortest(self, height: int, width: int, shortest: int) -> tuple[int, int]:
        short, long = min(height, width), max(height, width)
        exact = float(shortest)
        if self.longest is not None and long / short * shortest > self.longest:
            exact = self.longest * short / long
            shortest = round(exact)
        if short == shortest:
            return height, width
        other = int(exact * long / short)
        return (other, shortest) if width < height else (shortest, other)


def _starts(side: int, tile: int) -> list[int]:
    n_steps = math.ceil((side - tile) / (_STEP * tile))
    return [round(i * (side - tile) / n_steps) for i in range(n_steps + 1)] if n_steps else [0]


def average_tiles(
    outputs: list[Float[Tensor, "1 class tile tile"]],
    corners: list[tuple[int, int]],
    size: tuple[int, int],
) -> Float[Tensor, "1 class height width"]:
    """Join the outputs of tiles to one map; the mean where they overlap."""
    canvas = outputs[0].new_zeros(1, outputs[0].shape[1], *size)
    times = outputs[0].new_zeros(1, 1, *size)
    for output, (top, left) in zip(outputs, corners, strict=True):
        rows, columns = (
            slice(start, start + side)
            for start, side in zip((top, left), output.shape[-2:], strict=True)
        )
        canvas[:, :, rows, columns] += output
        times[:, :, rows, columns] += torch.ones_like(output[:, :1])
    return canvas / times
