"""The page of a concept: its units over all layers, and the match of each layer."""

import numpy as np
from dash import dcc, html
from dash.development.base_component import Component, ComponentType

from dashboard.components.layers import cells_of, heat_map
from dashboard.components.units import READING, cards, empty, facts, second_label, swatch, two
from dashboard.links import concept_href, run_href, unit_href
from dashboard.notes.labels import second_labels
from dashboard.pairs import measured_of
from dashboard.routing import RunPage, RunVisit
from dashboard.rungs import ranked_labels
from dashboard.store import OpenRun
from dashboard.unit_filter import STEP, UnitFilter, filter_units
from segmenters.errors import SegmenterError

_OTHERS = 6


def layout(visit: RunVisit) -> Component:
    """Its units as pictures, then its match in each layer."""
    opened, name = visit.run, visit.path["concept"]
    vocabulary = opened.run.vocabulary
    if name not in vocabulary.names:
        raise SegmenterError(
            f"concept {name[:80]!r} is not in {opened.name}; expected one of its vocabulary; the "
            "overview lists them"
        )
    concept = vocabulary[name]
    unit_filter = UnitFilter(concept=name)
    units = filter_units(ranked_labels(opened), unit_filter, measured_of(opened.run))
    area = float(opened.once("areas", opened.run.areas)[name])
    by_layer = units.layer.value_counts()
    n_layers = int((by_layer > 0).sum())
    return html.Div(
        [
            html.H1([swatch(concept.colour), name]),
            html.P(
                f"{len(units)} unit{'' if len(units) == 1 else 's'} of {n_layers} "
                f"layer{'' if n_layers == 1 else 's'} {'is' if len(units) == 1 else 'are'} named "
                "after it."
                if len(units)
                else "No unit is named after it."
            ),
            facts(
                [
                    ("Category", concept.category),
                    ("Covers", f"{100 * area:.1f} % of the pixels"),
                    ("Often with", _others(opened, name)),
                ]
            ),
            html.H2("Which units are named after it?"),
            html.P(READING) if len(units) else None,
            cards(opened, units.head(STEP)) if len(units) else _nearest(opened, name),
            html.P(
                dcc.Link(
                    f"All {len(units)} with filters",
                    href=run_href(opened.id, "units") + unit_filter.to_query(),
                )
            )
            if len(units) > STEP
            else None,
            html.H2("How well does each layer know it?"),
            heat_map(opened, [name], label=f"IoU of the best unit of each layer for {name}"),
        ]
    )


def _others(opened: OpenRun, name: str) -> ComponentType:
    together = opened.once("together", opened.run.co_occurrence).sel(concept=name).values
    names = list(opened.run.vocabulary.names)
    own = together[names.index(name)]
    order = [i for i in np.argsort(-together, kind="stable") if names[i] != name]
    found = [i for i in order[:_OTHERS] if own and together[i] > 0]
    if not found:
        return "–"
    links = [dcc.Link(names[i], href=concept_href(opened.id, names[i])) for i in found]
    return [part for link in links for part in (link, " ")]


def _nearest(opened: OpenRun, name: str) -> Component:
    cells = [cell for cell in cells_of(opened)[name] if cell is not None]
    if not cells:
        return empty("It occurs in no image of this run.")
    best = max(cells, key=lambda cell: cell.iou)
    link = dcc.Link(
        f"{best.layer} unit {best.unit}", href=unit_href(opened.id, best.layer, best.unit)
    )
    people = second_label(second_labels(opened).get((best.layer, best.unit), ""))
    second = [" ", html.Span(people, className="second")] if people else []
    return empty(
        ["Nearest is ", link, *second, f", IoU {two(best.iou)}, chance {two(best.chance)}."]
    )


PAGE = RunPage("/concept/<concept>", "{concept}", layout)
