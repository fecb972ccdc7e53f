import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from dissect.studies.repair.frechet import SHRINKAGE, Moments, frechet_distance


def features(seed, n=40, size=5, scale=1.0):
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(size, size))
    return scale * random.normal(size=(n, size)) @ mixing + random.normal(size=size)


def slow_distance(first, second):
    """As the formula stands, through the square root of a matrix that is not symmetric."""
    covariances = [np.cov(rows.T) for rows in (first, second)]
    middle = scipy.linalg.sqrtm(covariances[0] @ covariances[1])
    shift = first.mean(axis=0) - second.mean(axis=0)
    return shift @ shift + np.trace(covariances[0] + covariances[1] - 2 * np.real(middle))


def of_covariance(mean, covariance):
    return Moments(2.0, np.array(mean, float), np.array(covariance, float))


def test_diagonal_normal_distributions_have_the_distance_of_the_closed_form():
    first = of_covariance([1, 0, 2], np.diag([4, 1, 9]))
    second = of_covariance([1, 3, 0], np.diag([1, 1, 0]))
    expected = 3**2 + 2**2 + (2 - 1) ** 2 + 0 + 3**2
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-12)


@given(seed=st.integers(0, 10**6), scale=st.floats(0.01, 100))
@settings(max_examples=30)
def test_the_distance_is_that_of_the_slow_formula_symmetric_and_never_negative(seed, scale):
    first, second = features(seed), features(seed + 1, n=70, scale=scale)
    a, b = Moments.of(first), Moments.of(second)
    found = frechet_distance(a, b)
    assert found == pytest.approx(slow_distance(first, second), rel=1e-6)
    assert frechet_distance(b, a) == pytest.approx(found, rel=1e-6)
    assert found >= 0


@pytest.mark.parametrize(("n", "size"), [(40, 5), (4, 30), (1, 3)])
def test_a_set_has_no_distance_to_itself_even_with_fewer_images_than_features(n, size):
    own = Moments.of(features(0, n=n, size=size))
    assert frechet_distance(own, own) <= 1e-6 * np.trace(own.covariance)


def test_singular_covariances_have_the_distance_of_the_smaller_space():
    first, second = features(0, n=4, size=6), features(1, n=5, size=6)
    # All rows lie in a space of at most 9 dimensions; a rotation of it changes nothing.
    turned = np.linalg.qr(np.random.default_rng(0).normal(size=(20, 20)))[0][:6]
    plain = frechet_distance(Moments.of(first), Moments.of(second))
    wide = frechet_distance(Moments.of(first @ turned), Moments.of(second @ turned))
    assert wide == pytest.approx(plain, rel=1e-6)
    middle = scipy.linalg.svdvals(Moments.of(first).root @ Moments.of(second).root).sum()
    shift = first.mean(axis=0) - second.mean(axis=0)
    own = first.var(axis=0, ddof=1).sum() + second.var(axis=0, ddof=1).sum()
    assert plain == pytest.approx(shift @ shift + own - 2 * middle, rel=1e-6)


@given(seed=st.integers(0, 10**6), cut=st.integers(1, 39))
@settings(max_examples=30)
def test_moments_of_parts_merge_to_those_of_the_whole_in_either_order(seed, cut):
    rows = features(seed)
    whole = Moments.of(rows)
    first, second = Moments.of(rows[:cut]), Moments.of(rows[cut:])
    for merged in (first.merge(second), second.merge(first)):
        assert merged.n == whole.n
        np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(merged.covariance, np.cov(rows.T), rtol=1e-9, atol=1e-12)


def test_a_weight_counts_a_row_so_often():
    rows = features(3, n=5)
    weighted = Moments.of(rows, np.array([0.0, 2, 1, 0, 2]))
    repeated = Moments.of(rows[[1, 1, 2, 4, 4]])
    np.testing.assert_allclose(weighted.covariance, repeated.covariance, rtol=1e-12)
    np.testing.assert_allclose(weighted.mean, repeated.mean, rtol=1e-12)


def test_distances_of_vectors_are_those_of_the_shrunk_covariance():
    rows = features(0, n=500, size=4)
    own = Moments.of(rows)
    shrunk = (1 - SHRINKAGE) * np.cov(rows.T)
    shrunk += SHRINKAGE * np.trace(np.cov(rows.T)) / 4 * np.eye(4)
    step = rows[7] - rows.mean(axis=0)
    expected = step @ np.linalg.inv(shrunk) @ step / 4
    assert own.distances(rows)[7] == pytest.approx(expected, rel=1e-9)
    assert own.distances(rows).mean() < 1.1
    assert own.distances(own.mean[None]) == 0
    assert Moments.of(np.ones((3, 2))).distances(np.zeros((1, 2))) == 1
