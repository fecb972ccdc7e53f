"""Pearson's correlation of units and concepts over pixels, from the integer histogram.

Between a unit's value v at a pixel and C = [pixel of the concept], with n pixels in all and h the
histogram of the unit over all pixels, h_c over those of the concept:

    r = Σ_b h_c(b) (v_b - v̄) / n / √(Σ_b h(b) (v_b - v̄)² / n · p (1 - p)),   p = Σ_b h_c(b) / n

A bin stands for one value v_b, the middle of its edges; the two open bins at the ends are taken to
be as wide as their neighbours.

References:
    Pearson, Note on Regression and Inheritance in the Case of Two Parents, 1895.
"""

import numpy as np
from jaxtyping import Float, Int

from dissect.statistics.scores import pixels


def bin_values(edges: Float[np.ndarray, "unit edge"]) -> Float[np.ndarray, "unit bin"]:
    """The value that each bin stands for.

    Args:
        edges: At least two for each unit, rising.
    """
    # In rows, however they came: sums round by how an array lies in memory.
    edges = np.ascontiguousarray(edges, np.float64)
    middles = (edges[:, 1:] + edges[:, :-1]) / 2
    # A step out from the neighbouring middle, as far as that lies from the edge, twice.
    below, over = 2 * edges[:, :1] - middles[:, :1], 2 * edges[:, -1:] - middles[:, -1:]
    return np.concatenate([below, middles, over], axis=1)


def correlate(
    histogram: Int[np.ndarray, "row unit bin"], edges: Float[np.ndarray, "unit edge"]
) -> Float[np.ndarray, "unit concept"]:
    """Correlation of every unit with every concept.

    Args:
        histogram: Row 0 counts all pixels, row c those of concept c.
        edges: Each unit's thresholds, rising.

    Returns:
        In [-1, 1]; NaN where the unit's value or the concept is the same at every pixel.
    """
    values = bin_values(edges)
    rows = pixels(histogram)
    total = rows[0]
    share = rows[1:] / total
    # Moved to mean 0 first, so that nothing cancels in what follows.
    values -= np.einsum("ub,ub->u", histogram[0].astype(float), values)[:, None] / total
    variance = np.einsum("ub,ub->u", histogram[0].astype(float), values**2) / total
    together = np.einsum("cub,ub->uc", histogram[1:].astype(float), values) / total
    spread = np.sqrt(variance[:, None] * share * (1 - share))
    ratio = np.divide(together, spread, out=np.full(together.shape, np.nan), where=spread > 0)
    return np.clip(ratio, -1, 1)
