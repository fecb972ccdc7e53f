"""Brushes: which units, in which layer and how strongly, draw a concept or take it away.

What was measured on the run is taken first: an effect of the concept whose units were searched for.
Else it is tried, in a few seconds, on a few samples that neither the run nor its measurements saw:
the layers whose units match the concept best, several numbers of units, several strengths. A unit
that matches a concept best in a late layer often paints its texture only, and insertion at the mean
is often too weak, so neither is taken on trust.

- To draw, units are held in the box where the concept is seen most, in images that have little of
  it there. gain = mean of (pixels after − before) / (pixels of the box − before), less the share of
  pixels outside of the box whose concepts change.
- To remove, units are ablated everywhere in images that have most of it.
  gain = share of its pixels that go, less the share of all other pixels whose concepts change.

Of what reaches 90 % of the best gain, the smallest strength wins, then the largest gain.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dissect.counting.samples import label_block, make_images
from dissect.edits.applying import intervene
from dissect.edits.edit import Edit
from dissect.edits.regions import Region, box
from dissect.edits.unit_edits import Ablate, Insert
from dissect.errors import ConfigError, DissectError, LayerError
from dissect.painting.canvas import Canvas
from dissect.painting.strokes import DRAW, REMOVE
from dissect.runs import Run
from dissect.studies.effects import open_effect
from dissect.studies.insertion_values import present_means, stored_quantiles
from dissect.studies.orders import SEARCHES
from dissect.studies.ranking import rank_by_match
from dissect.studies.registry import study_of
from dissect.studies.store import effect_names
from segmenters.vocabulary import Concept

_TRIED = 8  # images of a trial
_LAYERS = 5
_FINALISTS = 2
_SIZES = (8, 16, 32, 64)
_STRENGTHS = (1.0, 2.0, 3.0)
_NEAR_BEST = 0.9
_LEAST_UNITS = 8  # a layer with less (one of colours, say) has nothing to choose from
_RARE = 0.995  # quantile at which units are held if no image shows the concept


@dataclass(frozen=True)
class Brush:
    """Units that draw a concept or take it away.

    Attributes:
        concept, mode: What it is for; no concept if somebody chose the units.
        layer: Whose units.
        units: All that can be taken, best first.
        values: At which each is held if the strength is 1; none to remove.
        n_units, strength: What is advised.
        gain: What the trial reached, in [-1, 1]; None if nothing was tried.
        how: Where it comes from, in one sentence.
    """

    concept: str
    mode: str
    layer: str
    units: tuple[int, ...]
    values: tuple[float, ...]
    n_units: int
    strength: float
    gain: float | None
    how: str


def find_brush(canvas: Canvas, concept: str, mode: str, *, layer: str | None = None) -> Brush:
    """The brush for a concept.

    Args:
        canvas: Models of the run.
        concept: Of the vocabulary.
        mode: ``draw`` or ``remove``.
        layer: Only in this layer of the run; None chooses.

    Raises:
        SegmenterError: an unknown concept.
        LayerError: a layer that the run did not read.
        ConfigError: another mode.
    """
    _check_mode(mode)
    if layer is not None and layer not in canvas.run.layers:
        raise LayerError(f"layer {layer!r} is not in the run; expected one that it read")
    named = canvas.vocabulary[concept]
    measured = _measured(canvas.run, concept, mode, layer)
    if measured is not None:
        return measured
    layers = [layer] if layer else _matching_layers(canvas.run, concept)
    trial = (_Drawing if mode == DRAW else _Removing)(canvas, named)
    return trial.run(layers)


def pick_brush(canvas: Canvas, units: Sequence[int], mode: str, *, layer: str) -> Brush:
    """A brush of units that somebody chose.

    Raises:
        LayerError: a layer or unit that the run does not have.
        ConfigError: another mode, or no units.
    """
    _check_mode(mode)
    edit = Ablate(layer, units)
    n_units = canvas.run.layers[layer].units if layer in canvas.run.layers else 0
    if max(edit.units) >= n_units:
        raise LayerError(
            f"unit {max(edit.units)} of layer {layer!r} is not in the run; expected a layer of the "
            f"run and units below {n_units}"
        )
    held: tuple[float, ...] = ()
    if mode == DRAW:
        high = stored_quantiles(canvas.run, layer, _RARE)
        held = tuple(float(high[unit]) for unit in edit.units)
    how = f"hand-picked; held at the {_RARE} quantile of each" if held else "hand-picked"
    chosen = tuple(edit.units)
    return Brush("", mode, layer, chosen, held, len(chosen), 1.0, None, how)


def _check_mode(mode: str) -> None:
    if mode not in (DRAW, REMOVE):
        raise ConfigError(f"mode is {mode!r}; expected draw or remove")


def _matching_layers(run: Run, concept: str) -> list[str]:
    pairs = run.pairs(concept)
    most = pairs.groupby("layer").excess_information.max()
    most = most.sort_values(ascending=False, kind="stable")
    wide = [name for name in most.index if run.layers[name].units >= _LEAST_UNITS]
    return (wide or list(most.index))[:_LAYERS]


def _measured(run: Run, concept: str, mode: str, layer: str | None) -> Brush | None:
    """From an effect that was measured with a search, the last by name."""
    for name in reversed(effect_names(run)):
        try:
            effect = open_effect(run, name)
            summary, edits = effect.record["summary"], effect.edits
            target = study_of(effect).target(summary)
            if target is None or target.concept != concept or len(edits) != 1:
                continue
            if summary["order"] not in SEARCHES or layer not in (None, summary["layer"]):
                continue
        except (DissectError, KeyError):
            continue  # the page of effects shows why a damaged one cannot be read
        edit = edits[0]
        values: tuple[float, ...] = ()
        if mode == DRAW and isinstance(edit, Insert):
            values = tuple(edit.values)
        elif mode == DRAW or not isinstance(edit, Ablate):
            continue
        how, units = f"measured: the units of the effect {name}", tuple(edit.units)
        return Brush(concept, mode, edit.layer, units, values, len(units), 1.0, None, how)
    return None


class _Trial:
    """What trials share: the samples, the sets that are tried, and which of them wins."""

    mode: str
    strengths: Sequence[float]

    def __init__(self, canvas: Canvas, concept: Concept) -> None:
        self.canvas, self.source, self.concept = canvas, canvas.run, concept
        self.search = canvas.search
        plane = canvas.vocabulary.planes.index(concept.plane)
        self.present = torch.cat(
            [self.search.planes(n)[:, plane] == concept.id for n in self.search.numbers]
        )
        self.plane = plane
        self.rows = self.choose()
        self.before = torch.cat([self.search.planes(n) for n in self.search.numbers])[self.rows]

    def choose(self) -> list[int]:
        """Rows of the samples that are tried."""
        raise NotImplementedError  # each kind of trial below says which

    def edit(self, layer: str, units: Sequence[int], values: Sequence[float]) -> Edit:
        """What is tried; values are multiplied already."""
        raise NotImplementedError

    def gain(self, after: Int[Tensor, "image plane height width"]) -> float:
        """What it reached."""
        raise NotImplementedError

    def values(self, layer: str) -> Float[np.ndarray, " unit"]:
        """At which each unit of a layer is held; none to remove."""
        raise NotImplementedError

    def run(self, layers: Sequence[str]) -> Brush:
        """Try a set of each layer, then more of the best layers."""
        orders = {name: rank_by_match(self.source, name, self.concept.name) for name in layers}
        values = {name: self.values(name) for name in layers}
        middle = self.strengths[len(self.strengths) // 2]

        def reach(layer: str, size: int, strength: float) -> float:
            units = orders[layer][:size]
            held = [float(values[layer][unit]) * strength for unit in units]
            return self.gain(self._label(self.edit(layer, units, held)))

        first = {name: reach(name, _SIZES[1], middle) for name in layers}
        finalists = sorted(layers, key=lambda name: -first[name])[:_FINALISTS]
        found = {
            (name, size, strength): reach(name, size, strength)
            for name in finalists
            for size in _sizes(len(orders[name]))
            for strength in self.strengths
        }
        best = max(found.values())
        near = [one for one, gain in found.items() if gain >= best - (1 - _NEAR_BEST) * abs(best)]
        layer, size, strength = min(near, key=lambda one: (one[2], -found[one], one[1]))
        chosen = [float(values[layer][u]) for u in orders[layer]] if self.mode == DRAW else []
        return Brush(
            self.concept.name,
            self.mode,
            layer,
            tuple(orders[layer]),
            tuple(chosen),
            size,
            strength,
            round(found[layer, size, strength], 4),
            f"tried on {len(self.rows)} images: {len(layers)} layers, {len(found)} settings",
        )

    @torch.no_grad()
    def _label(self, edit: Edit) -> Int[Tensor, "image plane height width"]:
        canvas, config = self.canvas, self.search.config
        indices = [self.search.sample_of_row(row) for row in self.rows]
        with intervene(canvas.generator, [edit], bases=canvas.bases):
            images = make_images(canvas.generator, config, indices)
        return label_block(canvas.segmenter, images, canvas.generator.image_size)


class _Drawing(_Trial):
    mode = DRAW
    strengths = _STRENGTHS

    def choose(self) -> list[int]:
        size = self.present.shape[-1]
        areas = self.present.flatten(1).sum(dim=1)
        # As large as the concept is where it is seen, from an eighth of the image to three.
        usual = float(areas[areas > 0].double().mean()) ** 0.5 if areas.any() else 0.0
        side = max(1, round(min(max(usual, size / 8), size * 3 / 8)))
        often = self.present.float().mean(dim=0)[None, None]
        step = max(1, side // 6)
        sums = torch.nn.functional.avg_pool2d(often, side, stride=step)[0, 0]
        top, left = (at * step for at in divmod(int(sums.argmax()), sums.shape[1]))
        self.region: Region = box(size, (top, left, top + side, left + side))
        self.inside = torch.from_numpy(self.region > 0)
        covered = self.present[:, self.inside].float().mean(dim=1)
        return torch.argsort(covered, stable=True)[:_TRIED].tolist()

    def values(self, layer: str) -> Float[np.ndarray, " unit"]:
        if self.present.any():
            return present_means(self.search, layer, self.concept.name)
        return stored_quantiles(self.source, layer, _RARE)

    def edit(self, layer: str, units: Sequence[int], values: Sequence[float]) -> Edit:
        return Insert(layer, units, values, self.region)

    def gain(self, after: Int[Tensor, "image plane height width"]) -> float:
        pixels = [
            (planes[:, self.plane] == self.concept.id)[:, self.inside].sum(dim=1).double()
            for planes in (self.before, after)
        ]
        room = (self.inside.sum() - pixels[0]).clamp(min=1)
        disturbed = (self.before != after)[:, :, ~self.inside].double()
        leaked = float(disturbed.mean()) if disturbed.numel() else 0.0
        return float(((pixels[1] - pixels[0]) / room).mean()) - leaked


class _Removing(_Trial):
    mode = REMOVE
    strengths = (1.0,)

    def choose(self) -> list[int]:
        most = self.present.flatten(1).sum(dim=1)
        return torch.argsort(most, descending=True, stable=True)[:_TRIED].tolist()

    def values(self, layer: str) -> Float[np.ndarray, " unit"]:
        return np.zeros(self.source.layers[layer].units)

    def edit(self, layer: str, units: Sequence[int], values: Sequence[float]) -> Edit:
        return Ablate(layer, units)

    def gain(self, after: Int[Tensor, "image plane height width"]) -> float:
        own = self.before[:, self.plane] == self.concept.id
        kept = own & (after[:, self.plane] == self.concept.id)
        gone = 1 - float(kept.sum()) / max(1, int(own.sum()))
        others = ~own[:, None].expand_as(self.before)
        disturbed = float((self.before != after)[others].double().mean())
        return gone - disturbed


def _sizes(n_units: int) -> list[int]:
    return [size for size in _SIZES if size <= n_units] or [n_units]
