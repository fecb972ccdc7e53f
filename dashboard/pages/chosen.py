"""The page ``/run/<run>/chosen``: the user's chosen units side by side, and a form for a list."""

import math
from collections.abc import Sequence
from urllib.parse import unquote, urlencode

import dash_mantine_components as dmc
import pandas as pd
from dash import Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component
from dash.exceptions import PreventUpdate

from dashboard import context
from dashboard.callbacks import shows_errors, text
from dashboard.components.attributes import aria
from dashboard.components.rungs import rung_mark
from dashboard.components.units import cards, counted, empty, label_of, second_label
from dashboard.links import run_href, unit_href
from dashboard.notes.labels import second_labels
from dashboard.pairs import labels_of, measured_of
from dashboard.routing import RunPage, RunVisit
from dashboard.rungs import ranked_labels
from dashboard.store import OpenRun
from dashboard.unit_facts import row_of
from dashboard.unit_filter import UnitFilter, filter_units
from dissect.errors import ConfigError, DissectError, LayerError
from dissect.runs.notes import LIST, LONGEST, LONGEST_AUTHOR, notes_of
from dissect.statistics.columns import Place
from dissect.statistics.registry import columns_in, rows_of

MOST = 48
"""Largest number of units side by side."""


def read_chosen(opened: OpenRun, given: str) -> list[tuple[str, int]]:
    """Units of an address: ``LAYER:UNIT``, percent-encoded, separated by commas.

    Args:
        opened: Their run.
        given: The text. Untrusted.

    Raises:
        LayerError: a layer or unit that the run does not have.
        ConfigError: more than ``MOST``.
    """
    found: dict[tuple[str, int], None] = {}
    for part in filter(None, given.split(",")):
        layer, _, number = part.rpartition(":")
        if not (number.isascii() and number.isdigit() and len(number) < 10):
            raise LayerError(f"units has {part[:40]!r}; expected LAYER:UNIT; choose them again")
        row_of(opened, unquote(layer), int(number))
        found[unquote(layer), int(number)] = None
    if len(found) > MOST:
        raise ConfigError(f"{len(found)} units are chosen; expected up to {MOST}; choose fewer")
    return list(found)


def layout(visit: RunVisit) -> Component:
    """Images and numbers of the units, with links and a form for further steps."""
    opened, given = visit.run, visit.query.get("units", "")
    units = read_chosen(opened, given)
    title = html.H1("Units side by side")
    if not units:
        back = dcc.Link("Units", href=run_href(opened.id, "units"))
        return html.Div([title, empty(["No unit is chosen. Tick some on ", back, "."])])
    known = filter_units(
        ranked_labels(opened),
        UnitFilter(certainty="all", sort="unit"),
        measured_of(opened.run),
        second_labels(opened),
    )
    rows = known.iloc[[row_of(opened, *unit) for unit in units]]
    return html.Div(
        [
            title,
            html.P(_links(opened, units, rows), className="beside"),
            cards(opened, rows, large=len(units) <= 6),
            html.H2("How do their numbers compare?"),
            _table(opened, rows),
            html.H2("Put them into a list"),
            _list_form(opened),
            dcc.Store(id="chosen-run", data=opened.id),
            dcc.Store(id="chosen-units", data=given),
        ]
    )


def _links(
    opened: OpenRun, units: Sequence[tuple[str, int]], rows: pd.DataFrame
) -> list[Component]:
    layers = {layer for layer, _ in units}
    if len(layers) > 1:
        told = "Units of one layer can be ablated and inserted together; these are of several."
        return [html.Span(told, className="quiet")]
    numbers = ", ".join(str(unit) for _, unit in units)
    values = {"layer": units[0][0], "units": numbers}
    named = rows.concept[rows.is_named.to_numpy(bool)].mode()
    concept = {"concept": str(named.iloc[0])} if len(named) else {}
    pages = [
        ("Ablate them", "effects", {"kind": "ablate", **values, **concept}),
        ("Insert them", "effects", {"kind": "insert", **values, **concept}),
        ("Paint with them", "paint", {**values, "concept": ""}),
    ]
    return [
        dcc.Link(label, href=f"{run_href(opened.id, page)}?{urlencode(query)}", className="action")
        for label, page, query in pages
    ]


def _table(opened: OpenRun, rows: pd.DataFrame) -> Component:
    """A column for each unit, a row for each number."""
    head = [
        html.Th(
            dcc.Link(
                f"{row.layer} {row.unit}", href=unit_href(opened.id, str(row.layer), row.unit)
            ),
            scope="col",
        )
        for row in rows_of(rows)
    ]
    lines: list[tuple[str, list]] = [
        ("Concept", [label_of(row) for row in rows_of(rows)]),
        ("People call it", [second_label(row.second) or "–" for row in rows_of(rows)]),
        ("Evidence", [rung_mark(int(row.rung)) for row in rows_of(rows)]),
    ]
    for one in columns_in(Place.DASHBOARD, labels_of(opened)):
        values = [getattr(row, one.name) for row in rows_of(rows)]
        lines.append((one.heading, [_number(value, one.digits) for value in values]))
    body = [
        html.Tr([html.Th(name, scope="row"), *[html.Td(value, className="n") for value in values]])
        for name, values in lines
    ]
    table = html.Table(
        [html.Thead(html.Tr([html.Td(), *head])), html.Tbody(body)], className="side-by-side"
    )
    return html.Div(table, className="scroll", tabIndex=0, role="region", **aria(label="Numbers"))


def _number(value: float, digits: str) -> str:
    if not digits:
        return "yes" if value else "no"
    return "–" if math.isnan(value) else format(float(value), digits)


def _list_form(opened: OpenRun) -> Component:
    try:
        names = sorted(notes_of(opened.run).lists())[:200]
    except DissectError:
        names = []  # the error is shown when a note is stored
    return html.Div(
        [
            html.Div(
                [
                    dmc.Autocomplete(
                        id="chosen-list",
                        label="List",
                        placeholder="a new one, or one there is",
                        data=names,
                        inputProps={"maxLength": LONGEST[LIST]},
                    ),
                    dmc.TextInput(
                        id="chosen-author",
                        label="Your name (optional)",
                        inputProps={"maxLength": LONGEST_AUTHOR},
                        persistence=True,
                        persistence_type="local",
                    ),
                    dmc.Button("Add to list", id="chosen-add", variant="default"),
                ],
                className="controls",
            ),
            html.P(id="chosen-answer", role="status", className="message"),
        ]
    )


def _callbacks(app: Dash) -> None:
    app.callback(
        Output("chosen-answer", "children"),
        Input("chosen-add", "n_clicks"),
        State("chosen-list", "value"),
        State("chosen-author", "value"),
        State("chosen-units", "data"),
        State("chosen-run", "data"),
        prevent_initial_call=True,
    )(shows_errors(_add))


def _add(clicks: object, name: object, author: object, units: object, run_id: object) -> list:
    """Put the units into the list, except those that are already in it."""
    if not clicks:
        raise PreventUpdate
    opened = context.current().store.open(text(run_id))
    notes, name, author = notes_of(opened.run), text(name or ""), text(author or "")
    chosen = read_chosen(opened, text(units))
    there = set(notes.lists().get(name, ()))
    new = [unit for unit in chosen if unit not in there]
    for layer, unit in new or chosen[:1]:  # a unit in the list gives the error for it
        notes.add_to_list(layer, unit, name, author=author)
    href = run_href(opened.id, "notes") + "?" + urlencode({"list": name})
    told = f"{counted(len(new), 'unit')} put into the list "
    return [told, dcc.Link(name, href=href), "."]


PAGE = RunPage("/chosen", "Units side by side", layout, callbacks=_callbacks)
