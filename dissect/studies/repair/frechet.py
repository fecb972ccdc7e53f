"""The Fréchet distance between the normal distributions of two sets of vectors.

    d² = ‖μ₁ − μ₂‖² + Tr Σ₁ + Tr Σ₂ − 2 Tr (Σ₁ Σ₂)^½

Tr (Σ₁ Σ₂)^½ is the sum of the roots of the eigenvalues of R Σ₁ R with R = Σ₂^½, a symmetric
matrix, so nothing becomes complex and covariances may be singular, as they are for fewer images
than features.

With few images the distance is biased upwards, more so the fewer there are: compare only sets of
the same size.

References:
    Dowson and Landau, The Fréchet Distance between Multivariate Normal Distributions, 1982.
    Heusel et al., GANs Trained by a Two Time-Scale Update Rule, NeurIPS 2017 (for images).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Shaped

SHRINKAGE = 0.1
"""Shrinkage: share of a multiple of the unit matrix in the covariance of ``Moments.distances``."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and scatter of vectors, in float64; those of two sets merge into those of both.

    Attributes:
        n: Number of vectors.
        mean: Their mean.
        scatter: Σ (x − mean)(x − mean)ᵀ.
    """

    n: float
    mean: Float[np.ndarray, " feature"]
    scatter: Float[np.ndarray, "feature feature"]

    @classmethod
    def of(
        cls,
        features: Shaped[np.ndarray, "image feature"],
        weights: Float[np.ndarray, " image"] | None = None,
    ) -> "Moments":
        """Moments of vectors.

        Args:
            features: One row for each image, at least one.
            weights: Number of times that each row counts; None: once.
        """
        rows = np.asarray(features, np.float64)
        weights = np.ones(len(rows)) if weights is None else weights
        mean = weights @ rows / weights.sum()
        centred = rows - mean
        return cls(float(weights.sum()), mean, (weights[:, None] * centred).T @ centred)

    def merge(self, other: "Moments") -> "Moments":
        """Moments of both sets together, up to rounding (Chan et al., 1979)."""
        n = self.n + other.n
        step = other.mean - self.mean
        between = np.outer(step, step) * (self.n * other.n / n)
        return Moments(n, self.mean + step * (other.n / n), self.scatter + other.scatter + between)

    @cached_property
    def covariance(self) -> Float[np.ndarray, "feature feature"]:
        """Covariance with the divisor n − 1; zero for a single vector."""
        return self.scatter / max(self.n - 1, 1)

    @cached_property
    def root(self) -> Float[np.ndarray, "feature feature"]:
        """The symmetric square root of the covariance."""
        values, vectors = np.linalg.eigh(self.covariance)
        return (vectors * np.sqrt(values.clip(min=0))) @ vectors.T

    def distances(
        self, features: Shaped[np.ndarray, "image feature"]
    ) -> Float[np.ndarray, " image"]:
        """Squared Mahalanobis distance of each vector, divided by the number of features.

        (x − μ)ᵀ S⁻¹ (x − μ) / d with S = (1 − λ) Σ + λ (Tr Σ / d) I and λ = ``SHRINKAGE``, so that
        (x − μ)ᵀ S⁻¹ (x − μ) / d with S = (1 − λ) Σ + λ (Tr Σ / d) I and λ = ``SHRINKAGE``, which
        limits the weight of directions with little variance by chance. Over the set itself the
        mean is 1 / (1 − λ) at most, less if few directions hold the variance.
        """
        size = len(self.mean)
        mixed = (1 - SHRINKAGE) * self.covariance
        # Without any variance, plain distances remain.
        mixed += np.eye(size) * (SHRINKAGE * np.trace(self.covariance) / size or 1)
        centred = np.asarray(features, np.float64) - self.mean
        return (centred * np.linalg.solve(mixed, centred.T).T).sum(axis=1) / size


def frechet_distance(first: Moments, second: Moments) -> float:
    """d² of two sets, see the module docstring; never below 0.

    ``second.root`` is cached, so comparing many sets with the same second one is fastest.

    Example:
        >>> a, b = Moments.of(np.zeros((2, 3))), Moments.of(np.full((2, 3), 2.0))
        >>> frechet_distance(a, b)  # 3 · 2²
        12.0
    """
    shift = np.square(first.mean - second.mean).sum()
    own = np.trace(first.covariance) + np.trace(second.covariance)
    inner = np.linalg.eigvalsh(second.root @ first.covariance @ second.root)
    return max(0.0, float(shift + own - 2 * np.sqrt(inner.clip(min=0)).sum()))
