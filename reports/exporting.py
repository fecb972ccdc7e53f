"""Writes the units table of a run for other programs: CSV, Parquet, JSON, or LaTeX for a paper."""

import io
import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dissect.errors import ConfigError
from dissect.runs import Run
from dissect.runs.notes import SECOND, with_second
from dissect.spreadsheets import to_csv
from dissect.statistics.columns import STANDS_FOR, Place
from dissect.statistics.registry import columns_in, meanings, rows_of
from dissect.terminal import select_rows
from segmenters.plain_text import escape_json

FORMATS = ("csv", "parquet", "json", "latex")

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
}  # fmt: skip


def column_meanings() -> dict[str, str]:
    """Name of each column of an export → its meaning."""
    return meanings() | {
        STANDS_FOR.name: STANDS_FOR.meaning,
        SECOND: "what people call the unit, empty if nobody named it; only where somebody named "
        "one",
    }


def units_table(
    run: Run,
    *,
    layer: str | None = None,
    concept: str | None = None,
    named: bool = False,
    n_rows: int | None = None,
    notes: bool = True,
) -> pd.DataFrame:
    """The columns of ``column_meanings``, the most informative units first.

    Args:
        run: A finished run.
        layer: Only this layer.
        concept: All units against this concept, instead of each against its best one.
        named: Only units that are named after the row's concept.
        n_rows: Largest number of rows.
        notes: Include people's labels of the units, if there are some.

    Raises:
        LayerError: a layer that the run did not read.
        SegmenterError: a concept that is not in its vocabulary.
        ConfigError: ``n_rows`` is below 1.
    """
    if n_rows is not None and n_rows < 1:
        raise ConfigError(f"rows is {n_rows}; expected at least 1")
    table = select_rows(run, layer, concept)
    if named:
        table = table[table.named == table.concept]
    table = table.head(len(table) if n_rows is None else n_rows)
    table = with_second(run, table) if notes else table
    return table[[name for name in column_meanings() if name in table]].reset_index(drop=True)


def export_table(table: pd.DataFrame, kind: str, *, caption: str = "") -> bytes:
    """A units table as the bytes of a file.

    Args:
        table: See ``units_table``.
        kind: One of ``FORMATS``. JSON is one object with ``columns`` (name → meaning) and ``rows``;
            Parquet stores the meanings as metadata of its fields. In CSV no text starts like a
            formula; LaTeX omits ``second``.
        caption: Caption of the LaTeX table.

    Raises:
        ConfigError: an unknown format.
    """
    about = column_meanings()
    if kind == "csv":
        return to_csv(table).encode()
    if kind == "json":
        rows = json.loads(table.to_json(orient="records", double_precision=15))
        content = {"columns": {name: about[name] for name in table.columns}, "rows": rows}
        return (
            escape_json(json.dumps(content, ensure_ascii=False, allow_nan=False)) + "\n"
        ).encode()
    if kind == "latex":
        return to_latex(table, caption).encode()
    if kind == "parquet":
        whole = pa.Table.from_pandas(table, preserve_index=False)
        fields = [f.with_metadata({"description": about[f.name]}) for f in whole.schema]
        buffer = io.BytesIO()
        pq.write_table(whole.cast(pa.schema(fields, whole.schema.metadata)), buffer)
        return buffer.getvalue()
    raise ConfigError(f"format is {kind!r}; expected one of {', '.join(FORMATS)}")


def to_latex(table: pd.DataFrame, caption: str) -> str:
    """A floating table in the style of booktabs, with the columns that fit a paper.

    Two decimals; an interval in brackets after the IoU. Names are escaped, so that LaTeX prints any
    characters as they are.
    """
    columns = columns_in(Place.PAPER, table)
    heads = [rf"{one.heading} & 95\,\%" if one.name == "iou" else one.heading for one in columns]
    sides = "".join("rl" if one.name == "iou" else "r" for one in columns)
    lines = [
        r"% needs \usepackage{booktabs}, and \usepackage[T1]{fontenc} with pdfLaTeX",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{escape_latex(caption)}}}",
        rf"  \begin{{tabular}}{{lrl{sides}}}",
        r"    \toprule",
        rf"    Layer & Unit & Concept & {' & '.join(heads)} \\",
        r"    \midrule",
    ]
    for row in rows_of(table):
        interval = "--" if pd.isna(row.iou_low) else f"[{_two(row.iou_low)}, {_two(row.iou_high)}]"
        cells = [escape_latex(row.layer), str(row.unit), escape_latex(row.concept)]
        for one in columns:
            value = getattr(row, one.name)
            cells.append("--" if pd.isna(value) else format(value, one.digits))
            if one.name == "iou":
                cells.append(f"{{{interval}}}")
        lines.append(f"    {' & '.join(cells)} \\\\")
    lines += [r"    \bottomrule", r"  \end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def escape_latex(text: str) -> str:
    """Escape any text, so that LaTeX prints it."""
    shown = (" " if c.isspace() or not c.isprintable() else _SPECIAL.get(c, c) for c in str(text))
    return "".join(shown)


def _two(value: float) -> str:
    return "--" if pd.isna(value) else f"{value:.2f}"
