"""The page ``/run/<run>/units``: units, filtered and sorted, as pictures or as a table."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict

import dash_mantine_components as dmc
import pandas as pd
from dash import (
    ALL,
    MATCH,
    ClientsideFunction,
    Dash,
    Input,
    Output,
    State,
    dcc,
    html,
)
from dash.development.base_component import Component
from dash.exceptions import PreventUpdate

from dashboard import context
from dashboard.callbacks import shows_errors, text
from dashboard.components.attributes import aria, data_attributes
from dashboard.components.unit_table import BLOCK, chosen, header_sorts, rows, unit_table
from dashboard.components.units import card_data, cards, empty
from dashboard.components.words import by_words
from dashboard.components.words import register as register_words
from dashboard.links import run_href
from dashboard.notes.labels import second_labels
from dashboard.pairs import labels_of, ladder_of, measured_of
from dashboard.routing import RunPage, RunVisit
from dashboard.rungs import ranked_labels
from dashboard.store import OpenRun
from dashboard.unit_filter import (
    FACETS,
    SIZES,
    STEP,
    VIEWS,
    UnitFilter,
    count_facets,
    filter_units,
    list_query,
    read_filter,
    sorts,
)
from dissect.errors import DissectError

_CONTROLS = tuple(asdict(UnitFilter()))
_CERTAINTIES = {
    "all": "All units",
    "matches": "Match at least",
    "named": "Named",
    "sure": "Named, both halves agree",
    "causal": "Causal",
    "unnamed": "Named after nothing",
}
_TITLES = {"certainty": "Evidence"}  # titles of facets; the default is the name
_NARROW = 960  # pixels; facets are folded below this width


def layout(visit: RunVisit) -> Component:
    """Controls, then the chosen units."""
    opened = visit.run
    unit_filter = read_filter(visit.query)
    return html.Div(
        [
            html.H1("Units"),
            _controls(opened, unit_filter),
            dcc.Store(id="units-run", data=opened.id),
            dcc.Store(id="units-asker", data=f"units-{uuid.uuid4()}"),
            dcc.Store(id="units-most", data=unit_filter.most),
            *[dcc.Store(id=f"units-{name}", data=getattr(unit_filter, name)) for name in FACETS],
            dcc.Store(id="units-defaults", data=asdict(UnitFilter())),
            dcc.Store(id="units-headers", data=header_sorts(opened)),
            dcc.Store(id="units-written"),
            dcc.Store(id="units-next"),
            dcc.Store(id="units-drawn"),
            html.Div(
                html.Div(results(opened, unit_filter), id="units-results", className="results"),
                id="units-body",
                className=f"units-body size-{unit_filter.size}",
            ),
            _picks(opened),
        ]
    )


def _picks(opened: OpenRun) -> Component:
    """The bar of ticked units, which units.js fills."""
    home = json.dumps({"run": opened.id, "home": run_href(opened.id)})
    return html.Div(className="picks", hidden=True, **data_attributes(picks=home))


def results(opened: OpenRun, unit_filter: UnitFilter) -> Component:
    """The chosen units as a grid or table, with their number."""
    found = chosen(opened, unit_filter)
    return html.Div(
        [_facets(opened, unit_filter), html.Div(_listed(opened, unit_filter, found))],
        className="units-page",
    )


def _listed(opened: OpenRun, unit_filter: UnitFilter, found: pd.DataFrame) -> list[Component]:
    count: Component = html.P(_count(opened, len(found)), className="count", role="status")
    if unit_filter.layer in opened.run.layers:
        count = html.Div([html.P(ladder_of(opened, [unit_filter.layer])), count])
    if not len(found):
        return [count, _nothing(opened, unit_filter)]
    if unit_filter.view == "table":
        return [count, unit_table(opened, unit_filter, len(found))]
    shown = found.head(unit_filter.most)
    label, hidden = _more(len(shown), len(found))
    more = html.Button(label, id="units-more", className="action", hidden=hidden)
    grid = cards(opened, shown, query=list_query(unit_filter), pickable=True)
    return [count, html.Div(grid, id="units-grid"), more]


def _facets(opened: OpenRun, unit_filter: UnitFilter) -> Component:
    """The available filters, each with its number of units; units.js draws them."""
    counts = count_facets(
        ranked_labels(opened), unit_filter, measured_of(opened.run), second_labels(opened)
    )
    boxes = []
    for facet in FACETS:
        value, found = getattr(unit_filter, facet), counts[facet]
        keys = list(found)
        if facet == "certainty":
            keys = [key for key in _CERTAINTIES if found[key] or key in ("all", value)]
        elif facet != "layer":  # layers keep the order of the run
            keys = [keys[0], *sorted(keys[1:], key=lambda key: -found[key])]
        if value not in keys:
            keys.append(value)
        options = [_option(opened, facet, key, found.get(key, 0)) for key in keys]
        data = {
            "name": facet,
            "title": _TITLES.get(facet, facet.capitalize()),
            "value": value,
            "options": options,
        }
        boxes.append(html.Div(className="facet", **data_attributes(facet=json.dumps(data))))
    summary = html.Summary("Evidence, layer, concept, category", className="action")
    values = data_attributes(unfold=_NARROW)
    return html.Details([summary, *boxes], className="units-side", **values)


def _option(opened: OpenRun, facet: str, key: str, count: int) -> dict[str, str]:
    label = _CERTAINTIES[key] if facet == "certainty" else key or "All"
    names = opened.run.vocabulary.names
    colour = opened.run.vocabulary[key].colour if facet == "concept" and key in names else ""
    return {"key": key, "label": label, "count": f"{count:,}", "colour": colour}


def _more(n_shown: int, n_found: int) -> tuple[str, bool]:
    """Label of the button below the grid, and whether it is hidden."""
    return f"Show {min(STEP, n_found - n_shown)} more", n_shown >= n_found


def _count(opened: OpenRun, n_found: int) -> str:
    n_units = len(labels_of(opened))
    return f"{n_found:,} of {n_units:,} units"


def _nothing(opened: OpenRun, unit_filter: UnitFilter) -> Component:
    hint = "No unit is like that. "
    known = {"layer": opened.run.layers, "concept": opened.run.vocabulary.names}
    unknown = [
        f"The run has no {kind} {getattr(unit_filter, kind)[:60]!r}; "
        for kind, names in known.items()
        if getattr(unit_filter, kind) and getattr(unit_filter, kind) not in names
    ]
    if unknown:
        hint += unknown[0]
    elif unit_filter.certainty != "all":
        hint += "Units that are named after nothing are hidden; "
    link = html.A("show all units", href=run_href(opened.id, "units") + "?certainty=all")
    nothing = empty([hint, link, "."])
    # Words that mean no unit may still tell what the images of units show.
    alone = UnitFilter(certainty="all", search=unit_filter.search)
    meant = filter_units(labels_of(opened), alone, second=second_labels(opened))
    if not alone.search or len(meant):
        return nothing
    return html.Div([nothing, *by_words(opened, unit_filter.search)])


def _controls(opened: OpenRun, unit_filter: UnitFilter) -> Component:
    orders = {name: sort.title for name, sort in sorts().items()}
    return html.Div(
        [
            dmc.TextInput(
                id="units-search",
                label="Search",
                placeholder="windows, b16, b16.conv1:7",
                value=unit_filter.search,
                debounce=300,
            ),
            dmc.NumberInput(
                id="units-iou",
                label="IoU at least",
                value=unit_filter.iou,
                min=0,
                max=1,
                step=0.05,
                decimalScale=2,
                debounce=300,
            ),
            dmc.Select(
                id="units-sort",
                label="Sort by",
                data=[{"value": name, "label": title} for name, title in orders.items()],
                value=unit_filter.sort,
                allowDeselect=False,
                searchable=True,
            ),
            html.Div(
                [
                    dmc.Checkbox(
                        id="units-measured", label="Effect measured", checked=unit_filter.measured
                    ),
                    dmc.Checkbox(
                        id="units-reverse", label="Reverse order", checked=unit_filter.reverse
                    ),
                    dmc.SegmentedControl(
                        id="units-view",
                        data=[{"value": view, "label": view.capitalize()} for view in VIEWS],
                        value=unit_filter.view,
                        **aria(label="Pictures or a table"),
                    ),
                    dmc.SegmentedControl(
                        id="units-size",
                        data=[{"value": size, "label": size.capitalize()} for size in SIZES],
                        value=unit_filter.size,
                        **aria(label="Size of the pictures"),
                    ),
                    html.A("Clear", href=run_href(opened.id, "units")),
                ],
                className="switches",
            ),
        ],
        className="controls",
        role="search",
    )


def _callbacks(app: Dash) -> None:
    register_words(app)
    held_in = {"measured": "checked", "reverse": "checked", "most": "data"}
    held_in |= dict.fromkeys(FACETS, "data")
    # Adding cards to the grid and changing their size, a style, do not redraw it.
    quiet = ("units-most", "units-size")
    values = [Input(f"units-{name}", held_in.get(name, "value")) for name in _CONTROLS]

    @app.callback(
        Output("units-results", "children"),
        *[
            State(value.component_id, value.component_property)
            if value.component_id in quiet
            else value
            for value in values
        ],
        State("units-run", "data"),
        prevent_initial_call=True,
    )
    @shows_errors
    def show(*given: object) -> Component:
        opened = context.current().store.open(text(given[-1]))
        return results(opened, read_filter(_named(given)))

    app.clientside_callback(
        ClientsideFunction("dissect", "writeQuery"),
        Output("units-written", "data"),
        values,
        State("units-defaults", "data"),
        prevent_initial_call=True,
    )

    @app.callback(
        Output("units-next", "data"),
        Output("units-more", "children"),
        Output("units-more", "hidden"),
        Output("units-most", "data"),
        Input("units-more", "n_clicks"),
        State("units-run", "data"),
        *[State(value.component_id, value.component_property) for value in values],
        prevent_initial_call=True,
    )
    def show_more(clicks: object, run_id: object, *given: object) -> tuple:
        if not clicks:
            raise PreventUpdate
        try:
            opened = context.current().store.open(text(run_id))
        except DissectError:
            raise PreventUpdate from None  # the page itself shows that its run is gone
        unit_filter = read_filter(_named(given))
        found, start = chosen(opened, unit_filter), unit_filter.most
        shown = found.iloc[start : start + STEP]
        added = card_data(opened, shown, query=list_query(unit_filter), pickable=True)
        return added, *_more(start + len(shown), len(found)), start + STEP

    app.clientside_callback(
        ClientsideFunction("dissect", "cardSize"),
        Output("units-body", "className"),
        Input("units-size", "value"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("dissect", "appendCards"),
        Output("units-drawn", "data"),
        Input("units-next", "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("dissect", "sortedBy"),
        Output("units-sort", "value"),
        Output("units-reverse", "checked"),
        Input({"type": "units-table", "run": ALL, "query": ALL}, "getRowsRequest"),
        State("units-headers", "data"),
        State("units-sort", "value"),
        State("units-reverse", "checked"),
        prevent_initial_call=True,
    )
    table = {"type": "units-table", "run": MATCH, "query": MATCH}

    @app.callback(
        Output(table, "getRowsResponse"),
        Input(table, "getRowsRequest"),
        State("units-run", "data"),
        *[State(value.component_id, value.component_property) for value in values],
    )
    def fetch(request: object, run_id: object, *given: object) -> dict[str, object]:
        if not isinstance(request, dict):
            raise PreventUpdate
        start, stop = (request.get(name) for name in ("startRow", "endRow"))
        if not (isinstance(start, int) and isinstance(stop, int)):
            raise PreventUpdate
        try:
            opened = context.current().store.open(text(run_id))
        except DissectError:
            return {"rowData": [], "rowCount": 0}  # the page shows the error
        unit_filter = read_filter(_named(given))
        start = max(start, 0)
        stop = min(max(stop, start), start + 2 * BLOCK)
        return {
            "rowData": rows(opened, unit_filter, start, stop),
            "rowCount": len(chosen(opened, unit_filter)),
        }


def _named(given: Sequence[object]) -> dict[str, object]:
    """Values of the controls by name."""
    return dict(zip(_CONTROLS, given, strict=False))


PAGE = RunPage("/units", "Units", layout, callbacks=_callbacks, navigation="Units", order=20)
