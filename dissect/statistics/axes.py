"""Whether a layer's axes stand out: its units compared with random mixtures of them.

All units of a layer are counted but only a sample of its mixtures, so the interval is that of the
mixtures. It is Wilson's interval over directions, which are nearly independent in all but the
smallest layers. Over several layers it uses Kish's effective number of directions. Medians are
compared by resampling directions. Labels are compared at equal numbers of directions by
rarefaction: the expected number of distinct labels among *n* units drawn without replacement from
*N* is Σ 1 - C(N - N_c, n) / C(N, n).

References:
    Hurlbert, The Nonconcept of Species Diversity, Ecology 52, 1971; Heck, van Belle and Simberloff,
    Explicit Calculation of the Rarefaction Diversity Measurement, Ecology 56, 1975 (its variance).
    Kish, Survey Sampling, 1965, section 11.7 (effective numbers under unequal weights).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import gammaln

from dissect.statistics.rungs import wilson

_RESAMPLES = 1000
_Z = 1.959963984540054
_KEY = 20  # key of the random stream that resamples medians


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Directions:
    """Labels and scores of the units of a layer, or of mixtures of them.

    Attributes:
        label: Concept of each direction, from 0.
        selective: Whether it matches its label and its own top images show the label.
        excess: Excess information about the label.
    """

    label: Int[np.ndarray, " unit"]
    selective: Bool[np.ndarray, " unit"]
    excess: Float[np.ndarray, " unit"]


@dataclass(frozen=True)
class Comparison:
    """The units of some layers compared with mixtures.

    Attributes:
        n_units, n_mixtures: Number of units and of mixtures.
        selective: Number of selective units.
        by_mixture: Number of units that would be selective at the mixtures' rate.
        excess: Median excess information of the units.
        mixture_excess: Median excess information of the mixtures.
        equal_number: Number of directions at which labels are counted; 0 for several layers.
        labels, mixture_labels: Distinct labels of the selective directions at that number.
    """

    n_units: int
    n_mixtures: int
    selective: int
    by_mixture: Estimate
    excess: float
    mixture_excess: Estimate
    equal_number: int
    labels: Estimate
    mixture_labels: Estimate

    @property
    def stand_out(self) -> bool:
        """Whether more units are selective than mixtures would be, beyond the interval."""
        return self.selective > self.by_mixture.high

    @property
    def verdict(self) -> str:
        """The verdict in words."""
        return "axes stand out here" if self.stand_out else "axes do not stand out here"


def compare(layers: Sequence[tuple[Directions, Directions]]) -> Comparison:
    """Compare units with mixtures.

    Args:
        layers: Units and mixtures of each layer; at least one layer, none of them empty.
    """
    units, mixtures = ([layer[side] for layer in layers] for side in (0, 1))
    n_units = sum(len(one.label) for one in units)
    weights = np.array([len(one.label) / n_units for one in units])
    sizes = np.array([len(one.label) for one in mixtures])
    shares = np.array([one.selective.mean() for one in mixtures])
    effective = 1 / float((weights**2 / sizes).sum())
    share = float((weights * shares).sum())
    low, high = wilson(share * effective, effective)
    unknown = Estimate(np.nan, np.nan, np.nan)
    n = 0 if len(layers) > 1 else min(len(units[0].label), len(mixtures[0].label) // 2)
    labels = distinct_labels(units[0], n, of_all=True) if n else unknown
    theirs = distinct_labels(mixtures[0], n, of_all=False) if n else unknown
    return Comparison(
        n_units,
        int(sizes.sum()),
        int(sum(one.selective.sum() for one in units)),
        Estimate(n_units * share, n_units * float(low), n_units * float(high)),
        float(np.median(np.concatenate([one.excess for one in units]))),
        _median(mixtures, weights),
        n,
        labels,
        theirs,
    )


def distinct_labels(found: Directions, n: int, *, of_all: bool) -> Estimate:
    """Expected number of distinct labels among ``n`` directions drawn without replacement.

    Directions that are not selective have no label.

    Args:
        found: The directions.
        n: Number drawn; fewer than all where they are a sample.
        of_all: True if ``found`` holds all directions; the interval then covers the draw only.
            False if they are a sample, whose ``n`` directions vary 1 / (1 - n/N) times as much.
    """
    total = len(found.label)
    counts = np.bincount(found.label[found.selective])
    counts = counts[counts > 0]
    missing = _without(total, counts, n)
    value = float((1 - missing).sum())
    if not len(counts):  # as many as Wilson's bound lets be selective, each for another concept
        unseen = 0.0 if of_all else n * float(wilson(0, total)[1])
        return Estimate(0.0, 0.0, unseen)
    pairs = _without(total, counts[:, None] + counts[None, :], n) - np.outer(missing, missing)
    np.fill_diagonal(pairs, missing * (1 - missing))
    variance = max(float(pairs.sum()), 0.0) * (1.0 if of_all else total / (total - n))
    reach = _Z * float(np.sqrt(variance))
    return Estimate(value, max(0.0, value - reach), min(float(n), value + reach))


def _without(total: int, counts: Int[np.ndarray, "*shape"], n: int) -> Float[np.ndarray, "*shape"]:
    """C(total - count, n) / C(total, n): the probability that none of ``count`` is among ``n``."""
    left = total - counts
    possible = left >= n
    kept = np.where(possible, left, n)
    logs = gammaln(kept + 1) - gammaln(kept - n + 1) - gammaln(total + 1) + gammaln(total - n + 1)
    return np.where(possible, np.exp(logs), 0.0)


def _median(mixtures: Sequence[Directions], weights: Float[np.ndarray, " layer"]) -> Estimate:
    """Weighted median of all layers' mixtures, resampled within each layer."""
    draw = np.random.Generator(np.random.Philox(key=_KEY))
    values = np.concatenate([one.excess for one in mixtures])
    weight = np.concatenate(
        [np.full(len(m.excess), w / len(m.excess)) for m, w in zip(mixtures, weights, strict=True)]
    )
    starts = np.cumsum([0, *(len(one.excess) for one in mixtures)])
    picks = np.concatenate(
        [
            draw.integers(a, b, (_RESAMPLES, b - a))
            for a, b in zip(starts[:-1], starts[1:], strict=True)
        ],
        axis=1,
    )
    found = [_weighted_median(values[pick], weight) for pick in picks]
    low, high = np.quantile(found, [0.025, 0.975])
    return Estimate(_weighted_median(values, weight), float(low), float(high))


def _weighted_median(
    values: Float[np.ndarray, " value"], weights: Float[np.ndarray, " value"]
) -> float:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])
