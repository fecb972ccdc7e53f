"""Units as a table, loaded block by block, sorted by its headers."""

import math
from collections.abc import Container
from dataclasses import dataclass

import dash_ag_grid as dag
import pandas as pd
from dash.development.base_component import Component

from dashboard.components.units import label_of
from dashboard.links import unit_href
from dashboard.notes.labels import second_labels
from dashboard.pairs import labels_of, measured_of
from dashboard.rungs import ranked_labels
from dashboard.store import OpenRun
from dashboard.unit_filter import UnitFilter, filter_units, list_query, sorts
from dissect.statistics.columns import Place
from dissect.statistics.ladder import RUNGS
from dissect.statistics.registry import columns_in, rows_of

BLOCK = 200
"""Rows loaded at a time."""
_RENDERERS = {"unit": "UnitLink", "rung": "RungMark"}
_FEWEST, _PER_LETTER = 100, 5.5  # least width of a column, and width of a header letter, in pixels


@dataclass(frozen=True)
class _Field:
    """A column of the table on the page.

    Attributes:
        name: Key of its values.
        header: Text of the header.
        width: In pixels.
        sort: Name of the order for its header; None for none.
        is_number: Whether its values are aligned as numbers.
    """

    name: str
    header: str
    width: int
    sort: str | None = None
    is_number: bool = False


def _fields(names: Container[str]) -> list[_Field]:
    """The columns for units with these values."""
    known = sorts()
    values = [
        _Field(
            one.name,
            one.heading,
            max(_FEWEST, int(80 + _PER_LETTER * len(one.heading))),
            one.sort_name if one.sort_name in known else None,
            is_number=True,
        )
        for one in columns_in(Place.DASHBOARD, names)
    ]
    return [
        _Field("layer", "Layer", 140, "unit"),
        _Field("unit", "Unit", 90, is_number=True),
        _Field("named", "Concept", 150, "concept"),
        _Field("second", "People call it", 160, "people"),
        _Field("rung", "Evidence", 110, "rung"),
        _Field("category", "Category", 110),
        *values,
        _Field("effect", "Effect", 110, "effect", is_number=True),
    ]


def header_sorts(opened: OpenRun) -> dict[str, list[object]]:
    """Column → the order for its header, and whether it puts small values first."""
    known = sorts()
    return {
        one.name: [one.sort, known[one.sort].rising]
        for one in _fields(labels_of(opened))
        if one.sort is not None
    }


def unit_table(opened: OpenRun, unit_filter: UnitFilter, n_rows: int) -> Component:
    """The table of the chosen units.

    Args:
        opened: The run.
        unit_filter: Filter of its units.
        n_rows: Number of rows.
    """
    return dag.AgGrid(
        id={"type": "units-table", "run": opened.id, "query": unit_filter.to_query()},
        columnDefs=[_column(unit_filter, field) for field in _fields(labels_of(opened))],
        rowModelType="infinite",
        dashGridOptions={
            "cacheBlockSize": BLOCK,
            "maxBlocksInCache": 20,
            "infiniteInitialRowCount": min(n_rows, BLOCK),
            "rowHeight": 36,
            "suppressColumnVirtualisation": True,  # a reader of the screen finds every column
        },
        className="ag-theme-quartz-auto-dark table",
        style={"height": "70vh"},
    )


def _column(unit_filter: UnitFilter, field: _Field) -> dict[str, object]:
    column: dict[str, object] = {
        "field": field.name,
        "headerName": field.header,
        "width": field.width,
        "sortable": field.sort is not None,
    }
    if field.is_number:
        column["type"] = "rightAligned"
    if field.name in _RENDERERS:
        column["cellRenderer"] = _RENDERERS[field.name]
    if field.sort is not None:
        rising = sorts()[field.sort].rising
        column["sortingOrder"] = ["asc", "desc"] if rising else ["desc", "asc"]
        if field.sort == unit_filter.sort:
            column["sort"] = "asc" if rising != unit_filter.reverse else "desc"
    return column


def chosen(opened: OpenRun, unit_filter: UnitFilter) -> pd.DataFrame:
    """The chosen units; cached for the latest filter, since a table loads them piece by piece."""
    second = second_labels(opened)  # the same object until a note changes
    known = opened.once("latest filter", dict)
    labels = ranked_labels(opened)
    query, of, found = known.get("latest", ("", None, None))
    if query != unit_filter.to_query() or of != (id(second), id(labels)):
        found = filter_units(labels, unit_filter, measured_of(opened.run), second)
        known["latest"] = unit_filter.to_query(), (id(second), id(labels)), found
    return found


def rows(
    opened: OpenRun, unit_filter: UnitFilter, start: int, stop: int
) -> list[dict[str, object]]:
    """Rows of the table; numbers are texts, rounded once as everywhere, "" for none."""
    shown = columns_in(Place.DASHBOARD, labels_of(opened))
    query = list_query(unit_filter)
    return [
        {
            "layer": str(row.layer),
            "unit": int(row.unit),
            "named": label_of(row),
            "second": row.second,
            "rung": RUNGS[int(row.rung)].name,
            "rungColour": RUNGS[int(row.rung)].colour,
            "category": row.category if row.is_named else "",
            "href": unit_href(opened.id, str(row.layer), int(row.unit)) + query,
            **{one.name: _text(getattr(row, one.name), one.digits) for one in shown},
            "effect": _text(row.effect, ".2f"),
        }
        for row in rows_of(chosen(opened, unit_filter).iloc[start:stop])
    ]


def _text(value: float, digits: str) -> str:
    if not digits:
        return "yes" if value else "no"
    return "" if math.isnan(value) else format(float(value), digits)
