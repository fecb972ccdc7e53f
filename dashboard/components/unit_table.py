"""Units as a table that is fetched block by block, sorted by its headers."""

import math

import dash_ag_grid as dag
from dash.development.base_component import Component

from dashboard.components.units import label_of
from dashboard.links import unit_href
from dashboard.notes.labels import second_labels
from dashboard.pairs import labels_of, measured_of
from dashboard.store import OpenRun
from dashboard.unit_filter import SORTS, UnitFilter, filter_units

BLOCK = 200
"""Rows that are fetched at once."""
_NUMBERS = ("iou", "chance", "over_chance", "precision", "recall", "effect")
_TWO = {"function": "params.value == null ? '' : d3.format('.2f')(params.value)"}
_COLUMNS = (
    # field, header, width, sort of unit_filter.SORTS
    ("layer", "Layer", 140, "unit"),
    ("unit", "Unit", 90, None),
    ("named", "Concept", 150, "concept"),
    ("second", "People call it", 160, "people"),
    ("category", "Category", 110, None),
    ("iou", "IoU", 100, "iou"),
    ("chance", "Chance", 110, "chance"),
    ("over_chance", "Over chance", 140, "over-chance"),
    ("q_value", "False discovery", 160, "certainty"),
    ("precision", "Precision", 120, "precision"),
    ("recall", "Recall", 110, "recall"),
    ("effect", "Effect", 110, "effect"),
)
_TEXTS = ("layer", "named", "second", "category")


def header_sorts() -> dict[str, list[object]]:
    """Column → the sort that its header stands for, and whether small values come first then."""
    return {field: [sort, SORTS[sort][1]] for field, _, _, sort in _COLUMNS if sort is not None}


def unit_table(opened: OpenRun, unit_filter: UnitFilter, n_rows: int) -> Component:
    """The table of the chosen units.

    Args:
        opened: The run.
        unit_filter: Which of its units.
        n_rows: How many there are.
    """
    return dag.AgGrid(
        id={"type": "units-table", "run": opened.id, "query": unit_filter.to_query()},
        columnDefs=[_column(unit_filter, *column) for column in _COLUMNS],
        rowModelType="infinite",
        dashGridOptions={
            "cacheBlockSize": BLOCK,
            "maxBlocksInCache": 20,
            "infiniteInitialRowCount": min(n_rows, BLOCK),
            "rowHeight": 36,
        },
        className="ag-theme-quartz-auto-dark table",
        style={"height": "70vh"},
    )


def _column(
    unit_filter: UnitFilter, field: str, header: str, width: int, sort: str | None
) -> dict[str, object]:
    column = {"field": field, "headerName": header, "width": width, "sortable": sort is not None}
    if field not in _TEXTS:
        column["type"] = "rightAligned"
    if field == "unit":
        column["cellRenderer"] = "UnitLink"
    if field in _NUMBERS:
        column["valueFormatter"] = _TWO
    if sort is not None:
        rising = SORTS[sort][1]
        column["sortingOrder"] = ["asc", "desc"] if rising else ["desc", "asc"]
        if sort == unit_filter.sort:
            column["sort"] = "asc" if rising != unit_filter.reverse else "desc"
    return column


def chosen(opened: OpenRun, unit_filter: UnitFilter) -> object:
    """The chosen units; kept for the latest filter: a table fetches them piece by piece."""
    second = second_labels(opened)  # the same object until somebody changes a note
    known = opened.once("latest filter", dict)
    query, of, found = known.get("latest", ("", None, None))
    if query != unit_filter.to_query() or of is not second:
        found = filter_units(labels_of(opened), unit_filter, measured_of(opened.run), second)
        known["latest"] = unit_filter.to_query(), second, found
    return found


def rows(
    opened: OpenRun, unit_filter: UnitFilter, start: int, stop: int
) -> list[dict[str, object]]:
    """Rows of the table as plain values; numbers that are none become None."""
    return [
        {
            "layer": str(row.layer),
            "unit": int(row.unit),
            "named": label_of(row),
            "second": row.second,
            "category": row.category if row.interpretable else "",
            "href": unit_href(opened.id, str(row.layer), int(row.unit)),
            **{name: _plain(getattr(row, name), ".4f") for name in _NUMBERS},
            "q_value": _plain(row.q_value, ".2g"),
        }
        for row in chosen(opened, unit_filter).iloc[start:stop].itertuples()
    ]


def _plain(value: float, digits: str) -> float | None:
    return None if math.isnan(value) else float(format(value, digits))
