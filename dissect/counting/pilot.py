"""The pilot: values of each unit on the first samples, and its blocks, kept for counting."""

import io
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dissect.counting.subject import Block, Subject
from dissect.errors import GeneratorError
from dissect.progress import ProgressBar
from dissect.statistics.device import counts_there
from dissect.statistics.edges import (
    N_EDGES,
    VALUES_PER_UNIT,
    edges_from_values,
    pilot_pixels,
    tail_fractions,
)
from dissect.statistics.resize import cells, sample, taps, values_at

KEPT_BYTES = 256 * 1024**2
"""Memory for blocks of the pilot that wait to be counted, so that they are not generated twice."""

_SHARE = 64  # units per thread

KEPT_DISK_BYTES = 4 * 1024**3
"""Disk space for further ones, at most a quarter of the free space."""


def values_per_image(grid: int, n_pilot: int) -> int:
    """Pixels to read per pilot sample: in total about 65,536 per unit."""
    return min(grid * grid, -(-VALUES_PER_UNIT // n_pilot))


class PilotValues:
    """Values of every unit at a fixed choice of mask-grid pixels by (seed, index).

    Their number limits the memory, for any number of pilot samples.

    Args:
        units: Layer → number of units.
        grid: Height and width of the mask grid.
        n_pilot: Number of samples of the pilot, which are the first ones.
        seed: Seed of the run.
        nearest: Resize to the nearest cell, not bilinearly.
        samples: Samples to read; None: the whole pilot.
    """

    def __init__(
        self,
        units: dict[str, int],
        *,
        grid: int,
        n_pilot: int,
        seed: int,
        nearest: bool = False,
        samples: range | None = None,
    ) -> None:
        self._nearest, self._taps = nearest, _nearest_taps if nearest else taps
        self.grid, self.n_pilot, self.seed = grid, n_pilot, seed
        self.per_image = values_per_image(grid, n_pilot)
        self._samples = range(n_pilot) if samples is None else samples
        self._values = {
            layer: np.empty((n_units, len(self._samples) * self.per_image), np.float32)
            for layer, n_units in units.items()
        }

    def add(self, block: Block) -> None:
        """Take the values of a block."""
        for index in block.skipped:
            if index in self._samples:
                first = self._column(index)
                for values in self._values.values():
                    values[:, first : first + self.per_image] = np.nan
        rows = [row for row, index in enumerate(block.indices) if index in self._samples]
        pixels = [
            pilot_pixels(
                block.indices[row], seed=self.seed, n_pixels=self.grid**2, per_image=self.per_image
            )
            for row in rows
        ]
        wanted = {layer: block.maps[layer] for layer in self._values}
        contents = {
            layer: maps.float().contiguous().numpy()
            for layer, maps in wanted.items()
            if not counts_there(maps.device)
        }
        for layer, maps in wanted.items():
            if layer not in contents:
                self._add_there(layer, maps, block.indices, rows, pixels)

        def look(layer: str, share: slice) -> None:
            content = contents[layer]
            down, across = (self._taps(size, self.grid) for size in content.shape[2:])
            for row in rows:
                first = self._column(block.indices[row])
                values = self._values[layer][share, first : first + self.per_image]
                sample(content[row, share], pixels[row], self.grid, down, across, values)

        self._share(look, list(contents))

    def _add_there(
        self,
        layer: str,
        maps: Float[Tensor, "batch unit h w"],
        indices: list[int],
        rows: list[int],
        pixels: list[np.ndarray],
    ) -> None:
        """Read maps on an accelerator; only the selected values leave it."""
        for row, own in zip(rows, pixels, strict=True):
            places = torch.from_numpy(own).to(maps.device)
            grid = (self.grid, self.grid)
            values = values_at(maps[row].float(), places, grid, nearest=self._nearest)
            first = self._column(indices[row])
            self._values[layer][:, first : first + self.per_image] = values.cpu().numpy()

    def _column(self, index: int) -> int:
        """First column of a sample's values."""
        return (index - self._samples.start) * self.per_image

    def of(self, layer: str) -> Float[np.ndarray, "unit value"]:
        """Values of the units of a layer."""
        return self._values[layer]

    def edges(self, tail: float) -> dict[str, Tensor]:
        """Layer → Float[unit edge]. Frees the values."""
        fractions = tail_fractions(tail)
        found = {layer: torch.empty(len(values), N_EDGES) for layer, values in self._values.items()}

        def choose(layer: str, share: slice) -> None:
            values = known_values(self._values[layer][share])
            found[layer][share] = edges_from_values(values, fractions)

        self._share(choose, list(self._values))
        self._values.clear()
        return found

    def _share(self, work: Callable[[str, slice], None], layers: list[str]) -> None:
        """Threads take some units of a layer each."""
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            jobs = [
                pool.submit(work, layer, slice(first, first + _SHARE))
                for layer in layers
                for first in range(0, len(self._values[layer]), _SHARE)
            ]
            for job in jobs:
                job.result()


def known_values(
    values: Float[np.ndarray, "unit value"],
) -> Float[np.ndarray, "unit value"]:
    """Pilot values without skipped samples, which are NaN in every unit.

    Raises:
        GeneratorError: all samples of the pilot were skipped.
    """
    known = ~np.isnan(values[0])
    if known.all():
        return values
    if not known.any():
        raise GeneratorError(
            "every sample of the pilot gave NaN or infinity and was skipped; expected some that "
            "are finite; check the weights"
        )
    return np.ascontiguousarray(values[:, known])


def _nearest_taps(size: int, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``taps`` that give the whole weight to one pixel."""
    chosen = cells(size, target)
    return chosen, chosen, np.zeros(target, np.float32)


class KeptBlocks:
    """Blocks of the pilot, kept for counting; each can be taken once.

    They are kept in memory up to a limit, the next ones in a file; the rest is generated again.

    Args:
        limit: Bytes of images and maps in memory.
        folder: Folder of the file, until the ``with`` ends; None: no file.
    """

    def __init__(self, limit: int, *, folder: Path | None = None) -> None:
        self._room = limit
        self._blocks: dict[int, Block] = {}
        self._places: dict[int, tuple[int, Block, torch.device]] = {}
        self._file: io.BufferedRandom | None = None
        self._end = self._disk = 0
        if folder is not None:
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
            self._disk = min(KEPT_DISK_BYTES, shutil.disk_usage(folder).free // 4)

    def offer(self, number: int, block: Block) -> None:
        """Keep a block if it fits."""
        tensors = [block.images, *block.maps.values()]
        size = sum(tensor.nbytes for tensor in tensors)
        if size <= self._room:
            self._room -= size
            self._blocks[number] = block
        elif self._file is not None and self._end + size <= self._disk:
            self._file.seek(self._end)
            try:
                for tensor in tensors:
                    self._file.write(_bytes_of(tensor).cpu().numpy().data)
            except OSError:  # the disk is full: the block is generated again
                self._disk = self._end
                return
            # For blocks in the file, only shapes are needed.
            empty = {name: maps.to("meta") for name, maps in block.maps.items()}
            shapes = replace(block, images=block.images.to("meta"), maps=empty)
            self._places[number] = (self._end, shapes, block.images.device)
            self._end += size

    def take(self, number: int) -> Block | None:
        """Return a block, or None if it was not kept."""
        if number not in self._places:
            return self._blocks.pop(number, None)
        place, shapes, device = self._places.pop(number)
        assert self._file is not None  # the block is in it
        self._file.seek(place)
        likes = (shapes.images, *shapes.maps.values())
        images, *maps = (self._read(self._file, like).to(device) for like in likes)
        return replace(shapes, images=images, maps=dict(zip(shapes.maps, maps, strict=True)))

    @staticmethod
    def _read(file: io.BufferedRandom, like: Tensor) -> Tensor:
        found = torch.empty(like.shape, dtype=like.dtype)
        file.readinto(_bytes_of(found).numpy().data)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._blocks.clear()
        if self._file is not None:
            self._file.close()


def _bytes_of(tensor: Tensor) -> Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def pilot_edges(
    subject: Subject, kept: KeptBlocks | None = None, *, progress: bool
) -> dict[str, Float[Tensor, "unit edge"]]:
    """Run the first samples and take each unit's edges from its values on the mask grid.

    Args:
        subject: Subject with all bases of its layers.
        kept: Receives the generated blocks.
        progress: Show a progress bar.

    Returns:
        Layer → the thresholds of its units.
    """
    values = PilotValues(
        {layer: info.units for layer, info in subject.shapes.items()},
        grid=subject.grid,
        n_pilot=subject.n_pilot,
        seed=subject.config.seed,
        nearest=subject.config.native,
    )
    for number in ProgressBar(
        subject.blocks_of(subject.n_pilot),
        desc="pilot",
        unit="block",
        disable=None if progress else True,
        leave=False,
    ):
        block = subject.block(number)
        values.add(block)
        if kept is not None:
            kept.offer(number, block)
    return values.edges(subject.config.tail)
