"""Uncertainty of an effect: over images for one set, over draws and images for random sets.

Random sets differ from each other and images differ too, so the mean of several random sets has two
sources of error. With y_di the residual of draw d in image i (linearised, see ``draws_interval``),
the variance of the mean is

    V = V_draws + V_images − V_both,

where V_draws and V_images come from the means of draws and of images. V_both comes from the
remainder that neither explains, and would otherwise be counted twice. If V_both is the largest, V
is the larger of the other two.

References:
    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentiles).
    Cochran, Sampling Techniques, 1977, section 6.3 (the linearised error of a ratio).
    Cameron, Gelbach and Miller, Robust Inference with Multiway Clustering, 2011, equation 2.1.
    Satterthwaite, An Approximate Distribution of Estimates of Variance Components, 1946.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import stats

from dissect.latents.sampling import RESAMPLING_STREAMS, stream

_RESAMPLES = 1000
LEVELS = (2.5, 97.5)
"""Percentiles of the 95 % interval."""


def bootstrap_weights(n_images: int, *, seed: int) -> Float[np.ndarray, "resample image"]:
    """Number of times that each image is drawn in each resample."""
    random = stream(seed, RESAMPLING_STREAMS - 1)
    return random.multinomial(n_images, np.full(n_images, 1 / n_images), _RESAMPLES).astype(float)


def ratio_interval(
    part: Int[np.ndarray, "image concept"] | Float[np.ndarray, "image concept"],
    whole: Int[np.ndarray, "image concept"] | Float[np.ndarray, "image concept"],
    weights: Float[np.ndarray, "resample image"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Σ part / Σ whole over images for each concept, with the percentile interval.

    Resamples without the concept are omitted.

    Returns:
        value, low, high; NaN where the concept never appears.
    """
    value, low, high = (np.full(part.shape[1], np.nan) for _ in range(3))
    parts, wholes = weights @ part, weights @ whole
    for concept in np.flatnonzero(whole.sum(axis=0)):
        known = wholes[:, concept] > 0
        value[concept] = part[:, concept].sum() / whole[:, concept].sum()
        low[concept], high[concept] = np.percentile(
            parts[known, concept] / wholes[known, concept], LEVELS
        )
    return value, low, high


@dataclass(frozen=True)
class DrawsInterval:
    """The mean ratio of several random sets.

    Attributes:
        each: The ratio of each draw.
        value: Their mean.
        error_draws, error_images: Standard errors of the mean due to draws and to images.
        error: Standard error from both.
        freedom: Degrees of freedom of ``error``.
    """

    each: Float[np.ndarray, "draw concept"]
    value: Float[np.ndarray, " concept"]
    error_draws: Float[np.ndarray, " concept"]
    error_images: Float[np.ndarray, " concept"]
    error: Float[np.ndarray, " concept"]
    freedom: Float[np.ndarray, " concept"]

    @cached_property
    def low(self) -> Float[np.ndarray, " concept"]:
        """Lower end of the 95 % interval; NaN for a single draw."""
        return self.value - self._reach

    @cached_property
    def high(self) -> Float[np.ndarray, " concept"]:
        """Upper end of the 95 % interval; NaN for a single draw."""
        return self.value + self._reach

    @property
    def _reach(self) -> Float[np.ndarray, " concept"]:
        return np.where(self.error > 0, stats.t.ppf(0.975, self.freedom), 0) * self.error

    @property
    def next_error(self) -> Float[np.ndarray, " concept"]:
        """Standard error of one more draw's distance from the mean; NaN for a single draw.

        √(s² (1 + 1/D) + error_images²), with s² the variance between D draws.
        """
        return np.sqrt(self.error_draws**2 * (len(self.each) + 1) + self.error_images**2)

    @cached_property
    def next_draw(self) -> Float[np.ndarray, " concept"]:
        """Distance of one more draw from the mean in 95 % of cases; t with D − 1 degrees."""
        return stats.t.ppf(0.975, max(1, len(self.each) - 1)) * self.next_error

    @cached_property
    def p_next(self) -> Float[np.ndarray, " concept"]:
        """Probability that one more draw is as far above 0 as ``value``; NaN for a single draw.

        The one-sided t-test for one further draw, D − 1 degrees of freedom.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            p = stats.t.sf(self.value / self.next_error, max(1, len(self.each) - 1))
        without_error = np.where(self.value > 0, 0.0, 1.0)
        return np.where(self.next_error == 0, without_error, p)


def draws_interval(
    parts: Float[np.ndarray, "draw image concept"] | Int[np.ndarray, "draw image concept"],
    whole: Float[np.ndarray, "image concept"] | Int[np.ndarray, "image concept"],
) -> DrawsInterval:
    """The mean over draws of Σ part / Σ whole, with an interval over draws and images.

    The residual of draw d in image i is y_di = (part_di − r whole_i) / mean whole, with r the mean
    ratio. The interval is r ± t · √V, see the module docstring; t has Satterthwaite's degrees of
    freedom for V_draws + V_images.

    Args:
        parts: Parts of each random set, for the same images in the same order.
        whole: The whole of each image.

    Returns:
        NaN where the concept never appears; errors are NaN for a single draw.
    """
    n_draws, n_images, n_concepts = parts.shape
    parts, whole = parts.astype(float), whole.astype(float)
    total = whole.sum(axis=0)
    present: Bool[np.ndarray, " concept"] = total > 0
    divisor = np.where(present, total, np.nan)
    each = parts.sum(axis=1) / divisor
    value = each.mean(axis=0)
    if n_draws < 2 or n_images < 2:
        unknown = np.full(n_concepts, np.nan)
        return DrawsInterval(each, value, *[unknown] * 4)
    residuals = (parts - value * whole) / (divisor / n_images)
    of_draws, of_images = residuals.mean(axis=1), residuals.mean(axis=0)
    left = residuals - of_draws[:, None] - of_images[None]  # the mean of all is 0
    draws = of_draws.var(axis=0, ddof=1) / n_draws
    images = of_images.var(axis=0, ddof=1) / n_images
    freedom = (n_draws - 1) * (n_images - 1)
    both = (left**2).sum(axis=(0, 1)) / freedom / (n_draws * n_images)
    error, freedom = two_way_error(draws, images, both, n_draws=n_draws, n_images=n_images)
    return DrawsInterval(
        each=each,
        value=value,
        error_draws=np.sqrt(draws),
        error_images=np.sqrt(images),
        error=error,
        freedom=freedom,
    )


def two_way_error(
    draws: Float[np.ndarray, " value"],
    images: Float[np.ndarray, " value"],
    both: Float[np.ndarray, " value"],
    *,
    n_draws: int,
    n_images: int,
) -> tuple[Float[np.ndarray, " value"], Float[np.ndarray, " value"]]:
    """The standard error of a mean over draws and images, see the module docstring.

    Args:
        draws, images, both: V_draws, V_images and V_both, variances of the mean.
        n_draws, n_images: Their numbers, at least 2.

    Returns:
        √V, and Satterthwaite's degrees of freedom for V_draws + V_images.
    """
    variance = np.maximum(draws + images - both, np.maximum(draws, images))
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = (draws + images) ** 2 / (draws**2 / (n_draws - 1) + images**2 / (n_images - 1))
    return np.sqrt(variance), freedom
