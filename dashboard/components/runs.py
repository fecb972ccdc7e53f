"""The list of runs: its cards, its filters, and the link that compares two."""

from collections.abc import Iterable, Mapping, Sequence

import dash_mantine_components as dmc
from dash import dcc, html
from dash.development.base_component import Component

from dashboard.components.attributes import aria, aria_of
from dashboard.components.first_visit import first_visit
from dashboard.components.rungs import rung_mark
from dashboard.components.units import counted, empty, swatch
from dashboard.links import compare_href, run_href
from dashboard.run_faces import Face
from dashboard.store import Entry
from dissect.runs.left_out import describe_left_out
from dissect.statistics.ladder import MATCHES, NAMED, RUNGS
from reports.naming import short_name


def run_list(
    entries: Sequence[Entry],
    tags: Mapping[str, Sequence[str]],
    sizes: Mapping[str, int],
    *,
    free: int | None = None,
    search: object = "",
    tag: object = None,
    begun: bool = False,
) -> list[Component]:
    """The chosen runs, newest first.

    Args:
        entries: All runs.
        tags: Id of a run → its tags.
        sizes: Id of a run → its bytes.
        free: Free bytes of the disk.
        search: Words that must all occur. Untrusted.
        tag: Required tag; "" or None for any. Untrusted.
        begun: Whether the demo of a first visit runs, waits or was stopped already.
    """
    if not entries:
        return [first_visit(begun=begun)]
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
    rows = [_card(entry, tags.get(entry.id, ()), sizes[entry.id]) for entry in chosen]
    return [html.P(count, className="count"), html.Ul(rows, className="run-cards", role="list")]


def run_choice(known: Sequence[str], *, search: str, tag: str) -> Component:
    """The controls that filter the runs.

    Args:
        known: All existing tags.
        search, tag: Values from the address.
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
    """Link to two runs side by side: the selected ones, otherwise the newest."""
    whole = [entry.id for entry in _newest(entries) if not entry.problem]
    if len(whole) < 2:
        return None
    href = compare_href(whole[0], whole[1])
    link = html.A("Compare two runs", href=href, id="runs-compare", className="action")
    return html.P(
        [link, html.Span("the newest, or tick two", className="quiet")], className="beside"
    )


def run_names(entries: Iterable[Entry]) -> list[dict]:
    """The options of a field that selects a run."""
    return [{"value": entry.id, "label": entry.name} for entry in _newest(entries)]


def _newest(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.record.get("created", ""), reverse=True)


def _searched(entry: Entry, tags: Mapping[str, Sequence[str]]) -> str:
    facts = () if entry.problem else _summary(entry.record)
    return " ".join([entry.name, *facts, *tags.get(entry.id, ())]).lower()


def _card(entry: Entry, tags: Iterable[str], size: int) -> Component:
    marks = [html.Span(tag, className="tag") for tag in tags]
    if entry.problem:
        told = html.Span(f"cannot be opened: {entry.problem}", className="failed")
        return html.Li([html.B(entry.name), told, *marks], className="run-card broken")
    pick = dmc.Checkbox(
        id={"type": "runs-pick", "run": entry.id},
        checked=False,
        **aria(label=f"Compare {entry.name}"),
    )
    href = run_href(entry.id)
    return html.Li(
        [
            html.Div(id={"type": "run-face", "run": entry.id}, className="run-face"),
            html.Div(
                [pick, dcc.Link(entry.name, href=href, className="run-name")], className="beside"
            ),
            html.Div(marks) if marks else None,
            *(html.Span(one, className="failed") for one in describe_left_out(entry.record)),
            html.Span(" · ".join([*_summary(entry.record), _megabytes(size)]), className="quiet"),
        ],
        className="run-card",
        key=entry.id,
    )


def run_face(face: Face, run_id: str, name: str) -> list[Component]:
    """The part above a run's name, once computed: pictures, rungs, concepts."""
    rungs = []
    for number, count in ((MATCHES, face.matches), (NAMED, face.named)):
        if count is not None:
            rungs.append(
                rung_mark(number, f"{100 * count / max(face.units, 1):.0f} % {RUNGS[number].name}")
            )
    concepts = [
        html.Span([swatch(colour), f"{concept} {count}"], className="run-concept")
        for concept, colour, count in face.concepts
    ]
    picture: Component = html.Div(className="mosaic none")
    if face.mosaic:
        picture = html.Img(
            src=face.mosaic, alt=f"Images of {name}", width=384, height=256, className="mosaic"
        )
    link = html.A(picture, href=run_href(run_id), tabIndex=-1, **aria(hidden="true"))
    return [
        link,
        html.Div(rungs, className="run-rungs"),
        html.Div(concepts, className="run-concepts"),
    ]


def _summary(record: dict) -> Iterable[str]:
    layers = record["generator"]["layers"]
    yield short_name(str(record["generator"].get("name", "?")))
    units = counted(sum(shape[0] for shape in layers.values()), "unit")
    yield f"{units} of {counted(len(layers), 'layer')}"
    yield counted(record["config"]["n_samples"], "sample")
    yield f"{short_name(str(record['segmenter'].get('name', '?')))} segmenter"
    yield str(record["created"])[:10]


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
