"""Distribution of a unit's values, and its IoU at each threshold, from its histogram."""

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from dissect.statistics.scores import above, intersection_over_union


def bin_shares(histogram: Int[np.ndarray, "*rows bin"]) -> Float[np.ndarray, "*rows bin"]:
    """The share of a row's pixels in each bin; NaN where a row has none."""
    total = histogram.sum(axis=-1, keepdims=True)
    return np.divide(histogram, total, out=np.full(histogram.shape, np.nan), where=total > 0)


def iou_at_edges(
    concept: Int[np.ndarray, "*rows bin"], counted: Int[np.ndarray, "*#rows bin"]
) -> Float[np.ndarray, "*rows edge"]:
    """IoU with a concept at each of the unit's edges as the threshold.

    Args:
        concept: The concept's pixels by bin.
        counted: All pixels that can be active above an edge: those of all images or, by the
            original's rules, of images that hold anything of the concept's plane. One row may
            serve all concepts.

    Returns:
        NaN where the union is empty.
    """
    area = concept.sum(axis=-1, keepdims=True)
    return intersection_over_union(above(concept), above(counted), area)


def value_spread(
    histogram: Int[np.ndarray, "row bin"], edges: Float[np.ndarray, " edge"], names: list[str]
) -> xr.Dataset:
    """Distribution of a unit's values over its bins, for each concept's pixels and for all.

    Args:
        histogram: Histogram of one unit; row 0 counts all pixels, row c those of concept c.
        edges: The unit's thresholds, ascending.
        names: Names of the concepts.

    Returns:
        ``share`` (concept, bin), NaN where a concept has no pixels, and ``all_pixels`` (bin); each
        row adds up to 1. The coordinates ``above`` and ``up_to`` bound the values of a bin.
    """
    share = bin_shares(histogram[: len(names) + 1])
    bounds = np.concatenate([[-np.inf], edges.astype(np.float64), [np.inf]])
    return xr.Dataset(
        {"share": (("concept", "bin"), share[1:]), "all_pixels": ("bin", share[0])},
        coords={
            "concept": names,
            "above": ("bin", bounds[:-1]),
            "up_to": ("bin", bounds[1:]),
        },
    )
