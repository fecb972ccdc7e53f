"""Every run found, whatever state it is in; its tags and disk; runs that are being made."""

import contextlib
import shutil
from collections.abc import Iterable, Mapping

import dash_mantine_components as dmc
from dash import ALL, ClientsideFunction, Dash, Input, Output, State, ctx, dcc, html, no_update
from dash.development.base_component import Component
from dash.exceptions import PreventUpdate

from dashboard import context
from dashboard.callbacks import told
from dashboard.components.jobs import FIELDS, SWITCHES, job_rows, run_form, tag_form
from dashboard.components.units import empty
from dashboard.context import Context
from dashboard.jobs.asking import RunRequest, check_segmenters
from dashboard.jobs.disk import DiskUse
from dashboard.jobs.jobs import Jobs
from dashboard.jobs.models import generators_of, look_up
from dashboard.jobs.tags import Tags
from dashboard.links import compare_href, run_href
from dashboard.routing import Page, Visit
from dashboard.store import Entry
from dissect.errors import ConfigError, DissectError

_TICK = 1000  # milliseconds
_ACTIONS = {"cancel": "was asked to stop", "resume": "goes on", "remove": "was removed"}


def layout(visit: Visit) -> Component:
    """The list, newest first; ``?search=`` and ``?tag=`` choose."""
    own = visit.context
    entries, tags, jobs = own.store.entries(), _tags(own).all(), _jobs(own).all()
    search, tag = visit.query.get("search", ""), visit.query.get("tag", "")
    known = sorted({one for entry in entries for one in tags.get(entry.id, ())})
    whole = [entry for entry in entries if not entry.problem]
    live = any(job.live for job in jobs)
    compared = None
    if len(whole) > 1:
        first, second = (entry.id for entry in _newest(whole)[:2])
        href = compare_href(first, second)
        compared = html.P(dcc.Link("Compare two runs", href=href, className="action"))
    names = [{"value": entry.id, "label": entry.name} for entry in _newest(entries)]
    return html.Div(
        [
            html.H1("Runs"),
            html.P("Each run opened one generator and says which of its units draw what."),
            html.Div(
                [
                    dmc.TextInput(id="runs-search", label="Find a run", value=search, debounce=250),
                    dmc.Select(
                        id="runs-tag", label="Tag", data=known,
                        value=tag if tag in known else None, clearable=True, placeholder="any",
                        clearButtonProps={"aria-label": "Any tag"},
                    ),
                ],
                className="controls", hidden=not entries,
            ),
            html.Div(_list(own, entries, tags, search, tag), id="runs-list", className="results"),
            compared,
            html.Div(job_rows(jobs), id="runs-jobs"),
            html.P(id="runs-told", role="status", className="told"),
            dcc.Interval(id="runs-tick", interval=_TICK, disabled=not live),
            run_form(_generators(own), _segmenters()),
            tag_form(names, known),
            dcc.Store(id="runs-address"),
        ]
    )  # fmt: skip


def _list(
    own: Context,
    entries: list[Entry],
    tags: Mapping[str, list[str]],
    search: object,
    tag: object,
) -> list[Component]:
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
    disk = _disk(own)
    sizes = {entry.id: disk.of(entry.path) for entry in entries}
    count = f"{len(chosen)} of {len(entries)} runs, {_megabytes(sum(sizes.values()))} on disk"
    with contextlib.suppress(OSError):
        count += f"; {shutil.disk_usage(own.store.folder).free / 1e9:,.1f} GB free"
    if not chosen:
        return [empty("No run is like that; empty the fields above to see all.")]
    rows = [_row(entry, tags.get(entry.id, ()), sizes[entry.id]) for entry in chosen]
    return [html.P(count, className="count"), html.Ul(rows, className="rows")]


def _newest(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.record.get("created", ""), reverse=True)


def _searched(entry: Entry, tags: Mapping[str, list[str]]) -> str:
    facts = () if entry.problem else _told(entry.record)
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
            html.Span([" · ".join(_told(entry.record)), *marks], className="quiet"),
            html.Span(_megabytes(size), className="n"),
        ]
    )


def _told(record: dict) -> Iterable[str]:
    layers = record["generator"]["layers"]
    yield str(record["generator"].get("name", "?"))
    yield f"{sum(shape[0] for shape in layers.values()):,} units of {len(layers)} layers"
    yield f"{record['config']['n_samples']:,} samples"
    yield f"{record['segmenter'].get('name', '?')} segmenter"
    yield str(record["created"])[:10]


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def register(app: Dash) -> None:
    """Register its callbacks."""
    app.clientside_callback(
        ClientsideFunction("dissect", "writeQuery"),
        Output("runs-address", "data"),
        Input("runs-search", "value"),
        Input("runs-tag", "value"),
        prevent_initial_call=True,
    )
    app.callback(
        Output("runs-started", "children"),
        Input("runs-start", "n_clicks"),
        *[State(f"runs-{name}", "value") for name in FIELDS],
        *[State(f"runs-{name}", "checked") for name in SWITCHES],
        prevent_initial_call=True,
    )(told(_start))
    app.callback(
        Output("runs-told", "children"),
        Input({"page": "runs", "action": ALL, "name": ALL}, "n_clicks"),
        prevent_initial_call=True,
    )(told(_act))
    app.callback(Output("runs-tags", "value"), Input("runs-tagged", "value"))(_tags_of)
    app.callback(
        Output("runs-kept", "children"),
        Input("runs-keep", "n_clicks"),
        State("runs-tagged", "value"),
        State("runs-tags", "value"),
        prevent_initial_call=True,
    )(told(_keep))
    app.callback(
        Output("runs-list", "children"),
        Output("runs-jobs", "children"),
        Output("runs-tick", "disabled"),
        Output("runs-tag", "data"),
        Input("runs-tick", "n_intervals"),
        Input("runs-started", "children"),
        Input("runs-told", "children"),
        Input("runs-kept", "children"),
        Input("runs-search", "value"),
        Input("runs-tag", "value"),
        prevent_initial_call=True,
    )(_follow)


def _start(clicks: object, *given: object) -> str:
    if not clicks:
        raise PreventUpdate
    own = context.current()
    values = dict(zip([*FIELDS, *SWITCHES], given, strict=True))
    values["generator"] = look_up(_generators(own), values["generator"])
    values["segmenters"] = check_segmenters(values["segmenters"], _segmenters())
    request = RunRequest(**values)
    _jobs(own).start(request)
    return f"{request.name} was started; it goes on when this page is closed"


def _act(clicks: object) -> str:
    if not isinstance(clicks, list) or not any(clicks) or not isinstance(ctx.triggered_id, dict):
        raise PreventUpdate  # buttons that only came or went
    action, name = ctx.triggered_id.get("action"), ctx.triggered_id.get("name")
    if action not in _ACTIONS:
        raise ConfigError(f"{str(action)[:40]!r} is no action; reload the page")
    getattr(_jobs(context.current()), action)(name)
    return f"{name} {_ACTIONS[action]}"


def _tags_of(run: object) -> list[str]:
    return _tags(context.current()).all().get(run, []) if isinstance(run, str) else []


def _keep(clicks: object, run: object, tags: object) -> str:
    if not clicks:
        raise PreventUpdate
    own = context.current()
    if run not in [entry.id for entry in own.store.entries()]:
        raise ConfigError("no run is chosen, or it is gone; choose one of the list")
    kept = _tags(own).put(str(run), tags)
    return f"{run}: {', '.join(kept) or 'no tags'}"


def _follow(ticks: object, *given: object) -> tuple:
    own = context.current()
    search, tag = given[-2:]
    jobs = _jobs(own).all()
    live = any(job.live for job in jobs)
    if live and ctx.triggered_id == "runs-tick":
        return no_update, job_rows(jobs), False, no_update
    entries, tags = own.store.entries(), _tags(own).all()
    known = sorted({one for entry in entries for one in tags.get(entry.id, ())})
    try:
        shown = _list(own, entries, tags, search, tag)
    except DissectError as error:
        shown = [html.P(str(error), className="failed", role="alert")]
    return shown, job_rows(jobs), not live, known


def _generators(own: Context) -> dict[str, str]:
    # It imports torch, which is of no use to a server's start.
    from dissect.generators import zoo  # noqa: PLC0415

    return generators_of({name: zoo.is_at_hand(name) for name in zoo.ENTRIES}, own.settings.models)


def _segmenters() -> dict[str, str]:
    from segmenters import SEGMENTERS  # noqa: PLC0415

    return SEGMENTERS


def _jobs(own: Context) -> Jobs:
    return own.services.setdefault("jobs", Jobs(own.store.folder))


def _tags(own: Context) -> Tags:
    return own.services.setdefault("tags", Tags(own.store.folder))


def _disk(own: Context) -> DiskUse:
    return own.services.setdefault("disk", DiskUse())


PAGE = Page("/", "Runs", layout, callbacks=register, navigation="Runs", order=0)
