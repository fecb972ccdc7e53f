"""The list of jobs with their actions, and the form that starts a run."""

from collections.abc import Collection, Sequence

import dash_mantine_components as dmc
from dash import html
from dash.development.base_component import Component

from dashboard.components.attributes import aria
from dashboard.components.progress import Progress, progress_bar
from dashboard.components.setting_fields import setting_field
from dashboard.work.queue import Job
from dashboard.work.records import EFFECT, RUN
from dashboard.work.requests import RunRequest
from dissect.settings.kinds import Switch

FIELDS = tuple(n for n, one in RunRequest.declared.items() if not isinstance(one.kind, Switch))
SWITCHES = tuple(name for name in RunRequest.declared if name not in FIELDS)
_FIRST = ("name", "generator", "segmenters", "layers", "n_samples", "seed")
"""Settings of a run that the form always shows; the others are under "More settings"."""
TITLES = {RUN: "Being made", EFFECT: "Being measured"}
_STATES = {
    "waiting": "waiting",
    "running": "running",
    "stopping": "stopping",
    "finished": "finished",
    "cancelled": "stopped",
    "failed": "failed",
}
_STOPPING_RUN = "stopping: the block that is at work is still counted"
_KEPT = {RUN: "it can be resumed", EFFECT: "nothing was stored"}
_STAGES = {
    "bases": "blocks of images read for bases",
    "pilot": "blocks of images read for thresholds",
    "trust": "images changed a little and segmented again",
    "top images": "blocks of top images generated again",
    "originals": "images as they are",
    "sweep": "units tried alone",
    "greedy": "units added to the set",
    "measure": "images edited",
    "places": "blocks of images edited at one place",
    "curve": "points of the curve",
}


def job_rows(jobs: Sequence[Job], page: str) -> Component | None:
    """Jobs of one kind: running, waiting in order, and stopped ones; no finished ones.

    Args:
        jobs: Jobs of one kind.
        page: Page name in the buttons' ids, ``{"page": page, "action": …, "name": id of the job}``.
    """
    shown = [job for job in jobs if job.live]
    shown += sorted((job for job in jobs if job.turn), key=lambda job: job.turn)
    shown += [job for job in jobs if job.resumable]
    if not shown:
        return None
    title = f"{page}-jobs-title"
    return html.Section(
        [
            html.H2(TITLES[shown[0].kind], id=title),
            html.Ul([_row(job, page) for job in shown], className="jobs"),
        ],
        **aria(labelledby=title),
    )


def rows_of(jobs: Sequence[Job]) -> list[list[str]]:
    """Contents of the rows except progress; rows are redrawn only when this changes."""
    return [[job.id, standing(job), str(_has_bar(job))] for job in jobs]


def moving(jobs: Sequence[Job]) -> list[str]:
    """Ids of the jobs that run or wait; while there are some, a page keeps updating."""
    return [job.id for job in jobs if job.live or job.turn]


def standing(job: Job) -> str:
    """The state of a job in words."""
    if job.turn:
        return f"waiting, {_ordinal(job.turn)}"
    if job.state == "cancelled":
        return f"stopped; {_KEPT[job.kind]}"
    if job.state == "stopping" and job.kind == RUN:
        return _STOPPING_RUN
    return _STATES[job.state] + (f": {job.error}" if job.error else "")


def _ordinal(number: int) -> str:
    teens = number % 100 in (11, 12, 13)
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _row(job: Job, page: str) -> Component:
    def button(action: str, label: str, *, disabled: bool = False) -> Component:
        return html.Button(
            label,
            id={"page": page, "action": action, "name": job.id},
            type="button",
            className="action",
            disabled=disabled,
            **aria(label=f"{label}: {job.name}"),
        )

    parts: list[Component] = [
        html.Div(
            [
                html.B(job.name),
                html.Span(standing(job), className="failed" if job.error else "quiet"),
            ]
        ),
        *(progress_bar(job.id, how_far(job), label=job.name) if _has_bar(job) else []),
    ]
    buttons: list[Component] = []
    if job.live:
        buttons = [button("cancel", "Stop")]
    elif job.turn:
        buttons = [button("cancel", "Take out")]
    elif job.resumable and job.kind == EFFECT:
        buttons = [button("resume", "Measure again"), button("remove", "Remove")]
    elif job.resumable:
        # Hours of counting must not be deleted with one click.
        sure = [
            html.Summary("Remove", className="action", **aria(label=f"Remove: {job.name}")),
            button("remove", "Delete what was counted"),
        ]
        buttons = [button("resume", "Resume"), html.Details(sure)]
    return html.Li([*parts, html.Div(buttons, className="job-actions")], key=job.id)


def _has_bar(job: Job) -> bool:
    return job.live or job.total > 0


def how_far(job: Job) -> Progress:
    """Contents of a job's progress bar: samples of a run, or steps of the current stage."""
    stage = job.stage
    if stage is not None and not stage.name.startswith("dissect"):
        what = _STAGES.get(stage.name, f"{stage.unit}s: {stage.name}")
        return Progress(stage.done, stage.total, f"{stage.done:,} of {stage.total:,} {what}")
    if not job.total:
        return Progress(0, 0, "loading the models …" if job.live else "")
    counted = f"{job.done:,} of {job.total:,} samples"
    if job.live and job.done == job.total:
        counted += "; scores are computed"
    return Progress(job.done, job.total, counted)


def run_form(generators: Collection[str], segmenters: Collection[str], *, first: bool) -> Component:
    """The form with the settings of a run.

    Args:
        generators, segmenters: Names to choose from.
        first: Whether its heading is the page's first button, and filled.
    """
    generator = next(iter(generators), None)
    # Segmenters show what they mark, generators what they draw.
    kin = next((name for name in segmenters if str(generator).startswith(name)), None)
    declared = RunRequest.declared
    made = {
        name: setting_field(one, "runs") for name, one in declared.items()
    } | {
        "generator": dmc.Select(
            id="runs-generator", label=declared["generator"].label, data=list(generators),
            value=generator, allowDeselect=False, searchable=True,
        ),
        "segmenters": dmc.MultiSelect(
            id="runs-segmenters", label=declared["segmenters"].label, data=list(segmenters),
            value=[kin or next(iter(segmenters))],
        ),
    }  # fmt: skip
    fields = [made[name] for name in _FIRST]
    further = [made[name] for name in FIELDS if name not in _FIRST]
    switches = [made[name] for name in SWITCHES]
    return html.Details(
        [
            html.Summary("Start a new run", className="action filled" if first else "action"),
            html.Div(fields, className="controls"),
            html.Div(switches, className="switches"),
            html.Details(
                [
                    html.Summary("More settings", className="action"),
                    html.Div(further, className="controls"),
                ]
            ),
            html.Button("Start", id="runs-start", type="button", className="action filled"),
            html.P(
                "One run is made at a time; others wait for their turn. They continue when this "
                "page is closed and when the dashboard ends.",
                className="quiet",
            ),
            html.P(id="runs-started", role="status", className="message"),
        ],
        id="runs-form",
    )


def tag_form(names: Collection[dict], known: Collection[str]) -> Component:
    """The form that changes the tags of a run."""
    return html.Details(
        [
            html.Summary("Tag a run", className="action"),
            html.Div(
                [
                    dmc.Select(
                        id="runs-tagged", label="Run to tag", data=list(names), searchable=True
                    ),
                    dmc.TagsInput(
                        id="runs-tags", label="Its tags, Enter after each", value=[],
                        data=list(known), maxTags=12, clearable=False,
                    ),
                ],
                className="controls",
            ),
            html.Button("Keep tags", id="runs-keep", type="button", className="action"),
            html.P(id="runs-kept", role="status", className="message"),
        ],
        id="runs-tagging",
        hidden=not names,  # dash calls back only if all inputs exist
    )  # fmt: skip
