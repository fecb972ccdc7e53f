import itertools

import numpy as np
import pytest
from scipy import stats

from dissect.statistics.axes import Directions, compare, distinct_labels
from dissect.statistics.rungs import clearly_ahead, filled, one_thing, runners_up, wilson
from segmenters.scenes_vocabulary import SCENES_VOCABULARY as SCENES


def directions(labels, selective=None, excess=None):
    n = len(labels)
    return Directions(
        np.array(labels),
        np.ones(n, bool) if selective is None else np.array(selective, bool),
        np.full(n, 0.1) if excess is None else np.array(excess, float),
    )


def test_distinct_labels_are_the_mean_over_all_ways_to_draw():
    found = directions([0, 0, 0, 1, 1, 2, 3, 3], [1, 1, 1, 1, 1, 1, 0, 0])
    for n in range(1, 9):
        drawn = [
            len({int(found.label[i]) for i in pick if found.selective[i]})
            for pick in itertools.combinations(range(8), n)
        ]
        expected = distinct_labels(found, n, of_all=True)
        assert expected.value == pytest.approx(np.mean(drawn))
        reach = min(n - np.mean(drawn), 1.959964 * np.std(drawn))
        assert expected.high == pytest.approx(np.mean(drawn) + reach)


def test_of_a_sample_without_a_label_some_may_still_have_one():
    found = distinct_labels(directions([0] * 16, [0] * 16), 8, of_all=False)
    assert found.value == found.low == 0
    assert found.high == pytest.approx(8 * wilson(0, 16)[1])


def test_the_score_interval_is_that_of_scipy_and_never_a_point():
    for k in range(9):
        known = stats.binomtest(k, 8).proportion_ci(0.95, method="wilson")
        np.testing.assert_allclose(wilson(k, 8), [known.low, known.high], atol=1e-12)
    assert wilson(6, 8)[0] < 0.5 < wilson(7, 8)[0]  # seven of eight are most
    assert np.isnan(wilson(0, 0)).all()


def test_axes_stand_out_where_more_units_are_selective_than_mixtures_could_be():
    units = directions(range(16), [1] * 8 + [0] * 8, np.linspace(0.1, 0.4, 16))
    none = directions([0] * 16, [0] * 16, np.full(16, 0.05))
    half = directions([0] * 16, [1] * 8 + [0] * 8)
    assert compare([(units, none)]).stand_out
    assert not compare([(units, half)]).stand_out
    found = compare([(units, none)])
    assert found.by_mixture.value == 0
    assert found.by_mixture.high == pytest.approx(16 * wilson(0, 16)[1])
    assert found.mixture_excess.value == 0.05
    assert found.equal_number == 8


def test_layers_together_count_by_their_units():
    large = directions([0] * 90, [1] * 90), directions([0] * 16, [1] * 16)
    small = directions([0] * 10, [0] * 10), directions([0] * 16, [0] * 16)
    found = compare([large, small])
    assert found.by_mixture.value == pytest.approx(90)
    effective = 1 / ((0.9**2 + 0.1**2) / 16)
    assert found.by_mixture.low == pytest.approx(100 * wilson(0.9 * effective, effective)[0])


def test_the_runner_up_is_the_second_best_of_those_allowed():
    excess = np.array([[0.4, 0.3, 0.35], [0.1, -0.2, -0.1]])
    label, everything = np.array([0, 0]), np.ones(3, bool)
    second, share = runners_up(excess, label, everything)
    assert second.tolist() == [2, -1]
    np.testing.assert_allclose(share, [0.875, 0])
    second, share = runners_up(excess, label, np.array([True, True, False]))
    assert second.tolist() == [1, -1]
    np.testing.assert_allclose(share, [0.75, 0])


def test_house_and_roof_are_one_thing_and_grass_on_the_ground_too():
    ids = {concept.name: concept.id - 1 for concept in SCENES}
    overlap = np.diag(np.full(len(SCENES), 100))
    for a, b, pixels in (("grass", "ground", 90), ("snow", "tree", 20)):
        overlap[ids[a], ids[b]] = overlap[ids[b], ids[a]] = pixels
    related = one_thing(SCENES, overlap)
    for a, b in (("house", "roof"), ("roof", "door"), ("grass", "ground")):
        assert related[ids[a], ids[b]]
        assert related[ids[b], ids[a]]
    assert not related[ids["snow"], ids["tree"]]
    assert not related[ids["sky"], ids["house"]]
    label = np.array([ids["house"], ids["house"], ids["sky"]])
    second = np.array([ids["roof"], ids["sky"], -1])
    assert clearly_ahead(label, second, np.array([0.9, 0.9, 0]), related).tolist() == [1, 0, 1]


def test_a_label_fills_an_outline_from_half_of_it_on():
    inside, active = np.array([[0, 4, 5, 3]]), np.array([[0, 9, 10, 3]])
    assert filled(inside, active).tolist() == [[False, False, True, True]]
