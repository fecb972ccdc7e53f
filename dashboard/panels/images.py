"""Panel of a unit's page: its mask at any threshold, and new images."""

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, ctx, dcc, html, no_update
from dash.development.base_component import Component

from dashboard.callbacks import line_of, text
from dashboard.components.attributes import aria
from dashboard.pairs import pairs_of
from dashboard.rendering.client import ask, to_uri
from dashboard.rendering.frames import Frame
from dashboard.rendering.process import SupersededError
from dashboard.routing import Panel, UnitVisit
from dashboard.unit_facts import edges_of, row_of
from dissect.errors import DissectError

_STEPS = 200
_NEW = 64  # samples that are looked through for each strip of new ones


def build(visit: UnitVisit) -> Component:
    """The panel; its pictures come when the renderer has them."""
    opened = visit.run
    edges = edges_of(opened.run, visit.layer, visit.unit)
    low, high = float(edges.min()), float(edges.max())
    row, pairs = row_of(opened, visit.layer, visit.unit), pairs_of(opened)
    own = min(max(float(pairs.scores["threshold"][row, pairs.best[row]]), low), high)
    return html.Div(
        [
            dcc.Store(
                id="images-unit",
                data={"run": opened.id, "layer": visit.layer, "unit": visit.unit},
            ),
            dcc.Store(id="images-first"),
            html.P(
                "Outlined is where the unit exceeds the threshold; the mark is the run's own.",
                className="quiet",
            ),
            dmc.Slider(
                id="images-threshold",
                value=own,
                min=low,
                max=high,
                step=max((high - low) / _STEPS, 1e-6),
                precision=6,
                marks=[{"value": own}],
                thumbLabel="Threshold",
            ),
            html.P(id="images-status", role="status", children="The generator is being loaded …"),
            html.Div(
                html.Img(
                    id="images-strip", className="unit-strip", alt="Images, the mask outlined"
                ),
                className="strip whole",
                tabIndex=0,
                role="region",
                **aria(label="Images at this threshold"),
            ),
            html.Div(
                [
                    dmc.Button("More images", id="images-more", variant="default"),
                    dmc.Button("Top images of the run", id="images-top", variant="default"),
                ],
                className="paint-row",
            ),
        ],
        className="images",
    )


def register(app: Dash) -> None:
    """Register its callbacks."""
    app.callback(
        Output("images-strip", "src"),
        Output("images-status", "children"),
        Output("images-first", "data"),
        Input("images-threshold", "value"),
        Input("images-more", "n_clicks"),
        Input("images-top", "n_clicks"),
        State("images-first", "data"),
        State("images-unit", "data"),
    )(_look)


def _look(threshold: object, more: object, top: object, first: object, unit: object) -> tuple:
    if ctx.triggered_id == "images-more":
        first = first + _NEW if type(first) is int else 0
    elif ctx.triggered_id == "images-top":
        first = None
    question = {"ask": "masks", "threshold": threshold, "first": first}
    try:
        found = ask_unit(unit, question, view="images")
    except SupersededError:
        return (no_update,) * 3
    except DissectError as error:
        return no_update, html.Span(line_of(error), className="failed"), no_update
    which = "Top images of the run" if first is None else f"The best of {_NEW} new images"
    indices = ", ".join(map(str, found.content["indices"]))
    message = (
        f"{100 * found.content['share']:.1f} % of the pixels are above "
        f"{_signed(found.content['threshold'])}. {which}: samples {indices}."
    )
    return to_uri(found.parts[0], "image/webp"), message, first


def _signed(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


def run_of(unit: object) -> str:
    """The run of the unit that a panel keeps in its store.

    Raises:
        ConfigError: a store without one.
    """
    return text(unit.get("run") if isinstance(unit, dict) else None)


def ask_unit(unit: object, question: dict[str, object], *, view: str) -> Frame:
    """Ask about the unit that a panel keeps in its store.

    Raises:
        DissectError: see ``ask``.
    """
    given = unit if isinstance(unit, dict) else {}
    own = {name: given.get(name) for name in ("layer", "unit")}
    return ask(given.get("run"), {**question, **own}, view=f"{view}-{own}")


PANEL = Panel("Look closer", build, callbacks=register, order=60, live=True)
