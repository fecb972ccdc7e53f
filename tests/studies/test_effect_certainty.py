"""Intervals of effects: over images, and over draws and images; held against planted truths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dissect.studies.certainty import bootstrap_weights, draws_interval, ratio_interval

TRUTH, RUNS = 0.3, 400


def planted(random, *, draws, images, by_draw, by_image, both):
    """Parts and wholes of a ratio of which the truth, and every source of error, is known."""
    whole = random.integers(20, 60, (images, 1)).astype(float)
    rates = (
        TRUTH
        + by_draw * random.normal(size=(draws, 1, 1))
        + by_image * random.normal(size=(1, images, 1))
        + both * random.normal(size=(draws, images, 1))
    )
    return rates * whole, whole


@pytest.mark.parametrize(
    ("by_draw", "by_image", "both"),
    [(0.15, 0.3, 0.3), (0.15, 0.0, 0.1), (0.0, 0.6, 0.1), (0.01, 0.1, 1.0)],
)
def test_the_interval_over_draws_and_images_covers_the_truth(by_draw, by_image, both):
    random = np.random.default_rng(1)
    covered = of_images = 0
    for _ in range(RUNS):
        parts, whole = planted(
            random, draws=5, images=60, by_draw=by_draw, by_image=by_image, both=both
        )
        found = draws_interval(parts, whole)
        covered += bool(found.low[0] <= TRUTH <= found.high[0])
        weights = bootstrap_weights(60, seed=0)
        _, low, high = ratio_interval(parts.mean(axis=0), whole, weights)
        of_images += bool(low[0] <= TRUTH <= high[0])
    assert 0.91 <= covered / RUNS <= 0.995
    if by_draw == 0.15:  # what the interval over images alone leaves out
        assert of_images / RUNS < 0.75


def test_one_more_draw_lies_beyond_the_others_as_seldom_as_is_said():
    random = np.random.default_rng(2)
    p, beyond = [], 0
    for _ in range(RUNS):
        parts, whole = planted(random, draws=6, images=60, by_draw=0.1, by_image=0.3, both=0.2)
        lead = draws_interval(parts[:1] - parts[1:], whole)  # the first one is one of them
        p.append(lead.p_next[0])
        beyond += lead.value[0] > lead.next_draw[0]
    assert beyond / RUNS <= 0.05
    assert stats.kstest(p, "uniform").pvalue > 0.001


def test_the_mean_of_draws_is_the_plain_one_and_single_draws_have_no_interval():
    random = np.random.default_rng(3)
    parts, whole = planted(random, draws=3, images=7, by_draw=1, by_image=1, both=1)
    found = draws_interval(parts, whole)
    each = [parts[draw].sum() / whole.sum() for draw in range(3)]
    np.testing.assert_allclose(found.each[:, 0], each)
    assert found.value[0] == pytest.approx(np.mean(each))
    assert found.error_draws[0] == pytest.approx(np.std(each, ddof=1) / np.sqrt(3))
    single = draws_interval(parts[:1], whole)
    assert single.value[0] == pytest.approx(each[0])
    assert np.isnan([single.low[0], single.high[0], single.next_draw[0]]).all()
    absent = draws_interval(parts * 0, whole * 0)
    assert np.isnan([absent.value[0], absent.low[0]]).all()


@given(st.integers(2, 6), st.integers(2, 9), st.integers(0, 2**31))
def test_neither_the_order_of_draws_nor_of_images_matters(draws, images, seed):
    random = np.random.default_rng(seed)
    parts, whole = planted(random, draws=draws, images=images, by_draw=1, by_image=1, both=1)
    found = draws_interval(parts, whole)
    rows, columns = random.permutation(draws), random.permutation(images)
    again = draws_interval(parts[rows][:, columns], whole[columns])
    np.testing.assert_allclose([again.low, again.high], [found.low, found.high], rtol=1e-9)
    assert found.low[0] <= found.value[0] <= found.high[0]
    assert found.error[0] >= max(found.error_draws[0], found.error_images[0])


def test_draws_that_all_do_the_same_leave_the_error_of_images():
    random = np.random.default_rng(4)
    parts, whole = planted(random, draws=1, images=50, by_draw=0, by_image=1, both=0)
    found = draws_interval(np.repeat(parts, 4, axis=0), whole)
    residual = parts[0, :, 0] - found.value[0] * whole[:, 0]
    expected = residual.std(ddof=1) / whole.mean() / np.sqrt(50)
    assert found.error[0] == pytest.approx(expected)
    assert found.error_draws[0] == pytest.approx(0, abs=1e-12)
    nothing = draws_interval(np.zeros((4, 5, 1)), np.ones((5, 1)))
    assert (nothing.low[0], nothing.high[0], nothing.p_next[0]) == (0, 0, 1)
