"""The list of runs: its rows, its filters, and the link that compares two."""

from collections.abc import Iterable, Mapping, Sequence

import dash_mantine_components as dmc
from dash import dcc, html
from dash.development.base_component import Component

from dashboard.components.attributes import aria_of
from dashboard.components.units import counted, empty
from dashboard.links import compare_href, run_href
from dashboard.store import Entry


def run_list(
    entries: Sequence[Entry],
    tags: Mapping[str, Sequence[str]],
    sizes: Mapping[str, int],
    *,
    free: int | None = None,
    search: object = "",
    tag: object = None,
) -> list[Component]:
    """The runs that are chosen, newest first.

    Args:
        entries: Every run there is.
        tags: Id of a run → its tags.
        sizes: Id of a run → its bytes.
        free: Bytes of the disk that nothing takes.
        search: Words that all have to occur. Untrusted.
        tag: That a run has to have; "" or None for any. Untrusted.
    """
    if not entries:
        text = "There is no run in this folder yet. dissect demo makes one in a minute; "
        more = " makes others, and so does the form below."
        return [empty([text, html.Code("dissect run … --out FOLDER/NAME"), more])]
    words = search.lower().split() if isinstance(search, str) else []
    chosen = [
        entry
        for entry in _newest(entries)
        if (not tag or tag in tags.get(entry.id, ()))
        and all(word in _searched(entry, tags) for word in words)
    ]
    if not chosen:
        return [empty("No run is like that; empty the fields above to see all.")]
    count = f"{len(chosen)} of {len(entries)} runs, {_megabytes(sum(sizes.values()))} on disk"
    if free is not None:
        count += f"; {free / 1e9:,.1f} GB free"
    rows = [_row(entry, tags.get(entry.id, ()), sizes[entry.id]) for entry in chosen]
    return [html.P(count, className="count"), html.Ul(rows, className="rows")]


def run_choice(known: Sequence[str], *, search: str, tag: str) -> Component:
    """What chooses among the runs.

    Args:
        known: Tags that there are.
        search, tag: As the address has them.
    """
    return html.Div(
        [
            dmc.TextInput(id="runs-search", label="Find a run", value=search, debounce=250),
            dmc.Select(
                id="runs-tag", label="Tag", data=list(known), value=tag if tag in known else None,
                clearable=True, placeholder="any", **aria_of("clearButtonProps", label="Any tag"),
            ),
        ],
        className="controls",
    )  # fmt: skip


def compare_link(entries: Iterable[Entry]) -> Component | None:
    """To the newest two runs side by side."""
    whole = [entry.id for entry in _newest(entries) if not entry.problem]
    if len(whole) < 2:
        return None
    href = compare_href(whole[0], whole[1])
    return html.P(dcc.Link("Compare two runs", href=href, className="action"))


def run_names(entries: Iterable[Entry]) -> list[dict]:
    """What a field to choose a run offers."""
    return [{"value": entry.id, "label": entry.name} for entry in _newest(entries)]


def _newest(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.record.get("created", ""), reverse=True)


def _searched(entry: Entry, tags: Mapping[str, Sequence[str]]) -> str:
    facts = () if entry.problem else _summary(entry.record)
    return " ".join([entry.name, *facts, *tags.get(entry.id, ())]).lower()


def _row(entry: Entry, tags: Iterable[str], size: int) -> Component:
    marks = [html.Span(tag, className="tag") for tag in tags]
    if entry.problem:
        content = [
            html.B(entry.name),
            html.Span([f"cannot be opened: {entry.problem}", *marks], className="failed"),
        ]
        return html.Li(content)
    return html.Li(
        [
            dcc.Link(entry.name, href=run_href(entry.id), className="run-name"),
            html.Span([" · ".join(_summary(entry.record)), *marks], className="quiet"),
            html.Span(_megabytes(size), className="n"),
        ]
    )


def _summary(record: dict) -> Iterable[str]:
    layers = record["generator"]["layers"]
    yield str(record["generator"].get("name", "?"))
    units = counted(sum(shape[0] for shape in layers.values()), "unit")
    yield f"{units} of {counted(len(layers), 'layer')}"
    yield counted(record["config"]["n_samples"], "sample")
    yield f"{record['segmenter'].get('name', '?')} segmenter"
    yield str(record["created"])[:10]


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
