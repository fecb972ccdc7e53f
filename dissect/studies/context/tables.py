"""Results at many places, grouped by context.

With B and A the concept's pixels of a box of n pixels before and after, and K the pixels that have
it both times, each context has

- added share = Σ(A − K) / Σ(n − B): of the pixels that could become the concept, the share that
  did;
- success = the share of boxes in which at least a quarter of those pixels did;
- change = the mean of |after − before| / 2 over the box's pixels and channels, images in [-1, 1].
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from dissect.studies.certainty import bootstrap_weights, draws_interval, ratio_interval
from dissect.studies.context.places import MIXED, PlaceCounts, Places
from segmenters import Vocabulary

SUCCESS = 0.25
"""Smallest share of a box's other pixels that have to become the concept."""
FEW_PLACES, FEW_IMAGES = 30, 10
"""Contexts with fewer of either are marked, since their values and intervals are unreliable."""


def context_table(
    counts: PlaceCounts,
    contexts: Bool[np.ndarray, "image place context"],
    vocabulary: Vocabulary,
    *,
    seed: int,
) -> pd.DataFrame:
    """One row for each context that occurs, in descending order of added share.

    Args:
        counts: Counts of one set of units.
        contexts: See ``find_contexts``.
        vocabulary: Vocabulary of the segmenter.
        seed: Seed of the bootstrap.

    Returns:
        ``context``, ``places`` (boxes of any image), ``images`` (with such a box), ``few`` (too few
        of either), ``before_share`` and ``after_share`` (of the boxes' pixels), ``added_share``,
        ``success``, ``change`` (see the module docstring), each with the bounds of its 95 %
        interval over images, ``_low`` and ``_high``. NaN where no pixel could be added.
    """
    weights = bootstrap_weights(len(counts.before), seed=seed)
    columns = _heading(contexts, vocabulary)
    for name, ratio in _ratios(counts).items():
        part, whole = (_by_context(values, contexts) for values in ratio)
        value, low, high = ratio_interval(part, whole, weights)
        columns |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return _ranked(columns)


def draws_table(
    draws: Sequence[PlaceCounts],
    contexts: Bool[np.ndarray, "image place context"],
    vocabulary: Vocabulary,
) -> pd.DataFrame:
    """``context_table`` of the mean of several random sets, intervals over draws and images.

    Args:
        draws: Counts of each set, for the same images.
        contexts: See ``find_contexts``.
        vocabulary: Vocabulary of the segmenter.
    """
    ratios = [_ratios(one) for one in draws]
    columns = _heading(contexts, vocabulary)
    for name, (_, whole) in ratios[0].items():
        parts = np.stack([_by_context(own[name][0], contexts) for own in ratios])
        found = draws_interval(parts, _by_context(whole, contexts))
        columns |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
    return _ranked(columns)


_Values = Float[np.ndarray, "image place"] | Bool[np.ndarray, "image place"]


def _ratios(counts: PlaceCounts) -> dict[str, tuple[_Values, _Values]]:
    """Column → part and whole of each box."""
    free = counts.area - counts.before
    return {
        "before_share": (counts.before, np.full_like(free, counts.area)),
        "after_share": (counts.after, np.full_like(free, counts.area)),
        "added_share": (counts.added, free),
        "success": ((counts.added >= SUCCESS * free) & (free > 0), free > 0),
        "change": (counts.change, np.ones_like(free)),
    }


def _heading(
    contexts: Bool[np.ndarray, "image place context"], vocabulary: Vocabulary
) -> dict[str, object]:
    n_places = contexts.sum(axis=(0, 1))
    n_images = contexts.any(axis=1).sum(axis=0)
    return {
        "context": [*vocabulary.names, MIXED],
        "places": n_places,
        "images": n_images,
        "few": (n_places < FEW_PLACES) | (n_images < FEW_IMAGES),
    }


def _ranked(columns: Mapping[str, object]) -> pd.DataFrame:
    table = pd.DataFrame(columns)
    found = table[table.places > 0].sort_values("added_share", ascending=False, kind="stable")
    return found.reset_index(drop=True)


def _by_context(
    values: Float[np.ndarray, "image place"] | Bool[np.ndarray, "image place"],
    contexts: Bool[np.ndarray, "image place context"],
) -> Float[np.ndarray, "image context"]:
    """Sums over the places of each context."""
    return np.einsum("ip,ipc->ic", values.astype(float), contexts.astype(float))


def place_table(
    counts: PlaceCounts,
    contexts: Bool[np.ndarray, "image place context"],
    places: Places,
    vocabulary: Vocabulary,
) -> pd.DataFrame:
    """One row for each image and place, image by image.

    Returns:
        ``sample`` (from the run's first), ``top``, ``left``, ``contexts`` (names, joined with
        ``, ``), ``before``, ``after``, ``added`` (pixels) and ``change``.
    """
    names = np.array([*vocabulary.names, MIXED], dtype=object)
    n_images, n_places = counts.before.shape
    corners = np.tile(np.array(places.corners)[:, :2], (n_images, 1))
    flat = contexts.reshape(n_images * n_places, -1)
    columns = {
        "sample": np.repeat(np.arange(n_images), n_places),
        "top": corners[:, 0],
        "left": corners[:, 1],
        "contexts": [", ".join(names[row]) for row in flat],
    }
    for name in ("before", "after", "added", "change"):
        columns[name] = getattr(counts, name).ravel()
    return pd.DataFrame(columns)
