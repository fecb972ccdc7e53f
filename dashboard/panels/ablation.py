"""Panel of a unit's page: its top images with the unit ablated, and what changed in them."""

from collections.abc import Mapping
from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from dashboard import context
from dashboard.callbacks import line_of
from dashboard.components.attributes import aria
from dashboard.painting.tables import change_table
from dashboard.panels.images import ask_unit, run_of
from dashboard.rendering.client import to_uri
from dashboard.rendering.process import SupersededError
from dashboard.routing import Panel, UnitVisit
from dissect.errors import DissectError


def build(visit: UnitVisit) -> Component:
    """The panel; nothing is rendered until somebody asks."""
    own = {"run": visit.run.id, "layer": visit.layer, "unit": visit.unit}
    return html.Div(
        [
            dcc.Store(id="ablation-unit", data=own),
            html.P(
                "Off, for the reason that stands under “Look closer”.",
                className="ablation-off empty",
            ),
            html.P(
                "Its top images are made again with this unit at zero, and labelled again.",
                className="quiet",
            ),
            dmc.Button("Ablate this unit", id="ablation-go", variant="default"),
            html.P(id="ablation-status", role="status"),
            html.Div(id="ablation-found"),
        ],
        className="ablation",
    )


def register(app: Dash) -> None:
    """Register its callbacks."""
    app.callback(
        Output("ablation-found", "children"),
        Output("ablation-status", "children"),
        Input("ablation-go", "n_clicks"),
        State("ablation-unit", "data"),
        prevent_initial_call=True,
        running=[(Output("ablation-go", "disabled"), True, False)],
    )(_ablate)


def _ablate(clicks: object, unit: object) -> tuple:
    if not clicks:
        return no_update, no_update
    try:
        found = ask_unit(unit, {"ask": "ablate"}, view="ablation")
        vocabulary = context.current().store.open(run_of(unit)).run.vocabulary
    except SupersededError:
        return no_update, no_update
    except DissectError as error:
        return None, html.Span(line_of(error), className="failed")
    content = found.content
    pictures = [
        html.Figure(
            [
                html.Figcaption(name),
                html.Div(
                    html.Img(
                        src=to_uri(part, "image/webp"),
                        className="unit-strip",
                        alt=f"{name} it is ablated",
                    ),
                    className="strip whole",
                    tabIndex=0,
                    role="region",
                    style={"margin": "0"},
                    **aria(label=f"Images {name.lower()} it is ablated"),
                ),
            ],
            style={"margin": "0 0 8px"},
        )
        for name, part in zip(("Before", "After"), found.parts, strict=True)
    ]
    colours = {concept.name: concept.colour for concept in vocabulary}
    table = change_table(content["changes"], colours, pixels=content["pixels"])
    return [*pictures, table], _summary(content)


def _summary(content: Mapping[str, Any]) -> str:
    """What became of the concept that the unit matches."""
    start = f"{len(content['indices'])} top images, the unit set to zero"
    own = [change for change in content["changes"] if change[0] == content["concept"]]
    if not own:
        return f"{start}."
    concept, before, after = own[0]
    return f"{start}: {concept} from {before:,} to {after:,} pixels, {_share(before, after)}."


def _share(before: int, after: int) -> str:
    if before == 0:
        return "none before"
    return f"{100 * (after - before) / before:+.0f} %".replace("-", "−")


PANEL = Panel("Ablate this unit", build, callbacks=register, order=70, live=True)
