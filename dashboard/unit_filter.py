"""The choice and order of displayed units, as a value, to and from a query string."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import numpy as np
import pandas as pd

from dashboard.pairs import Measured
from dissect.statistics.columns import Place
from dissect.statistics.ladder import CAUSAL, MATCHES
from dissect.statistics.registry import all_columns
from segmenters.synonyms import means

CERTAINTIES = ("all", "matches", "named", "sure", "causal", "unnamed")
_RUNGS = {"matches": MATCHES, "causal": CAUSAL}
VIEWS = ("grid", "table")
SIZES = ("small", "medium", "large")
"""Sizes of the pictures in the grid."""
FACETS = ("certainty", "layer", "concept", "category")
"""Criteria whose values are shown with the number of units of each value."""
STEP = 48
"""Number of units added each time."""
MOST = 2**16


@dataclass(frozen=True)
class Sort:
    """An order of units.

    Attributes:
        column: Column to sort by; None keeps the order of the run.
        rising: Whether small values come first.
        title: Title in the menu.
    """

    column: str | None
    rising: bool
    title: str


def sorts() -> dict[str, Sort]:
    """Name → order: the displayed columns first, then other known values."""
    by_value = {
        one.sort_name: Sort(one.name, not one.falling, one.sort_title)
        for one in all_columns()
        if one.falling is not None and (Place.DASHBOARD in one.places or one.sort[0])
    }
    clearest = {"clearest": by_value.pop("clearest")}
    others = {
        "effect": Sort("effect", False, "Measured effect"),
        "concept": Sort("concept", True, "Concept"),
        "people": Sort("second", True, "What people call it"),
        "unit": Sort(None, True, "Layer and unit"),
    }
    return clearest | by_value | others


@dataclass(frozen=True)
class UnitFilter:
    """A choice of units.

    Args:
        layer, concept, category: Only these; "" for all.
        iou: Least IoU with the best concept.
        certainty: ``all``; ``matches``: at least that rung; ``named``: named after a concept, or
            labelled by a person; ``sure``: named, and both halves of the evaluation fold agree;
            ``causal``: on that rung; ``unnamed``: not named.
        measured: Only units that belong to a measured set.
        search: Words that must all match the unit: its layer or number, ``layer:unit``, its
            concept or people's label, also as plurals and synonyms (``segmenters.synonyms``).
        sort: One of ``sorts``.
        reverse: Reverse order; units without a value come last in both.
        view: One of ``VIEWS``.
        size: Size of the pictures, one of ``SIZES``.
        most: Number of units shown in the grid.
    """

    layer: str = ""
    concept: str = ""
    category: str = ""
    iou: float = 0.0
    certainty: str = "named"
    measured: bool = False
    search: str = ""
    sort: str = "clearest"
    reverse: bool = False
    view: str = "grid"
    size: str = "medium"
    most: int = STEP

    def to_query(self, **changes: object) -> str:
        """The query string of the values that differ from the defaults; "" if none does."""
        plain = vars(replace(self, **changes))  # asdict is slower: pages have thousands of links
        kept = {name: value for name, value in plain.items() if value != _DEFAULT[name]}
        return (
            "?" + urlencode({n: int(v) if v is True else v for n, v in kept.items()})
            if kept
            else ""
        )


_DEFAULT = vars(UnitFilter())


def list_query(unit_filter: UnitFilter) -> str:
    """The query string for a unit's page reached from this list of units."""
    return unit_filter.to_query() or "?list=units"


def read_filter(query: Mapping[str, object]) -> UnitFilter:
    """Parse a filter from a browser's values; ignores invalid ones."""
    default = UnitFilter()
    text = {
        name: given[:200]
        for name in ("layer", "concept", "category", "search")
        if isinstance(given := query.get(name), str)
    }
    picked = {
        name: given
        for name, known in (
            ("certainty", CERTAINTIES),
            ("sort", sorts()),
            ("view", VIEWS),
            ("size", SIZES),
        )
        if isinstance(given := query.get(name), str) and given in known
    }
    iou = _number(query.get("iou"), default.iou)
    most = int(_number(query.get("most"), default.most))
    return UnitFilter(
        **text,
        **picked,
        iou=min(max(iou, 0.0), 1.0),
        measured=_is_on(query.get("measured")),
        reverse=_is_on(query.get("reverse")),
        most=min(max(most, STEP), MOST),
    )


def filter_units(
    labels: pd.DataFrame,
    unit_filter: UnitFilter,
    measured: Mapping[tuple[str, int], Measured] | None = None,
    second: Mapping[tuple[str, int], str] | None = None,
) -> pd.DataFrame:
    """The chosen units, in order.

    Args:
        labels: ``labels_of`` a run.
        unit_filter: The filter.
        measured: ``measured_of`` that run.
        second: ``second_labels`` of that run, people's labels of its units.

    Returns:
        Rows of ``labels`` with ``second``, people's label or ""; ``effect``, the share of the
        smallest measured set of the unit; ``effect_units``, the size of the set; and
        ``effect_label``, the changed concept; "" without a measurement.
    """
    labels = labels.assign(second=_second(labels, second or {}))
    keep = np.ones(len(labels), bool)
    for passed in _passed(labels, unit_filter, measured or {}).values():
        keep &= passed
    found = _with_effects(labels[keep], measured or {})
    sort = sorts()[unit_filter.sort]
    column = sort.column
    # A run of an earlier version may lack a column.
    if column is None or column not in found:
        return found[::-1] if unit_filter.reverse else found
    values = found[column]
    if column == "concept":
        values = _ranks(values).where(found.is_named)
    elif column == "second":
        values = values.astype(object).str.lower().replace("", None)
    rising = sort.rising != unit_filter.reverse
    order = values.reset_index(drop=True).sort_values(
        ascending=rising, kind="stable", na_position="last"
    )
    return found.iloc[order.index]


def count_facets(
    labels: pd.DataFrame,
    unit_filter: UnitFilter,
    measured: Mapping[tuple[str, int], Measured] | None = None,
    second: Mapping[tuple[str, int], str] | None = None,
) -> dict[str, dict[str, int]]:
    """For each of ``FACETS``, the number of units per value, with the other criteria unchanged.

    Args:
        labels, unit_filter, measured, second: See ``filter_units``.

    Returns:
        For each facet: value → number of units; first "" (``all`` for the certainty), which accepts
        all units. Values without units are left out, except those of the certainty.
    """
    labels = labels.assign(second=_second(labels, second or {}))
    passed = _passed(labels, unit_filter, measured or {})
    found: dict[str, dict[str, int]] = {}
    for facet in FACETS:
        keep = np.ones(len(labels), bool)
        for name, one in passed.items():
            if name != facet:
                keep &= one
        if facet == "certainty":
            sums = [int((keep & _is_certain(labels, one)).sum()) for one in CERTAINTIES]
            found[facet] = dict(zip(CERTAINTIES, sums, strict=True))
        else:
            counts = labels[facet][keep].value_counts(sort=False)
            own = {str(name): int(n) for name, n in counts.items() if n}
            found[facet] = {"": int(keep.sum()), **own}
    return found


def _passed(
    labels: pd.DataFrame, unit_filter: UnitFilter, measured: Mapping[tuple[str, int], Measured]
) -> dict[str, np.ndarray]:
    """For each used criterion, a mask of the rows that pass it; ``labels`` have ``second``."""
    passed = {
        name: (labels[name] == value).to_numpy(bool)
        for name in ("layer", "concept", "category")
        if (value := getattr(unit_filter, name))
    }
    if unit_filter.iou > 0:
        passed["iou"] = (labels.iou >= unit_filter.iou).to_numpy(bool)
    if unit_filter.certainty != "all":
        passed["certainty"] = _is_certain(labels, unit_filter.certainty)
    words = unit_filter.search.lower().split()
    if words:
        passed["search"] = np.logical_and.reduce([_holds(labels, word) for word in words])
    if unit_filter.measured:
        keys = zip(labels.layer.astype(str), labels.unit.tolist(), strict=True)
        belong = {key for key, one in measured.items() if one.label}
        passed["measured"] = np.array([key in belong for key in keys], bool)
    return passed


def _is_certain(labels: pd.DataFrame, certainty: str) -> np.ndarray:
    """A mask of the rows with one of ``CERTAINTIES``."""
    if certainty == "all":
        return np.ones(len(labels), bool)
    if certainty in _RUNGS:
        return (labels.rung >= _RUNGS[certainty]).to_numpy(bool)
    named = labels.is_named.to_numpy(bool)
    if certainty == "unnamed":
        return ~named
    if certainty == "sure":
        return named & labels.same_in_halves.to_numpy(bool)
    return named | (labels.second != "").to_numpy(bool)


def _ranks(names: pd.Series) -> pd.Series:
    """Ranks in alphabetical order, computed once per name."""
    order = np.argsort(names.cat.categories.astype(str).str.lower(), kind="stable")
    places = np.empty(len(order), np.float32)
    places[order] = np.arange(len(order))
    return pd.Series(places[names.cat.codes.to_numpy()], names.index)


def _holds(labels: pd.DataFrame, word: str) -> np.ndarray:
    """Whether a word matches a row: its layer, concept, unit, ``layer:unit`` or people's label.

    Categories are searched once per name.
    """
    layer, colon, number = word.rpartition(":")
    if colon and _is_number(number):
        return _categories(labels, "layer", lambda name: layer in name.lower()) & (
            labels.unit == int(number)
        ).to_numpy(bool)
    found = _categories(labels, "layer", lambda name: word in name.lower())
    found |= _categories(labels, "concept", lambda name: means(word, name))
    for row in np.flatnonzero((labels.second != "").to_numpy()):
        found[row] |= means(word, str(labels.second.iloc[row]))
    number = word.removeprefix("unit").removeprefix("#")
    if _is_number(number):
        found |= (labels.unit == int(number)).to_numpy()
    return found if word != "unit" else np.ones(len(labels), bool)


def _categories(labels: pd.DataFrame, name: str, holds: Callable[[str], bool]) -> np.ndarray:
    column = labels[name].cat
    hits = np.array([holds(str(category)) for category in column.categories], bool)
    return hits[column.codes.to_numpy()]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _second(labels: pd.DataFrame, second: Mapping[tuple[str, int], str]) -> np.ndarray:
    names = np.full(len(labels), "", object)
    codes = {str(name): code for code, name in enumerate(labels.layer.cat.categories)}
    # A layer's code and the unit in one number, to avoid a loop over rows.
    names_of = {
        (codes[layer] << 32) + n: name for (layer, n), name in second.items() if layer in codes
    }
    if names_of:
        keys = (labels.layer.cat.codes.to_numpy(np.int64) << 32) + labels.unit.to_numpy(np.int64)
        for row in np.flatnonzero(np.isin(keys, list(names_of))):
            names[row] = names_of[int(keys[row])]
    return names


def _with_effects(
    labels: pd.DataFrame, measured: Mapping[tuple[str, int], Measured]
) -> pd.DataFrame:
    if not measured:
        return labels.assign(effect=np.nan, effect_label="", effect_units=0)
    keys = zip(labels.layer.astype(str), labels.unit.tolist(), strict=True)
    found = [measured.get(key) for key in keys]
    return labels.assign(
        effect=np.array([math.nan if each is None else each.share for each in found], float),
        effect_label=np.array(["" if each is None else each.label for each in found], object),
        effect_units=np.array([0 if each is None else each.n_units for each in found], int),
    )


def _is_on(given: object) -> bool:
    return str(given).lower() in ("1", "true")


def _number(given: object, otherwise: float) -> float:
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        return otherwise
    try:
        value = float(given)
    except ValueError:
        return otherwise
    return value if math.isfinite(value) else otherwise
