"""The page ``/run/<run>/effects``: what was measured, and a form to measure more."""

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, ctx, dcc, html, no_update
from dash.development.base_component import Component

from dashboard import context
from dashboard.measuring.measurements import Measurements, Progress, Question
from dashboard.measuring.showing import effect_list, one_effect
from dashboard.routing import Page, Visit
from dissect.errors import ConfigError, DissectError
from dissect.runs import Run

_SERVICE = "measurements"
_BEST = "(best)"
_KINDS = {
    "ablate": "Take away",
    "insert": "Hold at a value",
    "context": "At many places",
}
_ORDERS = {
    "iou": "best match (iou)",
    "excess": "best match over chance (excess)",
    "sweep": "searched one by one (sweep)",
    "greedy": "searched as a set (greedy)",
}


def layout(visit: Visit) -> Component:
    """The page for an address; ``?name=`` shows one effect."""
    run, name = visit.run.run, visit.query.get("name")
    return html.Div(
        [
            html.H1("Effects"),
            html.P(
                "What goes from the images without some units, or comes with them, measured "
                "against random units of the same layer."
            ),
            dcc.Store(id="effects-run", data=visit.run.id),
            dcc.Interval(id="effects-tick", interval=1000),
            html.Div(effect_list(run, visit.run.id), id="effects-list"),
            one_effect(run, visit.run.id, name) if name else None,
            _form(run),
        ],
        className="effects",
    )


def _form(run: Run) -> Component:
    names = list(run.vocabulary.names)
    kinds = [{"value": value, "label": label} for value, label in _KINDS.items()]
    return html.Section(
        [
            html.H2("Measure"),
            dmc.SegmentedControl(
                id="effects-kind", value="ablate", data=kinds, **{"aria-label": "What is done"}
            ),
            html.Div(
                [
                    dmc.Select(
                        id="effects-concept",
                        label="Concept",
                        value=names[0],
                        data=names,
                        searchable=True,
                        allowDeselect=False,
                    ),
                    dmc.Select(
                        id="effects-layer",
                        label="Layer",
                        value=_BEST,
                        data=[_BEST, *run.layers],
                        searchable=True,
                        allowDeselect=False,
                    ),
                    dmc.Select(
                        id="effects-order",
                        label="Which units",
                        value="iou",
                        data=[{"value": value, "label": label} for value, label in _ORDERS.items()],
                        allowDeselect=False,
                    ),
                    dmc.NumberInput(
                        id="effects-units", label="Units", value=8, min=1, allowDecimal=False
                    ),
                    dmc.NumberInput(
                        id="effects-samples", label="Samples", value=200, min=2, allowDecimal=False
                    ),
                    dmc.TextInput(
                        id="effects-name", label="Name", value="", placeholder="from the question"
                    ),
                ],
                className="controls",
            ),
            dmc.Switch(
                id="effects-curve",
                label="Also a curve: the effect against the number of units",
                checked=False,
            ),
            html.Div(
                [
                    dmc.Button("Measure", id="effects-go", variant="default"),
                    dmc.Button("Stop", id="effects-stop", variant="default", disabled=True),
                ],
                className="paint-row",
            ),
            html.P(id="effects-status", role="status"),
            html.Div(id="effects-progress"),
        ]
    )


def register(app: Dash) -> None:
    """Register its callbacks."""
    fields = ("kind", "concept", "layer", "order", "units", "samples", "name")
    app.callback(
        Output("effects-status", "children"),
        Input("effects-go", "n_clicks"),
        Input("effects-stop", "n_clicks"),
        State("effects-run", "data"),
        *[State(f"effects-{name}", "value") for name in fields],
        State("effects-curve", "checked"),
        prevent_initial_call=True,
    )(_measure)
    app.callback(
        Output("effects-progress", "children"),
        Output("effects-list", "children"),
        Output("effects-tick", "disabled"),
        Output("effects-stop", "disabled"),
        Input("effects-tick", "n_intervals"),
        Input("effects-status", "children"),
        State("effects-run", "data"),
        prevent_initial_call=True,
    )(_follow)


def _of_app() -> Measurements:
    services = context.current().services
    if _SERVICE not in services:
        services[_SERVICE] = Measurements()
    return services[_SERVICE]


def _measure(go: object, stop: object, run_id: object, *given: object) -> str:
    kind, concept, layer, order, units, samples, name, curve = given
    try:
        run = _run(run_id)
        if ctx.triggered_id == "effects-stop":
            live = [one for one in _of_app().progress(run.path) if one.running]
            for one in live:
                _of_app().stop(run.path, one.name)
            return "" if live else "nothing is measured"
        if not isinstance(concept, str) or concept not in run.vocabulary:
            raise ConfigError("the concept is not one of the run; choose one of the list")
        if layer != _BEST and (not isinstance(layer, str) or layer not in run.layers):
            raise ConfigError("the layer is not one of the run; choose one of the list")
        chosen = None if layer == _BEST else layer
        plain = "_".join(f"{kind}-{concept}-{units}-{chosen or 'best'}-{order}-{samples}".split())
        plain += "-curve" if curve is True and kind != "context" else ""
        question = Question(
            kind=kind,
            concept=concept,
            layer=chosen,
            order=order,
            units=units,
            samples=samples,
            name=name or plain,
            curve=curve,
        )
        _of_app().start(run.path, question)
    except DissectError as error:
        return str(error)
    return ""


def _follow(ticks: object, status: object, run_id: object) -> tuple:
    try:
        run = _run(run_id)
    except DissectError as error:
        return str(error), no_update, True, True
    found = _of_app().progress(run.path)
    shown = html.Ul([_told(one) for one in found], className="rows") if found else None
    idle = not any(one.running for one in found)
    return shown, effect_list(run, str(run_id)), idle, idle


def _told(one: Progress) -> Component:
    return html.Li(
        [html.Span(one.name), html.Span(one.told, className="failed" if one.failed else "quiet")]
    )


def _run(run_id: object) -> Run:
    if not isinstance(run_id, str):
        raise ConfigError("the page sent something else than a run; reload it")
    return context.current().store.open(run_id).run


PAGE = Page(
    "/run/<run>/effects", "Effects", layout, callbacks=register, navigation="Effects", order=70
)
