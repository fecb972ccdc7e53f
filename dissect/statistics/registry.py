"""All columns that a run's table may have, and the selection that each place shows."""

import functools
from collections.abc import Container, Iterator
from typing import Any

import pandas as pd

from dissect.statistics.columns import CORE, IS_LABEL, NAMED, ROW_COLUMNS, Column, Of, Place
from dissect.statistics.units import unit_statistics


@functools.cache
def all_columns() -> tuple[Column, ...]:
    """Every column with values: those of the joint counts, then those of unit statistics.

    Includes columns that only runs of earlier versions have.
    """
    return CORE + tuple(column for kind in unit_statistics() for column in kind.columns)


def columns_in(place: Place, names: Container[str]) -> list[Column]:
    """Columns that a place shows.

    Args:
        place: The place.
        names: Columns of the table at hand; a run of an earlier version may lack some.
    """
    return [one for one in all_columns() if place in one.places and one.name in names]


def rows_of(table: pd.DataFrame) -> Iterator[Any]:
    """Rows of a table as named tuples, one field a column.

    Which columns a table has is known at run time only, so the fields have no static type.
    """
    return table.itertuples()


def required_columns(version: int) -> list[str]:
    """Names of the columns that the table of a run has.

    Args:
        version: Version of its schema.
    """
    own = [
        one.name
        for one in all_columns()
        if one.since <= version and (one.until is None or version <= one.until)
    ]
    return [*(one.name for one in ROW_COLUMNS), *own, IS_LABEL.name]


def table_order() -> tuple[list[str], list[str]]:
    """Names of the columns of a table with values, those of pairs and those of units."""
    of_pair, of_unit = (
        [one.name for one in all_columns() if one.of is kind and one.until is None]
        for kind in (Of.PAIR, Of.UNIT)
    )
    return of_pair, of_unit


def meanings() -> dict[str, str]:
    """What each column of an export means."""
    shown = [one for one in all_columns() if Place.LABELS in one.places]
    return {one.name: one.meaning for one in (*ROW_COLUMNS, *shown, NAMED)}
