"""The page ``/compare``: two runs side by side, on one scale."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component, ComponentType

from dashboard import context
from dashboard.callbacks import shows_errors
from dashboard.components.attributes import data_attributes
from dashboard.components.layers import bars_of, by_depth, cells_of, stacks, unit_counts
from dashboard.components.units import bar, counted, empty, facts, swatch, two
from dashboard.context import Context
from dashboard.links import run_href, unit_href
from dashboard.media import strip_url
from dashboard.notes.labels import quoted, second_labels
from dashboard.pairs import labels_of
from dashboard.routing import Page, Visit
from dashboard.store import OpenRun
from reports.charts import Cell
from reports.naming import short_name


def layout(visit: Visit) -> Component:
    """The choice of the two runs, then their differences."""
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
    """The two runs, or a text on what is missing."""
    if not (isinstance(a, str) and isinstance(b, str) and a and b):
        return empty("Choose two runs above.")
    two_runs = (given.store.open(a), given.store.open(b))
    bars = [bars_of(opened) for opened in two_runs]
    widest = max(found.units for own in bars for found in own)
    return html.Div(
        [
            html.Div([_summary(opened) for opened in two_runs], className="two"),
            html.H2("Which concepts changed most?"),
            html.P(f"Left {two_runs[0].name}, right {two_runs[1].name}; largest change first."),
            _concepts(*two_runs),
            html.H2("Which layers know which concepts?"),
            html.P(
                f"The full width is {widest} units in both. Beside each other stand layers of the "
                "same relative depth, from the first that was read to the last."
            ),
            html.Div(
                [
                    html.Section([html.H3(opened.name), stacks(opened, own, widest=widest)])
                    for opened, own in zip(two_runs, by_depth(*bars), strict=True)
                ],
                className="two",
            ),
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
                    ("Generator", short_name(record["generator"]["name"])),
                    ("Segmenter", short_name(record["segmenter"]["name"])),
                    ("Samples", f"{opened.run.config.n_samples:,}"),
                    ("Named units", f"{named:,} of {len(labels):,}"),
                ]
            ),
        ]
    )


def _concepts(a: OpenRun, b: OpenRun) -> Component:
    """For each concept the best unit of either run with its images, largest change first."""
    two_runs = (a, b)
    names = [name for name in a.run.vocabulary.names if name in b.run.vocabulary.names]
    rows = [_Row(name, *(_best(opened, name) for opened in two_runs)) for name in names]
    rows.sort(key=lambda row: -abs(row.change))
    known = [row for row in rows if any(cell is not None and cell.named for cell in row.cells)]
    rest = [row for row in rows if row not in known]
    apart = [
        (opened, [name for name in opened.run.vocabulary.names if name not in names])
        for opened in two_runs
    ]
    people = [second_labels(opened) for opened in two_runs]
    counts = [unit_counts(opened) for opened in two_runs]
    parts: list[Component | None] = [
        html.Ul(
            [_pair(row, two_runs, counts, people) for row in known],
            className="pairs",
            **data_attributes(roving="a"),
        )
        if known
        else empty("No concept that both could mark names a unit of either."),
        _folded(rest, two_runs),
        *(_only(opened, own) for opened, own in apart if own),
    ]
    return html.Div(parts)


@dataclass(frozen=True)
class _Row:
    """A concept and the best unit of each run; None if the concept never occurred."""

    name: str
    a: Cell | None
    b: Cell | None

    @property
    def cells(self) -> tuple[Cell | None, Cell | None]:
        return self.a, self.b

    @property
    def change(self) -> float:
        """IoU of the best unit of the second run minus that of the first; 0 if one has none."""
        if self.a is None or self.b is None:
            return 0.0
        return self.b.iou - self.a.iou


def _pair(
    row: _Row,
    two_runs: Sequence[OpenRun],
    counts: Sequence[Mapping[str, int]],
    people: Sequence[Mapping[tuple[str, int], str]],
) -> Component:
    units = " → ".join(f"{found.get(row.name, 0)}" for found in counts)
    sides = [
        _side(opened, row.name, cell, said)
        for opened, cell, said in zip(two_runs, row.cells, people, strict=True)
    ]
    middle = html.Div(
        [
            html.H3([swatch(_colour(row.name, *two_runs)), row.name]),
            html.B(_signed(row.change), className="pair-change"),
            html.Span("IoU of the best unit", className="quiet"),
            html.Span(f"{units} units", className="quiet"),
        ],
        className="pair-middle",
    )
    return html.Li([sides[0], middle, sides[1]], className="pair")


def _side(
    opened: OpenRun, name: str, cell: Cell | None, people: Mapping[tuple[str, int], str]
) -> Component:
    if cell is None:
        return html.Div(html.P("It never occurred.", className="empty"))
    place = f"{cell.layer} unit {cell.unit}{quoted(people.get((cell.layer, cell.unit), ''))}"
    told = f"{opened.name}, {place}, {name}: IoU {two(cell.iou)}, chance {two(cell.chance)}"
    images = html.Span(
        html.Img(
            className="strip-image",
            alt=f"{told}; its top images",
            height=128,
            **data_attributes(src=strip_url(opened, cell.layer, cell.unit)),
        ),
        className="strip",
    )
    return dcc.Link(
        [
            images,
            html.Span(
                [
                    html.Span(
                        [f"{place}", "" if cell.named else ", not named after it"],
                        className="quiet",
                    ),
                    html.Span(two(cell.iou), className="n"),
                ],
                className="names",
            ),
            bar(cell.iou, cell.chance, _colour(name, opened)),
        ],
        href=unit_href(opened.id, cell.layer, cell.unit),
        className="pair-side" if cell.named else "pair-side pale",
    )


def _folded(rows: Sequence[_Row], two_runs: Sequence[OpenRun]) -> Component | None:
    """Concepts that label no unit in either run, as a folded list."""
    if not rows:
        return None
    label = f"{counted(len(rows), 'concept')} after which neither has a unit"
    items = []
    for row in rows:
        values = " → ".join("–" if cell is None else two(cell.iou) for cell in row.cells)
        items.append(
            html.Li([swatch(_colour(row.name, *two_runs)), f"{row.name}: best IoU {values}"])
        )
    return html.Details([html.Summary(label), html.Ul(items, className="plain-list")])


def _only(opened: OpenRun, names: Sequence[str]) -> Component:
    """Concepts that the other run's segmenter cannot mark, as a folded list."""
    items = [html.Li([swatch(_colour(name, opened)), name]) for name in names]
    label = f"{counted(len(names), 'concept')} that only {opened.name} could mark"
    return html.Details([html.Summary(label), html.Ul(items, className="plain-list many")])


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _colour(name: str, *runs: OpenRun) -> str:
    return next(o.run.vocabulary[name].colour for o in runs if name in o.run.vocabulary.names)


def _best(opened: OpenRun, name: str) -> Cell | None:
    """The unit with the highest IoU that a concept labels, otherwise the nearest unit of all."""
    cells = [cell for cell in cells_of(opened).get(name, []) if cell is not None]
    named = [cell for cell in cells if cell.named]
    return max(named or cells, key=lambda cell: cell.iou, default=None)


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
