import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dissect.statistics.edges import (
    N_EDGES,
    edges_from_values,
    pilot_pixels,
    quantile_edge,
    tail_fractions,
)


@pytest.mark.parametrize("tail", [0.005, 0.01, 0.0001, 0.5, 0.04])
def test_the_quantile_threshold_is_always_one_of_the_edges(tail):
    fractions = tail_fractions(tail)
    assert fractions[quantile_edge(tail)] == tail
    assert len(fractions) == N_EDGES
    assert (np.diff(fractions) < 0).all()
    assert fractions[0] >= 0.5
    assert fractions[-1] <= 1e-3


@given(st.integers(0, 1000), st.integers(20, 500), st.booleans())
@settings(max_examples=40)
def test_an_edge_is_the_smallest_value_with_at_most_its_fraction_above(seed, n, ties):
    values = np.random.default_rng(seed).normal(size=(3, n)).astype(np.float32)
    values = values.round(1) if ties else values
    fractions = np.array([0.9, 0.3, 0.05, 0.001])
    edges = edges_from_values(values.copy(), fractions).numpy()
    assert (np.diff(edges, axis=1) >= 0).all()
    for unit in range(3):
        for fraction, edge in zip(fractions, edges[unit], strict=True):
            candidates = [v for v in values[unit] if (values[unit] > v).mean() <= fraction]
            step = 2.0**-14 * (edges[unit, -1] - edges[unit, 0])  # see ``snap``
            assert min(candidates) <= edge <= min(candidates) + step


def test_a_constant_unit_has_all_edges_at_its_value():
    values = np.full((1, 50), 2.5, np.float32)
    assert (edges_from_values(values, tail_fractions(0.005)).numpy() == 2.5).all()


def test_pilot_pixels_are_distinct_and_follow_from_seed_and_index_alone():
    a = pilot_pixels(3, seed=1, n_pixels=400, per_image=50)
    assert len(set(a.tolist())) == 50
    assert a.max() < 400
    np.testing.assert_array_equal(a, pilot_pixels(3, seed=1, n_pixels=400, per_image=50))
    assert not np.array_equal(a, pilot_pixels(4, seed=1, n_pixels=400, per_image=50))
    assert len(pilot_pixels(3, seed=1, n_pixels=10, per_image=50)) == 10
