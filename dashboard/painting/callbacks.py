"""Callbacks of the paint page: a few lines each, which use ``state``, ``history`` and ``ask``."""

import base64
import binascii
import re
from dataclasses import replace
from typing import Any

from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update

from dashboard import context
from dashboard.callbacks import line_of, problem, text
from dashboard.components.attributes import data_attributes
from dashboard.notes.labels import quoted, second_labels
from dashboard.painting.browser import CORNERS, FIELDS, register_browser
from dashboard.painting.history import History
from dashboard.painting.state import BEST, BY_HAND, read_painting, read_stroke, read_units
from dashboard.painting.tables import change_table, start_list, stroke_list
from dashboard.rendering.client import ask, to_uri
from dashboard.rendering.process import SupersededError
from dissect.edits import recipes
from dissect.errors import ConfigError, DissectError
from dissect.painting.recipe import LARGEST_BYTES, read_recipe, write_recipe

_LEARNING_SECONDS = 1800.0  # until a search for learned values counts as hung
_ANY_SAMPLE = {"seed": 0, "index": 0, "truncation": 1, "label": None}
_JUDGING = "What the stroke did is being measured …"
_TRYING = "The brush is tried on other images …"
_LOOKING = (
    "The units are being searched: a few seconds the first time, minutes with learned values …"
)


def register(app: Dash) -> None:
    """Register all callbacks."""
    register_browser(app)
    app.callback(
        Output("paint-about", "data"),
        Output("paint-status", "children"),
        Input("paint-run", "data"),
        State("paint-view", "data"),
    )(_about)
    app.callback(
        Output("paint-brush", "data"),
        Output("paint-how", "children"),
        Output("paint-n-units", "value"),
        Output("paint-strength", "value"),
        Output("paint-by-hand", "hidden"),
        Input("paint-seen", "data"),
        Input("paint-concept", "value"),
        Input("paint-mode", "value"),
        Input("paint-layer", "value"),
        Input("paint-units", "value"),
        Input("paint-learned", "checked"),
        *[State(f"paint-{name}", "value") for name in CORNERS],
        State("paint-history", "data"),
        State("paint-about", "data"),
        State("paint-run", "data"),
        State("paint-view", "data"),
        running=[(Output("paint-how", "children"), _LOOKING, "")],
    )(_brush)
    _register_strokes(app)
    app.callback(
        Output("paint-before", "src"),
        Output("paint-after", "src"),
        Output("paint-labels-before", "src"),
        Output("paint-labels-after", "src"),
        Output("paint-changes", "children"),
        Output("paint-status", "children", allow_duplicate=True),
        Output("paint-seen", "data"),
        Output("paint-shown", "data"),
        Input("paint-about", "data"),
        Input("paint-history", "data"),
        *[Input(f"paint-{name}", "value") for name in FIELDS],
        Input("paint-plane", "value"),
        State("paint-seen", "data"),
        State("paint-shown", "data"),
        State("paint-run", "data"),
        State("paint-view", "data"),
        prevent_initial_call=True,
    )(_render)
    app.callback(
        Output("paint-verdict", "children"),
        Output("paint-advice", "children"),
        Input("paint-shown", "data"),
        State("paint-run", "data"),
        State("paint-view", "data"),
        prevent_initial_call=True,
        running=[
            (Output("paint-verdict", "children"), _JUDGING, ""),
            (Output("paint-advice", "children"), "", ""),
        ],
    )(_judge)
    app.callback(
        Output("paint-starts", "children"),
        Input("paint-find", "n_clicks"),
        State("paint-history", "data"),
        State("paint-brush", "data"),
        State("paint-n-units", "value"),
        State("paint-strength", "value"),
        *[State(f"paint-{name}", "value") for name in CORNERS],
        *[State(f"paint-{name}", "value") for name in FIELDS],
        State("paint-about", "data"),
        State("paint-run", "data"),
        State("paint-view", "data"),
        prevent_initial_call=True,
        running=[(Output("paint-starts", "children"), _TRYING, "")],
    )(_starts)
    _register_files(app)


def _register_strokes(app: Dash) -> None:
    buttons = ("box", "everywhere", "undo", "redo", "clear")
    app.callback(
        Output("paint-history", "data"),
        Output("paint-strokes", "children"),
        Output("paint-refused", "children"),
        Input("paint-place", "data"),
        *[Input(f"paint-{name}", "n_clicks") for name in buttons],
        Input({"type": "paint-delete", "name": ALL}, "n_clicks"),
        Input("paint-restored", "data"),
        State("paint-history", "data"),
        State("paint-brush", "data"),
        State("paint-n-units", "value"),
        State("paint-strength", "value"),
        *[State(f"paint-{name}", "value") for name in ("top", "left", "bottom", "right")],
        prevent_initial_call=True,
    )(_strokes)


def _register_files(app: Dash) -> None:
    app.callback(
        Output("paint-download", "data"),
        Output("paint-saved", "children"),
        Input("paint-save-image", "n_clicks"),
        Input("paint-save-recipe", "n_clicks"),
        State("paint-about", "data"),
        State("paint-history", "data"),
        *[State(f"paint-{name}", "value") for name in FIELDS],
        State("paint-run", "data"),
        State("paint-view", "data"),
        prevent_initial_call=True,
    )(_save)
    app.callback(
        Output("paint-about", "data", allow_duplicate=True),
        Output("paint-history", "data", allow_duplicate=True),
        Output("paint-strokes", "children", allow_duplicate=True),
        *[Output(f"paint-{name}", "value", allow_duplicate=True) for name in FIELDS],
        Output("paint-opened", "children"),
        Input("paint-upload", "contents"),
        State("paint-about", "data"),
        prevent_initial_call=True,
    )(_open)


def _about(run_id: object, view: object) -> tuple:
    try:
        return dict(ask(run_id, {"ask": "about"}, view=f"{view}-about").content), ""
    except DissectError as error:
        return no_update, problem(f"Painting is off: {line_of(error)}")


def _brush(
    seen: object,
    concept: object,
    mode: object,
    layer: object,
    units: object,
    learned: object,
    *given: object,
) -> tuple:
    *corners, history, about, run_id, view = given
    by_hand = concept == BY_HAND
    if not about or not seen:  # the image is shown before a brush is found
        return no_update, no_update, no_update, no_update, not by_hand
    chosen = None if layer == BEST else layer
    question, where = {"ask": "brush", "mode": mode, "layer": chosen}, ""
    try:
        if by_hand:
            if chosen is None or not units:
                return None, "Choose a layer and units of it.", no_update, no_update, False
            question |= {"units": read_units(units)}
        else:
            where, place = _shape(corners, history)
            question |= {"concept": concept, "learned": learned is True, **place}
        limit = {"seconds": _LEARNING_SECONDS} if question.get("learned") else {}
        brush = ask(run_id, question, view=f"{view}-brush", **limit).content
    except SupersededError:
        return (no_update,) * 5
    except DissectError as error:
        return None, line_of(error), no_update, no_update, not by_hand
    how = f"{brush['layer']}: {brush['how']}"
    how += _called(text(run_id), brush["layer"], brush["units"]) if by_hand else ""
    if brush["tried"]:
        how += f". Tried {where}, it {brush['tried']}."
    plain = {name: brush[name] for name in ("concept", "mode", "layer", "units", "values")}
    return plain, how, brush["n_units"], brush["strength"], not by_hand


def _shape(corners: list[object], history: object) -> tuple[str, dict[str, object]]:
    """The shape for testing a brush, in words and for the renderer: the last stroke, or the current
    rectangle.
    """
    strokes = History.from_json(history).shown
    if strokes:
        last = strokes[-1]
        if last.mask is not None:
            return "with the shape of the last stroke", {
                "mask": base64.b64encode(last.mask).decode()
            }
        if last.box is not None:
            return _rectangle(last.box), {"box": list(last.box)}
    numbers = [one for one in corners if isinstance(one, int | float)]
    top, left, bottom, right = map(int, numbers) if len(numbers) == 4 else (0, 0, 0, 0)
    if top < bottom and left < right:
        return _rectangle((top, left, bottom, right)), {"box": [top, left, bottom, right]}
    return "in a box where it is seen most", {}  # there is no rectangle


def _rectangle(box: tuple[int, int, int, int]) -> str:
    return f"in the rectangle {', '.join(map(str, box))}"


def _called(run_id: str, layer: str, units: list[int]) -> str:
    """People's labels of these units."""
    people = second_labels(context.current().store.open(run_id))
    named = [
        f"unit {unit}{quoted(people[layer, unit])}" for unit in units if (layer, unit) in people
    ]
    return f". People call {', '.join(named)}" if named else ""


def _strokes(place: object, *given: Any) -> tuple:
    _, _, _, _, _, deleted, restored, history, brush, n_units, strength, *corners = given
    cause = ctx.triggered_id
    try:
        old = new = History.from_json(history)
        if cause == "paint-restored":
            new = History.from_json(restored) if restored else old
        elif isinstance(cause, dict):
            if any(deleted):  # a redrawn list triggers too, without a click
                new = old.without(str(cause.get("name")))
        elif cause in ("paint-undo", "paint-redo", "paint-clear"):
            new = {"undo": old.undone, "redo": old.redone, "clear": old.cleared}[cause[6:]]()
        elif cause in ("paint-box", "paint-everywhere", "paint-place"):
            places = {"paint-box": {"box": corners}, "paint-everywhere": {}, "paint-place": place}
            new = old.added(
                read_stroke(brush, n_units=n_units, strength=strength, place=places[cause])
            )
    except DissectError as error:
        return no_update, no_update, line_of(error)
    if new is old:
        return no_update, no_update, no_update
    return new.to_json(), stroke_list(new), ""


def _render(about: object, history: object, *given: object) -> tuple:
    *fields, plane, seen, shown, run_id, view = given
    now = no_update if seen else True  # only the first answer starts the search for a brush
    if not about:
        return (no_update,) * 8
    try:
        bare = read_painting(about, dict(zip(FIELDS, fields, strict=True)))
        painting = replace(bare, strokes=History.from_json(history).shown)
        before, after = (
            ask(run_id, {"ask": "image", "recipe": one.to_json()}, view=str(view))
            for one in (bare, painting)
        )
        planes = after.content["planes"]
        if plane not in planes:
            raise ConfigError(f"the plane is none of {', '.join(planes)}; reload the page")
    except SupersededError:
        return (no_update,) * 8
    except DissectError as error:
        return (*(no_update,) * 5, line_of(error), now, None)
    column = 1 + planes.index(plane)
    vocabulary = context.current().store.open(text(run_id)).run.vocabulary
    colours = {concept.name: concept.colour for concept in vocabulary}
    table = change_table(after.content["changes"], colours, pixels=painting.image_size**2)
    pictures = [to_uri(one.parts[0], one.content["type"]) for one in (before, after)]
    labels = [to_uri(one.parts[column], "image/png") for one in (before, after)]
    recipe = painting.to_json()
    judged = no_update if recipe == shown else recipe  # another plane does not change the verdict
    return (*pictures, *labels, table, "", now, judged)


def _judge(shown: object, run_id: object, view: object) -> tuple:
    """The result of the last stroke in one sentence, then further ones; nothing if no stroke is
    shown, as after an error, which the status shows.
    """
    if not isinstance(shown, dict) or not shown.get("strokes"):
        return "", ""
    question = {"ask": "verdict", "recipe": shown}
    try:
        found = ask(run_id, question, view=f"{view}-verdict").content
    except SupersededError:
        return no_update, no_update
    except DissectError as error:
        return line_of(error), ""
    first, *others = found["lines"]
    if found["worked"]:
        first = f"it worked: {first}"  # where it did not, the sentence says so
    first, *others = [f"{line[0].upper()}{line[1:]}." for line in (first, *others)]
    worked = {True: "worked", False: "missed"}.get(found["worked"], "")
    told = html.P(
        first,
        className=f"paint-verdict-first {worked}",
        **data_attributes(sample=shown.get("index")),
    )
    return told, list(map(html.P, others))


def _starts(clicks: object, history: object, brush: object, *given: Any) -> object:
    """Samples in which the last stroke, or the rectangle, works best, as clickable pictures."""
    if not clicks:
        return no_update
    n_units, strength, *corners = given[: 2 + len(CORNERS)]
    *fields, about, run_id, view = given[2 + len(CORNERS) :]
    try:
        strokes = History.from_json(history).shown
        stroke = strokes[-1] if strokes else None
        if stroke is None:
            place = {"box": corners}
            stroke = read_stroke(brush, n_units=n_units, strength=strength, place=place)
        bare = read_painting(about, dict(zip(FIELDS, fields, strict=True)))
        recipe = replace(bare, strokes=(stroke,)).to_json()
        found = ask(run_id, {"ask": "starts", "recipe": recipe}, view=f"{view}-starts")
    except SupersededError:
        return no_update
    except DissectError as error:
        return problem(error)
    return start_list(found.content, [to_uri(part, "image/webp") for part in found.parts])


def _save(image: object, recipe: object, about: object, history: object, *given: object) -> tuple:
    *fields, run_id, view = given
    try:
        bare = read_painting(about, dict(zip(FIELDS, fields, strict=True)))
        painting = replace(bare, strokes=History.from_json(history).shown)
        name = f"painting-{painting.seed}-{painting.index}"
        if ctx.triggered_id == "paint-save-recipe":
            return dcc.send_bytes(write_recipe(painting), f"{name}.json"), ""
        question = {"ask": "png", "recipe": painting.to_json()}
        return dcc.send_bytes(
            ask(run_id, question, view=f"{view}-save").parts[0], f"{name}.png"
        ), ""
    except DissectError as error:
        return no_update, line_of(error)


def _known(about: object) -> dict[str, object]:
    """The page's information on its generator.

    Raises:
        ConfigError: it is not available yet.
    """
    if not isinstance(about, dict):
        raise ConfigError("the page does not know its generator yet; wait or reload it")
    return about


_NOTHING_OPENED = (no_update,) * 7


def _open(contents: object, about: object) -> tuple:
    try:
        if not isinstance(contents, str) or len(contents) > 2 * LARGEST_BYTES:
            raise ConfigError("the file is too large, or none; expected a saved recipe")
        data = base64.b64decode(re.sub(r"^data:[^,]{0,200},", "", contents, count=1), validate=True)
        if data.lstrip()[:1] == b"[":  # only edits, such as moves: they apply to this sample
            edits = recipes.read_recipe(data)
            read_painting({**_known(about), "edits": recipes.to_json(edits)}, _ANY_SAMPLE)
            known = {**_known(about), "edits": recipes.to_json(edits)}
            message = f"opened {len(edits)} edits, for every sample"
            return known, *(no_update,) * 6, message
        painting = read_recipe(data)
        if not isinstance(about, dict) or painting.generator != about.get("fingerprint"):
            raise ConfigError(
                f"the recipe was painted with another generator ({painting.generator[:12]}…); open "
                "it in a run of that one"
            )
    except binascii.Error:
        return (*_NOTHING_OPENED, "the file is damaged; expected a recipe of a painted image")
    except DissectError as error:
        return (*_NOTHING_OPENED, line_of(error))
    history = History.of(painting.strokes)
    fields = (painting.seed, painting.index, painting.truncation)
    label = "" if painting.label is None else painting.label
    known = {**about, "threads": painting.threads, "edits": recipes.to_json(painting.edits)}
    others = f" and {len(painting.edits)} other edits" if painting.edits else ""
    message = f"opened a recipe of {len(painting.strokes)} strokes{others}"
    return known, history.to_json(), stroke_list(history), *fields, label, message
