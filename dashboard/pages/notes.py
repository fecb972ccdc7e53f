"""The page ``/run/<run>/notes``: all notes of a run, with search, editing and download."""

from collections.abc import Sequence
from dataclasses import dataclass

import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component, ComponentType
from dash.exceptions import PreventUpdate

from dashboard.callbacks import line_of, shows_errors, text
from dashboard.components.attributes import aria
from dashboard.components.units import empty
from dashboard.links import run_href
from dashboard.notes import changes
from dashboard.notes.editor import note_editor
from dashboard.notes.editor import register as register_editor
from dashboard.notes.note_list import note_list
from dashboard.routing import RunPage, RunVisit
from dashboard.store import OpenRun
from dissect.errors import DissectError
from dissect.runs.notes import KINDS, LIST, Note, notes_of, to_csv, to_json

_PREFIX = "notes"
_CONTROLS = ("search", "kind", "list")
_KINDS = {"label": "Labels", "comment": "Comments", "list": "Lists"}
_MOST = 200  # shown at a time; the search finds the others


@dataclass(frozen=True)
class Sought:
    """Filter of the notes.

    Args:
        search: Words that all occur in the text, the author, the layer or the unit's number.
        kind: One of ``KINDS``; "" for all.
        list: Only units of this list; "" for all.
    """

    search: str = ""
    kind: str = ""
    list: str = ""


def layout(visit: RunVisit) -> Component:
    """Controls, then the notes that pass the filter, the latest first."""
    opened = visit.run
    sought = _sought([visit.query.get(name) for name in _CONTROLS])
    return html.Div(
        [
            html.H1("Notes"),
            html.P("What people call the units of this run and say about them."),
            *_body(opened, sought),
        ]
    )


def _body(opened: OpenRun, sought: Sought) -> list[Component]:
    try:
        lists = sorted(notes_of(opened.run).lists())
    except DissectError:
        lists = []
    download = [
        html.Button(name, id=f"notes-{name.lower()}", className="action", **aria(label=label))
        for name, label in (("JSON", "Download JSON"), ("CSV", "Download CSV"))
    ]
    return [
        _controls(sought, lists),
        html.Div(["Download what is shown", *download], className="note-status"),
        dcc.Download(id="notes-download"),
        dcc.Store(id="notes-written"),
        dcc.Store(id="notes-defaults", data=dict.fromkeys(_CONTROLS, "")),
        note_editor(opened, _PREFIX),
        html.Div(results(opened, sought), id="notes-results", className="results"),
    ]


def _controls(sought: Sought, lists: list[str]) -> Component:
    return html.Div(
        [
            dmc.TextInput(id="notes-search", label="Search", value=sought.search, debounce=300),
            dmc.Select(
                id="notes-kind",
                label="Kind",
                data=[{"value": key, "label": _KINDS[key]} for key in KINDS],
                value=sought.kind or None,
                placeholder="All",
                clearable=True,
            ),
            dmc.Select(
                id="notes-list",
                label="Units of the list",
                data=lists[:500],
                value=sought.list if sought.list in lists else None,
                placeholder="All",
                clearable=True,
                searchable=len(lists) > 8,
            ),
        ],
        className="controls",
        role="search",
    )


@shows_errors
def results(opened: OpenRun, sought: Sought) -> Component:
    """The notes that pass the filter, with their number."""
    notes = notes_of(opened.run).all()
    if not notes:
        way = dcc.Link("Units", href=run_href(opened.id, "units"))
        return empty(["There are none yet: open one of the ", way, " and say what you see."])
    found = seek(notes, sought)
    count = f"{len(found):,} of {len(notes):,} notes"
    if len(found) > _MOST:
        count += f"; the latest {_MOST} are shown"
    shown = found[:-_MOST - 1:-1]  # fmt: skip
    return html.Div(
        [
            html.P(count, className="count", role="status"),
            note_list(opened, shown, prefix=_PREFIX, with_unit=True),
        ]
    )


def seek(notes: list[Note], sought: Sought) -> list[Note]:
    """The notes that pass the filter, in their order."""
    listed = {(n.layer, n.unit) for n in notes if n.kind == LIST and n.text == sought.list}
    words = sought.search.lower().split()
    return [
        note
        for note in notes
        if (not sought.kind or note.kind == sought.kind)
        and (not sought.list or (note.layer, note.unit) in listed)
        and all(word in _words(note) for word in words)
    ]


def _words(note: Note) -> str:
    return f"{note.text} {note.author} {note.layer} unit {note.unit}".lower()


def _sought(given: Sequence[object]) -> Sought:
    """Parse the filter from a browser's values; ignores invalid ones."""
    search, kind, name = (one[:200] if isinstance(one, str) else "" for one in given)
    return Sought(search, kind if kind in KINDS else "", name)


def _callbacks(app: Dash) -> None:
    register_editor(app, _PREFIX)
    values = [Input(f"notes-{name}", "value") for name in _CONTROLS]

    @app.callback(
        Output("notes-results", "children"),
        values,
        Input("notes-changed", "data"),
        State("notes-run", "data"),
        prevent_initial_call=True,
    )
    @shows_errors
    def show(*given: object) -> ComponentType:
        return results(changes.opened_by(given[-1]), _sought(given[: len(_CONTROLS)]))

    app.clientside_callback(
        ClientsideFunction("dissect", "writeQuery"),
        Output("notes-written", "data"),
        values,
        State("notes-defaults", "data"),
        prevent_initial_call=True,
    )

    @app.callback(
        Output("notes-download", "data"),
        Output("notes-status", "children", allow_duplicate=True),
        Input("notes-json", "n_clicks"),
        Input("notes-csv", "n_clicks"),
        State("notes-run", "data"),
        *[State(value.component_id, "value") for value in values],
        prevent_initial_call=True,
    )
    def download(*given: object) -> tuple:
        used = changes.clicked()
        if used not in ("notes-json", "notes-csv"):
            raise PreventUpdate
        try:
            opened = changes.opened_by(text(given[2]))
            notes = seek(notes_of(opened.run).all(), _sought(given[3:]))
        except DissectError as error:
            return no_update, line_of(error)
        if used == "notes-csv":
            content, kind, ending = to_csv(notes), "text/csv", "csv"
        else:
            content, kind, ending = to_json(notes, run=opened.name), "application/json", "json"
        name = f"{opened.id}-notes.{ending}"
        return {"content": content, "filename": name, "type": kind, "base64": False}, ""


PAGE = RunPage("/notes", "Notes", layout, callbacks=_callbacks, navigation="Notes", order=70)
