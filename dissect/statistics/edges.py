"""Candidate thresholds of a unit: edges from the upper tail of its values.

A short pilot gives each unit's values. The edges are its quantiles at fixed tail fractions: dense
in the upper tail, where units fire, and down to a fraction large enough for a concept that fills
half of the image. One edge is always the quantile threshold.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dissect.latents import stream

N_EDGES = 48
_SMALLEST_TAIL = 1e-4
_LARGEST_TAIL = 0.9
LOWEST, HIGHEST = -32768, 32767
_N_LEVELS = 60_000  # at least half of this, between first and last edge
_LARGEST_EXPONENT = 126  # exponent of a step
_ZERO_EXPONENT = 1  # step exponent of a unit whose edges are all 0
Levels = tuple[Float[np.ndarray, " unit"], Float[np.ndarray, " unit"], Int[np.ndarray, "unit edge"]]
"""Each unit's step and middle, and the levels of its edges."""
VALUES_PER_UNIT = 65_536
"""Approximate number of pilot values per unit, for any length of the pilot."""


def tail_fractions(tail: float) -> np.ndarray:
    """Tail fractions of the edges, in descending order, so that the edges ascend.

    Args:
        tail: Tail fraction of the quantile threshold, which replaces the nearest one.

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
    """The distinct, sorted mask-grid pixels of a sample that the pilot reads."""
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
        float32, ascending along the edges (equal neighbours if a unit has few distinct values).
    """
    n_values = values.shape[1]
    # At most floor(f n) values lie above position n - 1 - floor(f n) of the sorted ones.
    ranks = n_values - 1 - np.floor(fractions * n_values).astype(np.int64)
    values.sort(axis=1)
    return torch.from_numpy(snap(values[:, np.clip(ranks, 0, n_values - 1)]))


def snap(edges: Float[np.ndarray, "unit edge"]) -> Float[np.ndarray, "unit edge"]:
    """Round edges up to multiples of a unit's step, so that integer levels can represent values.

    A step is a power of two, at most 2⁻¹⁴ of the distance between a unit's first and last edge.
    Where float32 itself is no finer, the edges stay as they are.

    Args:
        edges: float32, rising.
    """
    edges = edges.astype(np.float32)
    if edges.size == 0:
        return edges
    low, high = edges[:, :1].astype(np.float64), edges[:, -1:].astype(np.float64)
    largest = np.maximum(np.abs(low), np.abs(high))
    with np.errstate(divide="ignore"):  # log2(0) = -∞: no distance between edges
        by_range = np.ceil(np.log2((high - low) / _N_LEVELS))
        by_float = np.floor(np.log2(largest)) - 23
    exponent = np.clip(np.maximum(by_range, by_float), -126, _LARGEST_EXPONENT)
    step = np.exp2(exponent)
    return (np.ceil(edges / step) * step).astype(np.float32)


def levels_of(edges: Float[np.ndarray, "unit edge"]) -> Levels:
    """Each unit's step and middle (in steps), float32, and the levels of its edges, int16.

    value > edge is equivalent to ceil(value / step) - middle > level, for values clamped to
    ``LOWEST`` … ``HIGHEST``.

    Raises:
        ValueError: ``snap`` would change the edges.
    """
    if edges.shape[1] == 0:
        ones = np.ones(len(edges), np.float32)
        return ones, ones, np.zeros(edges.shape, np.int16)
    mantissa, exponent = np.frexp(edges.astype(np.float64))
    whole = (mantissa * 2.0**24).astype(np.int64)  # 24 bits hold a float32
    # The lowest set bit gives the largest power of two that divides an edge.
    exponent = np.where(
        whole == 0,  # a whole number of any step: the other edges say which
        _LARGEST_EXPONENT,
        exponent - 24 + np.log2(np.maximum(whole & -whole, 1)).astype(np.int64),
    ).min(axis=1)
    exponent[(whole == 0).all(axis=1)] = _ZERO_EXPONENT
    step = np.exp2(exponent.astype(np.float64))
    steps = edges / step[:, None]
    middle = np.floor((steps[:, :1] + steps[:, -1:]) / 2)
    found = steps - middle
    if found.size and (found.min() <= LOWEST or found.max() >= HIGHEST):
        raise ValueError("edges are too fine for levels of 16 bits; snap() makes them coarser")
    return step.astype(np.float32), middle[:, 0].astype(np.float32), found.astype(np.int16)
