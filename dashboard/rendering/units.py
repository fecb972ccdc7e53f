"""Answers about one unit: its mask at any threshold, new images, images without it."""

import io
import math
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
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
from dissect.runs.strips import TILE, UNLABELLED, draw_strip
from dissect.settings.kinds import short
from dissect.statistics.ladder import MATCHES
from dissect.statistics.resize import resize
from dissect.tracing import trace

SHOWN = 8
"""Images in a strip."""
N_CANDIDATES = 64
"""New samples among which a unit's top images are found."""
_KEPT = 32  # strips whose maps are at hand while the threshold moves


class UnitResponder:
    """AnswerCache about units.

    Args:
        canvas: Models of the run.
    """

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._opened = OpenRun(canvas.run.path.name, canvas.run)
        self._seen = lru_cache(maxsize=_KEPT)(self._see)

    def masks(self, question: Mapping[str, object]) -> Frame:
        """A strip with the unit's mask at a threshold; see ``answers``."""
        layer, unit = self._unit(question)
        concept, own = self._label(layer, unit)
        threshold = as_number("threshold", question.get("threshold", own))
        first = question.get("first")
        if first is not None and not is_whole(first, 0, 2**40):
            raise ConfigError(f"first is {short(first)}; expected a whole number from 0")
        indices, tiles, values = self._seen(layer, unit, first)
        masks = values > threshold
        colour = self._canvas.vocabulary[concept].colour if concept else UNLABELLED
        content = {
            "indices": list(indices),
            "peaks": [float(one.max()) for one in values],
            "share": float(masks.mean()),
            "threshold": threshold,
        }
        return Frame(content, (draw_strip(tiles, masks, colour),))

    @torch.no_grad()
    def ablate(self, question: Mapping[str, object]) -> Frame:
        """The unit's top images before and after it is ablated; see ``answers``."""
        layer, unit = self._unit(question)
        canvas, config = self._canvas, self._canvas.run.config
        indices = self._top(layer, unit)
        before = make_images(canvas.generator, config, indices)
        with intervene(canvas.generator, [Ablate(layer, [unit])], bases=canvas.bases):
            after = make_images(canvas.generator, config, indices)
        size = canvas.generator.image_size
        planes = [label_block(canvas.segmenter, images, size) for images in (before, after)]
        # All images side by side are one picture, whose pixels are counted.
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
        """The concept that it matches, whether or not it is named after it; "" for none."""
        pairs = pairs_of(self._opened)
        row = pairs.starts[layer] + unit
        matches = pairs.of_unit["rung"][row] >= MATCHES
        return self._canvas.run.vocabulary.names[pairs.best[row]] if matches else ""

    def _top(self, layer: str, unit: int) -> list[int]:
        top = self._canvas.run.array(layer, "top_indices").values[unit]
        return [int(index) for index in top if index >= 0][:SHOWN]

    @torch.no_grad()
    def _see(
        self, layer: str, unit: int, first: int | None
    ) -> tuple[tuple[int, ...], np.ndarray, Float[np.ndarray, "image tile tile"]]:
        """Images and the unit's values over them, at the size of tiles."""
        indices = self._top(layer, unit)
        if first is not None:
            start = self._canvas.run.config.n_samples + first
            looked = list(range(start, start + N_CANDIDATES))
            peaks = torch.cat(
                [self._maps(layer, unit, part)[1].flatten(1).amax(dim=1) for part in _parts(looked)]
            )
            best = torch.argsort(peaks, descending=True, stable=True)[:SHOWN]
            indices = [looked[place] for place in best.tolist()]
        images, maps = self._maps(layer, unit, indices)
        native = self._canvas.run.config.native
        values = resize(maps[:, None].float(), (TILE, TILE), nearest=native)[:, 0].numpy()
        return tuple(indices), np.stack([to_tile(image) for image in images]), values

    def _maps(self, layer: str, unit: int, indices: list[int]) -> tuple[Tensor, Tensor]:
        canvas = self._canvas
        with trace(canvas.generator, layer, bases=canvas.bases) as recorded:
            images = make_images(canvas.generator, canvas.run.config, indices)
        return images.cpu(), recorded[layer][:, unit].cpu()


def _parts(indices: list[int]) -> list[list[int]]:
    n_parts = math.ceil(len(indices) / 16)
    return [indices[part * 16 : (part + 1) * 16] for part in range(n_parts)]


def _strip(images: Float[Tensor, "image channels height width"]) -> bytes:
    buffer = io.BytesIO()
    row = np.concatenate([to_tile(image) for image in images.cpu()], axis=1)
    Image.fromarray(row).save(buffer, "WEBP", quality=85, method=2)
    return buffer.getvalue()
