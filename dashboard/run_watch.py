"""Every page of a run checks regularly that the run is still the displayed one."""

from dash import Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component
from dash.exceptions import PreventUpdate

from dashboard import context
from dashboard.callbacks import problem, text
from dashboard.media import digest_of
from dashboard.store import OpenRun
from dissect.errors import DissectError

_EVERY = 15_000  # milliseconds


def run_watch(opened: OpenRun) -> Component:
    """The component that checks, and the place for the message that the run changed or is gone."""
    return html.Div(
        [
            dcc.Store(id="run-drawn", data=[opened.id, digest_of(opened)]),
            dcc.Interval(id="run-look", interval=_EVERY),
            html.Div(id="run-news"),
        ]
    )


def register(app: Dash) -> None:
    """Register its callback."""
    app.callback(
        Output("run-news", "children"),
        Output("run-look", "disabled"),
        Input("run-look", "n_intervals"),
        State("run-drawn", "data"),
        prevent_initial_call=True,
    )(_look)


def _look(ticks: object, drawn: object) -> tuple[Component, bool]:
    run_id, digest = drawn if isinstance(drawn, list) and len(drawn) == 2 else (None, None)
    try:
        opened = context.current().store.open(text(run_id))
    except DissectError as error:
        return problem(error), True
    if digest != digest_of(opened):
        return problem("This run was made again since the page was drawn; reload it."), True
    raise PreventUpdate
