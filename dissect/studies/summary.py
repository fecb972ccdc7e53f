"""What was found of an effect in plain values, for recipes and JSON; ``telling`` has the text."""

import math
from collections.abc import Mapping

import pandas as pd

from dissect.studies.questions import RANDOM

REPAIR = "repair"
"""The ``kind`` of a repair."""
CONTEXT = "context"
"""The ``kind`` of units inserted at many places; all others have one concept as their target."""


def share_of(kind: str) -> str:
    """The column that says how far a set did what it was meant to do."""
    return "removed_share" if kind == "ablate" else "added_share"


def summarise(table: pd.DataFrame, asked: Mapping[str, object]) -> dict[str, object]:
    """The outcome in plain values; None where a share is undefined.

    Args:
        table: ``table_of_sets`` with the set ``chosen`` and, where there were any, random ones.
        asked: ``kind``, ``concept`` and whatever else is to stand in front.

    Returns:
        ``asked``, then ``target`` (the concept's row), ``random`` (the same for the mean draw, and
        the share of each draw in ``draws``; None without draws) and ``side_effects`` (the rows of
        all other concepts, largest change first).
    """
    concept = asked["concept"]
    chosen = _plain(table[table.set == "chosen"].drop(columns="set"))
    drawn = table[table.concept == concept]
    single = drawn[drawn.set.str.startswith(f"{RANDOM} ")][share_of(asked["kind"])].tolist()
    random = _plain(drawn[drawn.set == RANDOM].drop(columns="set"))
    return {
        **asked,
        "target": next(row for row in chosen if row["concept"] == concept),
        "random": {**random[0], "draws": [_number(v) for v in single]} if random else None,
        "side_effects": sorted(
            (row for row in chosen if row["concept"] != concept),
            key=lambda row: -abs(row["change"]),
        ),
    }


def summarise_context(table: pd.DataFrame, asked: Mapping[str, object]) -> dict[str, object]:
    """The outcome in plain values; None where a share is undefined.

    Args:
        table: Of ``measure_context``, with the sets ``chosen`` and, where drawn, ``random``.
        asked: What is to stand in front.

    Returns:
        ``asked``, then ``contexts``: the chosen set's rows, each with those of the mean random draw
        in ``random`` (None without draws).
    """
    by_set = {
        name: _plain(table[table.set == name].drop(columns="set")) for name in ("chosen", RANDOM)
    }
    random = {row["context"]: row for row in by_set[RANDOM]}
    rows = [row | {"random": random.get(row["context"])} for row in by_set["chosen"]]
    return {**asked, "contexts": rows}


def summarise_repair(
    table: pd.DataFrame, distance: Mapping[str, object] | None, asked: Mapping[str, object]
) -> dict[str, object]:
    """The outcome of a repair in plain values.

    Args:
        table: ``table_of_sets`` with the set ``chosen``.
        distance: ``distance_change``; None where there were no data.
        asked: ``units`` (layer → units) and whatever else is to stand in front.

    Returns:
        ``asked``, then ``distance`` and ``side_effects`` (every concept, largest change first).
    """
    rows = _plain(table[table.set == "chosen"].drop(columns="set"))
    return {
        **asked,
        "distance": distance,
        "side_effects": sorted(rows, key=lambda row: -abs(row["change"])),
    }


def _plain(table: pd.DataFrame) -> list[dict[str, object]]:
    rows = table.to_dict(orient="records")
    return [{name: _number(value) for name, value in row.items()} for row in rows]


def _number(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value
