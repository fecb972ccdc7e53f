"""A unit as a picture with its numbers beside it."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
from dash import html
from dash.development.base_component import Component, ComponentType

from dashboard.components.attributes import aria, data_attributes
from dashboard.links import unit_href
from dashboard.media import strip_url
from dashboard.notes.labels import second_labels
from dashboard.store import OpenRun
from dissect.statistics.ladder import MATCHES, RUNGS
from dissect.statistics.registry import rows_of

READING = (
    "The number is IoU, how far the unit’s outlined area and the concept overlap: from 0 to 1. The "
    "tick is what chance gives, the line the 95 % interval. The most informative beyond chance "
    "come first."
)


def two(value: float | None) -> str:
    """A number with two decimals; a dash for None."""
    return "–" if value is None or math.isnan(value) else f"{value:.2f}"


def swatch(colour: str) -> Component:
    """A concept's colour; the name is always shown beside it."""
    return html.Span(className="swatch", style={"background": colour})


def counted(number: int, noun: str) -> str:
    """A number with its noun: ``1 layer``, ``2 layers``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def bar(
    value: float,
    chance: float,
    colour: str,
    low: float = math.nan,
    high: float = math.nan,
    *,
    most: float = 1.0,
) -> Component:
    """A value from 0 to ``most`` with its interval and a tick at its chance level."""
    style, interval = _bar_styles(value, chance, colour, low, high, most=most)
    return html.Span(
        html.Span(className="interval", style=interval) if interval else None,
        className="bar",
        role="img",
        style=style,
        **aria(label=_bar_label(value, chance)),
    )


def _bar_label(value: float, chance: float) -> str:
    return f"IoU {two(value)}, chance {two(chance)}"


def _bar_styles(
    value: float, chance: float, colour: str, low: float, high: float, *, most: float = 1.0
) -> tuple[dict[str, str], dict[str, str]]:
    """Styles of a bar and its interval, which app.css uses to draw the parts; {} for none."""

    def place(x: float) -> str:
        return f"{100 * min(max(x / most, 0.0), 1.0):.2f}%"

    style = {"--colour": colour}
    if not math.isnan(value):
        style["--value"] = place(value)
    if not math.isnan(chance):
        style["--chance"] = place(chance)
    if math.isnan(low) or math.isnan(high):
        return style, {}
    return style, {"left": place(low), "width": f"{100 * min((high - low) / most, 1.0):.2f}%"}


def _strip_text(opened: OpenRun, layer: str, unit: int, what: str) -> str:
    n_images = counted(opened.run.config.top_images, "image")
    return f"{layer} unit {unit}, {what}: its top {n_images}, the unit’s mask outlined"


def label_of(row: Any) -> str:
    """Name of a unit: its concept, the one that it only matches, or that it has none."""
    if row.is_named:
        return str(row.concept)
    return f"matches {row.concept}" if row.rung >= MATCHES else "no concept"


def second_label(name: str) -> Component | None:
    """People's label of a unit, beside its measured match; None without one."""
    if not name:
        return None
    return html.Span([html.Span("People call it ", className="hidden"), f"“{name}”"])


def cards(
    opened: OpenRun,
    units: pd.DataFrame,
    *,
    query: str = "",
    large: bool = False,
    pickable: bool = False,
    told: Mapping[tuple[str, int], str] | None = None,
) -> Component:
    """Units as pictures that link to their pages.

    A card is data that app.js draws, so the cost of more cards does not depend on the number of
    existing ones. Dash would visit all components of the page and redraw all cards.

    Args:
        opened: Their run.
        units: Rows of ``filter_units``.
        query: Query for the links, which names the list of the units.
        large: Two per row if there is room, for a few units.
        pickable: Whether cards have a check box, on a page with a bar of picked units.
        told: A line for a card, by layer and unit, in place of its measured effect.
    """
    data = card_data(opened, units, query=query, pickable=pickable, told=told)
    name = "cards large" if large else "cards"
    values = data_attributes(cards=json.dumps(data), roving="a")
    return html.Ul(className=name, role="list", **values)


def card_data(
    opened: OpenRun,
    units: pd.DataFrame,
    *,
    query: str = "",
    pickable: bool = False,
    told: Mapping[tuple[str, int], str] | None = None,
) -> list[dict[str, object]]:
    """The data for ``drawCard`` of app.js; see ``cards``."""
    people = second_labels(opened)
    found = []
    for row in rows_of(units):
        place = str(row.layer), int(row.unit)
        card = _card(opened, row, people.get(place, ""), query)
        if told is not None:
            card["effect"] = told[place]
        if pickable:
            concept = str(row.concept) if row.is_named else ""
            card["pick"] = {"layer": str(row.layer), "unit": int(row.unit), "concept": concept}
        found.append(card)
    return found


def _card(opened: OpenRun, row: Any, people: str, query: str) -> dict[str, object]:
    layer, colour = str(row.layer), opened.run.vocabulary[str(row.concept)].colour
    name = label_of(row)
    style, interval = _bar_styles(row.iou, row.chance, colour, row.iou_low, row.iou_high)
    return {
        "href": unit_href(opened.id, layer, row.unit) + query,
        "src": strip_url(opened, layer, row.unit),
        "width": 128 * opened.run.config.top_images,
        "alt": _strip_text(opened, layer, row.unit, f"{name}, IoU {two(row.iou)}"),
        "colour": colour,
        "name": str(row.concept) if row.rung >= MATCHES else name,
        "certain": bool(row.is_named),
        "place": f"{layer} · unit {row.unit}",
        "people": people,
        "bar": style,
        "interval": interval,
        "chance": _bar_label(row.iou, row.chance),
        "iou": two(row.iou),
        "rung": [RUNGS[int(row.rung)].name, RUNGS[int(row.rung)].colour],
        "effect": _effect(row),
    }


def _effect(row: Any) -> str:
    """The unit's own effect; no number for a set's effect, which belongs to the whole set."""
    label = getattr(row, "effect_label", "")
    if not label:
        return ""
    if row.effect_units == 1:
        return f"{label} {two(row.effect)}"
    return f"measured with {counted(row.effect_units - 1, 'other unit')}, not alone"


def facts(pairs: Iterable[tuple[str, ComponentType]]) -> Component:
    """A row of facts, each under its name."""
    return html.Dl(
        [html.Div([html.Dt(name), html.Dd(value)]) for name, value in pairs], className="facts"
    )


def empty(message: ComponentType) -> Component:
    """Placeholder for an empty part."""
    return html.P(message, className="empty")
