"""Display of objects: one line in a terminal, a small table in a notebook."""

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segmenters.base import Segmenter

MOST_ROWS = 40
"""Largest number of displayed rows of a table."""
_SWATCH = (
    '<span style="display:inline-block;width:0.8em;height:0.8em;margin-right:0.4em;'
    'background:{}"></span>'
)


def describe_object(kind: str, name: str, facts: Iterable[str]) -> str:
    """Describe an object in one line.

    Example:
        >>> describe_object("Run", "runs/a", ["3 layers", "1,000 samples"])
        '<Run runs/a: 3 layers, 1,000 samples>'
    """
    return f"<{kind} {name}: {', '.join(facts)}>"


def html_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    colours: Mapping[str, str] | None = None,
) -> str:
    """A table as HTML, all text escaped; rows beyond ``MOST_ROWS`` are only counted.

    Args:
        title: Title above the table.
        columns: Headings.
        rows: Cells of each row; integers get thousands separators.
        colours: Text of a first cell → its colour, shown as a square before it.
    """

    def cell(value: object) -> str:
        if isinstance(value, int) and not isinstance(value, bool):
            return f'<td style="text-align:right">{value:,}</td>'
        colour = (colours or {}).get(str(value))
        swatch = "" if colour is None else _SWATCH.format(html.escape(colour))
        return f'<td style="text-align:left">{swatch}{html.escape(str(value))}</td>'

    head = "".join(f"<th>{html.escape(one)}</th>" for one in columns)
    body = "".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in rows[:MOST_ROWS])
    more = f"<p>and {len(rows) - MOST_ROWS:,} more</p>" if len(rows) > MOST_ROWS else ""
    return (
        f"<p><b>{html.escape(title)}</b></p><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>{more}"
    )


class ShownSegmenter:
    """Mixin that displays a segmenter's concepts; the class must have the protocol's members."""

    def __repr__(self: "Segmenter") -> str:
        known = self.vocabulary
        facts = [f"{len(known)} concepts", f"planes {', '.join(known.planes)}"]
        return describe_object(type(self).__name__, self.name, facts)

    def _repr_html_(self: "Segmenter") -> str:
        known = self.vocabulary
        rows = [(one.name, one.category, one.plane) for one in known]
        return html_table(
            f"Segmenter {self.name}: {len(known)} concepts",
            ["concept", "category", "plane"],
            rows,
            colours={one.name: one.colour for one in known},
        )
