"""What figures are drawn with: their style, axes in inches, bars with ticks, names that fit.

matplotlib is an extra, so it is imported when a figure is begun.
"""

import io
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from dissect.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".pdf", ".svg", ".png")
WIDTHS = {"column": 3.25, "page": 6.875}
"""Inches of a column and of both columns in the usual styles of conferences."""
_LEAST, _MOST = 2.0, 20.0
INK, QUIET, TRACK = "#1a1c20", "#5b616b", "#eef0f3"
LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
_STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so figures are alike everywhere
    "font.size": 7, "axes.titlesize": 8, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "axes.labelsize": 7, "xtick.labelsize": 6.5, "ytick.labelsize": 6.5, "text.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.5,
    "xtick.major.width": 0.5, "ytick.major.width": 0.5, "ytick.major.size": 0,
    "pdf.fonttype": 42,  # TrueType, which journals accept; type 3 they refuse
    "svg.fonttype": "path", "svg.hashsalt": "gan-dissection",
    "text.parse_math": False,  # a concept may be called $x$
    "text.usetex": False, "savefig.dpi": 300, "figure.dpi": 300,
}  # fmt: skip
ROW = 0.16  # inches of a bar and the room around it


def check_suffix(out: str | Path) -> str:
    """The suffix of a figure's file.

    Raises:
        ConfigError: none that can be drawn.
    """
    suffix = Path(out).suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(f"{out} was given to draw into; expected a file in {', '.join(SUFFIXES)}")
    return suffix


def read_width(text: str) -> float:
    """Inches from ``column``, ``page`` or a number.

    Raises:
        ConfigError: anything else, or no width of a figure.
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


def add_title(figure: "Figure", text: str) -> None:
    """A title from the figure's left edge, cut where it would leave the figure."""
    width, height = figure.get_size_inches()
    figure.text(
        0.06 / width, 1 - 0.07 / height, cut(text, width - 0.12, 0.075),
        fontsize=8, fontweight="bold", va="top",
    )  # fmt: skip


def draw_bars(axes: "Axes", rows: pd.DataFrame, colours: list[str]) -> None:
    for row, (pair, colour) in enumerate(zip(rows.itertuples(), colours, strict=True)):
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
    """Inches for the longest name, at most two fifths of the figure."""
    return min(0.4 * width, 0.12 + 0.058 * max(len(str(name)) for name in names))


def cut(text: str, room: float, letter: float) -> str:
    """Text cut to inches, from what a letter takes on average."""
    most = max(4, int(room / letter))
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def draw_legend(figure, run, names, more, per_line, height) -> None:  # noqa: ANN001
    from matplotlib.patches import Patch  # noqa: PLC0415

    handles = [
        Patch(facecolor=run.vocabulary[name].colour, edgecolor=QUIET, linewidth=0.25,
              label=cut(name, 0.72, 0.055))
        for name in names
    ]  # fmt: skip
    # Grey are units that match nothing; concepts without room here are told, not drawn.
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
