"""Figures for papers, with matplotlib: PDF with its fonts in it, SVG, PNG.

A figure's colours are those of the vocabulary, which never carry a meaning alone; its width is that
of a column or a page, and text is 7 points at that width. The same run gives the same bytes.
"""

import io
import math

import pandas as pd
from PIL import Image

from dissect.errors import ConfigError
from dissect.runs import Run
from dissect.studies.store import CURVE, StoredEffect
from dissect.studies.summary import share_of
from reports.charts import ink_on
from reports.figures_drawing import (
    DASHES,
    LINES,
    QUIET,
    ROW,
    TRACK,
    add_axes_in_inches,
    add_title,
    draw_bars,
    draw_legend,
    draw_tick,
    name_rows,
    open_figure,
    room_for,
    save_figure,
)


def draw_layers(run: Run, *, width: float, suffix: str) -> bytes:
    """Which layers know which concepts? A stacked bar for each layer, with its rotation's tick."""
    layers = run.summary()["layers"]
    totals: dict[str, int] = {}
    for found in layers.values():
        for name, count in found["concepts"].items():
            totals[name] = totals.get(name, 0) + count
    per_line = max(1, int(width / 1.05))
    legend = sorted(totals, key=lambda name: -totals[name])[: 5 * per_line - 2]
    n_lines = math.ceil((len(legend) + 2) / per_line)
    height = 0.75 + ROW * len(layers) + 0.14 * n_lines
    with open_figure(width, height) as figure:
        axes = add_axes_in_inches(
            figure, width, height, left=room_for(layers, width), bottom=0.42 + 0.14 * n_lines
        )
        for row, found in enumerate(layers.values()):
            axes.barh(row, 100, color=TRACK, height=0.75)
            start = 0.0
            for name, count in found["concepts"].items():
                share = 100 * count / found["units"]
                colour = run.vocabulary[name].colour
                axes.barh(
                    row, share, left=start, color=colour, height=0.75, edgecolor=QUIET,
                    linewidth=0.25,
                )  # fmt: skip
                # A letter of 5 points is about 0.05 inches wide.
                if share / 100 * (width - 1.6) > 0.05 * len(name) + 0.04:
                    axes.text(
                        start + share / 2, row, name, ha="center", va="center", fontsize=5,
                        color=ink_on(colour),
                    )  # fmt: skip
                start += share
            if found["rotated"] is not None:
                draw_tick(axes, 100 * found["rotated"] / found["units"], row)
        name_rows(axes, layers, width)
        axes.set_xlim(0, 100)
        axes.set_xlabel("units named after a concept (%)")
        add_title(figure, "Which layers know which concepts?")
        draw_legend(figure, run, legend, len(totals) - len(legend), per_line, height)
        return save_figure(figure, suffix)


def draw_concepts(run: Run, *, width: float, suffix: str, most: int = 24) -> bytes:
    """How well do the best units match? IoU with its interval and the chance tick, by concept."""
    if most < 1:
        raise ConfigError(f"most is {most}; expected at least 1")
    table = run.table[run.table.is_label & run.table.interpretable]
    if table.empty:
        raise ConfigError(f"no unit of {run.path} matches a concept; expected some to draw")
    ranked = table.sort_values("excess_information", ascending=False, kind="stable")
    best = ranked.drop_duplicates("concept")
    n_concepts, counts = len(best), table.concept.value_counts()
    rows = best.head(most).sort_values("iou", ascending=False, kind="stable")
    height = 1.05 + ROW * len(rows)
    with open_figure(width, height) as figure:
        axes = add_axes_in_inches(
            figure, width, height, left=room_for(rows.concept, width), bottom=0.4, right=0.45
        )
        colours = [run.vocabulary[name].colour for name in rows.concept]
        draw_bars(axes, rows, colours)
        for row, name in enumerate(rows.concept):
            axes.annotate(
                f"{counts[name]}", (1, row), (18, 0), xycoords=("axes fraction", "data"),
                textcoords="offset points", ha="right", va="center", fontsize=6.5,
            )  # fmt: skip
        axes.annotate(
            "units", (1, 1), (22, 2), xycoords="axes fraction", textcoords="offset points",
            ha="right", va="bottom", fontsize=6, color=QUIET,
        )  # fmt: skip
        name_rows(axes, rows.concept, width)
        left_out = f"\n{len(rows)} of {n_concepts} concepts" if n_concepts > len(rows) else ""
        axes.set_xlabel(f"IoU of the clearest unit (tick: chance){left_out}")
        add_title(figure, "How well do the best units match?")
        return save_figure(figure, suffix)


def draw_unit(run: Run, layer: str, unit: int, *, width: float, suffix: str) -> bytes:
    """What does a unit draw? Its top images, and its IoU with the concepts it tells most about."""
    picture = Image.open(io.BytesIO(run.strip(layer, unit))).convert("RGB")
    table = run.table[(run.table.layer == layer) & (run.table.unit == unit)]
    rows = table.sort_values("excess_information", ascending=False, kind="stable").head(5)
    tile = picture.height
    per_line = max(1, min(picture.width // tile, int(width / 0.75)))
    n_lines = math.ceil(picture.width / tile / per_line)
    side = (width - 0.1) / per_line
    strip = n_lines * side
    height = 0.35 + strip + 0.5 + ROW * len(rows)
    with open_figure(width, height) as figure:
        for number in range(picture.width // tile):
            line, column = divmod(number, per_line)
            bottom = height - 0.3 - (line + 1) * side
            place = (0.05 + column * side, bottom + 0.02, side - 0.03, side - 0.03)
            axes = figure.add_axes(
                (place[0] / width, place[1] / height, place[2] / width, place[3] / height)
            )
            axes.imshow(picture.crop((number * tile, 0, (number + 1) * tile, tile)))
            axes.axis("off")
        add_title(figure, f"What does {layer} unit {unit} draw?")
        axes = add_axes_in_inches(
            figure, width, height, left=room_for(rows.concept, width), bottom=0.4, top=0.4 + strip
        )
        draw_bars(axes, rows, [run.vocabulary[name].colour for name in rows.concept])
        name_rows(axes, rows.concept, width)
        axes.set_xlabel("IoU (line: 95 % interval, tick: chance)")
        return save_figure(figure, suffix)


def draw_curve(effect: StoredEffect, concept: str | None, *, width: float, suffix: str) -> bytes:
    """How many units does a concept take? The stored effect against the number of units.

    Raises:
        ConfigError: an effect without a curve, or a concept that it does not hold.
    """
    file = effect.path / CURVE
    if not file.is_file():
        raise ConfigError(
            f"effect {effect.name!r} has no curve; expected one that was measured with --curve"
        )
    table, question = pd.read_parquet(file), effect.record["question"]
    name = concept or question["concept"]
    if name not in set(table.concept):
        raise ConfigError(
            f"concept {name!r} is not in effect {effect.name!r}; expected one of "
            f"{', '.join(table.concept.unique())}"
        )
    share = share_of(question["kind"])
    lines = list(table[table.concept == name].groupby("order", sort=False))
    height = 0.68 * min(width, 4.5)
    with open_figure(width, height) as figure:
        axes = add_axes_in_inches(figure, width, height, left=0.45, bottom=0.4, right=0.1)
        for number, (order, rows) in enumerate(lines):
            known = rows[rows[share].notna()].sort_values("n_units")
            colour = LINES[number % len(LINES)]
            dash = DASHES[number % len(DASHES)]
            axes.fill_between(
                known.n_units, 100 * known[f"{share}_low"], 100 * known[f"{share}_high"],
                color=colour, alpha=0.15, linewidth=0,
            )  # fmt: skip
            axes.plot(
                known.n_units, 100 * known[share], color=colour, linestyle=dash, linewidth=1.2,
                marker="o", markersize=2, label=f"{order}",
            )  # fmt: skip
        axes.set_ylim(min(0, axes.get_ylim()[0]), max(100, axes.get_ylim()[1]))
        axes.set_xlim(left=0)
        axes.axhline(0, color=QUIET, linewidth=0.4)
        axes.set_xlabel("units")
        verb = share.removesuffix("_share")
        long = len(name) > 16  # the title has the name too
        axes.set_ylabel(f"{'its' if long else name} pixels {verb} (%)")
        add_title(figure, f"How many units does {name} take?")
        axes.legend(frameon=False, fontsize=6.5, title="order of units", title_fontsize=6.5)
        return save_figure(figure, suffix)
