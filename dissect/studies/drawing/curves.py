"""Effect against the number of units: the number needed to draw a concept, as a table and a plot.

One plot compares any named lines: orders of units, concepts of one generator, or one concept in
several generators.
"""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import pandas as pd

from dissect.errors import ConfigError
from dissect.progress import ProgressBar
from dissect.studies.originals import Originals
from dissect.studies.pixels import PixelCounts, Treatment, effect_table, measure

SIZES = (0, 1, 2, 5, 10, 20, 30, 40)
_WIDTH, _HEIGHT = 640, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 144, 56, 48
# Okabe and Ito's colours, for colour-blind readers; names at the ends of lines identify them too.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_NAME_STEP = 16  # pixels between the names of two lines that end close to each other


def effect_curve(
    originals: Originals,
    treatment: Treatment,
    order: Sequence[int],
    sizes: Sequence[int] = SIZES,
    *,
    progress: bool = False,
) -> pd.DataFrame:
    """Measure the first units of an order, with increasing numbers of units.

    Args:
        originals: Unedited samples for the comparison.
        treatment: The edit of the units.
        order: Units in order.
        sizes: Numbers of units; omits those beyond the order's end.
        progress: Show a progress bar.

    Returns:
        ``n_units`` and the columns of ``effect_table``, a row for each size and concept.
    """
    tables = []
    chosen = [size for size in sorted(set(sizes)) if size <= len(order)]
    for size in ProgressBar(chosen, desc="curve", unit="point", disable=None if progress else True):
        if size == 0:  # without an edit, no bit changes
            before = originals.pixels()
            counts = PixelCounts(*[before] * 5, area=originals.generator.image_size**2)
        else:
            counts = measure(originals, treatment.of(order[:size]), treatment.region)
        table = effect_table(counts, originals.vocabulary, seed=originals.config.seed)
        tables.append(table.assign(n_units=size))
    table = pd.concat(tables, ignore_index=True)
    return table[["n_units", *table.columns.drop("n_units")]]


def draw_curves(lines: Mapping[str, pd.DataFrame], *, value: str, title: str, label: str) -> str:
    """Lines with their 95 % bands as SVG.

    Args:
        lines: Name → rows of one concept, ascending in ``n_units``; at most six.
        value: Column to draw, a share, with its ``_low`` and ``_high``.
        title: The question that the plot answers.
        label: Label of the vertical axis.

    Raises:
        ConfigError: no line, or more than six.
    """
    if not 1 <= len(lines) <= len(_COLOURS):
        raise ConfigError(f"{len(lines)} lines were given; expected 1 to {len(_COLOURS)} in a plot")
    most = max(float(np.nanmax([1, *line[f"{value}_high"]])) for line in lines.values())
    least = min(float(np.nanmin([0, *line[f"{value}_low"]])) for line in lines.values())
    longest = max(1, *(int(line.n_units.max()) for line in lines.values()))

    def at(n_units: float, share: float) -> tuple[float, float]:
        x = _LEFT + (_WIDTH - _LEFT - _RIGHT) * n_units / longest
        return x, _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * (share - least) / (most - least)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" font-family="system-ui, sans-serif" '
        f'font-size="13" role="img" aria-label="{escape(title)}">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="24" font-size="16" font-weight="600">{escape(title)}</text>',
        f'<text x="{_LEFT}" y="44" fill="#555">{escape(label)}</text>',
    ]
    for tick in np.linspace(least, most, 5):
        x, y = at(0, tick)
        parts.append(
            f'<path d="M{x:.1f} {y:.1f}H{_WIDTH - _RIGHT}" stroke="#ddd"/>'
            f'<text x="{x - 8:.1f}" y="{y + 4:.1f}" text-anchor="end" fill="#555">{tick:.2f}</text>'
        )
    for size in sorted({int(n) for line in lines.values() for n in line.n_units}):
        if size in (1, 2) and longest > 20:  # no room for their numbers
            continue
        x, y = at(size, least)
        parts.append(
            f'<text x="{x:.1f}" y="{y + 20:.1f}" text-anchor="middle" fill="#555">{size}</text>'
        )
    x, y = at(longest / 2, least)
    parts.append(f'<text x="{x:.1f}" y="{y + 40:.1f}" text-anchor="middle">units</text>')
    parts += _draw_lines(lines, value, at)
    return "\n".join([*parts, "</svg>\n"])


def _draw_lines(lines: Mapping[str, pd.DataFrame], value: str, at) -> list[str]:  # noqa: ANN001
    parts, ends = [], []
    for (name, line), colour in zip(lines.items(), _COLOURS, strict=False):
        known = line[line[value].notna()].sort_values("n_units")
        if known.empty:
            continue
        n_units = known.n_units.tolist()
        low, middle, high = (
            [at(n, share) for n, share in zip(n_units, known[column], strict=True)]
            for column in (f"{value}_low", value, f"{value}_high")
        )
        parts.append(
            f'<polygon points="{_points(low + high[::-1])}" fill="{colour}" fill-opacity="0.15"/>'
            f'<polyline points="{_points(middle)}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        ends.append((middle[-1], name, colour))
    ends.sort(key=lambda end: end[0][1])
    lowest = -np.inf
    for (x, y), name, colour in ends:
        lowest = max(y, lowest + _NAME_STEP)
        shown = name if len(name) <= 18 else f"{name[:17]}…"
        parts.append(
            f'<text x="{x + 8:.1f}" y="{lowest + 4:.1f}" fill="{colour}">{escape(shown)}'
            f"<title>{escape(name)}</title></text>"
        )
    return parts


def _points(places: list[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
