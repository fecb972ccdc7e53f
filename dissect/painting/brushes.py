"""Brushes: the units, layer and strength that draw a concept or remove it.

Candidates are the layers whose units match the concept best, and the units of a measured effect of
the concept if they were found by a search. A unit that matches a concept best in a late layer often
paints only its texture, and insertion at the mean is often too weak, so every candidate is tested.
The test takes a few seconds. It uses **the shape to be painted**, on a few samples that neither the
run nor its measurements used, with several numbers of units and several strengths.

- To draw, units are inserted in the shape in images that have least of the concept there. On
  demand, values are also learned by gradient descent, on samples that no trial uses.
- To remove, units are ablated in the shape in images that have most of it there.

A trial's gain is the mean of ``Verdict.gain`` (net, inside the shape), minus the share of pixels
outside of the shape whose concepts change. Among the trials with at least 90 % of the best gain,
the smallest strength wins, then the largest gain. The result of the winner is described like a
verdict; for the painted image itself, see the verdict of the stroke.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float

from dissect.counting.samples import label_block, make_images
from dissect.edits.applying import intervene
from dissect.edits.unit_edits import Ablate, Insert
from dissect.errors import ConfigError, DissectError, LayerError
from dissect.painting.canvas import Canvas
from dissect.painting.covering import to_edits
from dissect.painting.strokes import DRAW, REMOVE, Stroke
from dissect.painting.verdict import Verdict, compare, painted_pixels, summarise
from dissect.runs import Run
from dissect.studies.effects import open_effect
from dissect.studies.insertion_values import stored_quantiles
from dissect.studies.learned_values import learn_values
from dissect.studies.orders import SEARCHES
from dissect.studies.ranking import rank_by_match
from dissect.studies.registry import study_of
from dissect.studies.store import effect_names

_TRIED = 8  # images of a trial
_LEARNED_FROM = 32  # largest number of further images for learning values
_LEARNED_UNITS = 64  # largest number of units of a layer, and at most half of it
_STEPS = (20, 60)  # steps for all learned candidates, then for the finalists
_LAYERS = 5
_FINALISTS = 2
_SIZES = (8, 16, 32, 64)
_STRENGTHS = (1.0, 2.0, 3.0)
_NEAR_BEST = 0.9
_LEAST_UNITS = 8  # a layer with fewer (such as colours) has no units to choose from
_RARE = 0.995  # quantile used as the value if no image shows the concept

Box = tuple[int, int, int, int]
"""top, left, bottom, right in pixels of the image."""


@dataclass(frozen=True)
class Shape:
    """The painted area: a box, a mask, or neither for everywhere; see ``Stroke``."""

    box: Box | None = None
    mask: bytes | None = None

    def stroke(
        self, mode: str, layer: str, units: Sequence[int], values: Sequence[float], *,
        strength: float, concept: str,
    ) -> Stroke:  # fmt: skip
        """A stroke of this shape; for no concept if ``concept`` is empty."""
        return Stroke(
            mode, layer, tuple(units), tuple(values), strength,
            box=self.box, mask=self.mask, concept=concept or None,
        )  # fmt: skip


@dataclass(frozen=True)
class Brush:
    """Units that draw a concept or remove it.

    Attributes:
        concept, mode: Its purpose; no concept if a person chose the units.
        layer: Layer of the units.
        units: All usable units, best first.
        values: Value of each unit at strength 1; none to remove.
        n_units, strength: Recommended values.
        gain: Gain of the trial, in [-1, 1]; None without a trial.
        how: Its origin, in one sentence.
        tried: Result of the trial, in one sentence; "" without a trial.
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
    tried: str = ""


@dataclass(frozen=True)
class Candidate:
    """Units of one layer, best first.

    Attributes:
        layer: Layer of the units.
        units: Unit numbers.
        values: Value of each unit to draw; none to remove.
        sizes: Numbers of first units to try.
        source: Their origin, such as ``units that match best``.
    """

    layer: str
    units: tuple[int, ...]
    values: tuple[float, ...]
    sizes: tuple[int, ...]
    source: str

    def stroke(self, shape: Shape, mode: str, concept: str, size: int, strength: float) -> Stroke:
        """The first ``size`` units as a stroke."""
        return shape.stroke(
            mode, self.layer, self.units[:size], self.values[:size],
            strength=strength, concept=concept,
        )  # fmt: skip


def find_brush(
    canvas: Canvas, concept: str, mode: str, *, layer: str | None = None,
    shape: Shape | None = None, learned: bool = False,
) -> Brush:  # fmt: skip
    """Find the brush for a concept.

    Args:
        canvas: Models of the run.
        concept: A concept of the vocabulary.
        mode: ``draw`` or ``remove``.
        layer: Use only this layer of the run; None chooses one.
        shape: The shape to be painted; None takes a box of the concept's usual size and place.
        learned: For drawing, also try values from gradient descent
            (``dissect.studies.learned_values``), on samples that no trial uses. Takes about 300
            steps of batches of 8.

    Raises:
        SegmenterError: an unknown concept.
        LayerError: a layer that the run did not read.
        ConfigError: an unknown mode, or a shape that exceeds the image.
    """
    _check_mode(mode)
    if layer is not None and layer not in canvas.run.layers:
        raise LayerError(f"layer {layer!r} is not in the run; expected one that it read")
    canvas.vocabulary[concept]
    shape = shape or usual_shape(canvas, concept)
    found = candidates(canvas, concept, mode, layer=layer)
    rows = trial_rows(canvas, concept, mode, shape)
    if not rows:
        best = found[0]
        return Brush(
            concept, mode, best.layer, best.units, best.values, best.sizes[0], 1.0, None,
            f"{best.source}; not tried, as no image that could be had shows {concept} there",
        )  # fmt: skip
    strengths = _STRENGTHS if mode == DRAW else (1.0,)
    middle = strengths[len(strengths) // 2]
    results: dict[tuple[int, int, float], tuple[float, list[Verdict]]] = {}

    def gain(number: int, size: int, strength: float) -> float:
        key = (number, size, strength)
        if key not in results:
            stroke = found[number].stroke(shape, mode, concept, size, strength)
            verdicts = try_stroke(canvas, stroke, rows)
            results[key] = (_gain(verdicts, canvas.generator.image_size), verdicts)
        return results[key][0]

    numbers = range(len(found))
    first = {n: gain(n, found[n].sizes[min(1, len(found[n].sizes) - 1)], middle) for n in numbers}
    finalists = sorted(numbers, key=lambda n: -first[n])[:_FINALISTS]
    tried: dict[tuple[int, int, float], float] = {}
    if learned and mode == DRAW:
        found += learned_candidates(canvas, concept, found, shape)
        tried = {
            (n, found[n].sizes[0], 1.0): gain(n, found[n].sizes[0], 1.0)
            for n in range(len(numbers), len(found))
        }
    tried |= {
        (n, size, strength): gain(n, size, strength)
        for n in finalists
        for size in found[n].sizes
        for strength in strengths
    }
    best = max(tried.values())
    near = [one for one, value in tried.items() if value >= best - (1 - _NEAR_BEST) * abs(best)]
    chosen = min(near, key=lambda one: (one[2], -tried[one], one[1]))
    number, size, strength = chosen
    winner = found[number]
    return Brush(
        concept, mode, winner.layer, winner.units, winner.values, size, strength,
        round(tried[chosen], 4),
        f"{winner.source}; the best of {len(results)} settings of {len(found)} sets of units",
        summarise(results[chosen][1]),
    )  # fmt: skip


def pick_brush(canvas: Canvas, units: Sequence[int], mode: str, *, layer: str) -> Brush:
    """A brush of units that a person chose.

    Raises:
        LayerError: a layer or unit that the run does not have.
        ConfigError: an unknown mode, or no units.
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


def candidates(
    canvas: Canvas, concept: str, mode: str, *, layer: str | None = None, n_layers: int = _LAYERS
) -> list[Candidate]:
    """Candidate units: those of a measured effect, and of each layer those that match best.

    Args:
        canvas: Models of the run.
        concept: A concept of the vocabulary.
        mode: ``draw`` or ``remove``.
        layer: Only this layer; None takes the layers whose units match best.
        n_layers: Largest number of such layers.
    """
    run = canvas.run
    measured = _measured(run, concept, mode, layer)
    found = [measured] if measured is not None else []
    for name in [layer] if layer else _matching_layers(run, concept)[:n_layers]:
        units = tuple(rank_by_match(run, name, concept))
        values: tuple[float, ...] = ()
        if mode == DRAW:
            held = _values(canvas, name, concept)
            values = tuple(float(held[unit]) for unit in units)
        found.append(
            Candidate(name, units, values, _sizes(len(units)), f"units of {name} that match best")
        )
    return found


def learned_candidates(
    canvas: Canvas, concept: str, found: Sequence[Candidate], shape: Shape
) -> list[Candidate]:
    """The two candidates that draw most with learned values, best first.

    Each learns for a few steps, and the best two of a trial continue.

    Args:
        canvas: Models of the run.
        concept: A concept of the vocabulary.
        found: Candidates with their initial values.
        shape: The shape to be painted.
    """
    ordered = _rows_by_presence(canvas, concept, DRAW, shape)
    trial, rows = ordered[:_TRIED], ordered[_TRIED:][:_LEARNED_FROM]
    if not rows:
        return []
    stroke = shape.stroke(DRAW, "-", (0,), (0.0,), strength=1.0, concept=concept)
    region = stroke.region(canvas.generator.image_size)

    def learn(one: Candidate, n_steps: int) -> Candidate:
        values = learn_values(
            canvas.search, one.layer, one.units, concept, one.values,
            region=region, rows=rows, n_steps=n_steps,
        )  # fmt: skip
        return replace(one, values=tuple(float(value) for value in values))

    def gain(one: Candidate) -> float:
        stroke = one.stroke(shape, DRAW, concept, one.sizes[0], 1.0)
        return _gain(try_stroke(canvas, stroke, trial), canvas.generator.image_size)

    few, more = _STEPS
    begun = []
    for one in found:
        size = max(1, min(_LEARNED_UNITS, canvas.run.layers[one.layer].units // 2, len(one.units)))
        cut = Candidate(
            one.layer, one.units[:size], one.values[:size], (size,),
            f"{one.source}, with learned values",
        )  # fmt: skip
        begun.append(learn(cut, few))
    begun.sort(key=gain, reverse=True)
    return [learn(one, more) for one in begun[:_FINALISTS]]


def _values(canvas: Canvas, layer: str, concept: str) -> Float[np.ndarray, " unit"]:
    """Insertion value of each unit of a layer: its mean on the concept, or a high quantile."""
    entry = canvas.vocabulary[concept]
    if canvas.search.pixels()[:, entry.id - 1].any():
        return canvas.present_means(layer, concept)
    return stored_quantiles(canvas.run, layer, _RARE)


def _matching_layers(run: Run, concept: str) -> list[str]:
    pairs = run.pairs(concept)
    most = pairs.groupby("layer").excess_information.max()
    most = most.sort_values(ascending=False, kind="stable")
    wide = [name for name in most.index if run.layers[name].units >= _LEAST_UNITS]
    return (wide or list(most.index))[:_LAYERS]


def _measured(run: Run, concept: str, mode: str, layer: str | None) -> Candidate | None:
    """Candidate from an effect that was measured with a search, the last by name."""
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
        units = tuple(edit.units)
        source = f"the units of {edit.layer} of the measured effect {name}"
        return Candidate(edit.layer, units, values, (len(units),), source)
    return None


def usual_shape(canvas: Canvas, concept: str) -> Shape:
    """A box of the concept's usual size, one to three eighths of the image, at its usual place."""
    entry = canvas.vocabulary[concept]
    plane, search = canvas.vocabulary.planes.index(entry.plane), canvas.search
    present = torch.cat([search.planes(n)[:, plane] == entry.id for n in search.numbers])
    size = present.shape[-1]
    areas = present.flatten(1).sum(dim=1)
    usual = float(areas[areas > 0].double().mean()) ** 0.5 if areas.any() else 0.0
    side = max(1, round(min(max(usual, size / 8), size * 3 / 8)))
    often = present.float().mean(dim=0)[None, None]
    step = max(1, side // 6)
    sums = torch.nn.functional.avg_pool2d(often, side, stride=step)[0, 0]
    top, left = (at * step for at in divmod(int(sums.argmax()), sums.shape[1]))
    return Shape(box=(top, left, top + side, left + side))


def trial_rows(canvas: Canvas, concept: str, mode: str, shape: Shape) -> list[int]:
    """Rows of ``canvas.search`` on which a shape is tried: least of the concept in it to draw, most
    of it to remove. Leaves out images in which nothing can change.
    """
    return _rows_by_presence(canvas, concept, mode, shape)[:_TRIED]


def _rows_by_presence(canvas: Canvas, concept: str, mode: str, shape: Shape) -> list[int]:
    entry = canvas.vocabulary[concept]
    plane, search = canvas.vocabulary.planes.index(entry.plane), canvas.search
    stroke = shape.stroke(REMOVE, "-", (0,), (), strength=1.0, concept=concept)
    region = torch.from_numpy(painted_pixels(stroke, canvas.generator.image_size))
    present = torch.cat([search.planes(n)[:, plane] == entry.id for n in search.numbers])
    inside = (present & region).flatten(1).sum(dim=1)
    order = torch.argsort(inside, descending=mode == REMOVE, stable=True).tolist()
    room = int(region.sum())
    return [row for row in order if (inside[row] < room if mode == DRAW else inside[row] > 0)]


@torch.no_grad()
def try_stroke(canvas: Canvas, stroke: Stroke, rows: Sequence[int]) -> list[Verdict]:
    """Paint a stroke on unseen samples and judge each result.

    Args:
        canvas: Models of the run.
        stroke: A stroke for a concept.
        rows: Rows of ``canvas.search``.

    Raises:
        DissectError: see ``Canvas.paint``.
    """
    search, size = canvas.search, canvas.generator.image_size
    indices = [search.sample_of_row(row) for row in rows]
    with intervene(canvas.generator, to_edits([stroke], size), bases=canvas.bases):
        images = make_images(canvas.generator, search.config, indices)
    after = label_block(canvas.segmenter, images, size)
    before = torch.cat([search.planes(n) for n in search.numbers])[list(rows)]
    return compare(before, after, stroke, canvas.vocabulary)


def _gain(verdicts: Sequence[Verdict], image_size: int) -> float:
    gains = np.mean([verdict.gain for verdict in verdicts])
    outside = image_size**2 - verdicts[0].painted
    leaked = np.mean([verdict.elsewhere for verdict in verdicts]) / outside if outside else 0.0
    return float(gains - leaked)


def _sizes(n_units: int) -> tuple[int, ...]:
    return tuple(size for size in _SIZES if size <= n_units) or (n_units,)
