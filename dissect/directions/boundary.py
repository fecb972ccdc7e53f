"""Boundaries: the direction in which an attribute grows fastest, from the extremes of its score.

A linear support vector machine separates the latents of highest score from those of lowest score.
Its unit normal n is the direction (InterFaceGAN; HiGAN does the same). Accuracy is given three
times: on the latents used for fitting, on held-out extremes, and on all samples between the
extremes, whose true class is whether the score is above (max + min) / 2.

A boundary *conditioned* on others is its projection onto the orthogonal complement of them: with C
the matrix of their normals, n' = n − Cᵀ(CCᵀ)⁻¹Cn, normalised again.

References:
    Shen, Gu, Tang and Zhou, Interpreting the Latent Space of GANs for Semantic Face Editing,
    CVPR 2020, sections 2.2 (boundaries), 2.3 (conditions).
    Yang, Shen and Zhou, Semantic Hierarchy Emerges in Deep Generative Representations for Scene
    Synthesis, IJCV 2020, section 3.2 (the same for scenes).
    Wilson, Probable Inference, the Law of Succession, and Statistical Inference, JASA 1927.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import binomtest
from sklearn.svm import SVC

from dissect.errors import ConfigError
from dissect.latents.sampling import RESAMPLING_STREAMS, stream

TRAINED = 0.7
"""Share of the extremes used for fitting; the others are held out."""
_FEWEST = 10  # extremes on each side
_SAME = 1e-6  # of a unit vector; smaller remainders are rounding errors


@dataclass(frozen=True)
class Accuracy:
    """A share of right answers with its 95 % interval (Wilson's).

    Attributes:
        value: From 0 to 1; NaN without answers.
        low, high: Bounds of the interval.
        n: Number of answers.
    """

    value: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, right: int, n: int) -> "Accuracy":
        """Accuracy for ``right`` right answers among ``n``."""
        if n == 0:
            return cls(np.nan, np.nan, np.nan, 0)
        low, high = binomtest(right, n).proportion_ci(0.95, "wilson")
        return cls(right / n, float(low), float(high), n)


@dataclass(frozen=True, eq=False)
class Boundary:
    """A hyperplane n·x + offset = 0 between low and high scores.

    Attributes:
        normal: n, of unit length; the score grows along it.
        offset: Signed distance of the origin from the plane.
        trained: Accuracy on the extremes used for fitting.
        held_out: Accuracy on the held-out extremes.
        rest: Accuracy on all samples that are not extremes.
    """

    normal: Float[np.ndarray, " d"]
    offset: float
    trained: Accuracy
    held_out: Accuracy
    rest: Accuracy


def fit_boundary(
    points: Float[np.ndarray, "n *space"],
    scores: Float[np.ndarray, " n"],
    *,
    share: float = 0.25,
    seed: int = 0,
    regularisation: float = 1.0,
) -> Boundary:
    """Separate latents of high scores from those of low scores.

    Args:
        points: Latents, each of any shape; they are flattened.
        scores: One score per latent, in any unit.
        share: Share of the samples taken from each end, above 0 and up to 0.5. InterFaceGAN
            takes 0.02 of 500,000; a few thousand samples need more.
        seed: Seed of the split into fitted and held-out extremes.
        regularisation: C of the support vector machine, above 0.

    Returns:
        The boundary; ``normal`` is flat.

    Raises:
        ConfigError: constant or infinite scores, too few samples, a share out of range.

    Example:
        >>> x = np.random.default_rng(0).standard_normal((400, 8))
        >>> found = fit_boundary(x, x[:, 3])
        >>> int(found.normal.argmax())
        3
    """
    flat = np.asarray(points, np.float64).reshape(len(points), -1)
    values = np.asarray(scores, np.float64)
    n_side = _check(flat, values, share)
    order = np.argsort(values, kind="stable")
    low, high, between = order[:n_side], order[-n_side:], order[n_side:-n_side]
    random = stream(seed, RESAMPLING_STREAMS - 2)
    low, high = random.permutation(low), random.permutation(high)
    n_fitted = int(TRAINED * n_side)
    fitted = np.concatenate([high[:n_fitted], low[:n_fitted]])
    held_out = np.concatenate([high[n_fitted:], low[n_fitted:]])
    machine = SVC(kernel="linear", C=regularisation)
    machine.fit(flat[fitted], np.repeat([1, 0], n_fitted))
    coefficients = np.asarray(machine.coef_, np.float64)[0]
    length = float(np.linalg.norm(coefficients))
    if length == 0:
        raise ConfigError(
            "latents of high and of low scores are the same; expected latents that differ"
        )
    normal, offset = coefficients / length, float(machine.intercept_[0]) / length
    above = flat @ normal + offset > 0
    threshold = (values.max() + values.min()) / 2
    n_half = len(held_out) // 2
    return Boundary(
        normal,
        offset,
        trained=_accuracy(above[fitted], np.repeat([True, False], n_fitted)),
        held_out=_accuracy(above[held_out], np.repeat([True, False], n_half)),
        rest=_accuracy(above[between], values[between] > threshold),
    )


def condition(
    normal: Float[np.ndarray, "*space"], others: Sequence[Float[np.ndarray, "*space"]]
) -> Float[np.ndarray, "*space"]:
    """The part of a direction that is orthogonal to others, normalised.

    Args:
        normal: The direction.
        others: Directions of any length in the same space.

    Raises:
        ConfigError: others of another shape, linearly dependent others (singular system), or a
            direction in their span.

    Example:
        >>> condition(np.array([1.0, 1.0]), [np.array([0.0, 2.0])]).tolist()
        [1.0, 0.0]
    """
    vector = np.asarray(normal, np.float64)
    length = np.linalg.norm(vector)
    if not others:
        return vector / length
    if any(np.shape(other) != vector.shape for other in others):
        shapes = ", ".join(str(np.shape(other)) for other in others)
        raise ConfigError(
            f"a direction of shape {vector.shape} was conditioned on some of shape {shapes}; "
            "expected directions of the same space"
        )
    basis = np.stack([np.asarray(other, np.float64).ravel() for other in others])
    basis /= np.linalg.norm(basis, axis=1, keepdims=True)
    gram = basis @ basis.T
    if np.linalg.matrix_rank(gram, tol=_SAME, hermitian=True) < len(basis):
        raise ConfigError(
            f"the {len(basis)} directions to be kept fixed depend on each other, so the "
            "system for them is singular; expected independent ones; leave one out"
        )
    flat = vector.ravel() / length
    rest = flat - np.linalg.solve(gram, basis @ flat) @ basis
    left = np.linalg.norm(rest)
    if left < _SAME:
        raise ConfigError(
            "a direction lies within those to be kept fixed, so nothing of it is left; "
            "expected one that leaves them; condition on fewer"
        )
    rest = rest / left
    rest -= np.linalg.solve(gram, basis @ rest) @ basis  # again, to remove rounding errors
    return (rest / np.linalg.norm(rest)).reshape(vector.shape)


def _check(points: np.ndarray, scores: np.ndarray, share: float) -> int:
    """Number of extremes on each side."""
    if scores.shape != (len(points),):
        raise ConfigError(
            f"{len(points)} latents have scores of shape {scores.shape}; expected one for each"
        )
    if not (np.isfinite(scores).all() and np.isfinite(points).all()):
        raise ConfigError(
            "latents or scores hold numbers that are not finite; expected finite ones"
        )
    if not 0 < share <= 0.5:
        raise ConfigError(f"share is {share}; expected a number above 0 and up to 0.5")
    n_side = int(share * len(points))
    if n_side < _FEWEST:
        raise ConfigError(
            f"a share of {share:g} of {len(points)} samples leaves {n_side} on each side; expected "
            f"at least {_FEWEST}; take more samples or a larger share"
        )
    ordered = np.sort(scores)
    if ordered[n_side - 1] >= ordered[-n_side]:
        raise ConfigError(
            f"the score is the same at both ends ({ordered[-n_side]:g}), so one class is empty; "
            "expected a score that differs between samples"
        )
    return n_side


def _accuracy(answers: np.ndarray, truth: np.ndarray) -> Accuracy:
    return Accuracy.of(int((answers == truth).sum()), len(truth))
