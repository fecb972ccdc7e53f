"""Every run found, whatever state it is in."""

from collections.abc import Iterable

from dash import dcc, html
from dash.development.base_component import Component

from dashboard.components.units import empty
from dashboard.links import compare_href, run_href
from dashboard.routing import Page, Visit
from dashboard.store import Entry


def layout(visit: Visit) -> Component:
    """The list, newest first."""
    entries = visit.context.store.entries()
    whole = [entry for entry in entries if not entry.problem]
    parts: list[object] = [
        html.H1("Runs"),
        html.P("Each run opened one generator and says which of its units draw what."),
    ]
    if not entries:
        text = "There is no run in this folder yet. dissect demo makes one in a minute; "
        parts.append(empty([text, html.Code("dissect run … --out FOLDER/NAME"), " makes others."]))
        return html.Div(parts)
    newest = sorted(entries, key=lambda entry: entry.record.get("created", ""), reverse=True)
    parts.append(html.Ul([_row(entry) for entry in newest], className="rows"))
    if len(whole) > 1:
        first, second = (entry.id for entry in [e for e in newest if not e.problem][:2])
        href = compare_href(first, second)
        parts.append(html.P(dcc.Link("Compare two runs", href=href, className="action")))
    return html.Div(parts)


def _row(entry: Entry) -> Component:
    if entry.problem:
        content = [
            html.B(entry.name),
            html.Span(f"cannot be opened: {entry.problem}", className="failed"),
        ]
        return html.Li(content)
    return html.Li(
        [
            dcc.Link(entry.name, href=run_href(entry.id), className="run-name"),
            html.Span(" · ".join(_told(entry.record)), className="quiet"),
            html.Span(_disk(entry), className="n"),
        ]
    )


def _told(record: dict) -> Iterable[str]:
    layers = record["generator"]["layers"]
    yield str(record["generator"].get("name", "?"))
    yield f"{sum(shape[0] for shape in layers.values()):,} units of {len(layers)} layers"
    yield f"{record['config']['n_samples']:,} samples"
    yield f"{record['segmenter'].get('name', '?')} segmenter"
    yield str(record["created"])[:10]


def _disk(entry: Entry) -> str:
    try:
        size = sum(int(file["bytes"]) for file in entry.record["files"].values())
    except (KeyError, TypeError, ValueError, AttributeError):
        return "–"
    return f"{size / 1e6:,.1f} MB"


PAGE = Page("/", "Runs", layout, navigation="Runs", order=0)
