"""A unit as a picture with its numbers beside it."""

import math
from collections.abc import Iterable

import pandas as pd
from dash import dcc, html
from dash.development.base_component import Component

from dashboard.links import unit_href
from dashboard.media import strip_url
from dashboard.notes.labels import second_labels
from dashboard.store import OpenRun

READING = (
    "The number is IoU, how far the unit’s outlined area and the concept overlap: from 0 to 1. The "
    "tick is what chance gives, the line the 95 % interval. First is what tells most beyond chance."
)


def two(value: float | None) -> str:
    """A number with two decimals; a dash where there is none."""
    return "–" if value is None or math.isnan(value) else f"{value:.2f}"


def swatch(colour: str) -> Component:
    """A concept's colour; its name always stands beside it."""
    return html.Span(className="swatch", style={"background": colour})


def bar(
    value: float,
    chance: float,
    colour: str,
    low: float = math.nan,
    high: float = math.nan,
    *,
    most: float = 1.0,
) -> Component:
    """A value from 0 to ``most`` with a tick at its chance level and its interval."""

    def place(x: float) -> str:
        return f"{100 * min(max(x / most, 0.0), 1.0):.2f}%"

    # The bar and its tick are drawn by app.css from these: a matrix has hundreds of them.
    style = {"--colour": colour}
    if not math.isnan(value):
        style["--value"] = place(value)
    if not math.isnan(chance):
        style["--chance"] = place(chance)
    interval = None
    if not (math.isnan(low) or math.isnan(high)):
        width = f"{100 * min((high - low) / most, 1.0):.2f}%"
        interval = html.Span(className="interval", style={"left": place(low), "width": width})
    return html.Span(
        interval,
        className="bar",
        role="img",
        style=style,
        **{"aria-label": f"IoU {two(value)}, chance {two(chance)}"},
    )


def strip_image(
    opened: OpenRun, layer: str, unit: int, what: str, *, lazy: bool = True
) -> Component:
    """A unit's top images; a lazy one is fetched when it comes near the screen (app.js)."""
    n_images = opened.run.config.top_images
    source = strip_url(opened, layer, unit)
    place = {"data-src": source} if lazy else {"src": source}
    return html.Img(
        **place,
        className="strip-image",
        width=128 * n_images,
        height=128,
        alt=f"{layer} unit {unit}, {what}: its top {n_images} images, the unit’s mask outlined",
    )


def label_of(row: object) -> str:
    """What a unit is called: its concept, or that it has none."""
    return str(row.concept) if row.interpretable else "no concept"


def second_label(name: str) -> Component | None:
    """What people call a unit, beside what it was measured to match; None where nobody named it."""
    if not name:
        return None
    return html.Span([html.Span("People call it ", className="hidden"), f"“{name}”"])


def cards(opened: OpenRun, units: pd.DataFrame) -> Component:
    """Units as pictures that lead to their pages."""
    people = second_labels(opened)
    return html.Ul(
        [
            _card(opened, row, people.get((str(row.layer), int(row.unit)), ""))
            for row in units.itertuples()
        ],
        className="cards",
    )


def _card(opened: OpenRun, row: object, people: str) -> Component:
    layer, colour = str(row.layer), opened.run.vocabulary[str(row.concept)].colour
    name = label_of(row)
    label = getattr(row, "effect_label", "")
    effect = f"{label} {two(row.effect)}{_with(row)}" if label else ""
    measured = [html.Span(effect, className="measured")] if label else []
    second = [html.Span(second_label(people), className="second")] if people else []
    return html.Li(
        dcc.Link(
            [
                html.Span(
                    strip_image(opened, layer, row.unit, f"{name}, IoU {two(row.iou)}"),
                    className="strip",
                ),
                html.Span(
                    [
                        html.Span([swatch(colour), html.B(name)]),
                        html.Span(f"{layer} · unit {row.unit}", className="quiet"),
                    ],
                    className="names",
                ),
                *second,
                html.Span(
                    [
                        bar(row.iou, row.chance, colour, row.iou_low, row.iou_high),
                        html.Span(two(row.iou), className="n"),
                    ],
                    className="numbers",
                ),
                *measured,
            ],
            href=unit_href(opened.id, layer, row.unit),
        ),
        className="card",
    )


def _with(row: object) -> str:
    """An effect belongs to all units of its set, not to one of them."""
    others = row.effect_units - 1
    return f", with {others} other unit{'' if others == 1 else 's'}" if others > 0 else ""


def facts(pairs: Iterable[tuple[str, object]]) -> Component:
    """A row of facts, each with its name above."""
    return html.Dl(
        [html.Div([html.Dt(name), html.Dd(value)]) for name, value in pairs], className="facts"
    )


def empty(message: object) -> Component:
    """In place of what there is none of."""
    return html.P(message, className="empty")
