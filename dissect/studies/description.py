"""Description of a measured effect, for the terminal, reports and the dashboard.

A study describes its result as sentences, bars and tables; every display uses only these. Nothing
in here imports torch or pandas.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Row = Mapping[str, Any]

_FIRST_UNITS = 20  # units shown in a terminal
_FIRST_ROWS = 8  # side effects shown first


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a table.

    Args:
        name: Key of the value in a row.
        title: Heading of the column.
        digits: Number of decimals.
        signed: Show a plus sign.
        interval: Show the 95 % interval, ``name_low`` and ``name_high``, instead of the value.
        random: Show the value of the random units, from the row's ``random``.
        bar: A page draws it as a bar, with the random units' value as a tick.
        is_concept: The value is the name of a concept, which has a colour.
    """

    name: str
    title: str
    digits: int = 0
    signed: bool = False
    interval: bool = False
    random: bool = False
    bar: bool = False
    is_concept: bool = False

    def text(self, row: Row) -> str:
        """The cell of a row; – for an undefined number, a text unchanged."""
        if self.is_concept:
            return str(row[self.name])
        if self.interval:
            low, high = row.get(f"{self.name}_low"), row.get(f"{self.name}_high")
            missing = low is None or high is None
            return "–" if missing else f"[{self._number(low)}, {self._number(high)}]"
        return self._number(self.value(row))

    def value(self, row: Row) -> object:
        """The number of a row, None if it is undefined."""
        if not self.random:
            return row.get(self.name)
        random = row.get("random")
        return random.get(self.name) if isinstance(random, Mapping) else None

    def random_value(self, row: Row) -> object:
        """The number of the random units of a row, None if there are none."""
        random = row.get("random")
        return random.get(self.name) if isinstance(random, Mapping) else None

    def _number(self, value: object) -> str:
        if isinstance(value, str):
            return value
        if not isinstance(value, (int, float)):
            return "–"
        return f"{value:{'+' if self.signed else ''},.{self.digits}f}"


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of plain values under declared columns.

    Args:
        title: Title of the table: a question or a name of the rows.
        columns: The first one labels the rows.
        rows: Rows of the summary.
        note: Text under the table.
        faint: Column; rows in which it is true are marked as unreliable.
        n_first: Rows that are shown first; None shows all.
    """

    title: str
    columns: tuple[Column, ...]
    rows: Sequence[Row]
    note: str = ""
    faint: str = ""
    n_first: int | None = None

    def is_faint(self, row: Row) -> bool:
        """Whether a row is unreliable."""
        return bool(self.faint and row.get(self.faint))


@dataclass(frozen=True)
class Bar:
    """A share with its 95 % interval; None if it is undefined.

    Args:
        name: Label of the bar.
        value, low, high: Usually in [0, 1].
        random: The value of random units, a tick on the bar.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    random: float | None = None

    @classmethod
    def of(cls, name: str, row: Row, column: str, random: Row | None = None) -> "Bar":
        """The bar of a column of a row."""
        values = (row.get(f"{column}{end}") for end in ("", "_low", "_high"))
        return cls(name, *values, None if random is None else random.get(column))  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class Description:
    """The edits and results of a study.

    Args:
        question: The question that the study answers, in one line.
        edits: The edits, such as ``ablate 20 units of layer4, order iou``.
        measured: The basis of the measurement, such as ``500 samples``.
        findings: Sentences, the most important one first.
        layers: Layer → the units that were edited; empty if the latent was moved.
        concept: The target concept; "" for none.
        bars: The result beside that of random edits.
        facts: Name → value.
        tables: Further results.
    """

    question: str
    edits: str
    measured: str
    findings: tuple[str, ...] = ()
    layers: Mapping[str, Sequence[int]] = field(default_factory=dict)
    concept: str = ""
    bars: tuple[Bar, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    tables: tuple[Table, ...] = ()

    def to_text(self) -> str:
        """The description for a terminal."""
        lines = [self.edits]
        for layer, units in self.layers.items():
            more = ", …" if len(units) > _FIRST_UNITS else ""
            lines.append(f"  {layer}: {', '.join(map(str, units[:_FIRST_UNITS]))}{more}")
        lines += [self.measured] * bool(self.measured)
        if self.findings:
            lines += ["", *(f"  {finding}" for finding in self.findings)]
        for table in self.tables:
            if table.rows:
                lines += ["", *_table_lines(table)]
        return "\n".join(lines)


def _table_lines(table: Table) -> list[str]:
    heads = [column.title for column in table.columns]
    shown = table.rows[: table.n_first]
    rows = [[column.text(row) for column in table.columns] for row in shown]
    widths = [max(map(len, cells)) for cells in zip(heads, *rows, strict=True)]
    marks = ["", *("  few" if table.is_faint(row) else "" for row in shown)]
    lines = []
    for cells, mark in zip([heads, *rows], marks, strict=True):
        first, *others = (
            f"{cell:<{width}}" if place == 0 else f"{cell:>{width}}"
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        lines.append(f"    {'  '.join([first, *others])}{mark}".rstrip())
    return [f"  {table.title}", *lines, *([f"    {table.note}"] if table.note else [])]


def count_units(layers: Mapping[str, Sequence[int]]) -> str:
    """Text such as ``7 units of 2 layers``."""
    n_units = sum(map(len, layers.values()))
    (layer, *others) = layers
    where = f"{len(layers)} layers" if others else layer
    return f"{n_units} {'unit' if n_units == 1 else 'units'} of {where}"


def measured(summary: Mapping[str, Any]) -> str:
    """Number of samples of a summary, and the speed of their generation."""
    speed = f"{summary['images_per_second']:,.0f} edited images per second"
    return f"{summary['samples']:,} samples, {speed}"


def number_with_interval(
    row: Mapping[str, Any], name: str, *, digits: int = 2, signed: bool = False
) -> str:
    """A value of a row with its interval, such as ``0.55 [0.52, 0.58]``.

    The interval is omitted if the row has none, as for a single random set and in earlier versions;
    an undefined value is an en dash.
    """
    column = Column(name=name, title="", digits=digits, signed=signed)
    interval = Column(name=name, title="", digits=digits, signed=signed, interval=True)
    shown = interval.text(row)
    return column.text(row) + (f" {shown}" if shown != "–" else "")


EFFECT_COLUMNS = (
    Column(name="concept", title="Concept", is_concept=True),
    Column(name="before", title="before", digits=1),
    Column(name="after", title="after", digits=1),
    Column(name="change", title="change", digits=1, signed=True),
    Column(name="change", title="95 % interval", digits=1, signed=True, interval=True),
)
"""Columns with the pixels of every concept, per image, before and after."""


def side_effects(summary: Mapping[str, Any], title: str) -> Table:
    """The concepts of a summary's ``side_effects`` that changed, largest change first."""
    rows = summary["side_effects"]
    changed = [row for row in rows if row["removed"] or row["added"]]  # type: ignore[union-attr]
    return Table(title=title, columns=EFFECT_COLUMNS, rows=changed, n_first=_FIRST_ROWS)
