"""Small charts as inline SVG. Text comes in through the template, which escapes it."""

from dataclasses import dataclass

from dissect.runs import Run


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
    """A layer as a stacked bar: how many units each concept labels."""

    layer: str
    units: int
    interpretable: int
    rotated: float | None  # interpretable units in a random rotation of the layer
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Cell:
    """The best unit of a layer for a concept, or None where there is none."""

    layer: str
    unit: int
    iou: float
    chance: float
    interpretable: bool


def layer_bars(run: Run) -> list[LayerBar]:
    """Which layers know which concepts: a bar for each layer, all units its full width."""
    bars = []
    for layer, found in run.summary()["layers"].items():
        start, segments = 0.0, []
        for name, count in found["concepts"].items():
            width = 100 * count / found["units"]
            colour = run.vocabulary[name].colour
            segments.append(Segment(name, colour, ink_on(colour), count, start, width))
            start += width
        counts = found["units"], found["interpretable"], found["rotated"]
        bars.append(LayerBar(layer, *counts, tuple(segments)))
    return bars


def best_cells(run: Run) -> dict[str, list[Cell]]:
    """For each concept and layer the unit that tells most about it, named after it or not."""
    config = run.config
    cells: dict[str, list[Cell]] = {}
    ranked = run.table.sort_values("excess_information", ascending=False, kind="stable")
    best = ranked.groupby(["concept", "layer"], sort=False).head(1).set_index(["concept", "layer"])
    for concept in run.vocabulary.names:
        cells[concept] = []
        for layer in run.layers:
            row = best.loc[(concept, layer)]
            stands = bool(
                row.iou > config.min_iou
                and row.over_chance > config.min_over_chance
                and row.p_value <= config.fdr
            )
            cells[concept].append(Cell(layer, int(row.unit), row.iou, row.chance, stands))
    return cells


def ink_on(colour: str) -> str:
    """Black or white, whichever reads better on a colour (WCAG 2.2, relative luminance)."""
    linear = []
    for i in (1, 3, 5):
        value = int(colour[i : i + 2], 16) / 255
        linear.append(value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4)
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if luminance > 0.179 else "#ffffff"
