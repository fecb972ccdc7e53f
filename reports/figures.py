"""Figures for papers, with matplotlib: PDF with embedded fonts, SVG, PNG.

A figure uses the colours of the vocabulary, and colour is never the only sign of a meaning. Its
width is that of a column or a page, where text has 7 points. The same run gives the same bytes.
"""

import io
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from PIL import Image

from dissect.errors import ConfigError
from dissect.runs import Run
from dissect.statistics.registry import rows_of
from dissect.studies.registry import study_of
from dissect.studies.store import CURVE, StoredEffect
from dissect.studies.study import verb_of
from reports.charts import ink_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


SUFFIXES = (".pdf", ".svg", ".png")
WIDTHS = {"column": 3.25, "page": 6.875}
"""Width in inches of a column and of both columns in common conference styles."""
_LEAST, _MOST = 2.0, 20.0
INK, QUIET, TRACK = "#1a1c20", "#5b616b", "#eef0f3"
LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
_STYLE: dict[Any, Any] = {  # matplotlib's hints list every key
    "font.family": "DejaVu Sans",  # comes with matplotlib, so figures are alike everywhere
    "font.size": 7, "axes.titlesize": 8, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "axes.labelsize": 7, "xtick.labelsize": 6.5, "ytick.labelsize": 6.5, "text.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.5,
    "xtick.major.width": 0.5, "ytick.major.width": 0.5, "ytick.major.size": 0,
    "pdf.fonttype": 42,  # TrueType, which journals accept; they reject type 3
    "svg.fonttype": "path", "svg.hashsalt": "gan-dissection",
    "text.parse_math": False,  # a concept may be called $x$
    "text.usetex": False, "savefig.dpi": 300, "figure.dpi": 300,
}  # fmt: skip
ROW = 0.16  # inches of a bar with its margins


def check_suffix(out: str | Path) -> str:
    """The suffix of a figure's file.

    Raises:
        ConfigError: an unsupported suffix.
    """
    suffix = Path(out).suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(f"{out} was given to draw into; expected a file in {', '.join(SUFFIXES)}")
    return suffix


def read_width(text: str) -> float:
    """Inches from ``column``, ``page`` or a number.

    Raises:
        ConfigError: another text, or a width out of range.
    """
    try:
        width = WIDTHS.get(text) or float(text)
    except ValueError:
        width = math.nan
    if not _LEAST <= width <= _MOST:
        raise ConfigError(
            f"width is {text!r}; expected column, page or {_LEAST:g} to {_MOST:g} inches"
        )
    return width


@contextmanager
def open_figure(width: float, height: float) -> Iterator["Figure"]:
    try:
        import matplotlib as mpl  # noqa: PLC0415, an extra
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            f"figures need matplotlib, which is not here ({error}); expected it; "
            "pip install 'gan-dissection[figures]'"
        ) from error
    with mpl.rc_context(_STYLE):
        yield Figure(figsize=(width, height))


def add_axes_in_inches(figure, width, height, *, left, bottom, right=0.12, top=0.3) -> "Axes":  # noqa: ANN001
    """Axes with margins in inches."""
    place = (left, bottom, width - left - right, height - bottom - top)
    return figure.add_axes(
        (place[0] / width, place[1] / height, place[2] / width, place[3] / height)
    )


def add_title(figure: "Figure", text: str, *, shown: bool = True) -> None:
    """Write a title, if ``shown``, from the figure's left edge, cut at the figure's right edge."""
    if not shown:
        return
    width, height = figure.get_size_inches()
    figure.text(
        0.06 / width, 1 - 0.07 / height, cut(text, width - 0.12, 0.075),
        fontsize=8, fontweight="bold", va="top",
    )  # fmt: skip


def draw_bars(axes: "Axes", rows: pd.DataFrame, colours: list[str]) -> None:
    for row, (pair, colour) in enumerate(zip(rows_of(rows), colours, strict=True)):
        axes.barh(row, 1, color=TRACK, height=0.7)
        axes.barh(
            row, 0 if math.isnan(pair.iou) else pair.iou, color=colour, height=0.7,
            edgecolor=QUIET, linewidth=0.25,
        )  # fmt: skip
        if not math.isnan(pair.iou_low):
            axes.plot([pair.iou_low, pair.iou_high], [row, row], color=INK, linewidth=0.7)
        if not math.isnan(pair.chance):
            draw_tick(axes, pair.chance, row)
    axes.set_xlim(0, 1)


def draw_tick(axes: "Axes", at: float, row: int) -> None:
    axes.plot([at, at], [row - 0.42, row + 0.42], color=INK, linewidth=1.2)


def name_rows(axes: "Axes", names, width: float) -> None:  # noqa: ANN001
    room = room_for(names, width)
    shown = [cut(str(name), room - 0.08, 0.058) for name in names]
    axes.set_yticks(range(len(shown)), shown)
    axes.set_ylim(len(shown) - 0.4, -0.6)


def room_for(names, width: float) -> float:  # noqa: ANN001
    """Width in inches for the longest name, at most two fifths of the figure."""
    return min(0.4 * width, 0.12 + 0.058 * max(len(str(name)) for name in names))


def cut(text: str, room: float, letter: float) -> str:
    """Cut a text to a width in inches, from the average width of a letter."""
    most = max(4, int(room / letter))
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def draw_legend(figure, run, names, more, per_line, height) -> None:  # noqa: ANN001
    from matplotlib.patches import Patch  # noqa: PLC0415

    handles = [
        Patch(facecolor=run.vocabulary[name].colour, edgecolor=QUIET, linewidth=0.25,
              label=cut(name, 0.72, 0.055))
        for name in names
    ]  # fmt: skip
    # Grey means no match. The legend only counts the concepts that do not fit.
    handles.append(Patch(facecolor=TRACK, edgecolor=QUIET, linewidth=0.25, label="none"))
    if more > 0:
        handles.append(Patch(facecolor="none", edgecolor="none", label=f"and {more} more"))
    figure.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0, 0.02 / height), ncol=per_line,
        frameon=False, fontsize=6, handlelength=0.9, handleheight=0.9, columnspacing=0.9,
        handletextpad=0.4, labelspacing=0.3, borderaxespad=0.2,
    )  # fmt: skip


_METADATA: dict[str, Callable[[], dict[str, None]]] = {
    ".pdf": lambda: {"CreationDate": None},
    ".svg": lambda: {"Date": None},
    ".png": dict,
}


def save_figure(figure: "Figure", suffix: str) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix[1:], metadata=_METADATA[suffix]())
    return buffer.getvalue()


def draw_layers(run: Run, *, width: float, suffix: str, title: bool = True) -> bytes:
    """The concepts of each layer: a stacked bar per layer, with a tick for its random rotation."""
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
        add_title(figure, "Which layers know which concepts?", shown=title)
        draw_legend(figure, run, legend, len(totals) - len(legend), per_line, height)
        return save_figure(figure, suffix)


def draw_concepts(
    run: Run, *, width: float, suffix: str, most: int = 24, title: bool = True
) -> bytes:
    """The match of the best units: IoU with its interval and the chance tick, by concept."""
    if most < 1:
        raise ConfigError(f"most is {most}; expected at least 1")
    table = run.table[run.table.is_label & run.table.is_named]
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
        add_title(figure, "How well do the best units match?", shown=title)
        return save_figure(figure, suffix)


def draw_unit(
    run: Run, layer: str, unit: int, *, width: float, suffix: str, title: bool = True
) -> bytes:
    """A unit's top images, and its IoU with its most informative concepts."""
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
        add_title(figure, f"What does {layer} unit {unit} draw?", shown=title)
        axes = add_axes_in_inches(
            figure, width, height, left=room_for(rows.concept, width), bottom=0.4, top=0.4 + strip
        )
        draw_bars(axes, rows, [run.vocabulary[name].colour for name in rows.concept])
        name_rows(axes, rows.concept, width)
        axes.set_xlabel("IoU (line: 95 % interval, tick: chance)")
        return save_figure(figure, suffix)


def draw_curve(
    effect: StoredEffect, concept: str | None, *, width: float, suffix: str, title: bool = True
) -> bytes:
    """The stored effect on a concept against the number of removed units.

    Raises:
        ConfigError: an effect without a curve or without this concept.
    """
    if effect.file(CURVE) is None:
        raise ConfigError(
            f"effect {effect.name!r} has no curve; expected one that was measured with --curve"
        )
    table, question = effect.read_table(CURVE), effect.record["question"]
    name = concept or question["concept"]
    if name not in set(table.concept):
        raise ConfigError(
            f"concept {name!r} is not in effect {effect.name!r}; expected one of "
            f"{', '.join(table.concept.unique())}"
        )
    study = study_of(effect)
    share = study.share_in(table)
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
        long = len(name) > 16  # the title has the name too
        axes.set_ylabel(f"{'its' if long else name} pixels {verb_of(share)} (%)")
        add_title(figure, f"How many units does {name} take?", shown=title)
        axes.legend(frameon=False, fontsize=6.5, title="order of units", title_fontsize=6.5)
        return save_figure(figure, suffix)
