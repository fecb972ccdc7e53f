"""Units found by words: a part of the page of units where no name matches the search."""

import importlib.util
from collections.abc import Mapping
from typing import Any

from dash import Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from dashboard import context
from dashboard.callbacks import line_of, text
from dashboard.components.units import cards, counted
from dashboard.rendering.client import ask
from dashboard.rendering.process import SupersededError
from dashboard.rungs import ranked_labels
from dashboard.store import OpenRun
from dashboard.unit_filter import UnitFilter, filter_units
from dissect.errors import DissectError
from segmenters.scenes_vocabulary import SCENES_CLIP

_SCENES = "scenes"  # the segmenter of drawn scenes, whose words scenes-clip knows
_HINT = (
    "Units can also be searched by words about their images, with a CLIP model that knows such "
    "images: dissect serve RUNS --words MODEL."
)


def model_for(opened: OpenRun) -> str | None:
    """The CLIP model for the images of a run: the server's own, scenes-clip for drawn scenes."""
    if importlib.util.find_spec("open_clip") is None:
        return None
    given = context.current().settings.words
    if given is not None:
        return given
    drawn = opened.run.record["segmenter"]["name"] == _SCENES
    return SCENES_CLIP if drawn else None


def by_words(opened: OpenRun, search: str) -> list[Component]:
    """The place of units that words find, which a callback fills."""
    if model_for(opened) is None:
        return [html.P(_HINT, className="quiet")]
    return [
        dcc.Store(id="units-words-of", data={"run": opened.id, "text": search}),
        html.Div(
            html.P("Its units’ images are compared with these words: seconds the first time …"),
            id="units-words",
            role="status",
        ),
    ]


def register(app: Dash) -> None:
    """Register its callback."""
    app.callback(
        Output("units-words", "children"),
        Input("units-words-of", "data"),
        State("units-asker", "data"),
    )(_answer)


def _answer(asked: object, view: object) -> Any:
    given = asked if isinstance(asked, dict) else {}
    try:
        opened = context.current().store.open(text(given.get("run")))
        words = text(given.get("text"))
        question = {"ask": "words", "text": words, "model": model_for(opened)}
        found = ask(opened.id, question, view=view).content
    except SupersededError:
        return no_update
    except DissectError as error:
        return html.P(f"By words: {line_of(error)}.", className="quiet")
    return _drawn(opened, words, found)


def _drawn(opened: OpenRun, words: str, found: Mapping[str, Any]) -> list[Component]:
    told = f"By words (“{words}”, {found['model']}): "
    if not found["units"]:
        return [html.P(f"{told}no unit’s top images fit them better than random images do.")]
    scores = {(layer, unit): f"fits by {z:.1f} σ" for layer, unit, z in found["units"]}
    every = filter_units(ranked_labels(opened), UnitFilter(certainty="all"))
    placed = every.set_index([every.layer.astype(str), every.unit]).loc[list(scores)]
    count = counted(found["count"], "unit")
    shown = "" if found["count"] == len(scores) else f", of which these {len(scores)} fit best"
    return [
        html.P(f"{told}the top images of {count} fit them beyond chance{shown}."),
        html.P(
            f"σ: how far a unit’s {found['top']} top images of {found['images']} stand out from "
            "random ones. Words are about whole images, so they don’t say what the unit draws.",
            className="quiet",
        ),
        cards(opened, placed, told=scores),
    ]
