"""How an edit moves the Fréchet distance to the data, with an interval over images.

Each resample takes the same images before and after, so what all of them share falls out. The data
are taken as they are.

References:
    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentiles).
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from dissect.interventions.effects import bootstrap_weights
from dissect.interventions.frechet import Moments, frechet_distance

_RESAMPLES = 200  # each takes an eigendecomposition for each set


def distance_change(
    features: Mapping[str, Float[np.ndarray, "image feature"]],
    data: Moments,
    *,
    seed: int,
    progress: bool,
) -> dict[str, object]:
    """The Fréchet distance before and after, its change and that of random sets, with intervals.

    Args:
        features: Of the same images: unedited ones first, then those of the set in question, then
            those of random sets.
        data: What the distances are to.
        seed: Of the bootstrap.
        progress: Show a progress bar.

    Returns:
        ``before``, ``after``, ``change``, ``change_low``, ``change_high``, and ``random`` with the
        same of the mean draw and the change of each in ``draws``; None without draws.
    """
    before, chosen, *drawn = (
        frechet_distance(Moments.of(rows), data) for rows in features.values()
    )
    first, *sets = features.values()
    changes = _resampled_changes(first, sets, data, seed=seed, progress=progress)
    told = {"before": before, "after": chosen, **_interval(chosen - before, changes[0])}
    random = None
    if drawn:
        mean = float(np.mean(drawn))
        random = {
            "after": mean,
            **_interval(mean - before, changes[1:].mean(axis=0)),
            "draws": [distance - before for distance in drawn],
        }
    return told | {"random": random}


def _interval(change: float, resampled: Float[np.ndarray, " resample"]) -> dict[str, float]:
    """A change with its 95 % interval.

    Resamples hold images twice, which moves every distance up and so may move the change: their
    percentiles are taken around their own mean.
    """
    low, high = np.percentile(resampled - resampled.mean(), (2.5, 97.5))
    return {"change": change, "change_low": change + low, "change_high": change + high}


def _resampled_changes(
    before: Float[np.ndarray, "image feature"],
    sets: Sequence[Float[np.ndarray, "image feature"]],
    data: Moments,
    *,
    seed: int,
    progress: bool = False,
) -> Float[np.ndarray, "set resample"]:
    """How the distance to the data changes in resamples of the images, the same for all sets.

    Args:
        before: Features of unedited images.
        sets: Of the same images with edits, for each set.
        data: What the distances are to; it is not resampled.
        seed: Of the bootstrap.
        progress: Show a progress bar.
    """
    weights = bootstrap_weights(len(before), seed=seed)[:_RESAMPLES]
    bar = tqdm(weights, desc="bootstrap", unit="resample", disable=None if progress else True)
    columns = []
    for weight in bar:
        first, *others = (
            frechet_distance(Moments.of(rows, weight), data) for rows in (before, *sets)
        )
        columns.append(np.array(others) - first)
    return np.stack(columns, axis=1)
