"""Makes a strip of images for each unit: where it fires most, and its mask there.

The images are made again from their sample index, so the pass keeps none of them.
"""

import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from jaxtyping import UInt8

from dissect.config import RunConfig
from dissect.counting.subject import Subject
from dissect.pictures import to_tile
from dissect.progress import ProgressBar
from dissect.runs.results import LayerResult
from dissect.runs.strips import TILE, Strip, make_strip
from dissect.statistics.resize import resize

_AT_ONCE = 256  # masks; each takes some hundred kilobytes while it is made


def unit_strips(
    subject: Subject,
    results: Mapping[str, LayerResult],
    *,
    scratch: Path,
    progress: bool,
) -> Iterator[tuple[str, list[Strip]]]:
    """Draw the strip of every unit.

    Args:
        subject: With the layers to be drawn.
        results: Of these layers.
        scratch: Folder for a file of pictures that is gone afterwards: their number grows with
            that of the samples.
        progress: Show progress bars.

    Yields:
        A layer, and a strip for each of its units, ``top_images`` tiles wide.
    """
    with tempfile.TemporaryFile(dir=scratch) as file:
        tiles = _Tiles(file)
        masks = _draw(subject, results, tiles, progress=progress)
        for layer, result in results.items():
            yield layer, _encode(layer, result, masks.pop(layer), tiles, progress=progress)


class _Tiles:
    """Small pictures by sample index, in a file. Threads may read at the same time."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._places: dict[int, int] = {}

    def __setitem__(self, index: int, tile: UInt8[np.ndarray, "tile tile 3"]) -> None:
        place = self._places.setdefault(index, len(self._places))
        self._file.seek(place * tile.nbytes)
        self._file.write(tile.tobytes())
        self._file.flush()

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "tile tile 3"]:
        size = TILE * TILE * 3
        content = os.pread(self._file.fileno(), size, self._places[index] * size)
        return np.frombuffer(content, np.uint8).reshape(TILE, TILE, 3)


def _draw(
    subject: Subject,
    results: Mapping[str, LayerResult],
    tiles: _Tiles,
    *,
    progress: bool,
) -> dict[str, UInt8[np.ndarray, "unit rank byte"]]:
    """Fill ``tiles`` with every image that a unit shows; returns packed masks for each layer."""
    wanted = _wanted(subject.config, results)
    masks = {
        layer: np.zeros((*result.top.indices.shape, TILE * TILE // 8), np.uint8)
        for layer, result in results.items()
    }
    numbers = sorted(wanted)
    for number in ProgressBar(
        numbers, desc="top images", unit="block", disable=None if progress else True
    ):
        block = subject.block(number)
        rows = {index: row for row, index in enumerate(block.indices)}
        for index in {index for places in wanted[number].values() for index in places.tolist()}:
            tiles[index] = to_tile(block.images[rows[index]])
        for layer, all_units, all_ranks in _places(wanted[number], results):
            limits = torch.from_numpy(_label_thresholds(results[layer]))
            for start in range(0, len(all_units), _AT_ONCE):
                part = slice(start, start + _AT_ONCE)
                units, ranks = all_units[part], all_ranks[part]
                samples = results[layer].top.indices[units, ranks]
                own = [rows[index] for index in samples.tolist()]
                maps = block.maps[layer][own, torch.from_numpy(units)]
                values = resize(maps[:, None].float(), (TILE, TILE), nearest=subject.config.native)
                values = values[:, 0]
                above = values > limits[units][:, None, None]
                masks[layer][units, ranks] = np.packbits(above.flatten(1).numpy(), axis=1)
    return masks


def _label_thresholds(result: LayerResult) -> np.ndarray:
    rows = np.arange(len(result.best))
    return result.thresholds[result.chosen, rows, result.best]


def _wanted(
    config: RunConfig, results: Mapping[str, LayerResult]
) -> dict[int, dict[str, np.ndarray]]:
    """Block → layer → sample indices that some unit shows."""
    wanted: dict[int, dict[str, np.ndarray]] = defaultdict(dict)
    for layer, result in results.items():
        samples = np.unique(result.top.indices[result.top.indices >= 0])
        for number in np.unique(samples // config.block).tolist():
            wanted[number][layer] = samples[samples // config.block == number]
    return wanted


def _places(wanted: dict[str, np.ndarray], results: Mapping[str, LayerResult]):  # noqa: ANN202
    """Layer, units and ranks whose image is in the block."""
    for layer, samples in wanted.items():
        units, ranks = np.nonzero(np.isin(results[layer].top.indices, samples))
        yield layer, units, ranks


def _encode(
    layer: str,
    result: LayerResult,
    masks: np.ndarray,
    tiles: _Tiles,
    *,
    progress: bool,
) -> list[Strip]:
    def strip(unit: int) -> Strip:
        shown = [index for index in result.top.indices[unit].tolist() if index >= 0]
        bits = np.unpackbits(masks[unit][: len(shown)], axis=1).astype(bool)
        pictures = np.stack([tiles[index] for index in shown])
        return make_strip(pictures, bits.reshape(-1, TILE, TILE))

    units = range(len(result.best))
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        strips = ProgressBar(
            pool.map(strip, units),
            total=len(units),
            desc=f"strips of {layer}",
            unit="unit",
            disable=None if progress else True,
            leave=False,
        )
        return list(strips)
