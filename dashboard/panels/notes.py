"""Panel of a unit's page: what people call it and say about it."""

import time

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component
from dash.exceptions import PreventUpdate

from dashboard.callbacks import line_of, problem, text, told
from dashboard.components.units import second_label
from dashboard.links import run_href
from dashboard.notes import changing
from dashboard.notes.listing import note_list
from dashboard.notes.reading import second_labels
from dashboard.notes.working import register as register_working
from dashboard.notes.working import working
from dashboard.routing import Panel, UnitVisit
from dashboard.store import OpenRun
from dissect.errors import ConfigError, DissectError
from dissect.runs.notes import COMMENT, LABEL, LIST, LONGEST, LONGEST_AUTHOR, Note, Notes, notes_of

_PREFIX = "noting"
_FIELDS = (LABEL, COMMENT, LIST)


def build(visit: UnitVisit) -> Component:
    """The panel."""
    opened = visit.visit.run
    own = {"layer": visit.layer, "unit": visit.unit}
    try:
        names = sorted(notes_of(opened.run).lists())
    except DissectError:
        names = []  # what is the matter stands where the notes would
    return html.Div(
        [
            dcc.Store(id="noting-unit", data=own),
            _fields(names),
            working(opened, _PREFIX),
            html.Div(_found(opened, visit.layer, visit.unit), id="noting-found"),
            html.P(dcc.Link("All notes of this run", href=run_href(opened.id, "notes"))),
        ]
    )


def _fields(names: list[str]) -> Component:
    def row(field: Component, button: str, kind: str) -> Component:
        add = dmc.Button(button, id=f"noting-add-{kind}", variant="default")
        return html.Div([field, add], className="note-field")

    return html.Div(
        [
            row(
                dmc.TextInput(
                    id="noting-label",
                    label="What do you call it?",
                    debounce=True,  # else Enter may come before the last letters
                    inputProps={"maxLength": LONGEST[LABEL]},
                ),
                "Save label",
                LABEL,
            ),
            row(
                dmc.Autocomplete(
                    id="noting-list",
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
                    id="noting-comment",
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
                id="noting-author",
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
    register_working(app, _PREFIX)
    app.callback(
        *[Output(f"noting-{kind}", "value") for kind in _FIELDS],
        Output("noting-status", "children", allow_duplicate=True),
        Output("noting-back", "children", allow_duplicate=True),
        Output("noting-changed", "data", allow_duplicate=True),
        *[Input(f"noting-add-{kind}", "n_clicks") for kind in _FIELDS],
        Input("noting-label", "n_submit"),
        *[State(f"noting-{kind}", "value") for kind in (*_FIELDS, "author")],
        State("noting-run", "data"),
        State("noting-unit", "data"),
        prevent_initial_call=True,
    )(_add)

    @app.callback(
        Output("noting-found", "children"),
        Output("unit-second", "children"),
        Output("noting-list", "data"),
        Input("noting-changed", "data"),
        State("noting-run", "data"),
        State("noting-unit", "data"),
        prevent_initial_call=True,
    )
    def show(changed: object, run_id: object, unit: object) -> tuple:
        try:
            opened = changing.opened_by(run_id)
            layer, number = _unit(unit)
            names = sorted(notes_of(opened.run).lists())[:200]
        except DissectError as error:
            return problem(error), no_update, no_update
        second = second_label(second_labels(opened).get((layer, number), ""))
        return _found(opened, layer, number), second, names


def _add(*given: object) -> tuple:
    used = changing.clicked()
    kinds = {f"noting-add-{kind}": kind for kind in _FIELDS} | {"noting-label": LABEL}
    if used not in kinds:
        raise PreventUpdate
    kind = kinds[used]
    *texts, author = given[len(kinds) : len(kinds) + len(_FIELDS) + 1]
    run_id, unit = given[-2:]
    try:
        notes = notes_of(changing.opened_by(run_id).run)
        written = text(texts[_FIELDS.index(kind)] or "")
        note = _write(notes, kind, *_unit(unit), written, text(author or ""))
    except DissectError as error:
        return *[no_update] * len(_FIELDS), line_of(error), None, no_update
    emptied = ["" if field == kind else no_update for field in _FIELDS]
    return *emptied, f"Saved the {changing.told(note)}.", None, time.time()


def _write(notes: Notes, kind: str, layer: str, unit: int, written: str, author: str) -> Note:
    write = {LABEL: notes.label, COMMENT: notes.comment, LIST: notes.add_to_list}[kind]
    return write(layer, unit, written, author=author)


def _unit(given: object) -> tuple[str, int]:
    layer, unit = (given.get(n) for n in ("layer", "unit")) if isinstance(given, dict) else (0, 0)
    if not isinstance(layer, str) or type(unit) is not int:
        raise ConfigError("this is no unit; reload the page")
    return layer, unit


@told
def _found(opened: OpenRun, layer: str, unit: int) -> Component:
    notes = notes_of(opened.run).of(layer, unit)
    if not notes:
        return html.P("Nobody has said anything about it yet.", className="quiet")
    return note_list(opened, reversed(notes), prefix=_PREFIX)


PANEL = Panel("What do people say about it?", build, callbacks=register, order=50)
