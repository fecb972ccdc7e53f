"""Callbacks of the paint page that run in the browser; see ``assets/paint.js``."""

from dash import ALL, ClientsideFunction, Dash, Input, Output, State

FIELDS = ("seed", "index", "truncation", "label")
"""Components of the page for the image."""
_PLACE = ("index", "seed", "truncation")
CORNERS = ("top", "left", "bottom", "right")
"""Components of the page for the rectangle."""


def register_browser(app: Dash) -> None:
    """Register them."""

    def here(name: str) -> ClientsideFunction:
        return ClientsideFunction("paint", name)

    app.clientside_callback(
        here("size"), Output("paint-none", "data"), Input("paint-size", "value")
    )
    chips = {"type": "paint-chip", "name": ALL}
    app.clientside_callback(
        here("choose"),
        Output("paint-concept", "value"),
        Input(chips, "n_clicks"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        here("press"),
        Output(chips, "aria-pressed"),
        Input("paint-concept", "value"),
        State(chips, "id"),
    )
    app.clientside_callback(
        here("reveal"), Output("paint-after", "style"), Input("paint-reveal", "value")
    )
    # While a requested brush is being found, painting with the previous one is disabled.
    app.clientside_callback(
        here("forget"),
        Output("paint-brush", "data", allow_duplicate=True),
        *[Input(f"paint-{name}", "value") for name in ("concept", "mode", "layer", "units")],
        Input("paint-learned", "checked"),
        prevent_initial_call=True,
    )
    # Units by hand are of a layer, which is chosen there.
    app.clientside_callback(
        here("unfold"),
        Output("paint-advanced", "open"),
        Input("paint-concept", "value"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        here("ready"),
        Output("paint-box", "disabled"),
        Output("paint-everywhere", "disabled"),
        Output("paint-find", "disabled"),
        Input("paint-brush", "data"),
    )
    app.clientside_callback(
        here("undoable"),
        *[Output(f"paint-{name}", "disabled") for name in ("undo", "redo", "clear")],
        Input("paint-history", "data"),
    )
    app.clientside_callback(
        here("start"),
        *[Output(f"paint-{name}", "value", allow_duplicate=True) for name in _PLACE],
        Input({"type": "paint-start", "name": ALL}, "n_clicks"),
        State("paint-origin", "data"),
        prevent_initial_call=True,
    )
    steps = ("previous", "next", "random")
    app.clientside_callback(
        here("step"),
        Output("paint-index", "value"),
        *[Input(f"paint-{name}", "n_clicks") for name in steps],
        State("paint-index", "value"),
        prevent_initial_call=True,
    )
    shown = (*FIELDS, "concept", "mode", "layer", "units")
    app.clientside_callback(
        here("address"),
        Output("paint-none", "data", allow_duplicate=True),
        *[Input(f"paint-{name}", "value") for name in shown],
        prevent_initial_call=True,
    )
    app.clientside_callback(
        here("keep"),
        Output("paint-kept", "data"),
        Input("paint-history", "data"),
        State("paint-run", "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        here("restore"),
        Output("paint-restored", "data"),
        Input("paint-kept", "modified_timestamp"),
        State("paint-kept", "data"),
        State("paint-history", "data"),
        State("paint-run", "data"),
    )
    app.callback(Output("paint-stage", "className"), Input("paint-smooth", "checked"))(
        lambda smooth: "paint-stage" if smooth else "paint-stage paint-crisp"
    )
