"""The page ``/run/<run>/units``: units, filtered and sorted, as pictures or as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import dash_mantine_components as dmc
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
from dashboard.components.unit_table import BLOCK, chosen, header_sorts, rows, unit_table
from dashboard.components.units import card_data, cards, empty
from dashboard.links import run_href
from dashboard.pairs import labels_of, ladder_of
from dashboard.routing import RunPage, RunVisit
from dashboard.store import OpenRun
from dashboard.unit_filter import STEP, VIEWS, UnitFilter, list_query, read_filter, sorts
from dissect.errors import DissectError
from segmenters.vocabulary import CATEGORIES

_CONTROLS = tuple(asdict(UnitFilter()))
_CERTAINTIES = {
    "matches": "Match at least",
    "named": "Named",
    "sure": "Named, both halves agree",
    "causal": "Causal",
    "unnamed": "Named after nothing",
    "all": "All units",
}


def layout(visit: RunVisit) -> Component:
    """Controls, then the chosen units."""
    opened = visit.run
    unit_filter = read_filter(visit.query)
    return html.Div(
        [
            html.H1("Units"),
            _controls(opened, unit_filter),
            dcc.Store(id="units-run", data=opened.id),
            dcc.Store(id="units-most", data=unit_filter.most),
            dcc.Store(id="units-defaults", data=asdict(UnitFilter())),
            dcc.Store(id="units-headers", data=header_sorts(opened)),
            dcc.Store(id="units-written"),
            dcc.Store(id="units-next"),
            dcc.Store(id="units-drawn"),
            html.Div(results(opened, unit_filter), id="units-results", className="results"),
        ]
    )


def results(opened: OpenRun, unit_filter: UnitFilter) -> Component:
    """The chosen units as a grid or table, with their number."""
    found = chosen(opened, unit_filter)
    count: Component = html.P(_count(opened, len(found)), className="count", role="status")
    if unit_filter.layer in opened.run.layers:
        count = html.Div([html.P(ladder_of(opened, [unit_filter.layer])), count])
    if not len(found):
        return html.Div([count, _nothing(opened, unit_filter)])
    if unit_filter.view == "table":
        return html.Div([count, unit_table(opened, unit_filter, len(found))])
    shown = found.head(unit_filter.most)
    label, hidden = _more(len(shown), len(found))
    more = html.Button(label, id="units-more", className="action", hidden=hidden)
    grid = cards(opened, shown, query=list_query(unit_filter))
    return html.Div([count, html.Div(grid, id="units-grid"), more])


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
    return empty([hint, link, "."])


def _controls(opened: OpenRun, unit_filter: UnitFilter) -> Component:
    vocabulary = opened.run.vocabulary
    categories = [c for c in CATEGORIES if any(concept.category == c for concept in vocabulary)]
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
            _select("layer", "Layer", list(opened.run.layers), unit_filter.layer),
            _select("concept", "Concept", list(vocabulary.names), unit_filter.concept),
            _select("category", "Category", categories, unit_filter.category),
            _select("certainty", "Certainty", _CERTAINTIES, unit_filter.certainty, clearable=False),
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
            _select("sort", "Sort by", orders, unit_filter.sort, clearable=False),
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
                    ),
                    html.A("Clear", href=run_href(opened.id, "units")),
                ],
                className="switches",
            ),
        ],
        className="controls",
        role="search",
    )


def _select(
    name: str,
    label: str,
    options: Sequence[str] | Mapping[str, str],
    value: str,
    *,
    clearable: bool = True,
) -> Component:
    named = options.items() if isinstance(options, Mapping) else zip(options, options, strict=True)
    return dmc.Select(
        id=f"units-{name}",
        label=label,
        data=[{"value": key, "label": label} for key, label in named],
        value=value or None,
        placeholder="All",
        clearable=clearable,
        allowDeselect=clearable,
        searchable=len(options) > 8,
    )


def _callbacks(app: Dash) -> None:
    held_in = {"measured": "checked", "reverse": "checked", "most": "data"}
    most = "units-most"  # its pages are added to the grid without redrawing it
    values = [Input(f"units-{name}", held_in.get(name, "value")) for name in _CONTROLS]

    @app.callback(
        Output("units-results", "children"),
        *[value if value.component_id != most else State(most, "data") for value in values],
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
        added = card_data(opened, shown, query=list_query(unit_filter))
        return added, *_more(start + len(shown), len(found)), start + STEP

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
