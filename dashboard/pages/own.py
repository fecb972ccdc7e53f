"""The page ``/run/<run>/own``: inverts the user's picture step by step, then moves it.

The page holds a token of the search, which the renderer keeps. An interval, which pauses while an
answer is on its way, requests some more steps until all are done. Errors and the progress stay on
the page.
"""

import uuid
from urllib.parse import urlencode

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from dashboard.callbacks import line_of, problem
from dashboard.components.units import empty
from dashboard.rendering.client import ask, to_uri
from dashboard.rendering.process import SupersededError
from dashboard.routing import RunPage, RunVisit
from dissect.directions.folder import DirectionFolder, folders_of, open_folder
from dissect.errors import DissectError

LARGEST_FILE = 5 << 20
"""Largest size of a picture in bytes; its base64 must fit into a request."""
_REACH, _STEP = 6.0, 0.25  # range and step of a slider
_TICK = 300  # ms between an answer and the next request
_STOPPED, _ENDLESS = 0, -1  # values of the interval's largest number of ticks
_SPACES = (("w+", "w+: nearer to the picture"), ("w", "w: easier to edit"), ("z", "z"))
_FOUND = (("seen", "Your picture, as it is read"), ("found", "What the generator draws"))
_MOVED = (("moved", "Moved"), ("random", "Random directions, as far"))


def layout(visit: RunVisit) -> Component:
    """The form, both pictures and the progress of the search, then a slider for each direction."""
    run = visit.run.run
    paths = {path.name: path for path in folders_of(run.path)}
    wanted = visit.query.get("set", "")
    name = wanted if wanted in paths else next(iter(paths), None)
    return html.Div(
        [
            html.H1("Your picture"),
            html.P(
                "The generator is searched for the latent whose image comes nearest to a picture "
                "of yours. It draws only what it was trained on: of anything else it finds the "
                "nearest thing that it knows, and the error says how far that is."
            ),
            dcc.Store(id="own-of", data={"run": visit.run.id, "folder": name}),
            dcc.Store(id="own-view", data=f"own-{uuid.uuid4()}"),
            dcc.Store(id="own-token"),
            dcc.Interval(id="own-tick", interval=_TICK, max_intervals=_STOPPED),
            _form(),
            html.P("No picture was uploaded yet.", id="own-status", role="status"),
            html.Div(
                [_picture(name, title) for name, title in _FOUND + _MOVED],
                style={"display": "flex", "flexWrap": "wrap"},
            ),
            html.H2("Move what was found"),
            html.Div(id="own-moves", role="status"),
            *_sliders(visit, None if name is None else open_folder(paths[name]), list(paths)),
        ]
    )


def _form() -> Component:
    return html.Div(
        [
            dmc.Select(
                id="own-space", label="Space", value="w+", allowDeselect=False,
                data=[{"value": value, "label": label} for value, label in _SPACES],
            ),
            dmc.NumberInput(
                id="own-steps", label="Steps", value=200, min=1, max=1000, step=50,
                allowDecimal=False,
            ),
            dcc.Upload(
                dmc.Button("Upload a picture", id="own-open", mt=8),
                id="own-upload", accept="image/*", max_size=LARGEST_FILE,
            ),
        ],
        style={"maxWidth": "320px"},
    )  # fmt: skip


def _picture(name: str, title: str) -> Component:
    return html.Figure(
        [
            html.Img(
                id=f"own-{name}", alt=title, className="paint-crisp", width=192, height=192
            ),
            html.Figcaption(title, className="quiet"),
        ],
        style={"margin": "0 16px 8px 0"},
    )  # fmt: skip


def _sliders(visit: RunVisit, folder: DirectionFolder | None, names: list[str]) -> list[Component]:
    if folder is None:
        return [
            empty("No directions were found for this run yet."),
            html.Pre(f"dissect directions fit {visit.run.name} --predictor NAME"),
        ]
    meanings = folder.meanings
    rows = [
        html.Div(
            [
                html.H3(one.name),
                html.P(
                    f"changes {meanings[number].label}" if meanings else "not scored",
                    className="quiet",
                ),
                dmc.Slider(
                    id={"type": "own-strength", "number": number}, mx=8, value=0, min=-_REACH,
                    max=_REACH, step=_STEP, thumbLabel=f"Strength of {one.name}"[:100], mb=16,
                ),
            ]
        )
        for number, one in enumerate(folder.directions)
    ]  # fmt: skip
    others = [name for name in names if name != folder.path.name]
    links = [dcc.Link(name, href=f"?{urlencode({'set': name})}") for name in others]
    return [
        html.P([f"Directions found by {folder.path.name}. ", *links], className="quiet"),
        html.Div(
            rows,
            style={
                "display": "grid", "gap": "24px",
                "gridTemplateColumns": "repeat(auto-fill, minmax(min(100%, 320px), 1fr))",
            },
        ),
    ]  # fmt: skip


def _callbacks(app: Dash) -> None:
    app.callback(
        Output("own-token", "data"),
        Output("own-tick", "max_intervals", allow_duplicate=True),
        Output("own-seen", "src"),
        Output("own-found", "src", allow_duplicate=True),
        Output("own-status", "children", allow_duplicate=True),
        Input("own-upload", "contents"),
        State("own-space", "value"),
        State("own-steps", "value"),
        State("own-of", "data"),
        State("own-view", "data"),
        prevent_initial_call=True,
    )(_begin)
    app.callback(
        Output("own-tick", "max_intervals"),
        Output("own-found", "src"),
        Output("own-status", "children"),
        Input("own-tick", "n_intervals"),
        State("own-token", "data"),
        State("own-of", "data"),
        State("own-view", "data"),
        running=[(Output("own-tick", "disabled"), True, False)],
        prevent_initial_call=True,
    )(_go_on)
    app.callback(
        *(Output(f"own-{name}", "src") for name, _ in _MOVED),
        Output("own-moves", "children"),
        Input({"type": "own-strength", "number": ALL}, "value"),
        Input("own-tick", "max_intervals"),
        State("own-token", "data"),
        State("own-of", "data"),
        State("own-view", "data"),
        prevent_initial_call=True,
    )(_move)


def _begin(
    contents: object, space: object, steps: object, of: object, view: object
) -> tuple[object, ...]:
    if contents is None:
        return (no_update,) * 5
    _, _, encoded = contents.partition(",") if isinstance(contents, str) else ("", "", None)
    question = {"ask": "invert", "image": encoded, "space": space, "steps": steps}
    try:
        answer = ask(_run(of), question, view=view)
    except DissectError as error:
        return None, _STOPPED, None, None, problem(line_of(error))
    pictures = [to_uri(part, "image/png") for part in answer.parts]
    return answer.content["token"], _ENDLESS, *pictures, _progress(answer.content)


def _go_on(_ticks: object, token: object, of: object, view: object) -> tuple[object, ...]:
    if token is None:
        return _STOPPED, no_update, no_update
    try:
        answer = ask(_run(of), {"ask": "search", "token": token}, view=view)
    except SupersededError:
        return (no_update,) * 3
    except DissectError as error:
        return _STOPPED, no_update, problem(line_of(error))
    done = answer.content["step"] >= answer.content["steps"]
    picture = to_uri(answer.parts[1], "image/png")
    return _STOPPED if done else no_update, picture, _progress(answer.content)


def _move(
    strengths: object, most_ticks: object, token: object, of: object, view: object
) -> tuple[object, ...]:
    nothing = (no_update,) * len(_MOVED)
    if not strengths or most_ticks != _STOPPED:
        return (*nothing, no_update)
    if token is None:
        return (*nothing, "Upload a picture first; sliders move what was found for it.")
    folder = of.get("folder") if isinstance(of, dict) else None
    question = {"ask": "own", "token": token, "folder": folder, "strengths": strengths}
    try:
        answer = ask(_run(of), question, view=f"{view}-moved")
    except SupersededError:
        return (*nothing, no_update)
    except DissectError as error:
        return (*nothing, problem(line_of(error)))
    pictures = [to_uri(part, "image/png") for part in answer.parts[1:]]
    return *pictures, "Each slider moves it along a direction, in deviations of the space."


def _run(of: object) -> object:
    return of.get("run") if isinstance(of, dict) else None


def _progress(content: object) -> str:
    assert isinstance(content, dict)
    step, steps = content["step"], content["steps"]
    how = "All steps are taken" if step >= steps else f"Step {step} of {steps}"
    return (
        f"{how}. Mean squared error {content['mse']:.4f} of range², PSNR {content['psnr']:.1f} dB."
    )


PAGE = RunPage(
    "/own", "Your picture", layout, callbacks=_callbacks, navigation="Your picture", order=66
)
