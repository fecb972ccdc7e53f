"""A strip of images for each unit: where it fires most, its mask outlined in its concept's colour.

The images are made again from their sample index, so the pass keeps none of them.
"""

import io
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from dissect.bases import NO_BASES, Basis
from dissect.config import RunConfig
from dissect.generators.base import Generator
from dissect.runs.results import LayerResult
from dissect.samples import as_rgb, make_block
from dissect.statistics.resize import resize
from segmenters import Vocabulary

TILE = 128
"""Height and width of one image of a strip, in pixels."""
_QUALITY = 82
_UNLABELLED = "#ffffff"


def unit_strips(
    generator: Generator,
    config: RunConfig,
    vocabulary: Vocabulary,
    results: dict[str, LayerResult],
    bases: Mapping[str, Basis] = NO_BASES,
    *,
    progress: bool,
) -> dict[str, list[bytes]]:
    """Draw the strip of every unit.

    Returns:
        Layer → one WebP for each unit, ``top_images`` tiles wide.
    """
    wanted = _wanted(config, results)
    tiles: dict[int, UInt8[np.ndarray, "tile tile 3"]] = {}
    masks = {
        layer: np.zeros((*result.top.indices.shape, TILE * TILE // 8), np.uint8)
        for layer, result in results.items()
    }
    numbers = sorted(wanted)
    for number in tqdm(
        numbers, desc="top images", unit="block", disable=None if progress else True
    ):
        block = make_block(generator, config, number, bases)
        rows = {index: row for row, index in enumerate(block.indices)}
        for index in {index for places in wanted[number].values() for index in places.tolist()}:
            tiles[index] = to_tile(block.images[rows[index]])
        for layer, units, ranks in _places(wanted[number], results):
            samples = results[layer].top.indices[units, ranks]
            maps = block.maps[layer][[rows[i] for i in samples.tolist()], torch.from_numpy(units)]
            limit = torch.from_numpy(_label_thresholds(results[layer])[units])
            values = resize(maps[:, None].float(), (TILE, TILE), nearest=config.native)[:, 0]
            above = values > limit[:, None, None]
            masks[layer][units, ranks] = np.packbits(above.flatten(1).numpy(), axis=1)
    return {
        layer: _encode(layer, result, masks[layer], tiles, vocabulary, progress=progress)
        for layer, result in results.items()
    }


def to_tile(image: Tensor) -> UInt8[np.ndarray, "tile tile 3"]:
    """One image of [-1, 1] as bytes at the tile's size."""
    return np.asarray(to_picture(image).resize((TILE, TILE), Image.Resampling.LANCZOS))


def to_picture(image: Tensor) -> Image.Image:
    """One image (channels, height, width) of [-1, 1] as a picture; overshoot is cut off."""
    rgb = as_rgb(image[None].detach().cpu())[0]
    scaled = ((rgb.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return Image.fromarray(scaled.permute(1, 2, 0).contiguous().numpy())


def outline(
    tiles: UInt8[np.ndarray, "n tile tile 3"], masks: Bool[np.ndarray, "n tile tile"], colour: str
) -> UInt8[np.ndarray, "n tile tile 3"]:
    """Draw the border of masks: two pixels of colour inside, one dark pixel around it."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], np.uint8)
    inner = _erode(_erode(masks))
    around = ~_erode(~masks) & ~masks
    drawn = tiles.copy()
    drawn[around] = drawn[around] // 3
    drawn[masks & ~inner] = rgb
    return drawn


def _erode(masks: Bool[np.ndarray, "n tile tile"]) -> Bool[np.ndarray, "n tile tile"]:
    """Keep pixels whose four neighbours belong too; the edge of the image takes nothing away."""
    padded = np.pad(masks, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    return (
        masks
        & padded[:, :-2, 1:-1]
        & padded[:, 2:, 1:-1]
        & padded[:, 1:-1, :-2]
        & padded[:, 1:-1, 2:]
    )


def _label_thresholds(result: LayerResult) -> np.ndarray:
    rows = np.arange(len(result.best))
    return result.thresholds[result.chosen, rows, result.best]


def _wanted(config: RunConfig, results: dict[str, LayerResult]) -> dict[int, dict[str, np.ndarray]]:
    """Block → layer → sample indices that some unit shows."""
    wanted: dict[int, dict[str, np.ndarray]] = defaultdict(dict)
    for layer, result in results.items():
        samples = np.unique(result.top.indices[result.top.indices >= 0])
        for number in np.unique(samples // config.block).tolist():
            wanted[number][layer] = samples[samples // config.block == number]
    return wanted


def _places(wanted: dict[str, np.ndarray], results: dict[str, LayerResult]):  # noqa: ANN202
    """Layer, units and ranks whose image is in the block."""
    for layer, samples in wanted.items():
        units, ranks = np.nonzero(np.isin(results[layer].top.indices, samples))
        yield layer, units, ranks


def _encode(
    layer: str,
    result: LayerResult,
    masks: np.ndarray,
    tiles: dict[int, np.ndarray],
    vocabulary: Vocabulary,
    *,
    progress: bool,
) -> list[bytes]:
    colours = [concept.colour for concept in vocabulary]

    def strip(unit: int) -> bytes:
        shown = [index for index in result.top.indices[unit].tolist() if index >= 0]
        bits = np.unpackbits(masks[unit][: len(shown)], axis=1).astype(bool)
        colour = colours[result.best[unit]] if result.interpretable[unit] else _UNLABELLED
        pictures = outline(
            np.stack([tiles[index] for index in shown]), bits.reshape(-1, TILE, TILE), colour
        )
        buffer = io.BytesIO()
        row = np.concatenate(list(pictures), axis=1)
        Image.fromarray(row).save(buffer, "WEBP", quality=_QUALITY, method=3)
        return buffer.getvalue()

    units = range(len(result.best))
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        strips = tqdm(
            pool.map(strip, units),
            total=len(units),
            desc=f"strips of {layer}",
            unit="unit",
            disable=None if progress else True,
            leave=False,
        )
        return list(strips)
