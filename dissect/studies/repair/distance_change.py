"""Change of the Fréchet distance to the data by an edit, with an interval over images.

Each resample takes the same images before and after, so their common variation cancels. The data
are not resampled.

With few images a distance is biased upwards, more so where images vary more. So an edit that only
makes images more alike would seem to reduce the distance. Resampling repeats that bias: with c the
measured change and r̄ the mean of the resamples, it is about r̄ − c. The reported change is
2 c − r̄, with the percentiles of the resamples shifted accordingly.

The mean of several random sets also depends on the sets drawn. Its interval is that of
``certainty.two_way_error``: V_draws from the sets' own changes, V_images from the resamples of the
mean, and V_both from the difference between a set's resamples and the mean's.

References:
    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 10 (bias) and 13.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from scipy import stats

from dissect.progress import ProgressBar
from dissect.studies.certainty import LEVELS, bootstrap_weights, two_way_error
from dissect.studies.repair.frechet import Moments, frechet_distance

_RESAMPLES = 200  # each takes an eigendecomposition for each set


def distance_change(
    features: Mapping[str, Float[np.ndarray, "image feature"]],
    data: Moments,
    *,
    seed: int,
    progress: bool = False,
) -> dict[str, object]:
    """The Fréchet distance before and after, its change and that of random sets, with intervals.

    Args:
        features: Features of the same images: unedited ones first, then those of the given set,
            then those of random sets.
        data: Moments of the real images.
        seed: Of the bootstrap.
        progress: Show a progress bar.

    Returns:
        ``before`` and ``after`` as measured; ``change`` after bias correction, ``change_low``,
        ``change_high``; and ``random`` with the same for the mean draw, without ``before``, and the
        change of each in ``draws``; None without draws. A single draw has no interval: None.
    """
    before, chosen, *drawn = (
        frechet_distance(Moments.of(rows), data) for rows in features.values()
    )
    first, *sets = features.values()
    changes = _resampled_changes(first, sets, data, seed=seed, progress=progress)
    random: dict[str, object] | None = None
    if drawn:
        mean, own = float(np.mean(drawn)), changes[1:]
        each = [
            _correct(one - before, resampled) for one, resampled in zip(drawn, own, strict=True)
        ]
        random = {
            "after": mean,
            **_of_draws(np.array(each), own, n_images=len(first)),
            "draws": each,
        }
    change = _correct(chosen - before, changes[0])
    low, high = np.percentile(changes[0] - changes[0].mean(), LEVELS)
    return {
        "before": before,
        "after": chosen,
        "change": change,
        "change_low": float(change + low),
        "change_high": float(change + high),
        "random": random,
    }


def _correct(change: float, resampled: Float[np.ndarray, " resample"]) -> float:
    """A change after correction of its bootstrap bias; see the module docstring."""
    return float(2 * change - resampled.mean())


def _of_draws(
    each: Float[np.ndarray, " draw"],
    resampled: Float[np.ndarray, "draw resample"],
    *,
    n_images: int,
) -> dict[str, float | None]:
    """The mean change of random sets and its 95 % interval; no interval for a single set."""
    value, n_draws = float(each.mean()), len(each)
    if n_draws < 2:
        return {"change": value, "change_low": None, "change_high": None}
    shared = resampled.mean(axis=0)
    left = resampled - resampled.mean(axis=1, keepdims=True) - (shared - shared.mean())
    both = (left**2).sum() / (left.shape[1] * (n_draws - 1)) / n_draws
    error, freedom = two_way_error(
        each.var(ddof=1, keepdims=True) / n_draws,
        shared.var(keepdims=True),
        both[None],
        n_draws=n_draws,
        n_images=n_images,
    )
    reach = float(stats.t.ppf(0.975, freedom)[0] * error[0]) if error[0] else 0.0
    return {"change": value, "change_low": value - reach, "change_high": value + reach}


def _resampled_changes(
    before: Float[np.ndarray, "image feature"],
    sets: Sequence[Float[np.ndarray, "image feature"]],
    data: Moments,
    *,
    seed: int,
    progress: bool = False,
) -> Float[np.ndarray, "set resample"]:
    """Change of the distance to the data in resamples of the images, the same for all sets.

    Args:
        before: Features of unedited images.
        sets: Features of the same images with edits, for each set.
        data: Moments of the real images; they are not resampled.
        seed: Of the bootstrap.
        progress: Show a progress bar.
    """
    weights = bootstrap_weights(len(before), seed=seed)[:_RESAMPLES]
    bar = ProgressBar(
        weights, desc="bootstrap", unit="resample", disable=None if progress else True
    )
    columns = []
    for weight in bar:
        first, *others = (
            frechet_distance(Moments.of(rows, weight), data) for rows in (before, *sets)
        )
        columns.append(np.array(others) - first)
    return np.stack(columns, axis=1)
