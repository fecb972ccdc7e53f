"""A table of units inserted at many places: on what does the concept appear?"""

from collections.abc import Mapping

from dash import html
from dash.development.base_component import Component

from dashboard.components.units import swatch, two

_HEADS = ("Into", "Boxes", "Images", "Before", "After", "Added", "95 % interval", "Random units")


def context_table(summary: Mapping[str, object], colours: Mapping[str, str]) -> list[Component]:
    """A row for each thing that covered boxes, most added first, with what the columns are.

    Args:
        summary: Of a context, as it is stored.
        colours: Of the concepts.
    """
    concept, few = summary["concept"], summary["few"]
    explanation = (
        f"Before and after: share of the box that is {concept}. Added: share of the other pixels "
        f"that become {concept}. Pale: under {few['places']} boxes or {few['images']} images."
    )
    heads = [
        html.Th(name, scope="col", className="n" if place else "")
        for place, name in enumerate(_HEADS)
    ]
    rows = [_row(row, colours) for row in summary["contexts"]]
    table = html.Table([html.Thead(html.Tr(heads)), html.Tbody(rows)])
    label = {"aria-label": "What comes where"}
    return [
        html.H3(f"Where does {concept} come?"),
        html.P(explanation, className="quiet"),
        html.Div(table, className="scroll", tabIndex=0, role="region", **label),
    ]


def _row(row: Mapping[str, object], colours: Mapping[str, str]) -> Component:
    context, random = row["context"], row["random"] or {}
    low, high = row.get("added_share_low"), row.get("added_share_high")
    between = "–" if low is None or high is None else f"{two(low)} to {two(high)}"
    shares = (row["before_share"], row["after_share"], row["added_share"])
    cells = [f"{row['places']:,}", f"{row['images']:,}", *map(_two, shares), between]
    name = html.Th([swatch(colours.get(context, "#808080")), context], scope="row")
    return html.Tr(
        [
            name,
            *[html.Td(cell, className="n") for cell in [*cells, _two(random.get("added_share"))]],
        ],
        className="quiet" if row["few"] else "",
    )


def _two(value: float | None) -> str:
    return "–" if value is None else two(value)
