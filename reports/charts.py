"""Small charts as plain values; the templates draw them and escape the text."""

from collections.abc import Sequence
from dataclasses import dataclass

from dissect.runs import Run
from dissect.statistics.registry import rows_of

CATEGORY_COLOURS = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999",
)  # fmt: skip
"""Colours of Okabe and Ito for colour-blind readers; names and numbers give the same facts."""


@dataclass(frozen=True)
class Segment:
    """One piece of a stacked bar, in per cent of its width."""

    concept: str
    colour: str
    ink: str
    count: int
    start: float
    width: float


@dataclass(frozen=True)
class LayerBar:
    """A layer as a stacked bar: the number of units that each concept, or category, labels."""

    layer: str
    units: int
    named: int
    rotated: float | None  # number of named units in a random rotation of the layer
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Cell:
    """The best unit of a layer for a concept; None if there is none."""

    layer: str
    unit: int
    iou: float
    chance: float
    named: bool


def layer_bars(run: Run, layers: Sequence[str] | None = None) -> list[LayerBar]:
    """The concepts of each layer's units: a bar for each layer; the full width is all its units."""
    colours = {concept.name: concept.colour for concept in run.vocabulary}
    return [_bar(layer, found, found["concepts"], colours) for layer, found in _layers(run, layers)]


def category_bars(run: Run, layers: Sequence[str] | None = None) -> list[LayerBar]:
    """Same as ``layer_bars``, but by category of concept."""
    colours, bars = category_colours(run), []
    for layer, found in _layers(run, layers):
        counts = dict.fromkeys(colours, 0)
        for name, count in found["concepts"].items():
            counts[run.vocabulary[name].category] += count
        bars.append(_bar(layer, found, {k: n for k, n in counts.items() if n}, colours))
    return bars


def category_colours(run: Run) -> dict[str, str]:
    """A colour for each category, in the vocabulary's order; colours repeat after seven."""
    names = list(dict.fromkeys(concept.category for concept in run.vocabulary))
    return {name: CATEGORY_COLOURS[i % len(CATEGORY_COLOURS)] for i, name in enumerate(names)}


def _layers(run: Run, layers: Sequence[str] | None) -> list[tuple[str, dict]]:
    found = run.summary()["layers"]
    return [(layer, found[layer]) for layer in (found if layers is None else layers)]


def _bar(layer: str, found: dict, counts: dict[str, int], colours: dict[str, str]) -> LayerBar:
    start, segments = 0.0, []
    for name, count in counts.items():
        width = 100 * count / found["units"]
        segments.append(Segment(name, colours[name], ink_on(colours[name]), count, start, width))
        start += width
    return LayerBar(layer, found["units"], found["named"], found["rotated"], tuple(segments))


def best_cells(run: Run, layers: Sequence[str] | None = None) -> dict[str, list[Cell]]:
    """For each concept and layer the most informative unit, named after the concept or not."""
    config = run.config
    ranked = run.table.sort_values("excess_information", ascending=False, kind="stable")
    best = ranked.groupby(["concept", "layer"], sort=False).head(1)
    stands = (
        (best.iou > config.min_iou)
        & (best.over_chance > config.min_over_chance)
        & (best.p_value <= config.fdr)
    )
    found = {
        (row.concept, row.layer): Cell(row.layer, int(row.unit), row.iou, row.chance, bool(sure))
        for row, sure in zip(rows_of(best), stands, strict=True)
    }
    layers = list(run.layers) if layers is None else layers
    return {name: [found[name, layer] for layer in layers] for name in run.vocabulary.names}


def ink_on(colour: str) -> str:
    """Black or white, the more readable one on a colour (WCAG 2.2, relative luminance)."""
    linear = []
    for i in (1, 3, 5):
        value = int(colour[i : i + 2], 16) / 255
        linear.append(value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4)
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if luminance > 0.179 else "#ffffff"
