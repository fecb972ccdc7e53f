"""Horizontal bars with intervals, one line for each context, as SVG.

A bar has its concept's colour and a thin outline, so that pale bars are visible too. A whisker is
the 95 % interval, a vertical tick the value of random units.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd

_WIDTH, _LEFT, _TOP, _LINE, _BAR = 760, 176, 96, 28, 16
_PANEL, _NUMBER, _GAP = 204, 48, 32  # widths: bars, the numbers after them, gap between panels
_INK, _QUIET, _GREY = "#1a1a1a", "#555", "#bbb"


@dataclass(frozen=True)
class Panel:
    """A column of bars.

    Args:
        column: Column of the table, with its ``_low`` and ``_high``; not below 0.
        title: Title over the bars.
    """

    column: str
    title: str


def draw_bars(
    table: pd.DataFrame,
    baseline: pd.DataFrame,
    panels: Sequence[Panel],
    *,
    colours: Mapping[str, str],
    title: str,
    label: str,
) -> str:
    """Draw contexts in the table's order, with the panels side by side.

    Args:
        table: ``context``, ``places``, ``few`` and the panels' columns.
        baseline: The same for random units, or empty.
        panels: One or two.
        colours: Context → ``#rrggbb``; others are grey.
        title: The question that the plot answers.
        label: Description of the edits.
    """
    height = _TOP + len(table) * _LINE + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" font-family="system-ui, sans-serif" '
        f'font-size="13" role="img" aria-label="{escape(title)}">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="16" y="24" font-size="16" font-weight="600">{escape(title)}</text>',
        f'<text x="16" y="44" fill="{_QUIET}">{escape(label)}</text>',
    ]
    for line, row in enumerate(table.to_dict(orient="records")):
        y = _TOP + line * _LINE + _LINE / 2 + 5
        context = str(row["context"])
        name = context if len(context) <= 14 else f"{context[:13]}…"
        parts.append(
            f'<text x="{_LEFT - 60}" y="{y:.0f}" text-anchor="end">{escape(name)}'
            f"<title>{escape(context)}</title></text>"
            f'<text x="{_LEFT - 8}" y="{y:.0f}" text-anchor="end" fill="{_QUIET}" '
            f'font-size="11">{row["places"]:,}{"*" if row["few"] else ""}</text>'
        )
    parts.append(
        f'<text x="{_LEFT - 8}" y="{_TOP - 24}" text-anchor="end" fill="{_QUIET}" '
        'font-size="11">boxes</text>'
    )
    random = baseline.set_index("context")
    for number, panel in enumerate(panels):
        start = _LEFT + number * (_PANEL + _NUMBER + _GAP)
        parts += _draw_panel(table, random, panel, colours, start)
    notes = ["whiskers: 95 % over images"]
    notes += ["| random units"] if len(baseline) else []
    notes += ["* few boxes or images"] if table.few.any() else []
    parts.append(
        f'<text x="{_LEFT}" y="{height - 12}" fill="{_QUIET}" font-size="11">'
        f"{' · '.join(notes)}</text>"
    )
    return "\n".join([*parts, "</svg>\n"])


def _draw_panel(
    table: pd.DataFrame,
    random: pd.DataFrame,
    panel: Panel,
    colours: Mapping[str, str],
    start: float,
) -> list[str]:
    column = panel.column
    chance: dict[str, float] = dict(random[column]) if column in random else {}
    # A box with few images may have an interval that would compress all other bars.
    sure = table[~table.few] if not table.few.all() else table
    ends = [*table[column], *sure[f"{column}_high"], *random.get(column, [])]
    most = float(np.nanmax([0.01, *ends]))

    def at(value: float) -> float:
        return start + _PANEL * min(value, most) / most

    bottom = _TOP + len(table) * _LINE
    parts = [
        f'<text x="{start}" y="{_TOP - 24}" font-weight="600" font-size="12">'
        f"{escape(panel.title if len(panel.title) <= 40 else panel.title[:39] + '…')}</text>"
    ]
    for tick in (0, most / 2, most):
        parts.append(
            f'<path d="M{at(tick):.1f} {_TOP}V{bottom}" stroke="#ddd"/><text x="{at(tick):.1f}" '
            f'y="{_TOP - 6}" text-anchor="middle" fill="{_QUIET}" font-size="11">{tick:.2f}</text>'
        )
    for line, (context, value, low, high, few) in enumerate(
        table[["context", column, f"{column}_low", f"{column}_high", "few"]].itertuples(index=False)
    ):
        middle = _TOP + line * _LINE + _LINE / 2
        number = "–" if np.isnan(value) else f"{value:.2f}"
        parts.append(
            f'<text x="{start + _PANEL + _NUMBER}" y="{middle + 5:.0f}" text-anchor="end" '
            f'style="font-variant-numeric: tabular-nums">{number}</text>'
        )
        if np.isnan(value):
            continue
        parts.append(
            f'<rect x="{start}" y="{middle - _BAR / 2:.0f}" width="{at(value) - start:.1f}" '
            f'height="{_BAR}" fill="{colours.get(context, _GREY)}" stroke="{_INK}" '
            f'stroke-opacity="0.35" fill-opacity="{0.4 if few else 1}"/>'
        )
        parts += _stroke(f"M{at(low):.1f} {middle:.0f}H{at(high):.1f}")
        drawn = chance.get(context, np.nan)
        if not np.isnan(drawn):
            x = at(drawn)
            parts += _stroke(f"M{x:.1f} {middle - 11:.0f}V{middle + 11:.0f}")
    return parts


def _stroke(path: str) -> list[str]:
    """A dark line with a pale border, visible on bars of any colour."""
    return [
        f'<path d="{path}" stroke="{colour}" stroke-width="{width}"/>'
        for colour, width in (("#fff", 4), (_INK, 2))
    ]
