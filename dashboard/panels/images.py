"""Panel of a unit's page: its images, by interval, with its mask at any threshold."""

from collections.abc import Mapping, Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, ctx, dcc, html, no_update
from dash.development.base_component import Component

from dashboard import context
from dashboard.callbacks import line_of, text
from dashboard.components.attributes import aria
from dashboard.links import run_href
from dashboard.media import strip_url
from dashboard.moved import why_missing
from dashboard.pairs import pairs_of
from dashboard.rendering.client import ask, to_uri
from dashboard.rendering.frames import Frame
from dashboard.rendering.process import SupersededError
from dashboard.routing import Panel, UnitVisit
from dashboard.unit_facts import edges_of, matches, row_of
from dissect.errors import DissectError
from dissect.runs import Run

_STEPS = 200
_NEW, N_RANKED = 64, 128  # samples searched for each strip of new ones
_TOP = "top"
_INTERVALS = {_TOP: "Top", "99": "99 %", "95": "95 %", "90": "90 %", "50": "Median", "0": "None"}
_OWN = "(nothing else)"


def build(visit: UnitVisit) -> Component:
    """The panel: the run's own pictures at once, others when the renderer is ready."""
    opened = visit.run
    edges = edges_of(opened.run, visit.layer, visit.unit)
    low, high = float(edges.min()), float(edges.max())
    row, pairs = row_of(opened, visit.layer, visit.unit), pairs_of(opened)
    own = min(max(float(pairs.scores["threshold"][row, pairs.best[row]]), low), high)
    matched = [match.concept for match in matches(opened, row)]
    top = opened.run.array(visit.layer, "top_indices").values[visit.unit].tolist()
    return html.Div(
        [
            dcc.Store(
                id="images-unit",
                data={"run": opened.id, "layer": visit.layer, "unit": visit.unit},
            ),
            dcc.Store(id="images-first"),
            dcc.Store(id="images-shown"),
            dmc.SegmentedControl(
                id="images-interval",
                value=_TOP,
                data=[{"value": name, "label": label} for name, label in _INTERVALS.items()],
                size="xs",
                fullWidth=True,
                **aria(label="Images by how strongly it fires"),
            ),
            html.Div(
                shots(
                    "images-strip",
                    strip_url(opened, visit.layer, visit.unit),
                    f"{visit.layer} unit {visit.unit}: images, its mask outlined",
                ),
                id="images-box",
            ),
            # The panel "ablation" replaces these images by ablated ones.
            html.Div(
                shots("ablation-strip", "", "The same images without the unit"),
                id="ablation-box",
                hidden=True,
            ),
            html.P(id="images-status", role="status", children="The generator is being loaded …"),
            html.Div(prompts_of(opened.run, top), id="images-prompts"),
            html.Div(
                [
                    html.Div(
                        "Threshold of the outline; the mark is the run’s own", className="quiet"
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
                ],
                className="images-threshold",
            ),
            html.Div(
                [
                    dmc.Select(
                        id="images-concept",
                        label="Also outline, as the segmenter sees it",
                        data=[_OWN, *matched],
                        value=_OWN,
                        allowDeselect=False,
                    ),
                    dmc.Button("More images", id="images-more", variant="default"),
                ],
                className="paint-row",
            ),
        ],
        className="images",
    )


def shots(name: str, source: str, label: str) -> Component:
    """A strip of images as a grid of large ones; app.js cuts it.

    Args:
        name: Id of the strip.
        source: Its address; "" if it comes later.
        label: Description of the images.
    """
    given: dict[str, Any] = {"src": source} if source else {}
    return html.Div(
        [
            html.Img(id=name, className="shots-source", alt="", **given),
            html.Div(className="shots", role="img", **aria(label=label)),
        ],
        className="shots-box",
    )


def prompts_of(run: Run, samples: Sequence[int]) -> list[Component]:
    """The text that each sample was drawn for; empty if the generator takes none."""
    shown = [sample for sample in samples if sample >= 0]
    texts = zip(shown, run.prompts_of(shown), strict=False)
    rows = [html.Div([html.Dt(f"Sample {sample}"), html.Dd(text)]) for sample, text in texts]
    return [html.Dl(rows, className="quiet", **aria(label="Text of each image"))] if rows else []


def register(app: Dash) -> None:
    """Register its callbacks."""
    app.callback(
        Output("images-strip", "src"),
        Output("images-status", "children"),
        Output("images-prompts", "children"),
        Output("images-first", "data"),
        Output("images-shown", "data"),
        Input("images-threshold", "value"),
        Input("images-more", "n_clicks"),
        Input("images-interval", "value"),
        Input("images-concept", "value"),
        State("images-first", "data"),
        State("images-unit", "data"),
    )(_look)


def _look(
    threshold: object, more: object, interval: object, concept: object, first: object, unit: object
) -> tuple:
    if ctx.triggered_id == "images-more":
        first = first + _NEW if type(first) is int else 0
    elif ctx.triggered_id == "images-interval":
        first = None
    question: dict[str, object] = {"ask": "masks", "threshold": threshold, "first": first}
    if first is None and interval in _INTERVALS and interval != _TOP:
        question["interval"] = int(str(interval))
    if isinstance(concept, str) and concept != _OWN:
        question["concept"] = concept
    try:
        found = ask_unit(unit, question, view="images")
    except SupersededError:
        return (no_update,) * 5
    except DissectError as error:
        told = html.Span([line_of(error), *_where(unit)], className="failed")
        return no_update, told, no_update, no_update, no_update
    message = (
        f"{100 * found.content['share']:.1f} % of the pixels are above "
        f"{_signed(found.content['threshold'])}. {_which(question)}: samples "
        f"{', '.join(map(str, found.content['indices']))}."
    )
    indices = found.content["indices"]
    texts = prompts_of(context.current().store.open(run_of(unit)).run, indices)
    return to_uri(found.parts[0], "image/webp"), message, texts, first, indices


def _where(unit: object) -> list[Component | str]:
    """A link to state the place of a run's generator, if that is the problem."""
    try:
        opened = context.current().store.open(run_of(unit))
    except DissectError:
        return []
    if not why_missing(opened.run):
        return []
    return [" ", dcc.Link("Where is it now?", href=run_href(opened.id, "effects"))]


def _which(question: Mapping[str, object]) -> str:
    """The displayed images in words."""
    if question["first"] is not None:
        return f"The best of {_NEW} new images"
    interval = question.get("interval")
    if interval is None:
        return "Top images of the run"
    if interval == 0:
        return f"Of {N_RANKED} new images those in which it stays lowest"
    return f"Of {N_RANKED} new images those whose peak is higher than {interval} % of them"


def _signed(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


def run_of(unit: object) -> str:
    """The run in a panel's store.

    Raises:
        ConfigError: a store without one.
    """
    return text(unit.get("run") if isinstance(unit, dict) else None)


def ask_unit(unit: object, question: dict[str, object], *, view: str) -> Frame:
    """Send a question about the unit in a panel's store.

    Raises:
        DissectError: the errors of ``ask``.
    """
    given = unit if isinstance(unit, dict) else {}
    own = {name: given.get(name) for name in ("layer", "unit")}
    return ask(given.get("run"), {**question, **own}, view=f"{view}-{own}")


PANEL = Panel("Which images?", build, callbacks=register, order=60, live=True)
