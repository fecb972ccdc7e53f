"""Runs that are being made, with what can be done about them, and the form that starts one."""

from collections.abc import Collection, Sequence

import dash_mantine_components as dmc
from dash import html
from dash.development.base_component import Component

from dashboard.components.progress import Reading, progress_bar
from dashboard.jobs.asking import FEWEST_SAMPLES, LARGEST_SEED, MOST_SAMPLES, THRESHOLDS
from dashboard.jobs.jobs import Job

FIELDS = (
    "name", "generator", "segmenters", "layers", "samples", "seed", "truncation", "threshold",
)  # fmt: skip
SWITCHES = ("halves", "coactivation")
_STATES = {
    "waiting": "waiting",
    "running": "running",
    "stopping": "stopping: the block that is at work is still counted",
    "finished": "finished",
    "cancelled": "stopped; it can be gone on with",
    "failed": "failed",
}
_STAGES = {
    "bases": "blocks of images looked at for bases",
    "pilot": "blocks of images looked at for thresholds",
    "trust": "images changed a little and marked again",
    "top images": "blocks of top images made again",
}


def job_rows(jobs: Sequence[Job]) -> Component | None:
    """What works, what waits in its order, what stopped; the finished are in the list of runs."""
    shown = [job for job in jobs if job.live]
    shown += sorted((job for job in jobs if job.turn), key=lambda job: job.turn)
    shown += [job for job in jobs if job.resumable]
    if not shown:
        return None
    return html.Section(
        [
            html.H2("Being made", id="runs-jobs-title"),
            html.Ul([_row(job) for job in shown], className="jobs"),
        ],
        **{"aria-labelledby": "runs-jobs-title"},
    )


def rows_of(jobs: Sequence[Job]) -> list[list[str]]:
    """What rows say besides how far they are: only where it changes they are made anew."""
    return [[job.name, standing(job), str(_has_bar(job))] for job in jobs]


def standing(job: Job) -> str:
    """How a job stands, in words."""
    if job.turn:
        return f"waiting, {_ordinal(job.turn)}"
    return _STATES[job.state] + (f": {job.told}" if job.told else "")


def _ordinal(number: int) -> str:
    teens = number % 100 in (11, 12, 13)
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _row(job: Job) -> Component:
    parts: list[Component] = [
        html.Div(
            [
                html.B(job.name),
                html.Span(standing(job), className="failed" if job.told else "quiet"),
            ]
        ),
        *_bar(job),
    ]
    buttons: list[Component] = []
    if job.live:
        buttons = [_button("cancel", "Stop", job.name)]
    elif job.turn:
        buttons = [_button("cancel", "Take out", job.name)]
    elif job.resumable:
        # Hours of counting do not go with one click.
        sure = [
            html.Summary("Remove", className="action", **{"aria-label": f"Remove: {job.name}"}),
            _button("remove", "Delete what was counted", job.name),
        ]
        buttons = [_button("resume", "Resume", job.name), html.Details(sure)]
    return html.Li([*parts, html.Div(buttons, className="job-actions")], key=job.name)


def _has_bar(job: Job) -> bool:
    return job.live or job.total > 0


def _bar(job: Job) -> list[Component]:
    return progress_bar(job.name, how_far(job)) if _has_bar(job) else []


def how_far(job: Job) -> Reading:
    """What the bar of a job shows: samples, and around them what else takes a while."""
    stage = job.stage
    if stage is not None and not stage.name.startswith("dissect"):
        what = _STAGES.get(stage.name, f"{stage.unit}s: {stage.name}")
        return Reading(stage.done, stage.total, f"{stage.done:,} of {stage.total:,} {what}")
    if not job.total:
        return Reading(0, 0, "loading the models …" if job.live else "")
    counted = f"{job.done:,} of {job.total:,} samples"
    if job.live and job.done == job.total:
        counted += "; scores are made"
    return Reading(job.done, job.total, counted)


def _button(action: str, label: str, name: str) -> Component:
    return html.Button(
        label,
        id={"page": "runs", "action": action, "name": name},
        type="button",
        className="action",
        **{"aria-label": f"{label}: {name}"},
    )


def run_form(generators: Collection[str], segmenters: Collection[str]) -> Component:
    """The form over the settings of a run."""
    first = next(iter(generators), None)
    # Segmenters are named for what they know, generators for what they draw.
    kin = next((name for name in segmenters if str(first).startswith(name)), None)
    fields = [
        dmc.TextInput(id="runs-name", label="Name of the run", value=""),
        dmc.Select(
            id="runs-generator", label="Generator", data=list(generators), value=first,
            allowDeselect=False, searchable=True,
        ),
        dmc.MultiSelect(
            id="runs-segmenters", label="Segmenters", data=list(segmenters),
            value=[kin or next(iter(segmenters))],
        ),
        dmc.NumberInput(
            id="runs-samples", label="Samples", value=1000, min=FEWEST_SAMPLES, max=MOST_SAMPLES,
            allowDecimal=False, clampBehavior="none",
        ),
        dmc.NumberInput(
            id="runs-seed", label="Seed", value=0, min=0, max=LARGEST_SEED, allowDecimal=False,
            clampBehavior="none",
        ),
        dmc.TextInput(id="runs-layers", label="Layers: all, or names", value="all"),
        dmc.NumberInput(
            id="runs-truncation", label="Truncation ψ, 1 for none", value=1, step=0.1,
            clampBehavior="none",
        ),
        dmc.Select(
            id="runs-threshold", label="Threshold", data=list(THRESHOLDS), value=THRESHOLDS[0],
            allowDeselect=False,
        ),
    ]  # fmt: skip
    switches = [
        dmc.Switch(
            id="runs-halves",
            label="Halves of objects are concepts too",
            checked=False,
        ),
        dmc.Switch(id="runs-coactivation", label="Count which units fire together", checked=False),
    ]
    return html.Details(
        [
            html.Summary("Start a new run", className="action"),
            html.Div(fields, className="controls"),
            html.Div(switches, className="switches"),
            html.Button("Start", id="runs-start", type="button", className="action"),
            html.P(
                "One run is made at a time; others wait for their turn. They go on when this page "
                "is closed and when the dashboard ends.",
                className="quiet",
            ),
            html.P(id="runs-started", role="status", className="told"),
        ],
        id="runs-form",
    )


def tag_form(names: Collection[dict], known: Collection[str]) -> Component:
    """Where the tags of a run are changed."""
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
            html.P(id="runs-kept", role="status", className="told"),
        ],
        id="runs-tagging",
        hidden=not names,  # dash calls back only where all inputs are there
    )  # fmt: skip
