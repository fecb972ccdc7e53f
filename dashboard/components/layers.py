"""Layers as bars of the concepts of their named units, and as a heat map."""

import json
from collections.abc import Mapping, Sequence

import numpy as np
from dash import dcc, html
from dash.development.base_component import Component

from dashboard.components.attributes import aria, data_attributes
from dashboard.components.units import two
from dashboard.links import concept_href, run_href, unit_href
from dashboard.notes.labels import quoted, second_labels
from dashboard.pairs import labels_of, pairs_of
from dashboard.rungs import ranked_labels
from dashboard.store import OpenRun
from dashboard.unit_filter import UnitFilter
from dissect.statistics.ladder import RUNGS
from reports.charts import Cell, LayerBar, Segment, ink_on

_PIECES = 32  # concepts of a layer that are drawn separately
_NARROWEST = 0.5  # percent of the layer's units; about five pixels


def bars_of(opened: OpenRun) -> list[LayerBar]:
    """A bar for each layer, as in the report; the full width is all units."""
    return opened.once("bars", lambda: _bars(opened))


def _bars(opened: OpenRun) -> list[LayerBar]:
    run, pairs = opened.run, pairs_of(opened)
    concepts = list(run.vocabulary)
    counts = {}
    for index, layer in enumerate(run.layers):
        best = pairs.best[(pairs.layer == index) & pairs.is_named]
        counts[layer] = np.bincount(best, minlength=len(concepts))
    bars = []
    for layer, info in run.layers.items():
        start, segments = 0.0, []
        for column in np.argsort(-counts[layer], kind="stable"):
            count = int(counts[layer][column])
            if count == 0:
                break
            width, concept = 100 * count / info.units, concepts[column]
            ink = ink_on(concept.colour)
            segments.append(Segment(concept.name, concept.colour, ink, count, start, width))
            start += width
        turned = [name for name in opened.run.rotations(layer) if name in counts]
        found = [int(counts[name].sum()) for name in turned]
        rotated = sum(found) / len(found) if found else None
        n_found = int(counts[layer].sum())
        bars.append(LayerBar(layer, info.units, n_found, rotated, tuple(segments)))
    return bars


def by_depth(
    bars: Sequence[LayerBar], others: Sequence[LayerBar]
) -> tuple[list[LayerBar | None], list[LayerBar | None]]:
    """Two lists of layers as rows of the same relative depth.

    Layer k of n layers has the depth k / (n - 1), from the first that was read to the last. Each
    layer of the shorter list is beside the layer of the longer list with the nearest depth.

    Returns:
        Both lists with the length of the longer one, None for a row without a layer.
    """
    n_rows = max(len(bars), len(others))

    def spread(own: Sequence[LayerBar]) -> list[LayerBar | None]:
        rows: list[LayerBar | None] = [None] * n_rows
        for place, one in enumerate(own):
            rows[round(place * (n_rows - 1) / max(len(own) - 1, 1))] = one
        return rows

    return spread(bars), spread(others)


def stacks(
    opened: OpenRun, bars: Sequence[LayerBar | None], *, widest: int | None = None
) -> Component:
    """The bars; each piece links to its units.

    Args:
        opened: The run.
        bars: Result of ``bars_of``; None for an empty row.
        widest: Number of units for the full width, for a common scale of several layers or
            runs; None: each layer's own number.
    """
    rows = []
    for found in bars:
        if found is None:
            rows += [html.Div(className="stack-gap")]
            continue
        share = 1.0 if widest is None else found.units / widest
        pieces = _pieces(opened, found, share)
        if found.rotated is not None:
            title = f"in a random rotation: {found.rotated:.4g} of {found.units} units"
            left = f"{100 * found.rotated / found.units:.2f}%"
            pieces.append(html.Span(className="rotated", title=title, style={"left": left}))
        query = UnitFilter(layer=found.layer, certainty="all").to_query()
        text = f"{found.named} of {found.units}"
        if found.rotated is not None:
            text += f", rotated {found.rotated:.4g}"
        rows += [
            html.Div(
                dcc.Link(found.layer, href=run_href(opened.id, "units") + query),
                className="stack-name",
            ),
            html.Div(pieces, className="stack", style={"width": f"{100 * share:.2f}%"}),
            html.Div(text, className="stack-count"),
        ]
    return html.Div(rows, className="stacks", **data_attributes(roving="a"))


def _pieces(opened: OpenRun, found: LayerBar, share: float) -> list[Component]:
    """The widest concepts of a layer separately, the others as one piece.

    Args:
        opened: The run.
        found: Its layer.
        share: Share of the full width that the layer fills.
    """
    shown = [one for one in found.segments[:_PIECES] if one.width >= _NARROWEST]
    rest = found.segments[len(shown) :]
    if len(rest) == 1:
        shown, rest = [*shown, *rest], ()
    pieces = []
    for one in shown:
        query = UnitFilter(layer=found.layer, concept=one.concept).to_query()
        title = f"{one.concept}: {one.count} of {found.units} units of {found.layer}"
        style = {"width": f"{one.width:.3f}%", "color": one.ink, "background": one.colour}
        label = one.concept if _fits(one.concept, share * one.width) else ""
        pieces.append(_piece(opened, query, title, label, "segment", style))
    if rest:
        query = UnitFilter(layer=found.layer, sort="concept", view="table").to_query()
        width, count = sum(one.width for one in rest), sum(one.count for one in rest)
        label = f"{len(rest)} more concepts"
        title = f"{label}: {count} of {found.units} units of {found.layer}"
        label = label if _fits(label, share * width) else ""
        style = {"width": f"{width:.3f}%"}
        pieces.append(_piece(opened, query, title, label, "segment rest", style))
    return pieces


def _fits(label: str, width: float) -> bool:
    """Whether a label fits on a piece with this percentage of the full width."""
    return width > 3 + 1.1 * len(label)


def _piece(
    opened: OpenRun, query: str, title: str, label: str, kind: str, style: dict[str, str]
) -> Component:
    content = [html.Span(title, className="hidden")]
    if label:
        content.append(html.Span(label, **aria(hidden="true")))
    href = run_href(opened.id, "units") + query
    return dcc.Link(content, href=href, title=title, className=kind, style=style)


def cells_of(opened: OpenRun) -> dict[str, list[Cell | None]]:
    """For each concept and layer the unit with most information about it, named after it or not."""
    return opened.once("cells", lambda: _cells(opened))


def _cells(opened: OpenRun) -> dict[str, list[Cell | None]]:
    run, pairs = opened.run, pairs_of(opened)
    names = list(run.vocabulary.names)
    found: dict[str, list[Cell | None]] = {name: [] for name in names}
    excess = np.nan_to_num(pairs.scores["excess_information"], nan=-np.inf)
    for layer, info in run.layers.items():
        start = pairs.starts[layer]
        for column, row in enumerate(start + excess[start : start + info.units].argmax(axis=0)):
            iou, chance = (float(pairs.scores[name][row, column]) for name in ("iou", "chance"))
            named = bool(pairs.is_named[row] and pairs.best[row] == column)
            cell = Cell(layer, int(pairs.unit[row]), iou, chance, named)
            found[names[column]].append(None if np.isnan(iou) else cell)
    return found


def heat_map(opened: OpenRun, concepts: Sequence[str], *, label: str) -> Component:
    """IoU of the most informative unit of each layer for each concept, as a map that fits the page.

    ``drawHeat`` of app.js draws this data: a cell links to its unit, and the rule below it has the
    colour of the unit's rung if the unit is named after the concept.

    Args:
        opened: The run.
        concepts: Its rows.
        label: Description for screen readers.
    """
    cells, people = cells_of(opened), second_labels(opened)
    rungs = ranked_labels(opened).rung.to_numpy()
    starts, counts = pairs_of(opened).starts, unit_counts(opened)
    units = run_href(opened.id, "units")
    rows = []
    for name in concepts:
        rows.append(
            {
                "name": name,
                "colour": opened.run.vocabulary[name].colour,
                "href": concept_href(opened.id, name),
                "units": counts.get(name, 0),
                "list": units + UnitFilter(concept=name).to_query(),
                "cells": [
                    None if cell is None else _cell(opened, cell, starts, rungs, people)
                    for cell in cells[name]
                ],
            }
        )
    found = [cell.iou for name in concepts for cell in cells[name] if cell is not None]
    data = {
        "label": label,
        "layers": [
            {"name": layer, "href": units + UnitFilter(layer=layer, certainty="all").to_query()}
            for layer in opened.run.layers
        ],
        "most": max([*found, 0.01]),
        "rows": rows,
    }
    return html.Div(className="heat", **data_attributes(heat=json.dumps(data)))


def unit_counts(opened: OpenRun) -> dict[str, int]:
    """Concept → number of units that are named after it."""
    labels = labels_of(opened)
    counts = labels.concept[labels.is_named].value_counts()
    return {str(concept): int(n) for concept, n in counts.items()}


def _cell(
    opened: OpenRun,
    cell: Cell,
    starts: Mapping[str, int],
    rungs: np.ndarray,
    people: Mapping[tuple[str, int], str],
) -> dict[str, object]:
    """A cell as data; ``people`` is the ``second_labels`` of the run."""
    name = quoted(people.get((cell.layer, cell.unit), ""))
    rung = RUNGS[int(rungs[starts[cell.layer] + cell.unit])] if cell.named else None
    told = f"{cell.layer} unit {cell.unit}{name}: IoU {two(cell.iou)}, chance {two(cell.chance)}"
    return {
        "href": unit_href(opened.id, cell.layer, cell.unit),
        "iou": two(cell.iou),
        "value": round(cell.iou, 4),
        "rung": rung.colour if rung else "",
        "told": f"{told}, {rung.name}" if rung else told,
    }
