"""The page ``/run/<run>/effects``: what was measured, and a form to measure more."""

from pathlib import Path
from urllib.parse import urlencode

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, ctx, dcc, html, no_update
from dash.development.base_component import Component

from dashboard import context
from dashboard.measuring.measurements import Measurements, Progress, Question
from dashboard.rendering.asking import to_uri
from dashboard.routing import Page, Visit
from dissect.errors import ConfigError, DissectError
from dissect.runs import Run

_SERVICE = "measurements"
_LARGEST = 8 * 1024 * 1024
_BEST = "(best)"
_PICTURES = (
    ("sheet.png", "image/png", "Before, after, difference"),
    ("curve.svg", "image/svg+xml", "Effect against the number of units, with random ones"),
    ("contexts.svg", "image/svg+xml", "What comes where"),
)


def layout(visit: Visit) -> Component:
    """The page for an address; ``?name=`` shows one effect."""
    run = visit.run.run
    return html.Div(
        [
            html.H1("Effects"),
            html.P(
                "What goes from the images without some units, or comes with them, measured "
                "against random units of the same layer."
            ),
            dcc.Store(id="effects-run", data=visit.run.id),
            dcc.Interval(id="effects-tick", interval=1000),
            html.Div(_list(run, visit.run.id), id="effects-list"),
            _form(run),
            _chosen(run, visit.query.get("name")),
        ],
        className="effects",
    )


def _list(run: Run, run_id: str) -> Component:
    # Interventions import torch, which a server that never shows them need not do.
    from dissect.interventions.store import effect_names, open_effect  # noqa: PLC0415
    from dissect.interventions.telling import headline  # noqa: PLC0415

    rows = []
    for name in effect_names(run):
        href = f"/run/{run_id}/effects?{urlencode({'name': name})}"
        try:
            told = headline(open_effect(run, name).record["summary"])
        except (DissectError, KeyError, TypeError) as error:
            told = f"cannot be shown: {error}"
        rows.append(html.Li([dcc.Link(name, href=href), ": ", told]))
    return html.Ul(rows) if rows else html.P("Nothing was measured on this run yet.")


def _chosen(run: Run, name: str | None) -> Component | None:
    from dissect.interventions.store import open_effect  # noqa: PLC0415
    from dissect.interventions.telling import describe_effect  # noqa: PLC0415

    if not name:
        return None
    try:
        effect = open_effect(run, name)
        told = describe_effect(effect.record["summary"])
    except (DissectError, KeyError, TypeError) as error:
        return html.P(str(error), role="alert", className="failed")
    parts: list[Component] = [
        html.H2(name),
        html.Pre(told, tabIndex=0, **{"aria-label": "Effect in words"}),
    ]
    for file, kind, title in _PICTURES:
        data = _picture(effect.path / file)
        if data is not None:
            parts.append(
                html.Figure([html.Figcaption(title), html.Img(src=to_uri(data, kind), alt=title)])
            )
    return html.Section(parts)


def _picture(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if path.stat().st_size <= _LARGEST else None
    except OSError:
        return None


def _form(run: Run) -> Component:
    names = list(run.vocabulary.names)
    kinds = [
        {"value": "ablate", "label": "Take away"},
        {"value": "insert", "label": "Hold at a value"},
    ]
    return html.Fieldset(
        [
            html.Legend("Measure"),
            html.Div(
                [
                    dmc.SegmentedControl(id="effects-kind", value="ablate", data=kinds),
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
                        data=["iou", "excess", "sweep", "greedy"],
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
                className="paint-row",
            ),
            html.Div(
                [
                    dmc.Button("Measure", id="effects-go", variant="default"),
                    dmc.Button("Stop", id="effects-stop", variant="default"),
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
        prevent_initial_call=True,
    )(_measure)
    app.callback(
        Output("effects-progress", "children"),
        Output("effects-list", "children"),
        Output("effects-tick", "disabled"),
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
    kind, concept, layer, order, units, samples, name = given
    try:
        run = _run(run_id)
        if ctx.triggered_id == "effects-stop":
            live = [one for one in _of_app().progress(run.path) if one.running]
            for one in live:
                _of_app().stop(run.path, one.name)
            return (
                f"stopped {', '.join(one.name for one in live)}" if live else "nothing is measured"
            )
        if not isinstance(concept, str) or concept not in run.vocabulary:
            raise ConfigError("the concept is not one of the run; choose one of the list")
        if layer != _BEST and (not isinstance(layer, str) or layer not in run.layers):
            raise ConfigError("the layer is not one of the run; choose one of the list")
        chosen = None if layer == _BEST else layer
        plain = "_".join(f"{kind}-{concept}-{units}-{chosen or 'best'}-{order}-{samples}".split())
        question = Question(
            kind=kind,
            concept=concept,
            layer=chosen,
            order=order,
            units=units,
            samples=samples,
            name=name or plain,
        )
        _of_app().start(run.path, question)
    except DissectError as error:
        return str(error)
    return f"{question.name} is being measured"


def _follow(ticks: object, status: object, run_id: object) -> tuple:
    try:
        run = _run(run_id)
    except DissectError as error:
        return str(error), no_update, True
    found = _of_app().progress(run.path)
    shown = html.Ul([html.Li(_told(one)) for one in found]) if found else None
    return shown, _list(run, str(run_id)), not any(one.running for one in found)


def _told(one: Progress) -> str:
    return f"{one.name}: {one.told}"


def _run(run_id: object) -> Run:
    if not isinstance(run_id, str):
        raise ConfigError("the page sent something else than a run; reload it")
    return context.current().store.open(run_id).run


PAGE = Page(
    "/run/<run>/effects", "Effects", layout, callbacks=register, navigation="Effects", order=70
)
