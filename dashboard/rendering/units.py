"""Answers about one unit: its mask at any threshold, new images, ablated images."""

import io
import math
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

from dashboard.pairs import pairs_of
from dashboard.rendering.frames import Frame
from dashboard.store import OpenRun
from dissect.counting.samples import label_block, make_images
from dissect.edits.applying import intervene
from dissect.edits.unit_edits import Ablate
from dissect.errors import ConfigError, LayerError
from dissect.painting.canvas import Canvas, Painted, changes
from dissect.painting.checks import as_number, check_text, is_whole
from dissect.pictures import to_tile
from dissect.runs.strips import TILE, UNLABELLED, draw_strip, outline
from dissect.settings.kinds import short
from dissect.statistics.ladder import MATCHES
from dissect.statistics.resize import resize
from dissect.tracing import trace

SHOWN = 8
"""Images per strip."""
N_CANDIDATES = 64
"""Number of new samples among which a unit's top images are found."""
N_RANKED = 128
"""Number of new samples that are ranked by the unit's peak, for images of an interval."""
PER_INTERVAL = 4
"""Images per interval."""
INTERVALS = (99, 95, 90, 50, 0)
"""Percentage of the ranked samples with a lower peak than the middle of an interval; 0 means the
lowest of all."""
_KEPT = 32  # strips whose maps are cached while the threshold moves


class UnitResponder:
    """Answers questions about units.

    Args:
        canvas: Models of the run.
    """

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._opened = OpenRun(canvas.run.path.name, canvas.run)
        self._seen = lru_cache(maxsize=_KEPT)(self._see)
        self._ranked = lru_cache(maxsize=_KEPT)(self._rank)
        self._marked = lru_cache(maxsize=_KEPT)(self._mark)

    def masks(self, question: Mapping[str, object]) -> Frame:
        """A strip with the unit's mask at a threshold; see ``answers``."""
        layer, unit = self._unit(question)
        concept, own = self._label(layer, unit)
        threshold = as_number("threshold", question.get("threshold", own))
        first = question.get("first")
        if first is not None and not is_whole(first, 0, 2**40):
            raise ConfigError(f"first is {short(first)}; expected a whole number from 0")
        interval, other = question.get("interval"), question.get("concept")
        if interval is not None and interval not in INTERVALS:
            known = ", ".join(map(str, INTERVALS))
            raise ConfigError(f"interval is {short(interval)}; expected one of {known}")
        indices = self._shown(layer, unit, first, interval)
        tiles, values = self._seen(layer, unit, indices)
        masks = values > threshold
        colour = self._canvas.vocabulary[concept].colour if concept else UNLABELLED
        if other is not None:
            found = self._canvas.vocabulary[check_text("concept", other)]
            tiles = outline(tiles, self._marked(found.name, indices), found.colour)
            colour = UNLABELLED
        content = {
            "indices": list(indices),
            "peaks": [float(one.max()) for one in values],
            "share": float(masks.mean()),
            "threshold": threshold,
        }
        return Frame(content, (draw_strip(tiles, masks, colour),))

    @torch.no_grad()
    def ablate(self, question: Mapping[str, object]) -> Frame:
        """Images before and after the unit is ablated, its top ones; see ``answers``."""
        layer, unit = self._unit(question)
        canvas, config = self._canvas, self._canvas.run.config
        indices = _indices(question.get("indices")) or self._top(layer, unit)
        before = make_images(canvas.generator, config, indices)
        with intervene(canvas.generator, [Ablate(layer, [unit])], bases=canvas.bases):
            after = make_images(canvas.generator, config, indices)
        size = canvas.generator.image_size
        planes = [label_block(canvas.segmenter, images, size) for images in (before, after)]
        # All images side by side form one picture, whose pixels are counted.
        was, now = (Painted(before[0], torch.cat(list(one), dim=-1)) for one in planes)
        found = changes(was, now, canvas.vocabulary)
        content = {
            "indices": indices,
            "concept": self._matched(layer, unit),
            "changes": [[one.concept, one.before, one.after] for one in found],
            "pixels": len(indices) * size * size,
        }
        return Frame(content, tuple(_strip(images) for images in (before, after)))

    def _unit(self, question: Mapping[str, object]) -> tuple[str, int]:
        layer, unit = check_text("layer", question.get("layer")), question.get("unit")
        if layer not in self._canvas.run.layers:
            raise LayerError(f"layer {short(layer)} is not in the run; expected one that it read")
        most = self._canvas.run.layers[layer].units - 1
        if not is_whole(unit, 0, most):
            raise LayerError(f"unit {short(unit)} is not in {layer}; expected 0 to {most}")
        return layer, unit

    def _label(self, layer: str, unit: int) -> tuple[str, float]:
        """The concept that it is named after, "" for none, and its threshold."""
        pairs = pairs_of(self._opened)
        row = pairs.starts[layer] + unit
        best = pairs.best[row]
        name = self._canvas.run.vocabulary.names[best] if pairs.is_named[row] else ""
        return name, float(pairs.scores["threshold"][row, best])

    def _matched(self, layer: str, unit: int) -> str:
        """The concept that it matches, named after it or not; "" for none."""
        pairs = pairs_of(self._opened)
        row = pairs.starts[layer] + unit
        matches = pairs.of_unit["rung"][row] >= MATCHES
        return self._canvas.run.vocabulary.names[pairs.best[row]] if matches else ""

    def _top(self, layer: str, unit: int) -> list[int]:
        top = self._canvas.run.array(layer, "top_indices").values[unit]
        return [int(index) for index in top if index >= 0][:SHOWN]

    def _shown(
        self, layer: str, unit: int, first: int | None, interval: int | None
    ) -> tuple[int, ...]:
        """Displayed samples: top ones of the run or of new samples, or those of an interval."""
        if interval is not None:
            ranked = self._ranked(layer, unit, 0, N_RANKED)
            # This share of the samples ranks below an interval's middle.
            middle = round((1 - interval / 100) * N_RANKED)
            start = min(max(middle - PER_INTERVAL // 2, 0), N_RANKED - PER_INTERVAL)
            return ranked[start : start + PER_INTERVAL]
        if first is not None:
            return self._ranked(layer, unit, first, N_CANDIDATES)[:SHOWN]
        return tuple(self._top(layer, unit))

    @torch.no_grad()
    def _rank(self, layer: str, unit: int, first: int, n: int) -> tuple[int, ...]:
        """New samples by the unit's peak in them, highest first."""
        start = self._canvas.run.config.n_samples + first
        looked = list(range(start, start + n))
        peaks = torch.cat(
            [self._maps(layer, unit, part)[1].flatten(1).amax(dim=1) for part in _parts(looked)]
        )
        best = torch.argsort(peaks, descending=True, stable=True)
        return tuple(looked[place] for place in best.tolist())

    @torch.no_grad()
    def _see(
        self, layer: str, unit: int, indices: tuple[int, ...]
    ) -> tuple[UInt8[np.ndarray, "image tile tile 3"], Float[np.ndarray, "image tile tile"]]:
        """Images and the unit's values on them, at the size of tiles."""
        images, maps = self._maps(layer, unit, list(indices))
        native = self._canvas.run.config.native
        values = resize(maps[:, None].float(), (TILE, TILE), nearest=native)[:, 0].numpy()
        return np.stack([to_tile(image) for image in images]), values

    @torch.no_grad()
    def _mark(self, concept: str, indices: tuple[int, ...]) -> Bool[np.ndarray, "image tile tile"]:
        """Mask of a concept on images, by the segmenter."""
        canvas, found = self._canvas, self._canvas.vocabulary[concept]
        images = make_images(canvas.generator, canvas.run.config, list(indices))
        size = canvas.generator.image_size
        planes = label_block(canvas.segmenter, images, size)
        plane = canvas.vocabulary.planes.index(found.plane)
        masks = (planes[:, plane] == found.id)[:, None].float()
        return resize(masks, (TILE, TILE), nearest=True)[:, 0].numpy() > 0.5

    def _maps(self, layer: str, unit: int, indices: list[int]) -> tuple[Tensor, Tensor]:
        canvas = self._canvas
        with trace(canvas.generator, layer, bases=canvas.bases) as recorded:
            images = make_images(canvas.generator, canvas.run.config, indices)
        return images.cpu(), recorded[layer][:, unit].cpu()


def _indices(given: object) -> list[int]:
    """The samples whose images are requested; empty if none are given."""
    if given is None:
        return []
    whole = isinstance(given, list) and all(is_whole(one, 0, 2**40) for one in given)
    if not isinstance(given, list) or not whole or not 1 <= len(given) <= SHOWN:
        raise ConfigError(f"indices are {short(given)}; expected 1 to {SHOWN} whole numbers from 0")
    return list(given)


def _parts(indices: list[int]) -> list[list[int]]:
    n_parts = math.ceil(len(indices) / 16)
    return [indices[part * 16 : (part + 1) * 16] for part in range(n_parts)]


@torch.no_grad()
def strip_of(canvas: Canvas, indices: list[int]) -> bytes:
    """Samples of a run side by side, as WebP."""
    return _strip(make_images(canvas.generator, canvas.run.config, indices))


def _strip(images: Float[Tensor, "image channels height width"]) -> bytes:
    buffer = io.BytesIO()
    row = np.concatenate([to_tile(image) for image in images.cpu()], axis=1)
    Image.fromarray(row).save(buffer, "WEBP", quality=85, method=2)
    return buffer.getvalue()
