"""The page ``/run/<run>/directions``: a sample moved along directions, with a slider for each."""

import uuid
from collections.abc import Sequence
from urllib.parse import urlencode

import dash_mantine_components as dmc
import numpy as np
from dash import ALL, Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from dashboard.callbacks import line_of, problem
from dashboard.components.attributes import aria
from dashboard.components.units import empty
from dashboard.rendering.client import ask, to_uri
from dashboard.rendering.process import SupersededError
from dashboard.routing import RunPage, RunVisit
from dissect.directions.effects import Effects
from dissect.directions.folder import DirectionFolder, folders_of, open_folder
from dissect.directions.naming import Meaning
from dissect.errors import DissectError
from reports.directions import effect_cell

_REACH = 6.0  # range of a slider
_STEP = 0.25
_PICTURES = (
    ("plain", "As it is"),
    ("moved", "Moved"),
    ("random", "Random directions, as far"),
)
_READING = (
    "Each number is the mean change of the attribute for a step of {strength:g} deviations of the "
    "space, in deviations of the attribute, over {n:,} fresh images. Pale cells are not certain: "
    "their interval holds 0, or random directions of the same length do as much."
)


def layout(visit: RunVisit) -> Component:
    """Pictures at the top, then a slider and a strip for each direction, then their effects."""
    run = visit.run.run
    paths = {path.name: path for path in folders_of(run.path)}
    head = [
        html.H1("Directions"),
        html.P(
            "Units say what a layer draws; directions say how to move. Each slider moves the "
            "latent of one sample along a direction, in deviations of the space; several add up."
        ),
    ]
    if not paths:
        return html.Div(
            [
                *head,
                empty("No directions were found for this run yet."),
                html.Pre(
                    f"dissect directions fit {visit.run.name} --predictor NAME\n"
                    f"dissect directions fit {visit.run.name} --method sefa --predictor NAME"
                ),
            ]
        )
    wanted = visit.query.get("set", "")
    name = wanted if wanted in paths else next(iter(paths))
    folder = open_folder(paths[name])
    return html.Div(
        [
            *head,
            dcc.Store(id="directions-of", data={"run": visit.run.id, "folder": name}),
            dcc.Store(id="directions-view", data=f"directions-{uuid.uuid4()}"),
            _choice(visit, list(paths), name),
            html.Div(
                [_pictures(), _sample(run.config.seed, folder)],
                style={"display": "flex", "flexWrap": "wrap", "gap": "0 24px"},
            ),
            html.P("The generator is being loaded …", id="directions-status", role="status"),
            html.H2("Which direction is which?"),
            _sliders(folder),
            html.H2("What does each direction change?"),
            *_matrix(folder),
        ]
    )


def _choice(visit: RunVisit, names: Sequence[str], chosen: str) -> Component:
    """Links to the other folders of directions."""
    if len(names) == 1:
        return html.P(f"Found by {chosen}.", className="quiet")
    parts: list[Component] = [html.Span("Found by ")]
    for name in names:
        here = name == chosen
        link = html.Strong(name) if here else dcc.Link(name, href=f"?{urlencode({'set': name})}")
        parts += [link, html.Span(" ")]
    return html.P(parts)


def _pictures() -> Component:
    return html.Div(
        [
            html.Figure(
                [
                    html.Img(
                        id=f"directions-{name}", alt=title, className="paint-crisp",
                        width=192, height=192,
                    ),
                    html.Figcaption(title, className="quiet"),
                ],
                style={"margin": "0 16px 8px 0"},
            )
            for name, title in _PICTURES
        ],
        style={"display": "flex", "flexWrap": "wrap"},
    )  # fmt: skip


def _sample(seed: int, folder: DirectionFolder) -> Component:
    """The choice of the sample, and of the layers of w+ that move."""
    in_w = any(one.space in ("w", "w+") for one in folder.directions)
    return html.Div(
        [
            dmc.NumberInput(
                id="directions-index", label="Sample", value=0, min=0, step=1, allowDecimal=False
            ),
            dmc.NumberInput(
                id="directions-seed", label="Seed", value=seed, min=0, step=1, allowDecimal=False
            ),
            html.Div(
                [
                    dmc.NumberInput(
                        id=f"directions-{end}", label=f"{title} layer of w+", min=0, step=1,
                        allowDecimal=False, placeholder="all",
                    )
                    for end, title in (("first", "First"), ("last", "Last"))
                ],
                hidden=not in_w,
            ),
            dmc.Button("All sliders to 0", id="directions-reset", variant="default", mt=8),
        ],
        style={"maxWidth": "200px"},
    )  # fmt: skip


def _sliders(folder: DirectionFolder) -> Component:
    meanings = folder.meanings
    rows = [
        _slider(folder, number, meanings[number] if meanings else None)
        for number in range(len(folder.directions))
    ]
    random = folder.strip(None)
    if random is not None:
        rows.append(
            html.Div(
                [
                    html.H3("a random direction, as far"),
                    html.P("What any direction of this length does.", className="quiet"),
                    _strip(random, "A random direction of the same length"),
                ]
            )
        )
    return html.Div(
        rows,
        style={
            "display": "grid", "gap": "24px",
            "gridTemplateColumns": "repeat(auto-fill, minmax(min(100%, 420px), 1fr))",
        },
    )  # fmt: skip


def _slider(folder: DirectionFolder, number: int, meaning: Meaning | None) -> Component:
    direction = folder.directions[number]
    strip = folder.strip(number)
    told = "not scored: nothing is known of what it changes"
    if meaning is not None:
        sides = ", ".join(map(str, meaning.side_effects))
        told = (
            "changes nothing that was measured, beyond chance"
            if meaning.main is None
            else f"{meaning.main}" + (f"; with it {sides}" if sides else "; nothing else")
        )
    title = direction.name
    if meaning is not None and meaning.main is not None and meaning.label != f"{title} +":
        title = f"{title}: {meaning.label}"
    return html.Div(
        [
            html.H3(title),
            html.P(told, className="quiet"),
            None if strip is None else _strip(strip, f"{title}, from −4 to 4 deviations"),
            dmc.Slider(
                id={"type": "directions-strength", "number": number},
                mx=8,
                value=0,
                min=-_REACH,
                max=_REACH,
                step=_STEP,
                marks=[{"value": at, "label": f"{at:g}".replace("-", "−")} for at in (-4, 0, 4)],
                thumbLabel=f"Strength of {title}"[:100],
                mb=24,
            ),
        ]
    )


def _strip(picture: bytes, what: str) -> Component:
    return html.Img(
        src=to_uri(picture, "image/webp"), alt=what, style={"maxWidth": "100%", "height": "auto"}
    )


def _matrix(folder: DirectionFolder) -> list[Component]:
    effects = folder.effects
    if effects is None:
        return [
            empty("These directions are not scored yet, so nobody can say which is which."),
            html.Pre(
                f"dissect directions score RUN RUN/directions/{folder.path.name} --predictor P"
            ),
        ]
    parts: list[Component] = [
        html.P(_READING.format(strength=effects.strength, n=effects.n_samples)),
        _heat(effects, "Directions and attributes", "Direction", with_floor=True),
    ]
    for name, layers in folder.layers.items():
        parts += [
            html.H3(f"Which layers hold it? {name}, layer by layer"),
            _heat(layers, f"Layers of {name}", "Layer of w+", with_floor=False),
        ]
    return parts


def _heat(effects: Effects, label: str, what: str, *, with_floor: bool) -> Component:
    head = html.Tr(
        [html.Th(what, scope="col"), *(html.Th(a, scope="col") for a in effects.attributes)]
    )
    most = float(np.nanmax(np.abs(effects.signed), initial=0.0)) or 1.0
    rows = [
        html.Tr(
            [
                html.Th(name, scope="row"),
                *(
                    _cell(effects.signed[row, k], bool(effects.beyond[row, k]), most)
                    for k in range(len(effects.attributes))
                ),
            ]
        )
        for row, name in enumerate(effects.names)
    ]
    if with_floor:
        floor = [f"{value:.2f}" if np.isfinite(value) else "–" for value in effects.floor[0]]
        rows.append(html.Tr([html.Th("random, the largest", scope="row"), *map(html.Td, floor)]))
    return html.Div(
        html.Table([html.Thead(head), html.Tbody(rows)], className="matrix"),
        className="scroll",
        tabIndex=0,
        role="region",
        **aria(label=label),
    )


def _cell(value: float, beyond: bool, most: float) -> Component:
    cell = effect_cell(value, beyond, most)
    if not cell.style:
        return html.Td(cell.text, className="quiet", title="not certain")
    return html.Td(cell.text, style={"background": cell.style}, title="certain")


def _callbacks(app: Dash) -> None:
    every = {"type": "directions-strength", "number": ALL}
    app.callback(
        *(Output(f"directions-{name}", "src") for name, _ in _PICTURES),
        Output("directions-status", "children"),
        Input(every, "value"),
        *(Input(f"directions-{name}", "value") for name in ("index", "seed", "first", "last")),
        State("directions-of", "data"),
        State("directions-view", "data"),
    )(_render)
    app.callback(
        Output(every, "value"),
        Input("directions-reset", "n_clicks"),
        State(every, "value"),
        prevent_initial_call=True,
    )(_reset)


def _reset(clicks: object, strengths: object) -> list[int]:
    return [0] * len(strengths) if isinstance(strengths, list) else []


def _render(
    strengths: object, index: object, seed: object, first: object, last: object, of: object,
    view: object,
) -> tuple[object, ...]:  # fmt: skip
    nothing = (no_update,) * len(_PICTURES)
    if not isinstance(of, dict):
        return (*nothing, problem("the page sent something else than a run; reload it"))
    layers = None
    if first not in (None, "") or last not in (None, ""):
        low = 0 if first in (None, "") else first
        layers = [low, low if last in (None, "") else last]
    question = {
        "ask": "move", "folder": of.get("folder"), "strengths": strengths, "index": index,
        "seed": seed, "layers": layers,
    }  # fmt: skip
    try:
        answer = ask(of.get("run"), question, view=view)
    except SupersededError:
        return (*nothing, no_update)
    except DissectError as error:
        return (*nothing, problem(line_of(error)))
    return (*(to_uri(part, "image/png") for part in answer.parts), "")


PAGE = RunPage(
    "/directions", "Directions", layout, callbacks=_callbacks, navigation="Directions", order=65
)
