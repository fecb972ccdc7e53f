"""The thresholds at which a unit is read: edges from the upper tail of its values.

A short pilot gives each unit's values; the edges are its quantiles at fixed tail fractions, dense
in the upper tail, where units fire, and reaching far enough down for a concept that fills half of
the image. One of them is always the quantile threshold.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dissect.latents import stream

N_EDGES = 48
_SMALLEST_TAIL = 1e-4
_LARGEST_TAIL = 0.9
VALUES_PER_UNIT = 65_536
"""About how many pilot values stand behind a unit's edges, whatever the pilot's length."""


def tail_fractions(tail: float) -> np.ndarray:
    """The tail fractions of the edges, falling, so that the edges rise.

    Args:
        tail: Tail fraction of the quantile threshold, which takes the place of the nearest one.

    Returns:
        float64, shape ``N_EDGES``, from 0.9 to 1e-4.
    """
    fractions = np.geomspace(_LARGEST_TAIL, _SMALLEST_TAIL, N_EDGES)
    fractions[quantile_edge(tail)] = tail
    return fractions


def quantile_edge(tail: float) -> int:
    """Index of the edge that is the quantile threshold."""
    fractions = np.geomspace(_LARGEST_TAIL, _SMALLEST_TAIL, N_EDGES)
    return int(np.abs(np.log(fractions) - np.log(tail)).argmin())


def pilot_pixels(index: int, *, seed: int, n_pixels: int, per_image: int) -> np.ndarray:
    """The mask-grid pixels of a sample that the pilot looks at: distinct, sorted."""
    if per_image >= n_pixels:
        return np.arange(n_pixels)
    return np.sort(stream(seed, index).permutation(n_pixels)[:per_image])


def edges_from_values(
    values: Float[np.ndarray, "unit value"], fractions: np.ndarray
) -> Float[Tensor, "unit edge"]:
    """Each unit's edges: t_f is the smallest value with at most a fraction f strictly above it.

    Args:
        values: Pilot values, finite, float32; sorted in place.
        fractions: Tail fractions f, falling.

    Returns:
        float32, rising along the edges (equal neighbours where a unit has few distinct values).
    """
    n_values = values.shape[1]
    # At most floor(f n) values lie above position n - 1 - floor(f n) of the sorted ones.
    ranks = n_values - 1 - np.floor(fractions * n_values).astype(np.int64)
    values.sort(axis=1)
    return torch.from_numpy(values[:, np.clip(ranks, 0, n_values - 1)])
