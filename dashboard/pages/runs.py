"""The page ``/``: all runs with tags and sizes, runs in progress, and the form for a new one."""

import contextlib
import shutil
from collections.abc import Mapping
from typing import Any

from dash import (
    ALL,
    MATCH,
    ClientsideFunction,
    Dash,
    Input,
    Output,
    State,
    ctx,
    dcc,
    html,
    no_update,
)
from dash.development.base_component import Component
from dash.exceptions import PreventUpdate

from dashboard import context
from dashboard.callbacks import line_of, problem, shows_errors
from dashboard.components.first_visit import DEMO, demo_request
from dashboard.components.jobs import (
    FIELDS,
    SWITCHES,
    how_far,
    job_rows,
    moving,
    rows_of,
    run_form,
    standing,
    tag_form,
)
from dashboard.components.progress import Progress, progress_stores, register_progress
from dashboard.components.runs import compare_link, run_choice, run_face, run_list, run_names
from dashboard.components.setting_fields import read_field, with_labels
from dashboard.context import Context
from dashboard.disk import DiskUse
from dashboard.links import run_href
from dashboard.routing import Page, Visit
from dashboard.run_faces import RunFaces
from dashboard.store import Entry
from dashboard.tags import Tags
from dashboard.work.generators import generators_of, look_up
from dashboard.work.queue import Job
from dashboard.work.records import RUN
from dashboard.work.requests import RunRequest, check_segmenters
from dashboard.work.service import perform, work
from dissect.errors import ConfigError, DissectError
from dissect.generators import zoo
from segmenters import SEGMENTERS

_TICK = 1000  # milliseconds
_MESSAGES = {"runs-started", "runs-answer"}
_FOLLOWED = {
    "runs-started": "children",
    "runs-answer": "children",
    "runs-kept": "children",
    "runs-search": "value",
    "runs-tag": "value",
}
"""Inputs of ``_follow`` besides the tick, in its order."""
_ABOUT = "Each run opened one generator and says which of its units match what."


def layout(visit: Visit) -> Component:
    """The list, newest first; ``?search=`` and ``?tag=`` filter it."""
    own = visit.context
    fault = _advance()
    entries, tags, jobs = own.store.entries(), _tags(own).all(), _jobs()
    search, tag = visit.query.get("search", ""), visit.query.get("tag", "")
    known = sorted({one for entry in entries for one in tags.get(entry.id, ())})
    form = run_form(_generators(own), SEGMENTERS, first=bool(entries))
    return html.Div(
        [
            html.H1("Runs"),
            *([html.P(_ABOUT), form] if entries else []),
            html.Div(
                run_choice(known, search=search, tag=tag),
                id="runs-choose", hidden=not entries,
            ),
            html.Div(compare_link(entries), id="runs-compared"),
            html.Div(
                _list(own, entries, tags, jobs, search, tag), id="runs-list", className="results"
            ),
            html.Div(job_rows(jobs, "runs"), id="runs-jobs"),
            html.P(id="runs-answer", role="status", className="message"),
            html.Div(fault, id="runs-news", role="status", className="message"),
            dcc.Interval(id="runs-tick", interval=_TICK, disabled=not moving(jobs)),
            dcc.Store(id="runs-moving", data=moving(jobs)),
            dcc.Store(id="runs-rows", data=rows_of(jobs)),
            dcc.Store(
                id="runs-seen", data=[None, None, None, search, tag if tag in known else None]
            ),
            *progress_stores("runs"),
            None if entries else form,
            tag_form(run_names(entries), known),
            dcc.Store(id="runs-address"),
        ]
    )  # fmt: skip


def _list(
    own: Context,
    entries: list[Entry],
    tags: Mapping[str, list[str]],
    jobs: list[Job],
    search: object,
    tag: object,
) -> list[Component]:
    disk, free = _disk(own), None
    sizes = {entry.id: disk.of(entry.path) for entry in entries}
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(own.store.folder).free
    begun = any(job.name == DEMO and (job.live or job.turn or job.resumable) for job in jobs)
    return run_list(entries, tags, sizes, free=free, search=search, tag=tag, begun=begun)


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
    )(shows_errors(_start))
    app.callback(
        Output("runs-answer", "children"),
        Input({"page": "runs", "action": ALL, "name": ALL}, "n_clicks"),
        prevent_initial_call=True,
    )(shows_errors(_act))
    app.callback(Output("runs-tags", "value"), Input("runs-tagged", "value"))(_tags_of)
    app.callback(
        Output("runs-kept", "children"),
        Input("runs-keep", "n_clicks"),
        State("runs-tagged", "value"),
        State("runs-tags", "value"),
        prevent_initial_call=True,
    )(shows_errors(_keep))
    app.callback(
        Output("runs-list", "children"),
        Output("runs-jobs", "children"),
        Output("runs-tick", "disabled"),
        Output("runs-tag", "data"),
        Output("runs-choose", "hidden"),
        Output("runs-tagging", "hidden"),
        Output("runs-tagged", "data"),
        Output("runs-compared", "children"),
        Output("runs-news", "children"),
        Output("runs-moving", "data"),
        Output("runs-started", "children", allow_duplicate=True),
        Output("runs-answer", "children", allow_duplicate=True),
        Output("runs-rows", "data"),
        Output("runs-seen", "data"),
        State("runs-moving", "data"),
        State("runs-rows", "data"),
        State("runs-seen", "data"),
        Input("runs-tick", "n_intervals"),
        *[Input(name, field) for name, field in _FOLLOWED.items()],
        prevent_initial_call=True,
    )(_follow)
    register_progress(app, "runs", _how_far)
    app.callback(
        Output({"type": "run-face", "run": MATCH}, "children"),
        Input({"type": "run-face", "run": MATCH}, "id"),
    )(_show_face)
    app.clientside_callback(
        ClientsideFunction("dissect", "compareTicked"),
        Output("runs-compare", "href"),
        Input({"type": "runs-pick", "run": ALL}, "checked"),
        State("runs-compare", "href"),
        prevent_initial_call=True,
    )


def _start(clicks: object, *given: object) -> str:
    if not clicks:
        raise PreventUpdate
    own = context.current()
    # The class of settings checks the browser's values.
    values: dict[str, Any] = dict(zip([*FIELDS, *SWITCHES], given, strict=True))
    values["generator"] = look_up(_generators(own), values["generator"])
    values["segmenters"] = check_segmenters(values["segmenters"], SEGMENTERS)
    known = set(values) - {"generator", "segmenters"}
    try:
        values |= {name: read_field(RunRequest.declared[name], values[name]) for name in known}
        request = RunRequest(**values)
    except ConfigError as error:
        raise with_labels(error, RunRequest) from None
    return f"{request.name} is {standing(work().start(request))}"


def _act(clicks: object) -> str:
    if not isinstance(clicks, list) or not any(clicks) or not isinstance(ctx.triggered_id, dict):
        raise PreventUpdate  # buttons that were only added or removed
    if ctx.triggered_id.get("action") == DEMO:
        return f"{DEMO} is {standing(work().start(demo_request()))}"
    job_id, done = perform(ctx.triggered_id.get("action"), ctx.triggered_id.get("name"))
    return done or f"{job_id} is {standing(work().find(job_id))}"


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


def _show_face(shown: object) -> list[Component] | None:
    """The preview of a run; nothing if it cannot be read: its own page shows the error."""
    own = context.current()
    run_id = shown.get("run") if isinstance(shown, dict) else None
    names = {entry.id: entry.name for entry in own.store.entries()}
    if run_id not in names:
        return None
    try:
        face = own.service("faces", RunFaces).of(own.store, str(run_id))
    except DissectError:
        return None
    return run_face(face, str(run_id), names[run_id])


def _how_far() -> dict[str, Progress]:
    return {job.id: how_far(job) for job in _jobs()}


def _follow(moved: object, rows: object, seen: object, ticks: object, *given: object) -> tuple:
    own = context.current()
    search, tag = given[-2:]
    fault = _advance()
    jobs = _jobs()
    now = moving(jobs)
    ended = [job for job in jobs if isinstance(moved, list) and job.id in set(moved) - set(now)]
    news = fault or [html.P(_news(job)) for job in ended] or no_update
    # If an answer takes longer than a tick, the browser drops it for that of the tick: what changed
    # since the last answer that arrived is a cause too.
    triggered = set(ctx.triggered_prop_ids.values())
    known_values = seen if isinstance(seen, list) and len(seen) == len(given) else given
    missed = {
        name
        for name, value, before in zip(_FOLLOWED, given, known_values, strict=False)
        if value != before
    }
    causes = triggered | missed
    # Only the latest message stays; an error in the form stays until it is corrected.
    latest = triggered & _MESSAGES or missed & _MESSAGES
    started, acted = no_update, no_update
    if ended or "runs-answer" in latest:
        started = "" if isinstance(given[0], str) else no_update
    if ended or latest == {"runs-started"}:
        acted = ""
    if not ended and latest:
        news = fault or ""
    standings = rows_of(jobs)
    shown_values = ["" if started == "" else given[0], "" if acted == "" else given[1], *given[2:]]
    said = (news, now, started, acted, standings, shown_values)
    if causes <= {"runs-tick"} and not ended:
        shown = no_update if rows == standings else job_rows(jobs, "runs")
        return no_update, shown, not now, *[no_update] * 5, *said
    entries, tags = own.store.entries(), _tags(own).all()
    known = sorted({one for entry in entries for one in tags.get(entry.id, ())})
    try:
        shown = _list(own, entries, tags, jobs, search, tag)
    except DissectError as error:
        shown = [problem(error)]
    none = not entries
    listed = (known, none, none, run_names(entries), compare_link(entries))
    return shown, job_rows(jobs, "runs"), not now, *listed, *said


def _news(job: Job) -> list[Component | str]:
    if job.state == "cancelled":
        return [f"{job.name} was stopped"]
    if job.state != "finished":
        return [f"{job.name} {standing(job)}"]
    return [dcc.Link(job.name, href=run_href(job.name)), " is finished and stands in the list"]


def _advance() -> Component | None:
    """Start waiting jobs if possible; otherwise return the error."""
    try:
        work().advance()
    except DissectError as error:
        return problem(f"the next run cannot begin: {line_of(error)}")
    return None


def _generators(own: Context) -> dict[str, str]:
    return generators_of({name: zoo.is_at_hand(name) for name in zoo.ENTRIES}, own.settings.models)


def _jobs() -> list[Job]:
    return work().all(RUN)


def _tags(own: Context) -> Tags:
    return own.service("tags", lambda: Tags(own.store.folder))


def _disk(own: Context) -> DiskUse:
    return own.service("disk", DiskUse)


PAGE = Page("/", "Runs", layout, callbacks=register, navigation="Runs", order=0)
