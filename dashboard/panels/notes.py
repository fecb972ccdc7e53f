"""Panel of a unit's page: its notes."""

import time

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component
from dash.exceptions import PreventUpdate

from dashboard.callbacks import line_of, problem, shows_errors, text
from dashboard.components.units import second_label
from dashboard.links import run_href
from dashboard.notes import changes
from dashboard.notes.editor import note_editor
from dashboard.notes.editor import register as register_editor
from dashboard.notes.labels import second_labels
from dashboard.notes.note_list import note_list
from dashboard.routing import Panel, UnitVisit
from dashboard.store import OpenRun
from dissect.errors import ConfigError, DissectError
from dissect.runs.notes import (
    COMMENT,
    LABEL,
    LIST,
    LONGEST,
    LONGEST_AUTHOR,
    Note,
    Notes,
    checked_author,
    notes_of,
)

_PREFIX = "unit-notes"
_FIELDS = (LABEL, COMMENT, LIST)


def build(visit: UnitVisit) -> Component:
    """The panel."""
    opened = visit.run
    own = {"layer": visit.layer, "unit": visit.unit}
    try:
        names = sorted(notes_of(opened.run).lists())
    except DissectError:
        names = []  # the error is shown in place of the notes
    return html.Div(
        [
            dcc.Store(id="unit-notes-unit", data=own),
            dcc.Store(id="unit-notes-labels", data=_labels(opened, visit.layer, visit.unit)),
            _fields(names),
            note_editor(opened, _PREFIX),
            html.Div(_found(opened, visit.layer, visit.unit), id="unit-notes-found"),
            html.P(dcc.Link("All notes of this run", href=run_href(opened.id, "notes"))),
        ]
    )


def _fields(names: list[str]) -> Component:
    def row(field: Component, button: str, kind: str) -> Component:
        add = dmc.Button(button, id=f"unit-notes-add-{kind}", variant="default")
        return html.Div([field, add], className="note-field")

    return html.Div(
        [
            row(
                dmc.TextInput(
                    id="unit-notes-label",
                    label="What do you call it?",
                    debounce=True,  # otherwise Enter may miss the last letters
                    inputProps={"maxLength": LONGEST[LABEL]},
                ),
                "Save label",
                LABEL,
            ),
            row(
                dmc.Autocomplete(
                    id="unit-notes-list",
                    label="List",
                    placeholder="a new one, or one there is",
                    data=names[:200],
                    inputProps={"maxLength": LONGEST[LIST]},
                ),
                "Add to list",
                LIST,
            ),
            row(
                dmc.Textarea(
                    id="unit-notes-comment",
                    label="Comment",
                    debounce=True,
                    autosize=True,
                    minRows=1,
                    maxRows=12,
                    inputProps={"maxLength": LONGEST[COMMENT]},
                ),
                "Add comment",
                COMMENT,
            ),
            dmc.TextInput(
                id="unit-notes-author",
                label="Your name (optional, kept in this browser)",
                inputProps={"maxLength": LONGEST_AUTHOR},
                persistence=True,
                persistence_type="local",
            ),
        ],
        className="note-fields",
    )


def register(app: Dash) -> None:
    """Register its callbacks."""
    register_editor(app, _PREFIX)
    app.callback(
        *[Output(f"unit-notes-{kind}", "value") for kind in _FIELDS],
        Output("unit-notes-status", "children", allow_duplicate=True),
        Output("unit-notes-back", "children", allow_duplicate=True),
        Output("unit-notes-changed", "data", allow_duplicate=True),
        *[Input(f"unit-notes-add-{kind}", "n_clicks") for kind in _FIELDS],
        Input("unit-notes-label", "n_submit"),
        *[State(f"unit-notes-{kind}", "value") for kind in (*_FIELDS, "author")],
        State("unit-notes-run", "data"),
        State("unit-notes-unit", "data"),
        State("unit-notes-labels", "data"),
        prevent_initial_call=True,
    )(_add)

    @app.callback(
        Output("unit-notes-found", "children"),
        Output("unit-second", "children"),
        Output("unit-notes-list", "data"),
        Output("unit-notes-labels", "data"),
        Input("unit-notes-changed", "data"),
        State("unit-notes-run", "data"),
        State("unit-notes-unit", "data"),
        prevent_initial_call=True,
    )
    def show(changed: object, run_id: object, unit: object) -> tuple:
        try:
            opened = changes.opened_by(run_id)
            layer, number = _unit(unit)
            names = sorted(notes_of(opened.run).lists())[:200]
        except DissectError as error:
            return problem(error), no_update, no_update, no_update
        second = second_label(second_labels(opened).get((layer, number), ""))
        return _found(opened, layer, number), second, names, _labels(opened, layer, number)


def _add(*given: object) -> tuple:
    used = changes.clicked()
    kinds = {f"unit-notes-add-{kind}": kind for kind in _FIELDS} | {"unit-notes-label": LABEL}
    kind = kinds.get(used) if isinstance(used, str) else None
    if kind is None:
        raise PreventUpdate
    *texts, author = given[len(kinds) : len(kinds) + len(_FIELDS) + 1]
    run_id, unit, labels = given[-3:]
    try:
        notes = notes_of(changes.opened_by(run_id).run)
        written = text(texts[_FIELDS.index(kind)] or "")
        note = _write(notes, kind, *_unit(unit), written, text(author or ""), labels)
    except DissectError as error:
        # Redrawn, to show what others wrote meanwhile.
        return *[no_update] * len(_FIELDS), line_of(error), None, time.time()
    emptied = ["" if field == kind else no_update for field in _FIELDS]
    return *emptied, f"Saved the {changes.describe(note)}.", None, time.time()


def _write(
    notes: Notes, kind: str, layer: str, unit: int, written: str, author: str, labels: object
) -> Note:
    """Store a note; a label only replaces the one that the page showed."""
    if kind == LABEL:
        seen = labels.get(checked_author(author), "") if isinstance(labels, dict) else ""
        return notes.label(layer, unit, written, author=author, was=str(seen))
    write = {COMMENT: notes.comment, LIST: notes.add_to_list}[kind]
    return write(layer, unit, written, author=author)


def _labels(opened: OpenRun, layer: str, unit: int) -> dict[str, str]:
    """The label of each author, as the page shows them; {} if notes cannot be read."""
    try:
        notes = notes_of(opened.run).of(layer, unit)
    except DissectError:
        return {}
    return {note.author: note.text for note in notes if note.kind == LABEL}


def _unit(given: object) -> tuple[str, int]:
    layer, unit = (given.get(n) for n in ("layer", "unit")) if isinstance(given, dict) else (0, 0)
    if not isinstance(layer, str) or type(unit) is not int:
        raise ConfigError("this is not a unit; reload the page")
    return layer, unit


@shows_errors
def _found(opened: OpenRun, layer: str, unit: int) -> Component:
    notes = notes_of(opened.run).of(layer, unit)
    if not notes:
        return html.P("Nobody has said anything about it yet.", className="quiet")
    return note_list(opened, reversed(notes), prefix=_PREFIX)


PANEL = Panel("What do people say about it?", build, callbacks=register, order=50)
