"""The page ``/run/<run>/effects``: measured effects, and a form to measure more."""

import re
from collections.abc import Mapping
from typing import Any

import dash_mantine_components as dmc
import numpy as np
from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update
from dash.development.base_component import Component
from dash.exceptions import PreventUpdate

from dashboard import context
from dashboard.callbacks import line_of, problem, shows_errors, text
from dashboard.components.jobs import how_far, job_rows, moving, rows_of, standing
from dashboard.components.progress import Progress, progress_stores, register_progress
from dashboard.components.setting_fields import with_labels
from dashboard.effects.view import (
    effect_href,
    effect_list,
    form_values,
    one_effect,
)
from dashboard.moved import places, why_missing
from dashboard.painting.state import read_units
from dashboard.pairs import pairs_of
from dashboard.paths import within
from dashboard.rendering.client import check_place
from dashboard.routing import RunPage, RunVisit
from dashboard.store import OpenRun
from dashboard.store import run_id as run_id_of
from dashboard.unit_facts import row_of
from dashboard.work.generators import generators_of, look_up
from dashboard.work.queue import Job
from dashboard.work.records import EFFECT
from dashboard.work.requests import EffectRequest
from dashboard.work.service import perform, work
from dissect.errors import ConfigError, DissectError
from dissect.generators import zoo
from dissect.settings.kinds import short
from dissect.studies.orders import ORDERS, PICKED, order_label
from dissect.studies.registry import STUDIES
from segmenters.nearest import did_you_mean

_BEST = "(best)"


def layout(visit: RunVisit) -> Component:
    """The page for an address.

    ``?name=`` shows one effect, ``?kind=&concept=&layer=&units=`` fill the form; otherwise the form
    has the settings of the displayed effect.
    """
    run, name = visit.run.run, visit.query.get("name")
    fault, jobs = _advance(), _jobs(visit.run)
    values = {**(form_values(run, name) if name else {}), **visit.query}
    return html.Div(
        [
            html.H1("Effects"),
            html.P(
                "What goes from the images when units are ablated, and comes when they are "
                "inserted, measured against random units of the same layer."
            ),
            dcc.Store(id="effects-run", data=visit.run.id),
            dcc.Interval(id="effects-tick", interval=1000, disabled=not moving(jobs)),
            dcc.Store(id="effects-moving", data=moving(jobs)),
            dcc.Store(id="effects-rows", data=rows_of(jobs)),
            *progress_stores("effects"),
            html.Div(effect_list(run, visit.run.id), id="effects-list"),
            one_effect(visit.run, name) if name else None,
            html.Div(_ask(visit.run, values), id="effects-ask"),
            html.Div(job_rows(jobs, "effects"), id="effects-jobs"),
            html.Div(fault, id="effects-news", role="status", className="message"),
        ],
        className="effects",
    )


def _kinds() -> list[tuple[str, str, str]]:
    """Kind, label and hint of the studies in the form."""
    return [(kind, one.label, one.hint) for kind, one in STUDIES.items() if one.label]


def _ask(opened: OpenRun, values: Mapping[str, str]) -> Component:
    """The form, or instead of it a question for the place of the generator."""
    missing = why_missing(opened.run)
    if not missing:
        return _form(opened, values)
    offered = list(_offered())
    place: Component = dmc.Select(
        id="effects-place", label="Generator", data=offered, searchable=True,
        placeholder="choose what is at hand", className="place",
    )  # fmt: skip
    return html.Section(
        [
            html.H2("Where is it now?"),
            html.P(within(missing, context.current().store.root), className="failed"),
            html.P(
                "Nothing can be measured or painted until then. Choose a checkpoint of the folder "
                "that dissect serve --models names, or a generator of the zoo: it is loaded, and "
                "used if its weights are those that the run was made with."
            ),
            html.Div(
                [
                    place,
                    dmc.Button("Use it if it is the same", id="effects-use", variant="default"),
                ],
                className="paint-row",
            ),
            html.Div(id="effects-place-status", role="status"),
        ]
    )


def _offered() -> dict[str, str]:
    at_hand = {name: zoo.is_at_hand(name) for name in zoo.ENTRIES}
    return generators_of(at_hand, context.current().settings.models)


def _use(clicks: object, chosen: object, run_id: object) -> tuple:
    """The form, once the generator was found; otherwise an error."""
    if not clicks:
        raise PreventUpdate
    try:
        opened = context.current().store.open(text(run_id))
        check_place(opened.id, look_up(_offered(), chosen))
    except DissectError as error:
        return no_update, problem(error)
    return _form(opened, {}), no_update


def _form(opened: OpenRun, query: Mapping[str, str]) -> Component:
    run, pairs = opened.run, pairs_of(opened)
    names = list(run.vocabulary.names)
    n_named = np.bincount(pairs.best[pairs.is_named], minlength=len(names))
    concept, layer = query.get("concept"), query.get("layer")
    concept = concept if concept in names else names[n_named.argmax()]
    layer = layer if layer in run.layers else _BEST
    picked = query.get("units", "")
    known = [kind for kind, _, _ in _kinds()]
    kind = query.get("kind", "")
    kinds = html.Div(
        [dmc.Radio(value=value, label=label, description=hint) for value, label, hint in _kinds()],
        className="kinds",
    )
    fields = [
        dmc.Select(
            id="effects-concept", label="Concept", description="whose pixels are counted",
            value=concept, data=names, searchable=True, allowDeselect=False,
        ),
        dmc.Select(
            id="effects-layer", label="Layer", description="(best) is the most informative",
            value=layer, data=[_BEST, *run.layers], searchable=True, allowDeselect=False,
        ),
        dmc.Select(
            id="effects-order", label="Which units", description="searches take longer",
            value=PICKED if picked else "iou", allowDeselect=False,
            data=[{"value": name, "label": order_label(name)} for name in (*ORDERS, PICKED)],
        ),
        html.Div(
            dmc.NumberInput(
                id="effects-units", label="Units", description="how many at once", value=8, min=1,
                allowDecimal=False,
            ),
            id="effects-counted", hidden=bool(picked),
        ),
        html.Div(
            dmc.TextInput(
                id="effects-picked", label="Units by hand", description="numbers, with commas",
                value=picked, placeholder="3, 7, 12",
            ),
            id="effects-by-hand", hidden=not picked,
        ),
        dmc.NumberInput(
            id="effects-samples", label="Samples", description="number of images to measure",
            value=200, min=2, allowDecimal=False,
        ),
        dmc.TextInput(
            id="effects-name", label="Name", description="of the result", value="",
            placeholder="from the question",
        ),
    ]  # fmt: skip
    return html.Section(
        [
            html.H2("Measure"),
            dmc.RadioGroup(
                kinds,
                id="effects-kind",
                value=kind if kind in known else known[0],
                label="What is done to the units?",
            ),
            html.Div(fields, className="controls"),
            dmc.Switch(
                id="effects-curve",
                label="Also a curve: the effect against the number of units",
                description="Takes longer; not at many places.",
                checked=False,
            ),
            dmc.Button("Measure", id="effects-go", variant="default"),
            html.Div(id="effects-status", role="status"),
            html.Div(id="effects-answer", role="status"),
            html.P(
                "One effect is measured at a time; others wait for their turn. They continue when "
                "this page is closed and when the dashboard ends.",
                className="quiet",
            ),
        ]
    )


def register(app: Dash) -> None:
    """Register its callbacks."""
    app.callback(
        Output("effects-counted", "hidden"),
        Output("effects-by-hand", "hidden"),
        Input("effects-order", "value"),
        prevent_initial_call=True,
    )(lambda order: (order == PICKED, order != PICKED))
    app.callback(
        Output("effects-ask", "children"),
        Output("effects-place-status", "children"),
        Input("effects-use", "n_clicks"),
        State("effects-place", "value"),
        State("effects-run", "data"),
        prevent_initial_call=True,
        running=[(Output("effects-use", "disabled"), True, False)],
    )(_use)
    fields = ("kind", "concept", "layer", "order", "units", "picked", "samples", "name")
    app.callback(
        Output("effects-status", "children"),
        Input("effects-go", "n_clicks"),
        State("effects-run", "data"),
        *[State(f"effects-{name}", "value") for name in fields],
        State("effects-curve", "checked"),
        prevent_initial_call=True,
    )(shows_errors(_measure))
    app.callback(
        Output("effects-answer", "children"),
        Input({"page": "effects", "action": ALL, "name": ALL}, "n_clicks"),
        prevent_initial_call=True,
    )(shows_errors(_act))
    app.callback(
        Output("effects-jobs", "children"),
        Output("effects-list", "children"),
        Output("effects-tick", "disabled"),
        Output("effects-news", "children"),
        Output("effects-moving", "data"),
        Output("effects-rows", "data"),
        Input("effects-tick", "n_intervals"),
        Input("effects-status", "children"),
        Input("effects-answer", "children"),
        State("effects-moving", "data"),
        State("effects-rows", "data"),
        State("effects-run", "data"),
        prevent_initial_call=True,
    )(_follow)
    register_progress(app, "effects", _how_far, State("effects-run", "data"))


def _jobs(opened: OpenRun) -> list[Job]:
    """Effects of a run that are running, waiting, or ended."""
    return work().all(EFFECT, run=opened.name)


def _advance() -> Component | None:
    """Start waiting jobs if possible; otherwise return the error."""
    try:
        work().advance()
    except DissectError as error:
        return problem(f"the next measurement cannot begin: {line_of(error)}")
    return None


def _measure(clicks: object, run_id: object, *given: Any) -> str:
    if not clicks:
        raise PreventUpdate
    kind, concept, layer, order, units, picked, samples, name, curve = given
    opened = context.current().store.open(text(run_id))
    run = opened.run
    concept = run.vocabulary[text(concept)].name
    if layer != _BEST and text(layer) not in run.layers:
        raise ConfigError(
            f"layer {short(layer)} is not in the run; {did_you_mean(layer, run.layers)}choose one "
            "of the list"
        )
    chosen = None if layer == _BEST else layer
    by_hand = tuple(read_units(picked)) if order == PICKED else ()
    if chosen and by_hand:
        row_of(opened, chosen, max(by_hand))  # raises an error if it does not exist
    which = "-".join(map(str, by_hand)) or units
    question = f"{kind}-{concept}-{which}-{chosen or 'best'}-{order}-{samples}"
    has_curve = kind in STUDIES and "curve" in STUDIES[kind].options
    question += "-curve" if curve is True and has_curve else ""
    which_units: dict[str, Any] = {"picked": by_hand} if by_hand else {"n_units": units}
    plain = re.sub(r"[^\w@+.-]+", "_", question, flags=re.ASCII)[:100]
    try:
        request = EffectRequest(
            run=opened.name,
            edit=kind,
            concept=concept,
            layer=chosen,
            order=order,
            n_samples=samples,
            name=name or plain,
            curve=curve,
            generator=places().get(run),
            **which_units,
        )
    except ConfigError as error:
        raise with_labels(error, EffectRequest) from None
    work().start(request)
    return ""


def _act(clicks: object) -> str:
    if not isinstance(clicks, list) or not any(clicks) or not isinstance(ctx.triggered_id, dict):
        raise PreventUpdate  # buttons that were only added or removed
    job_id, done = perform(ctx.triggered_id.get("action"), ctx.triggered_id.get("name"))
    if done:
        return done
    job = work().find(job_id)
    return f"{job.name} is {standing(job)}"


def _follow(*given: object) -> tuple:
    """Rows and list, if something began or ended: redrawn rows would lose the focus."""
    moved, rows, run_id = given[-3:]
    try:
        opened = context.current().store.open(text(run_id))
        fault = _advance()
        jobs = _jobs(opened)
    except DissectError as error:
        return no_update, no_update, True, problem(error), no_update, no_update
    now, standings = moving(jobs), rows_of(jobs)
    before = set(moved) if isinstance(moved, list) else set()
    ended = [job for job in jobs if job.id in before - set(now)]
    news = fault or [html.P(_news(job)) for job in ended] or no_update
    shown = no_update if rows == standings else job_rows(jobs, "effects")
    effects = effect_list(opened.run, opened.id) if ended else no_update
    return shown, effects, not now, news, now, standings


def _news(job: Job) -> list[Component | str]:
    if job.state != "finished":
        return [f"{job.name} is {standing(job)}"]
    link = dcc.Link(job.name, href=effect_href(run_id_of(job.run), job.name))
    return [link, " is measured and stands in the list"]


def _how_far(run_id: object) -> dict[str, Progress]:
    try:
        opened = context.current().store.open(text(run_id))
    except DissectError:
        return {}
    return {job.id: how_far(job) for job in _jobs(opened)}


PAGE = RunPage("/effects", "Effects", layout, callbacks=register, navigation="Effects", order=70)
