"""Effects of edits on the attributes of images, with intervals and a noise floor.

``rescoring`` defines Δ, Δ₊ and the floor. Pure functions on arrays; needs no torch.

References:
    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentiles).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

LEAST = 0.05
"""Smallest reported effect, in deviations of an attribute."""
_RESAMPLES, _SEED_STREAM = 1000, 4
_LEVELS = (2.5, 97.5)


@dataclass(frozen=True, eq=False)
class Effects:
    """Effects of some edits on each attribute, in deviations of the attribute.

    Attributes:
        names: Names of the edits.
        attributes: Names of the columns.
        signed: Δ.
        low, high: Bounds of its 95 % interval.
        clipped: Δ₊, as published.
        floor: The largest |Δ| of the random directions of equal length; NaN without any.
        clipped_floor: The largest Δ₊ of them.
        deviations: Deviation of each attribute over unedited images, in its own unit.
        strength: λ.
        length: λσ̄, in units of the space.
        n_samples: Number of edited images.
    """

    names: tuple[str, ...]
    attributes: tuple[str, ...]
    signed: Float[np.ndarray, "edit attribute"]
    low: Float[np.ndarray, "edit attribute"]
    high: Float[np.ndarray, "edit attribute"]
    clipped: Float[np.ndarray, "edit attribute"]
    floor: Float[np.ndarray, "edit attribute"]
    clipped_floor: Float[np.ndarray, "edit attribute"]
    deviations: Float[np.ndarray, " attribute"]
    strength: float
    length: float
    n_samples: int

    @property
    def beyond(self) -> Bool[np.ndarray, "edit attribute"]:
        """Whether an effect is certain: its interval excludes 0, and it is above the floor.

        Effects below ``LEAST`` deviations do not count, since they are not visible.
        """
        certain = ((self.low > 0) | (self.high < 0)) & (np.abs(self.signed) >= LEAST)
        return certain & ~(np.abs(self.signed) <= self.floor)

    def table(self) -> pd.DataFrame:
        """A row for each edit and attribute: ``edit``, ``attribute``, ``effect``, ``low``,
        ``high``, ``clipped``, ``floor``, ``beyond``."""
        n = len(self.attributes)
        return pd.DataFrame(
            {
                "edit": np.repeat(self.names, n),
                "attribute": list(self.attributes) * len(self.names),
                "effect": self.signed.ravel(),
                "low": self.low.ravel(),
                "high": self.high.ravel(),
                "clipped": self.clipped.ravel(),
                "floor": self.floor.ravel(),
                "beyond": self.beyond.ravel(),
            }
        )


def measure_effects(
    plain: Float[np.ndarray, "n attribute"],
    edited: Float[np.ndarray, "edit n attribute"],
    random: Float[np.ndarray, "draw n attribute"] | Float[np.ndarray, "draw edit n attribute"],
    *,
    names: Sequence[str],
    attributes: Sequence[str],
    strength: float = np.nan,
    length: float = np.nan,
    seed: int = 0,
    deviations: Float[np.ndarray, " attribute"] | None = None,
) -> Effects:
    """Compute effects from scores before and after; pure.

    Args:
        plain: Scores of unedited images.
        edited: Scores of the same images under each edit.
        random: Scores under each random direction, for all edits or separately for each.
        names: Names of the edits.
        attributes: Names of the columns; one that does not vary has NaN everywhere.
        strength, length: Stored with the result.
        seed: Seed of the bootstrap.
        deviations: The unit of the effects; None takes those of ``plain``.
    """
    spread = plain.std(axis=0, ddof=1) if deviations is None else deviations
    unit = np.where(spread > 0, spread, np.nan)
    difference = (edited - plain) / unit
    drawn = (random - plain) / unit  # samples are the last dimension but one, with or without edits
    n = len(plain)
    low, high = bootstrap_interval(difference, seed=seed)
    shape = (len(names), len(attributes))
    floors = [
        np.broadcast_to(one.max(axis=0), shape) if len(random) else np.full(shape, np.nan)
        for one in (np.abs(drawn.mean(axis=-2)), drawn.clip(min=0).mean(axis=-2))
    ]
    return Effects(
        names=tuple(names),
        attributes=tuple(attributes),
        signed=difference.mean(axis=1),
        low=low,
        high=high,
        clipped=difference.clip(min=0).mean(axis=1),
        floor=floors[0],
        clipped_floor=floors[1],
        deviations=spread,
        strength=strength,
        length=length,
        n_samples=n,
    )


def bootstrap_interval(
    values: Float[np.ndarray, "edit n attribute"], *, seed: int
) -> tuple[Float[np.ndarray, "edit attribute"], Float[np.ndarray, "edit attribute"]]:
    """Bounds of the 95 % interval of the mean over the samples."""
    n = values.shape[1]
    random = np.random.Generator(np.random.Philox(key=np.array([seed, _SEED_STREAM], np.uint64)))
    weights = random.multinomial(n, np.full(n, 1 / n), _RESAMPLES) / n
    means = np.einsum("rn,ena->rea", weights, values, optimize=True)
    low, high = np.percentile(means, _LEVELS, axis=0)
    return low, high
