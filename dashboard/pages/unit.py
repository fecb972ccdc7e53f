"""The page of a unit: top images, matches with their certainty, co-active units, effects."""

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from dash import dcc, html
from dash.development.base_component import Component

from dashboard import unit_facts
from dashboard.callbacks import line_of
from dashboard.components.attributes import aria, data_attributes
from dashboard.components.figures import figure, histograms, iou_curves
from dashboard.components.rungs import rung_mark
from dashboard.components.unit_table import chosen
from dashboard.components.units import (
    bar,
    counted,
    empty,
    facts,
    label_of,
    second_label,
    swatch,
    two,
)
from dashboard.effects.view import effect_href
from dashboard.links import concept_href, run_href, unit_href
from dashboard.notes.labels import second_labels
from dashboard.pairs import labels_of, measured_of, pairs_of
from dashboard.routing import Absent, RunPage, RunVisit, UnitVisit
from dashboard.rungs import ranked_labels
from dashboard.store import OpenRun
from dashboard.unit_facts import Match, Values
from dashboard.unit_filter import list_query, read_filter
from dissect.errors import DissectError, LayerError
from dissect.runs.summary import describe_unit
from dissect.statistics.ladder import CAUSAL, MATCHES, NAMED

_CURVES = 3
_ALL_COLOUR = "#808080"


def layout(visit: RunVisit) -> Component:
    """The picture, then its numbers, then everything else."""
    opened, layer = visit.run, visit.path["layer"]
    unit = _number(visit.path["unit"])
    row = unit_facts.row_of(opened, layer, unit)
    found = unit_facts.matches(opened, row)
    named = bool(pairs_of(opened).is_named[row])
    title = label_of(labels_of(opened).iloc[row])
    of = UnitVisit(visit.context, visit.path, visit.query, opened, layer, unit)
    second = second_label(second_labels(opened).get((layer, unit), ""))
    rung = int(ranked_labels(opened).rung.iloc[row])
    known, unknown = _sections(
        {
            "Which concepts does it match?": _table(opened, found),
            **_figures(opened, layer, unit, found),
            "What does removing or inserting it do?": _effects(opened, row, layer, unit),
            "Which units fire with it?": _coactive(opened, layer, unit),
            **_panels(of, live=False),
        }
    )
    return html.Div(
        [
            _steps(opened, layer, unit, visit.query),
            html.H1(
                [
                    swatch(found[0].colour) if named and found else None,
                    title,
                    html.Span(second, id="unit-second", className="second"),
                ]
            ),
            html.P([rung_mark(rung), _place(opened, layer, unit)], className="headline-rung"),
            html.Div(
                [
                    html.Div(
                        [
                            html.Section(_shown(built), **aria(label=title))
                            for title, built in _panels(of, live=True).items()
                        ],
                        className="unit-images",
                    ),
                    html.Div(
                        [
                            html.P(_sentence(opened, row, layer, unit, found, named)),
                            *known,
                            unknown,
                        ],
                        className="unit-facts",
                    ),
                ],
                className="unit-page",
            ),
        ]
    )


def _place(opened: OpenRun, layer: str, unit: int) -> str:
    """Layer and unit, and what the unit stands for where it has such a name."""
    names = opened.run.layers[layer].unit_names
    return f"{layer} · unit {unit}" + (f" · attention to “{names[unit]}”" if names else "")


def _shown(built: Component | Absent) -> Component:
    return empty(built.reason) if isinstance(built, Absent) else built


def _sections(built: Mapping[str, Component | Absent]) -> tuple[list[Component], Component | None]:
    """Available parts as sections, and the missing ones in one folded section."""
    known: list[Component] = [
        html.Section([html.H2(title), content])
        for title, content in built.items()
        if not isinstance(content, Absent)
    ]
    absent = {title: one.reason for title, one in built.items() if isinstance(one, Absent)}
    if not absent:
        return known, None
    rows = [html.Div([html.Dt(title), html.Dd(reason)]) for title, reason in absent.items()]
    label = f"{counted(len(rows), 'question')} without an answer"
    return known, html.Details([html.Summary(label), html.Dl(rows)], className="unknown")


def _number(given: str) -> int:
    if not (given.isascii() and given.isdigit() and len(given) < 10):
        raise LayerError(f"unit is {given[:40]!r}; expected a whole number; check the address")
    return int(given)


def _steps(opened: OpenRun, layer: str, unit: int, query: Mapping[str, str]) -> Component:
    """Links to the previous and next units, in the user's list if it exists, else in the layer."""
    unit_filter = read_filter(query)
    end = list_query(unit_filter) if query else ""
    listed = chosen(opened, unit_filter) if query else None
    places = [] if listed is None else _places(listed, layer, unit)
    if listed is not None and places:
        place, n_units = places[0], len(listed)
        near = [
            (str(listed.layer.iloc[n]), int(listed.unit.iloc[n])) if 0 <= n < n_units else None
            for n in (place - 1, place + 1)
        ]
        where, label = f"{place + 1:,} of {n_units:,} in the list", "Units of this list"
    else:
        last = opened.run.layers[layer].units - 1
        near = [(layer, n) if 0 <= n <= last else None for n in (unit - 1, unit + 1)]
        where, label, end = f"{layer} · unit {unit} of {last + 1}", "Units of this layer", ""
    links = [
        dcc.Link(text, href=unit_href(opened.id, *other) + end) if other else None
        for text, other in zip(("← previous", "next →"), near, strict=True)
    ]
    back = run_href(opened.id, "units") + (unit_filter.to_query() if query else "")
    return html.Nav(
        [dcc.Link("All units" if not end else "Back to the list", href=back),
         html.Span(where), *links],
        className="steps",
        **aria(label=label),
    )  # fmt: skip


def _places(listed: pd.DataFrame, layer: str, unit: int) -> list[int]:
    found = (listed.layer == layer).to_numpy() & (listed.unit == unit).to_numpy()
    return np.flatnonzero(found).tolist()


def _sentence(
    opened: OpenRun, row: int, layer: str, unit: int, found: list[Match], named: bool
) -> str:
    name = f"Unit {unit} of {layer}"
    if not found:
        return f"{name} was never active together with a concept of this vocabulary."
    best = found[0]
    numbers = f"IoU {two(best.iou)}, {two(best.chance)} by chance"
    known = labels_of(opened).iloc[row]
    evidence = describe_unit(opened.run, layer, unit, known)
    halves = "both halves" if known.same_in_halves else "not both halves"
    if not named:
        how = "it matches" if known.rung >= MATCHES else "nearest is"
        text = f"{name} is named after nothing; {how} {best.concept}: {numbers}. {evidence}"
        return text.rstrip()
    certain = (
        "" if known.q_value != known.q_value else f" False discovery rate {known.q_value:.2g}."
    )
    verb = {MATCHES: "matches", NAMED: "is named after", CAUSAL: "is causal for"}[int(known.rung)]
    text = f"{name} {verb} {best.concept}: {numbers}; {halves} of the samples say so."
    return f"{text}{certain} {evidence}".rstrip()


def _table(opened: OpenRun, found: list[Match]) -> Component | Absent:
    if not found:
        return Absent("None: it was never active where a concept was.")
    rows = [
        [
            html.Td(bar(m.iou, m.chance, m.colour, m.iou_low, m.iou_high), className="wide"),
            html.Td(two(m.iou), className="n"),
            html.Td(two(m.chance), className="n"),
        ]
        for m in found
    ]
    more = [
        [
            html.Td(f"{two(m.iou_low)} – {two(m.iou_high)}", className="n"),
            html.Td(two(m.precision), className="n"),
            html.Td(two(m.recall), className="n"),
            html.Td(f"{m.threshold:.3g}", className="n"),
        ]
        for m in found
    ]
    return html.Div(
        [
            _rows(opened, found, ("Concept", "IoU", "", "Chance"), rows),
            html.Details(
                [
                    html.Summary("Intervals, precision, recall, thresholds"),
                    _rows(
                        opened, found, ("Concept", "95 %", "Precision", "Recall", "Threshold"), more
                    ),
                ]
            ),
        ]
    )


def _rows(
    opened: OpenRun,
    found: list[Match],
    head: Sequence[str],
    values: list[list[html.Td]],
) -> Component:
    names = [
        html.Th([swatch(m.colour), dcc.Link(m.concept, href=concept_href(opened.id, m.concept))],
                scope="row")
        for m in found
    ]  # fmt: skip
    titles = [html.Th(name, scope="col") if name else html.Td() for name in head]
    rows = [html.Tr([name, *cells]) for name, cells in zip(names, values, strict=True)]
    table = html.Table([html.Thead(html.Tr(titles)), html.Tbody(rows)], className="matches")
    return html.Div(table, className="scroll", **data_attributes(roving="a"))


def _figures(
    opened: OpenRun, layer: str, unit: int, found: list[Match]
) -> dict[str, Component | Absent]:
    if not found:
        return {}
    best, names = (
        "At which threshold does it match best?",
        ", ".join(match.concept for match in found[:_CURVES]),
    )
    try:
        values = unit_facts.values(opened.run, layer, unit)
    except DissectError as error:
        return {best: Absent(line_of(error))}
    return {
        best: figure(
            "unit-curves",
            _curves(opened, values, found),
            f"IoU against the threshold for {names}",
        ),
        f"Is it higher on {found[0].concept}?": figure(
            "unit-histogram",
            _spread(values, found[0]),
            f"Histogram of activation on {found[0].concept} and on all pixels",
        ),
    }


def _curves(opened: OpenRun, values: Values, found: list[Match]) -> go.Figure:
    columns = {name: index for index, name in enumerate(opened.run.vocabulary.names)}
    curves = [(m.concept, m.colour, values.iou[columns[m.concept]]) for m in found[:_CURVES]]
    return iou_curves(values.edges, curves, found[0].threshold)


def _spread(values: Values, best: Match) -> go.Figure:
    shares = [
        (best.concept, best.colour, values.spread.share.sel(concept=best.concept).values),
        ("all pixels", _ALL_COLOUR, values.spread.all_pixels.values),
    ]
    return histograms(unit_facts.centres(values.spread), shares, best.threshold)


def _coactive(opened: OpenRun, layer: str, unit: int) -> Component | Absent:
    try:
        found = unit_facts.coactive(opened, layer, unit)
    except DissectError:
        return Absent("This run did not count it; one made with --coactivation does.")
    if not found:
        return Absent("None: its mean over images does not vary.")
    labels, people = labels_of(opened), second_labels(opened)
    start = pairs_of(opened).starts[layer]
    rows = []
    for other, value in found:
        row = labels.iloc[start + other]
        name = label_of(row)
        link = dcc.Link(f"unit {other}", href=unit_href(opened.id, layer, other))
        correlation = html.Span(f"correlation {value:.2f}", className="n")
        second = second_label(people.get((layer, other), ""))
        called = [" ", html.Span(second, className="second")] if second else []
        rows.append(html.Li([link, html.Span([name, *called], className="quiet"), correlation]))
    return html.Ul(rows, className="rows", **data_attributes(roving="a"))


def _effects(opened: OpenRun, row: int, layer: str, unit: int) -> Component:
    found = measured_of(opened.run).get((layer, unit))
    label = labels_of(opened).iloc[row]
    concept = {"concept": label.concept} if label.is_named else {}
    values = concept | {"layer": layer, "units": unit}
    measure = dcc.Link(
        "Measure what it does alone", href=run_href(opened.id, "effects") + "?" + urlencode(values)
    )
    if found is None:
        return empty(["It belongs to no measured set. ", measure])
    link = dcc.Link(found.name, href=effect_href(opened.id, found.name))
    if found.n_units > 1:
        others = counted(found.n_units - 1, "other unit")
        return html.P([f"It was measured with {others} (", link, "), not alone. ", measure])
    return facts([(f"{found.label.capitalize()}, share", two(found.share)), ("Measured as", link)])


def _panels(of: UnitVisit, *, live: bool) -> dict[str, Component | Absent]:
    """Panels of other modules: those that use the generator, or the others."""
    sections: dict[str, Component | Absent] = {}
    for panel in of.context.parts.panels.values():
        if panel.live != live:
            continue
        try:
            sections[panel.title] = panel.build(of)
        except DissectError as error:
            sections[panel.title] = Absent(line_of(error))
    return sections


PAGE = RunPage("/layer/<layer>/unit/<unit>", "{layer} unit {unit}", layout)
