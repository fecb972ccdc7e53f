"""The page ``/compare``: two runs side by side, on one scale."""

import math
from collections.abc import Mapping

import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component, ComponentType

from dashboard import context
from dashboard.callbacks import shows_errors
from dashboard.components.attributes import aria
from dashboard.components.layers import bars_of, cells_of, stacks
from dashboard.components.units import bar, empty, facts, swatch, two
from dashboard.context import Context
from dashboard.links import run_href, unit_href
from dashboard.notes.labels import quoted, second_labels
from dashboard.pairs import labels_of
from dashboard.routing import Page, Visit
from dashboard.store import OpenRun
from dashboard.unit_filter import UnitFilter
from reports.charts import Cell


def layout(visit: Visit) -> Component:
    """Which two, then their difference."""
    names = [entry.id for entry in visit.context.store.entries() if not entry.problem]
    a, b = (visit.query.get(name) or None for name in ("a", "b"))
    return html.Div(
        [
            html.H1("Compare"),
            html.P("Two runs, the same view, one scale."),
            html.Div(
                [
                    dmc.Select(
                        id=f"compare-{name}",
                        label=label,
                        data=names,
                        value=value,
                        placeholder="Choose a run",
                        searchable=len(names) > 8,
                        allowDeselect=False,
                    )
                    for name, label, value in (("a", "First run", a), ("b", "Second run", b))
                ],
                className="controls",
            ),
            dcc.Store(id="compare-defaults", data={}),
            dcc.Store(id="compare-written"),
            html.Div(results(visit.context, a, b), id="compare-results", className="results"),
        ]
    )


@shows_errors
def results(given: Context, a: object, b: object) -> ComponentType:
    """The two runs, or what is still missing."""
    if not (isinstance(a, str) and isinstance(b, str) and a and b):
        return empty("Choose two runs above.")
    two_runs = (given.store.open(a), given.store.open(b))
    bars = [bars_of(opened) for opened in two_runs]
    widest = max(found.units for own in bars for found in own)
    return html.Div(
        [
            html.Div([_summary(opened) for opened in two_runs], className="two"),
            html.H2("Which layers know which concepts?"),
            html.P(f"The full width is {widest} units in both."),
            html.Div(
                [
                    html.Section([html.H3(opened.name), stacks(opened, own, widest=widest)])
                    for opened, own in zip(two_runs, bars, strict=True)
                ],
                className="two",
            ),
            html.H2("How many units does each concept have, and how well does the best match?"),
            _concepts(*two_runs),
        ]
    )


def _summary(opened: OpenRun) -> Component:
    labels = labels_of(opened)
    record = opened.run.record
    named = int(labels.is_named.sum())
    return html.Section(
        [
            html.H2(dcc.Link(opened.name, href=run_href(opened.id))),
            facts(
                [
                    ("Generator", record["generator"]["name"]),
                    ("Segmenter", record["segmenter"]["name"]),
                    ("Samples", f"{opened.run.config.n_samples:,}"),
                    ("Named units", f"{named:,} of {len(labels):,}"),
                ]
            ),
        ]
    )


def _concepts(a: OpenRun, b: OpenRun) -> Component:
    names = list(dict.fromkeys([*a.run.vocabulary.names, *b.run.vocabulary.names]))
    counts = []
    for opened in (a, b):
        labels = labels_of(opened)
        counts.append(labels.concept[labels.is_named].value_counts().to_dict())
    most = max([1, *(n for found in counts for n in found.values())])
    names.sort(key=lambda name: -sum(found.get(name, 0) for found in counts))
    people = [second_labels(opened) for opened in (a, b)]
    head = ["Concept", *(f"{what}, {o.name}" for what in ("Units", "Best IoU") for o in (a, b))]
    rows = [
        html.Tr(
            [
                html.Th([swatch(_colour(name, a, b)), name], scope="row"),
                *(
                    html.Td(_count(o, name, n.get(name, 0), most))
                    for o, n in ((a, counts[0]), (b, counts[1]))
                ),
                *(html.Td(_best(o, name, said)) for o, said in zip((a, b), people, strict=True)),
            ]
        )
        for name in names
    ]
    table = [
        html.Thead(html.Tr([html.Th(name, scope="col") for name in head])),
        html.Tbody(rows),
    ]
    return html.Div(
        html.Table(table, className="matrix"),
        className="scroll",
        tabIndex=0,
        role="region",
        **aria(label="Concepts of both runs"),
    )


def _colour(name: str, *runs: OpenRun) -> str:
    return next(o.run.vocabulary[name].colour for o in runs if name in o.run.vocabulary.names)


def _count(opened: OpenRun, name: str, count: int, most: int) -> Component:
    if name not in opened.run.vocabulary.names:
        return html.Span("not in its vocabulary", className="quiet")
    style = {"--value": f"{100 * count / most:.2f}%", "--colour": _colour(name, opened)}
    content = [
        html.Span(className="bar", style=style, **aria(hidden="true")),
        html.Span(f"{count}", className="n"),
    ]
    href = run_href(opened.id, "units") + UnitFilter(concept=name).to_query()
    return dcc.Link(content, href=href, className="cell", title=f"{count} units, {opened.name}")


def _best(opened: OpenRun, name: str, people: Mapping[tuple[str, int], str]) -> ComponentType:
    cells: list[Cell] = [cell for cell in cells_of(opened).get(name, []) if cell is not None]
    if not cells:
        return "–"
    best = max(cells, key=lambda cell: -math.inf if math.isnan(cell.iou) else cell.iou)
    return dcc.Link(
        [
            bar(best.iou, best.chance, _colour(name, opened)),
            html.Span(two(best.iou), className="n"),
        ],
        href=unit_href(opened.id, best.layer, best.unit),
        title=f"{best.layer} unit {best.unit}{quoted(people.get((best.layer, best.unit), ''))}",
        className="cell" if best.named else "cell pale",
    )


def _callbacks(app: Dash) -> None:
    chosen = [Input(f"compare-{name}", "value") for name in ("a", "b")]

    @app.callback(Output("compare-results", "children"), chosen, prevent_initial_call=True)
    def show(a: object, b: object) -> ComponentType:
        return results(context.current(), a, b)

    app.clientside_callback(
        ClientsideFunction("dissect", "writeQuery"),
        Output("compare-written", "data"),
        chosen,
        State("compare-defaults", "data"),
        prevent_initial_call=True,
    )


PAGE = Page("/compare", "Compare", layout, callbacks=_callbacks, navigation="Compare", order=5)
