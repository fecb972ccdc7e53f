"""Lists of strokes and tables of changes."""

from collections.abc import Mapping, Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import html
from dash.development.base_component import Component

from dashboard.components.attributes import aria, data_attributes
from dashboard.components.units import counted
from dashboard.painting.history import History
from dissect.painting.strokes import DRAW, Stroke

_MOST_ROWS = 15
_Change = tuple[str, int, int]


def describe_stroke(stroke: Stroke) -> str:
    """A stroke in one line."""
    what = stroke.concept or "units by hand"
    where = "everywhere"
    if stroke.box is not None:
        where = f"in {', '.join(map(str, stroke.box))}"
    elif stroke.mask is not None:
        where = "brushed"
    verb = "Draw" if stroke.mode == DRAW else "Remove"
    n_units = counted(len(stroke.units), "unit")
    return f"{verb} {what}, {where} ({n_units} of {stroke.layer}, strength {stroke.strength:g})"


def stroke_list(history: History) -> Component:
    """The current strokes, each with a delete button."""
    if not history.now:
        return html.P("None yet.")
    items = [
        html.Li(
            [
                html.Span(describe_stroke(history.strokes[name])),
                dmc.Button(
                    "Delete",
                    id={"type": "paint-delete", "name": name},
                    size="compact-sm",
                    variant="default",
                    **aria(label=f"Delete stroke {number}"),
                ),
            ]
        )
        for number, name in enumerate(history.now, start=1)
    ]
    return html.Ol(items, className="paint-strokes")


def change_table(
    changes: Sequence[_Change], colours: Mapping[str, str], *, pixels: int
) -> Component:
    """Pixels of each concept before and after, largest change first.

    Args:
        changes: concept, before, after.
        colours: Colours of the concepts.
        pixels: Total number of pixels.
    """
    ranked = sorted(changes, key=lambda one: (-abs(one[2] - one[1]), -one[1]))[:_MOST_ROWS]
    rows = [
        html.Tr(
            [
                html.Th(
                    [
                        html.Span(className="paint-swatch", style={"background": colours[name]}),
                        name,
                    ],
                    scope="row",
                ),
                html.Td(_area(before, pixels)),
                html.Td(_area(after, pixels)),
                html.Td(f"{after - before:+,}".replace("-", "−") if after != before else "–"),
            ],
            **data_attributes(concept=name, change=after - before),
        )
        for name, before, after in ranked
        if name in colours
    ]
    heads = [html.Th(name, scope="col") for name in ("Concept", "Before", "After", "Pixels")]
    return html.Table([html.Thead(html.Tr(heads)), html.Tbody(rows)], className="paint-table")


def _area(n_pixels: int, whole: int) -> str:
    return f"{100 * n_pixels / whole:.1f} %"


def start_list(found: Mapping[str, Any], pictures: Sequence[str]) -> Component:
    """Start samples as a filmstrip, each with the gain of the stroke.

    Args:
        found: ``indices`` and ``changes`` of samples, and the number ``tried``.
        pictures: Addresses of their images side by side; empty without samples.
    """
    tried = f"of {found['tried']} images that the run has not seen"
    if not found["indices"]:
        return html.P(f"It worked in none {tried}; try another shape, layer or strength.")
    count = len(found["indices"])
    buttons = []
    for place, (index, change) in enumerate(zip(found["indices"], found["changes"], strict=True)):
        told = f"{change:+,} px".replace("-", "−")
        style = {
            "backgroundImage": f'url("{pictures[0]}")',
            "backgroundSize": f"{100 * count}% 100%",
            "backgroundPosition": f"{100 * place / max(count - 1, 1):.2f}% 0",
        }
        buttons.append(
            html.Button(
                [html.Span(className="chip-image", style=style), html.Span(told)],
                id={"type": "paint-start", "name": str(index)},
                type="button",
                className="chip",
                **aria(label=f"Sample {index}, {told}"),
            )
        )
    return html.Div(
        [
            html.Div(buttons, className="chips", **data_attributes(roving="button")),
            html.P(f"Where it gains most, {tried}.", className="quiet"),
        ]
    )
