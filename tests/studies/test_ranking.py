import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dissect.errors import ConfigError
from dissect.studies.originals import Originals, open_models
from dissect.studies.pixels import Treatment, measure
from dissect.studies.ranking import (
    best_layer,
    gains_of_sweep,
    greedy,
    rank_by_match,
    sweep,
    take_greedily,
)
from dissect.worlds.planted import PAINTS
from segmenters import Vocabulary

ABLATE = Treatment("units")


class PaintSegmenter:
    """Marks whatever is not black: five units draw it, and others only fire there."""

    name, fingerprint, device = "paint", "paint", torch.device("cpu")
    vocabulary = Vocabulary.build([("paint", "colour", "colour", "#e50000")])

    def segment(self, images):
        return (images > -0.9).any(dim=1, keepdim=True).long()


@pytest.fixture(scope="module")
def originals(planted_run):
    return Originals(*open_models(planted_run), planted_run.config, n_samples=64, first=224)


@pytest.fixture(scope="module")
def paint(planted, planted_run):
    return Originals(planted, PaintSegmenter(), planted_run.config, n_samples=64, first=224)


@pytest.fixture(scope="module")
def gains(paint):
    return gains_of_sweep(sweep(paint, ABLATE, range(9)), ABLATE, "paint")


def test_units_are_ranked_as_the_run_matched_them(planted_run):
    assert best_layer(planted_run, "blue") == "units"
    for by in ("iou", "excess"):
        assert rank_by_match(planted_run, "units", "red", by=by)[:2] == [0, 5]
        assert sorted(rank_by_match(planted_run, "units", "orange", by=by)) == list(range(9))
    iou = planted_run.iou("units").sel(concept="green").values
    ranked = rank_by_match(planted_run, "units", "green")
    assert (np.diff(iou[ranked]) <= 0).all()
    with pytest.raises(ConfigError, match="order is 'best'; expected iou or excess"):
        rank_by_match(planted_run, "units", "red", by="best")


def test_a_sweep_tells_what_paints_from_what_only_fires(originals):
    table = sweep(originals, ABLATE, range(9))
    assert len(table) == 9 * 11
    share = table.pivot(index="unit", columns="concept", values="removed_share")
    expected = np.zeros((9, 5))
    expected[range(5), range(5)] = 1
    np.testing.assert_array_equal(share[list(PAINTS)].values, expected)
    assert share["orange"].isna().all()
    # Unit 6 fires wherever green is, unit 1 draws it.
    assert next(iter(gains_of_sweep(table, ABLATE, "green"))) == 1


def test_the_searches_recover_the_planted_set(paint, gains):
    assert set(list(gains)[:5]) == set(range(5))
    assert set(greedy(paint, ABLATE, "paint", gains, 5)) == set(range(5))


def test_the_greedy_search_takes_what_a_plain_one_takes(paint, gains):
    taken = []
    for _ in range(4):
        moved = {
            unit: -measure(paint, ABLATE.of([*taken, unit])).change.sum()
            for unit in gains
            if unit not in taken
        }
        taken.append(max(moved, key=moved.get))
    assert greedy(paint, ABLATE, "paint", gains, 4) == taken


def test_the_greedy_search_measures_less_than_a_plain_one(paint, gains, monkeypatch):
    import dissect.studies.ranking as module

    calls = []
    monkeypatch.setattr(module, "measure", lambda *a: (calls.append(1), measure(*a))[1])
    greedy(paint, ABLATE, "paint", gains, 5)
    assert len(calls) < 8 + 7 + 6 + 5


@given(st.lists(st.sets(st.integers(0, 7)), min_size=1, max_size=7), st.integers(1, 7))
def test_greedy_covers_what_a_search_that_measures_everything_covers(sets, size):
    """Items weigh 2**item, so that two sets gain the same only where they add the same items."""

    def weight(items):
        return float(sum(2**item for item in items))

    def reach(taken):
        return weight(set().union(*(sets[one] for one in taken)))

    gains = {one: reach([one]) for one in range(len(sets))}
    found = take_greedily(gains, reach, size)
    assert len(set(found)) == len(found) == min(size, len(sets))
    covered = set()
    for n in range(len(found)):
        covered |= max((items - covered for items in sets), key=weight)
        assert reach(found[: n + 1]) == weight(covered)


def test_insertion_is_searched_for_what_comes(originals):
    treatment = Treatment("units", [1.0] * 9)
    gains = gains_of_sweep(sweep(originals, treatment, range(9)), treatment, "blue")
    assert next(iter(gains)) == 2
    assert greedy(originals, treatment, "blue", gains, 1) == [2]
