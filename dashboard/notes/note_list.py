"""A list of notes with their buttons."""

from collections.abc import Iterable
from datetime import UTC, datetime

from dash import dcc, html
from dash.development.base_component import Component

from dashboard.components.attributes import aria
from dashboard.links import unit_href
from dashboard.notes.changes import describe
from dashboard.store import OpenRun
from dissect.runs.notes import LIST, Note

_KINDS = {"label": "Label", "comment": "Comment", "list": "In the list"}


def note_list(
    opened: OpenRun, notes: Iterable[Note], *, prefix: str, with_unit: bool = False
) -> Component:
    """Notes, each with its buttons, whose ids are ``{"type": prefix-delete, "note": id}``.

    Args:
        opened: Their run.
        notes: The notes.
        prefix: Prefix of the buttons' ids.
        with_unit: Whether to show and link the unit of each.
    """
    return html.Ul([_item(opened, note, prefix, with_unit) for note in notes], className="notes")


def _item(opened: OpenRun, note: Note, prefix: str, with_unit: bool) -> Component:
    unit = []
    if with_unit:
        name = f"{note.layer} · unit {note.unit}"
        unit = [dcc.Link(name, href=unit_href(opened.id, note.layer, note.unit))]
    who = [html.Span(note.author)] if note.author else []
    return html.Li(
        [
            html.P(
                [
                    *unit,
                    html.Span(_KINDS[note.kind]),
                    *who,
                    html.Time(_time(note.made), dateTime=_time(note.made, machine=True)),
                ],
                className="note-facts",
            ),
            html.P(note.text, className=f"note-text {note.kind}"),
            html.Div(
                [
                    _button("Edit", prefix, note),
                    _button("Take out" if note.kind == LIST else "Delete", prefix, note),
                ],
                className="note-buttons",
            ),
        ]
    )


def _button(name: str, prefix: str, note: Note) -> Component:
    what = "edit" if name == "Edit" else "delete"
    return html.Button(
        name,
        id={"type": f"{prefix}-{what}", "note": note.id},
        className="plain",
        **aria(label=f"{name}: {describe(note)}"),
    )


def _time(made: float, *, machine: bool = False) -> str:
    when = datetime.fromtimestamp(made, UTC)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ" if machine else "%Y-%m-%d %H:%M UTC")
