"""Panel of a unit's page: its images with the unit ablated, and what changed."""

from collections.abc import Mapping
from typing import Any

import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from dashboard import context
from dashboard.callbacks import line_of
from dashboard.painting.tables import change_table
from dashboard.panels.images import ask_unit, run_of
from dashboard.rendering.client import to_uri
from dashboard.rendering.process import SupersededError
from dashboard.routing import Panel, UnitVisit
from dissect.errors import DissectError


def build(visit: UnitVisit) -> Component:
    """The panel; renders nothing until the user requests it."""
    own = {"run": visit.run.id, "layer": visit.layer, "unit": visit.unit}
    return html.Div(
        [
            dcc.Store(id="ablation-unit", data=own),
            html.P(
                "Off, for the reason that stands below the images.",
                className="ablation-off empty",
            ),
            dmc.Switch(
                id="ablation-go",
                label="Ablate this unit",
                description="Generates the images above with the unit at zero and segments them.",
                checked=False,
            ),
            html.P(id="ablation-status", role="status"),
            html.Div(id="ablation-found"),
        ],
        className="ablation",
    )


def register(app: Dash) -> None:
    """Register its callbacks."""
    app.callback(
        Output("ablation-strip", "src"),
        Output("ablation-found", "children"),
        Output("ablation-status", "children"),
        Input("ablation-go", "checked"),
        Input("images-shown", "data"),
        State("ablation-unit", "data"),
        prevent_initial_call=True,
    )(_ablate)
    # The grid of images shows the ablated images instead.
    app.clientside_callback(
        ClientsideFunction("dissect", "showAblated"),
        Output("ablation-box", "hidden"),
        Output("images-box", "hidden"),
        Input("ablation-go", "checked"),
        Input("ablation-strip", "src"),
    )


def _ablate(on: object, indices: object, unit: object) -> tuple:
    if not on:
        return "", None, ""
    try:
        found = ask_unit(unit, {"ask": "ablate", "indices": indices}, view="ablation")
        vocabulary = context.current().store.open(run_of(unit)).run.vocabulary
    except SupersededError:
        return no_update, no_update, no_update
    except DissectError as error:
        return "", None, html.Span(line_of(error), className="failed")
    content = found.content
    colours = {concept.name: concept.colour for concept in vocabulary}
    table = change_table(content["changes"], colours, pixels=content["pixels"])
    changed = html.Details([html.Summary("What changed in them"), table])
    return to_uri(found.parts[1], "image/webp"), changed, _summary(content)


def _summary(content: Mapping[str, Any]) -> str:
    """The change of the concept that the unit matches."""
    start = f"{len(content['indices'])} images, the unit set to zero"
    own = [change for change in content["changes"] if change[0] == content["concept"]]
    if not own:
        return f"{start}."
    concept, before, after = own[0]
    return f"{start}: {concept} from {before:,} to {after:,} pixels, {_share(before, after)}."


def _share(before: int, after: int) -> str:
    if before == 0:
        return "none before"
    return f"{100 * (after - before) / before:+.0f} %".replace("-", "−")


PANEL = Panel("What goes without it?", build, callbacks=register, order=70, live=True)
