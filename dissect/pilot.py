"""The pilot: what the first samples say about each unit's values, and its blocks kept for later."""

import numpy as np
from torch import Tensor

from dissect.samples import Block
from dissect.statistics.edges import (
    VALUES_PER_UNIT,
    edges_from_values,
    pilot_pixels,
    tail_fractions,
)
from dissect.statistics.resize import sample, taps

KEPT_BYTES = 256 * 1024**2
"""Memory in which blocks of the pilot wait to be counted, so that they are not made twice."""


def values_per_image(grid: int, n_pilot: int) -> int:
    """How many pixels of each pilot sample are looked at: about 65,536 for a unit in all."""
    return min(grid * grid, -(-VALUES_PER_UNIT // n_pilot))


class PilotValues:
    """Values of every unit at a fixed choice of mask-grid pixels by (seed, index).

    Their number bounds the memory, however many samples the pilot has.

    Args:
        units: Layer → how many units it has.
        grid: Height and width of the mask grid.
        n_pilot: Samples first … first + n_pilot - 1 are looked at, whatever else a block holds.
        seed: Of the run.
    """

    def __init__(self, units: dict[str, int], *, grid: int, n_pilot: int, seed: int) -> None:
        self.grid, self.n_pilot, self.seed = grid, n_pilot, seed
        self.per_image = values_per_image(grid, n_pilot)
        self._values = {
            layer: np.empty((n_units, n_pilot * self.per_image), np.float32)
            for layer, n_units in units.items()
        }

    def add(self, block: Block) -> None:
        """Look at a block."""
        rows = [row for row, index in enumerate(block.indices) if index < self.n_pilot]
        pixels = [
            pilot_pixels(
                block.indices[row], seed=self.seed, n_pixels=self.grid**2, per_image=self.per_image
            )
            for row in rows
        ]
        for layer, maps in block.maps.items():
            places = [taps(size, self.grid) for size in maps.shape[2:]]
            content = maps.float().contiguous().numpy()
            for row in rows:
                first = block.indices[row] * self.per_image
                values = self._values[layer][:, first : first + self.per_image]
                sample(content[row], pixels[row], self.grid, *places, values)

    def edges(self, tail: float) -> dict[str, Tensor]:
        """Layer → Float[unit edge]. The values are let go."""
        fractions = tail_fractions(tail)
        return {
            layer: edges_from_values(self._values.pop(layer), fractions)
            for layer in list(self._values)
        }


class KeptBlocks:
    """Blocks of the pilot in memory, up to a limit; the count takes each of them once.

    Args:
        limit: Bytes of images and maps; what does not fit is made again.
    """

    def __init__(self, limit: int) -> None:
        self._room = limit
        self._blocks: dict[int, Block] = {}

    def offer(self, number: int, block: Block) -> None:
        """Keep a block if it fits."""
        size = sum(tensor.nbytes for tensor in (block.images, *block.maps.values()))
        if size <= self._room:
            self._room -= size
            self._blocks[number] = block

    def take(self, number: int) -> Block | None:
        """Hand a block over, or None where it was not kept."""
        return self._blocks.pop(number, None)
