import numpy as np
import pytest
from scipy.linalg import null_space

from dissect import ConfigError
from dissect.directions.boundary import condition, fit_boundary


def planted(n=2000, size=512, noise=0.0, seed=0):
    random = np.random.default_rng(seed)
    normal = random.standard_normal(size)
    normal /= np.linalg.norm(normal)
    points = random.standard_normal((n, size))
    return points, points @ normal + noise * random.standard_normal(n), normal


def test_a_planted_boundary_in_512_dimensions_is_found():
    points, scores, normal = planted(4000)
    found = fit_boundary(points, scores)
    assert found.normal @ normal > 0.9
    assert np.isclose(np.linalg.norm(found.normal), 1)
    assert found.trained.value == 1
    assert found.held_out.low > 0.9
    assert found.rest.low > 0.75  # near the boundary, where a few degrees matter
    assert (found.trained.n, found.held_out.n, found.rest.n) == (1400, 600, 2000)


def test_accuracy_of_a_score_that_has_nothing_to_do_with_the_latent_is_that_of_a_coin():
    points, _, _ = planted(1000, size=20)
    found = fit_boundary(points, np.random.default_rng(1).standard_normal(1000))
    assert found.held_out.low < 0.5 < found.held_out.high


def test_the_sign_and_the_offset_are_those_of_the_score():
    points, scores, normal = planted(1000, size=5)
    up, down = fit_boundary(points + 2 * normal, scores), fit_boundary(points, -scores)
    assert up.offset == pytest.approx(-2, abs=0.2)
    assert down.normal @ normal < -0.9


def test_latents_of_any_shape_are_flattened():
    points, scores, _ = planted(400, size=12)
    flat = fit_boundary(points, scores)
    assert np.array_equal(fit_boundary(points.reshape(400, 3, 4), scores).normal, flat.normal)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_conditioned_direction_is_orthogonal_to_all_conditions(n):
    random = np.random.default_rng(0)
    normal, others = random.standard_normal(512), random.standard_normal((n, 512)) + 0.5
    found = condition(normal, list(others))
    assert np.abs(others @ found).max() < 1e-12
    assert np.isclose(np.linalg.norm(found), 1)
    # Of all unit vectors orthogonal to the conditions it is the nearest: the projection.
    free = null_space(others)
    projected = free @ (free.T @ normal)
    assert np.allclose(found, projected / np.linalg.norm(projected))


def test_no_condition_leaves_the_direction():
    assert condition(np.array([3.0, 4.0]), []).tolist() == [0.6, 0.8]


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ([[1.0, 0, 0], [2.0, 0, 0]], "singular"),
        ([[1.0, 0, 0], [0, 1.0, 0], [1.0, 1.0, 0]], "singular"),
        ([[0, 0, 5.0]], "nothing of it is left"),
        ([[1.0, 0]], "the same space"),
    ],
)
def test_conditions_without_an_answer_are_refused(others, message):
    with pytest.raises(ConfigError, match=message):
        condition(np.array([0, 0, 1.0]), [np.array(one) for one in others])


@pytest.mark.parametrize(
    ("scores", "share", "message"),
    [
        (np.zeros(100), 0.25, "one class is empty"),
        (np.r_[np.zeros(95), np.ones(5)], 0.25, "one class is empty"),
        (np.full(100, np.nan), 0.25, "not finite"),
        (np.arange(100.0), 0.05, "at least 10"),
        (np.arange(100.0), 0.6, "up to 0.5"),
        (np.arange(99.0), 0.25, "one for each"),
    ],
)
def test_scores_that_make_no_two_classes_are_refused(scores, share, message):
    points = np.random.default_rng(0).standard_normal((100, 3))
    with pytest.raises(ConfigError, match=message):
        fit_boundary(points, scores, share=share)
