"""How sure a score is: intervals, p-values and the false discovery rate.

The units of chance are clusters of eight consecutive images, which are independent of each other
since their latents are. With I_k, U_k the intersection and union in cluster k of n, and S_k the
intersection with masks of other images of the cluster (same maps, same masks, other pairing):

- IoU r = ΣI / ΣU is a ratio of sums; its standard error by linearisation, which is the
  infinitesimal jackknife over clusters, is √(n/(n-1) · Σ(I_k - r U_k)²) / ΣU. The interval is
  r ± t·error with Student's t of n - 1 degrees of freedom, cut to [0, 1].
- A unit that knows nothing of the image beyond where things usually are overlaps its own masks no
  more than others': I_k - S_k has mean 0. The p-value is that of a one-sided paired t-test.
- A unit is named after the best of many concepts, so its p-value is that of the label times the
  number of concepts that occur (Bonferroni); q-values over all units of a run are Benjamini and
  Hochberg's.

All sums are kept as integers while counting (``PairCounts.squares``).

References:
    Cochran, Sampling Techniques, 1977, section 6.3 (the error of a ratio).
    Efron, The Jackknife, the Bootstrap and Other Resampling Plans, 1982, chapter 6.
    Benjamini and Hochberg, Controlling the False Discovery Rate, JRSS B 1995.
"""

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from dissect.statistics.shapes import Counts

CONFIDENCE = 0.95


def interval(
    inside: Counts,
    union: Counts,
    squares: Int[np.ndarray, "moment ..."],
    n_clusters: int,
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Bounds of the 95 % interval of IoU.

    Args:
        inside: ΣI.
        union: ΣU.
        squares: ΣI², ΣIU, ΣU² (further ones are not looked at).
        n_clusters: n.

    Returns:
        Lower and upper bounds in [0, 1]; NaN where the union is empty or there is one cluster.
    """
    inside, union = np.asarray(inside, float), np.asarray(union, float)
    if n_clusters < 2:
        return np.full(inside.shape, np.nan), np.full(inside.shape, np.nan)
    iou = np.divide(inside, union, out=np.full(inside.shape, np.nan), where=union > 0)
    ii, iu, uu = (np.asarray(s, float) for s in squares[:3])
    spread = np.maximum(ii - 2 * iou * iu + iou**2 * uu, 0) * n_clusters / (n_clusters - 1)
    error = np.divide(np.sqrt(spread), union, out=np.full(iou.shape, np.nan), where=union > 0)
    reach = stats.t.ppf((1 + CONFIDENCE) / 2, n_clusters - 1) * error
    return np.asarray(np.maximum(iou - reach, 0)), np.asarray(np.minimum(iou + reach, 1))


def p_values(difference: Counts, squares: Counts, n_clusters: int) -> Float[np.ndarray, "..."]:
    """One-sided paired t-test of own masks against those of other images.

    Args:
        difference: Σ(I_k - S_k).
        squares: Σ(I_k - S_k)².
        n_clusters: n.

    Returns:
        p in [0, 1]; 1 where nothing differs or there is one cluster.
    """
    difference, squares = np.asarray(difference, float), np.asarray(squares, float)
    if n_clusters < 2:
        return np.ones(difference.shape)
    mean = difference / n_clusters
    variance = np.maximum(squares / n_clusters - mean**2, 0) / (n_clusters - 1)
    varies = variance > 0
    t = np.divide(mean, np.sqrt(variance), out=np.zeros(mean.shape), where=varies)
    t = np.where(varies, t, np.where(mean == 0, 0.0, np.copysign(np.inf, mean)))
    return np.where(squares > 0, stats.t.sf(t, n_clusters - 1), 1.0)


def label_p_values(
    p: Float[np.ndarray, "unit concept"], label: Int[np.ndarray, " unit"], n_concepts: int
) -> Float[np.ndarray, " unit"]:
    """p-values of labels, each the best of ``n_concepts`` (those that occur at all)."""
    return np.minimum(1.0, p[np.arange(len(label)), label] * max(1, n_concepts))


def q_values(p: Float[np.ndarray, " unit"]) -> Float[np.ndarray, " unit"]:
    """Benjamini–Hochberg: the smallest false discovery rate at which each is still a discovery."""
    return stats.false_discovery_control(p, method="bh") if len(p) else p
