import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dissect.statistics.correlation import bin_values, correlate
from dissect.statistics.edges import edges_from_values, tail_fractions


def histogram_of(values, masks, edges):
    """(row, unit, bin) by loops; values (unit, pixel), masks (concept, pixel)."""
    rows = [np.ones(values.shape[1], bool), *masks]
    found = np.zeros((len(rows), len(values), edges.shape[1] + 1), np.int64)
    for row, mask in enumerate(rows):
        for unit in range(len(values)):
            bins = (values[unit, mask, None] > edges[unit]).sum(axis=1)
            np.add.at(found[row, unit], bins, 1)
    return found


def test_on_smooth_values_it_is_the_exact_correlation_up_to_the_bins():
    draw = np.random.default_rng(0)
    n = 20_000
    concept = draw.normal(size=n)
    masks = np.stack([concept > 1, concept < -0.5, draw.random(n) < 0.1])
    noise = draw.normal(size=(4, n))
    values = np.stack([concept, 3 * concept + noise[0], noise[1], np.exp(concept)])
    values = values.astype(np.float32)
    edges = edges_from_values(values.copy(), tail_fractions(0.005)).numpy()
    found = correlate(histogram_of(values, masks, edges), edges)
    exact = np.array([[np.corrcoef(v, m)[0, 1] for m in masks] for v in values])
    np.testing.assert_allclose(found, exact, atol=0.03)
    assert found[0, 0] > 0.6
    assert found[0, 1] < -0.6


@given(st.integers(0, 1000))
@settings(max_examples=30)
def test_values_at_the_middle_of_their_bins_are_correlated_exactly(seed):
    draw = np.random.default_rng(seed)
    edges = np.sort(draw.normal(size=(2, 6)), axis=1)
    middles = bin_values(edges)
    bins = draw.integers(0, 7, size=(2, 60))
    values = np.take_along_axis(middles, bins, axis=1)
    mask = draw.random((1, 60)) < 0.3
    if mask.all() or not mask.any():
        return
    found = correlate(histogram_of(values, mask, edges), edges)
    exact = [np.corrcoef(v, mask[0])[0, 1] for v in values]
    np.testing.assert_allclose(found[:, 0], exact, atol=1e-9)
    assert (np.abs(found) <= 1).all()


def test_a_unit_that_fires_exactly_on_a_concept_has_correlation_one_and_no_more():
    for inside in range(1, 40):
        for outside in (1, 7, 30):
            histogram = np.array([[[outside, 0, inside]], [[0, 0, inside]]])
            found = correlate(histogram, np.array([[0.0, 1.0]]))[0, 0]
            assert 1 - 1e-12 < found <= 1


def test_bins_stand_for_their_middle_and_open_ones_are_as_wide_as_their_neighbours():
    assert bin_values(np.array([[0.0, 1.0, 4.0]])).tolist() == [[-0.5, 0.5, 2.5, 5.5]]


@pytest.mark.parametrize("everywhere", [0, 1])
def test_what_does_not_vary_has_no_correlation(everywhere):
    edges = np.array([[0.0, 1.0], [0.0, 1.0]])
    values = np.array([[0.5, 0.5, 0.5], [0.5, 2.0, -1.0]])
    found = correlate(histogram_of(values, np.full((1, 3), bool(everywhere)), edges), edges)
    assert np.isnan(found).all()
    assert np.isnan(correlate(histogram_of(values, np.eye(3, dtype=bool)[:1], edges), edges)[0])
