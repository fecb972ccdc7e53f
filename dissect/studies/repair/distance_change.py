"""How an edit moves the Fréchet distance to the data, with an interval over images.

Each resample takes the same images before and after, so what all of them share falls out. The data
are taken as they are.

Few images make a distance too large, and more so where images vary more, so an edit that only makes
images alike would seem to bring them nearer. Resamples show that bias once more: with c the change
measured and r̄ the mean of the resamples, it is about r̄ − c, and the change is reported as
2 c − r̄, with the percentiles of the resamples moved to be around it.

References:
    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 10 (bias) and 13.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from dissect.progress import ProgressBar
from dissect.studies.certainty import bootstrap_weights
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
        features: Of the same images: unedited ones first, then those of the set in question, then
            those of random sets.
        data: What the distances are to.
        seed: Of the bootstrap.
        progress: Show a progress bar.

    Returns:
        ``before`` and ``after`` as measured; ``change`` with its bias taken off, ``change_low``,
        ``change_high``; and ``random`` with the same of the mean draw, without ``before``, and the
        change of each in ``draws``; None without draws.
    """
    before, chosen, *drawn = (
        frechet_distance(Moments.of(rows), data) for rows in features.values()
    )
    first, *sets = features.values()
    changes = _resampled_changes(first, sets, data, seed=seed, progress=progress)
    random: dict[str, object] | None = None
    if drawn:
        mean = float(np.mean(drawn))
        each = [_corrected(one - before, own) for one, own in zip(drawn, changes[1:], strict=True)]
        random = {
            "after": mean,
            **_corrected(mean - before, changes[1:].mean(axis=0)),
            "draws": [one["change"] for one in each],
        }
    change = _corrected(chosen - before, changes[0])
    return {"before": before, "after": chosen, **change, "random": random}


def _corrected(change: float, resampled: Float[np.ndarray, " resample"]) -> dict[str, float]:
    """A change without its bootstrap bias, and its 95 % interval, see the head of this module."""
    corrected = 2 * change - resampled.mean()
    low, high = np.percentile(resampled - resampled.mean(), (2.5, 97.5))
    return {
        "change": float(corrected),
        "change_low": float(corrected + low),
        "change_high": float(corrected + high),
    }


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
