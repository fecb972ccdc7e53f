from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.pairs import Measured
from dashboard.unit_filter import (
    CERTAINTIES,
    FACETS,
    MOST,
    SIZES,
    STEP,
    UnitFilter,
    count_facets,
    filter_units,
    read_filter,
    sorts,
)


@pytest.fixture
def labels():
    return pd.DataFrame(
        {
            "layer": pd.Categorical(["low", "low", "high", "high"]),
            "unit": [0, 1, 0, 12],
            "concept": pd.Categorical(["red", "green", "red", "dark red"]),
            "category": ["colour"] * 3 + ["part"],
            "is_named": [True, True, False, True],
            "rung": [2, 3, 1, 2],
            "same_in_halves": [True, False, False, True],
            "iou": [0.5, 0.9, 0.1, float("nan")],
            "excess_information": [0.2, 0.4, 0.1, 0.3],
            "over_chance": [0.1, 0.2, 0.3, 0.4],
            "q_value": [0.01, 0.04, 0.9, 0.001],
            "precision": [0.1, 0.2, 0.3, 0.4],
            "recall": [0.4, 0.3, 0.2, 0.1],
        }
    )


def _found(labels, effects=None, **chosen):
    found = filter_units(labels, UnitFilter(**chosen), effects)
    return [(str(row.layer), row.unit) for row in found.itertuples()]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, [("low", 1), ("high", 12), ("low", 0)]),
        ({"certainty": "all", "sort": "unit"}, [("low", 0), ("low", 1), ("high", 0), ("high", 12)]),
        ({"certainty": "unnamed"}, [("high", 0)]),
        ({"certainty": "sure", "sort": "certainty"}, [("high", 12), ("low", 0)]),
        ({"iou": 0.4, "sort": "iou"}, [("low", 1), ("low", 0)]),
        ({"layer": "high"}, [("high", 12)]),
        ({"concept": "red"}, [("low", 0)]),
        ({"category": "part"}, [("high", 12)]),
        ({"search": "RED"}, [("high", 12), ("low", 0)]),
        ({"search": "red low"}, [("low", 0)]),
        ({"search": "unit 12"}, [("high", 12)]),
        ({"search": "unit"}, [("low", 1), ("high", 12), ("low", 0)]),
        ({"search": "blue"}, []),
        ({"search": "reds"}, [("high", 12), ("low", 0)]),
        ({"search": "low:1"}, [("low", 1)]),
        ({"search": "high:1"}, []),
        ({"search": "igh:12 dark"}, [("high", 12)]),
        (
            {"certainty": "matches", "sort": "unit"},
            [("low", 0), ("low", 1), ("high", 0), ("high", 12)],
        ),
        ({"certainty": "causal"}, [("low", 1)]),
        ({"layer": "no such layer"}, []),
        ({"measured": True}, []),
    ],
)
def test_units_are_filtered_and_sorted_as_was_chosen(labels, chosen, expected):
    assert _found(labels, **chosen) == expected


@pytest.mark.parametrize("reverse", [False, True])
def test_units_without_the_number_come_last_when_it_sorts(labels, reverse):
    found = _found(labels, sort="iou", certainty="all", reverse=reverse)
    assert found[-1] == ("high", 12)
    assert found[0] == (("high", 0) if reverse else ("low", 1))


def test_concepts_sort_by_name_and_units_that_are_named_after_none_come_last(labels):
    for reverse in (False, True):
        found = filter_units(labels, UnitFilter(sort="concept", certainty="all", reverse=reverse))
        names = found.concept.astype(str).tolist()
        assert names[:-1] == sorted(["red", "green", "dark red"], reverse=reverse)
        assert not found.is_named.iloc[-1]


def test_what_people_call_units_sorts_whatever_its_case(labels):
    second = {("low", 0): "beak", ("high", 0): "Arch", ("high", 12): "cloud"}
    found = filter_units(labels, UnitFilter(sort="people", certainty="all"), None, second)
    assert found.second.tolist() == ["Arch", "beak", "cloud", ""]


@pytest.mark.parametrize("sort", sorts())
def test_every_sort_keeps_every_unit(labels, sort):
    labels = labels.assign(chance=0.1)
    for reverse in (False, True):
        found = _found(labels, sort=sort, certainty="all", reverse=reverse)
        assert sorted(found) == sorted(_found(labels, certainty="all"))


def test_only_units_of_measured_sets_are_left_where_that_is_asked_for(labels):
    effects = {("low", 0): Measured("one", 1, "red removed", 0.75)}
    assert _found(labels, effects, measured=True) == [("low", 0)]
    assert _found(labels, effects, sort="effect")[0] == ("low", 0)


@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"layer": "high"},
        {"certainty": "matches", "concept": "red"},
        {"search": "red", "certainty": "all"},
        {"iou": 0.4, "category": "colour"},
        {"measured": True, "certainty": "all"},
        {"certainty": "unnamed", "layer": "low"},
    ],
)
def test_a_facet_counts_what_choosing_its_value_would_give(labels, chosen):
    effects = {("low", 0): Measured("one", 1, "red removed", 0.75)}
    second = {("high", 0): "Arch"}
    unit_filter = UnitFilter(**chosen)
    counts = count_facets(labels, unit_filter, effects, second)
    assert list(counts) == list(FACETS)
    values = {
        "certainty": CERTAINTIES,
        **{name: ["", *map(str, labels[name].unique())] for name in FACETS if name != "certainty"},
    }
    for facet, possible in values.items():
        expected = {
            value: len(
                filter_units(labels, replace(unit_filter, **{facet: value}), effects, second)
            )
            for value in possible
        }
        kept = {v: n for v, n in expected.items() if n or facet == "certainty" or not v}
        assert counts[facet] == kept


choices = st.builds(
    UnitFilter,
    layer=st.text(max_size=20),
    concept=st.text(max_size=20),
    iou=st.floats(0, 1),
    certainty=st.sampled_from(["all", "named", "sure", "unnamed"]),
    measured=st.booleans(),
    search=st.text(max_size=20),
    sort=st.sampled_from(["clearest", "iou", "unit"]),
    view=st.sampled_from(["grid", "table"]),
    size=st.sampled_from(SIZES),
    most=st.integers(STEP, MOST),
)


@given(choices)
@settings(max_examples=60)
def test_a_choice_comes_back_from_its_query_string(choice):
    from urllib.parse import parse_qs

    query = choice.to_query()
    given = {n: v[0] for n, v in parse_qs(query[1:], keep_blank_values=True).items()}
    assert read_filter(given) == choice


anything = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just([]) | st.just({})
)


@given(st.dictionaries(st.sampled_from(list(UnitFilter.__dataclass_fields__)), anything))
@settings(max_examples=100)
def test_anything_a_browser_sends_is_read_as_some_choice(query):
    choice = read_filter(query)
    assert 0 <= choice.iou <= 1
    assert STEP <= choice.most <= MOST
    assert all(isinstance(v, str) for v in (choice.layer, choice.concept, choice.search))


def test_the_default_choice_needs_no_query():
    assert UnitFilter().to_query() == ""
    assert UnitFilter(measured=True).to_query() == "?measured=1"
