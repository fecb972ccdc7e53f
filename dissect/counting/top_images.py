"""Makes a strip of images for each unit: its top images with its mask.

Images and maps were kept during counting. Missing ones, which another process counted before the
run was interrupted, are generated again from the sample index.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from dissect.counting.kept_pictures import Pictures
from dissect.counting.subject import Subject
from dissect.pictures import to_tile
from dissect.progress import ProgressBar
from dissect.runs.results import LayerResult
from dissect.runs.strips import Strip, make_strip
from dissect.statistics.resize import resize

_AT_ONCE = 256  # masks at a time; each takes some hundred kilobytes meanwhile
_Masks = dict[str, UInt8[np.ndarray, "unit rank byte"]]


def unit_strips(
    subject: Subject,
    results: Mapping[str, LayerResult],
    pictures: Pictures,
    *,
    progress: bool,
) -> Iterator[tuple[str, list[Strip]]]:
    """Draw the strip of every unit.

    Args:
        subject: Subject with the layers to draw.
        results: Results of these layers.
        pictures: Kept pictures; receives the images that are generated again.
        progress: Show progress bars.

    Yields:
        A layer, and a strip for each of its units, ``top_images`` tiles wide.
    """
    masks: _Masks = {
        layer: np.zeros((*result.top.indices.shape, -(-(pictures.tile**2) // 8)), np.uint8)
        for layer, result in results.items()
    }
    missing = {
        layer: (result.top.indices >= 0) & ~pictures.holds(layer, result.top.indices)
        for layer, result in results.items()
    }
    _draw_again(subject, results, pictures, masks, missing, progress=progress)
    for layer, result in results.items():
        kept = (result.top.indices >= 0) & ~missing[layer]
        _draw_kept(layer, result, pictures, masks[layer], kept)
        yield layer, _encode(layer, result, masks.pop(layer), pictures, progress=progress)


def _draw_kept(
    layer: str,
    result: LayerResult,
    pictures: Pictures,
    masks: UInt8[np.ndarray, "unit rank byte"],
    kept: Bool[np.ndarray, "unit rank"],
) -> None:
    all_units, all_ranks = np.nonzero(kept)
    for start in range(0, len(all_units), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        units, ranks = all_units[part], all_ranks[part]
        values = pictures.maps(layer, units, result.top.indices[units, ranks])
        masks[units, ranks] = _pack(values, result, units)


def _draw_again(
    subject: Subject,
    results: Mapping[str, LayerResult],
    pictures: Pictures,
    masks: _Masks,
    missing: Mapping[str, Bool[np.ndarray, "unit rank"]],
    *,
    progress: bool,
) -> None:
    """Generate the blocks with missing pictures again."""
    block_size, tile = subject.config.block, pictures.tile
    wanted: dict[int, list[str]] = defaultdict(list)
    for layer, absent in missing.items():
        for number in np.unique(results[layer].top.indices[absent] // block_size).tolist():
            wanted[number].append(layer)
    if not wanted:
        return
    for number in ProgressBar(
        sorted(wanted), desc="top images", unit="block", disable=None if progress else True
    ):
        block = subject.block(number)
        samples = np.array(block.indices, np.int64)
        for layer in wanted[number]:
            indices = results[layer].top.indices
            here = missing[layer] & (indices // block_size == number)
            for index in np.unique(indices[here]).tolist():
                pictures.add_image(index, to_tile(block.images[block.indices.index(index)], tile))
            all_units, all_ranks = np.nonzero(here)
            for start in range(0, len(all_units), _AT_ONCE):
                part = slice(start, start + _AT_ONCE)
                units, ranks = all_units[part], all_ranks[part]
                rows = torch.from_numpy(np.searchsorted(samples, indices[units, ranks]))
                maps = block.maps[layer][rows, torch.from_numpy(units)].float()
                values = resize(maps[:, None], (tile, tile), nearest=subject.config.native)[:, 0]
                masks[layer][units, ranks] = _pack(values.cpu(), results[layer], units)


def _pack(
    values: Float[Tensor, "pair tile tile"], result: LayerResult, units: np.ndarray
) -> UInt8[np.ndarray, "pair byte"]:
    """Where units are above the thresholds of their labels, eight pixels per byte."""
    rows = np.arange(len(result.best))
    limits = torch.from_numpy(result.thresholds[result.chosen, rows, result.best])
    above = values > limits[units][:, None, None]
    return np.packbits(above.flatten(1).numpy(), axis=1)


def _encode(
    layer: str,
    result: LayerResult,
    masks: UInt8[np.ndarray, "unit rank byte"],
    pictures: Pictures,
    *,
    progress: bool,
) -> list[Strip]:
    tile = pictures.tile

    def picture(index: int) -> UInt8[np.ndarray, "tile tile 3"]:
        found = pictures.image(index)
        assert found is not None  # it was kept, or generated again
        return found

    def strip(unit: int) -> Strip:
        shown = [index for index in result.top.indices[unit].tolist() if index >= 0]
        bits = np.unpackbits(masks[unit][: len(shown)], axis=1, count=tile**2).astype(bool)
        tiles = np.stack([picture(index) for index in shown])
        return make_strip(tiles, bits.reshape(-1, tile, tile))

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
