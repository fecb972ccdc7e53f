"""Certainty of a score: intervals, p-values and the false discovery rate.

The sampling units are clusters of eight consecutive images. They are independent because their
latents are. With I_k, U_k the intersection and union in cluster k of n, and S_k the intersection
with masks of other images of the cluster (same maps, same masks, other pairing):

- IoU r = ΣI / ΣU is a ratio of sums. Its variance by linearisation, which is the infinitesimal
  jackknife over clusters, is v = n/(n-1) · Σ(I_k - r U_k)² / (ΣU)². The interval is Wilson's score
  interval of a share in r (1 - r) / v independent trials, with Student's t in place of the normal
  quantile. The degrees of freedom are n - 1, or (ΣI)² / ΣI² (Kish), at least 2, where that is
  less: a concept in few clusters is known from few. Where nothing varies, as at 0 and 1, the
  number of trials is the effective number of clusters, (ΣU)² / ΣU² (Kish). So no interval has
  length 0.
- A unit that knows only where things usually are overlaps its own masks no more than the masks of
  other images: I_k - S_k has mean 0. A unit that knows how much of the concept each image holds,
  but not where, overlaps them by E_k, the sum over images of a·c/N, where a of the image's N pixels
  are above the threshold and c are of the concept: I_k - E_k has mean 0. Each p-value is that of a
  one-sided paired t-test. The p-value of a pair is the larger of the two, since a unit has to beat
  both (an intersection-union test, which needs no correction).
- A unit is named after the best of many concepts, so its p-value is that of the label times the
  number of concepts that occur (Bonferroni); q-values over all units of a run are Benjamini and
  Hochberg's.

All sums are kept as integers while counting (``PairCounts.squares``).

References:
    Cochran, Sampling Techniques, 1977, section 6.3 (the error of a ratio).
    Efron, The Jackknife, the Bootstrap and Other Resampling Plans, 1982, chapter 6.
    Kott and Carr, Developing an Estimation Strategy for a Pesticide Data Program, Journal of
    Official Statistics 13, 1997 (Wilson's interval with an effective number of trials).
    Kish, Survey Sampling, 1965, section 11.7.
    Berger, Multiparameter Hypothesis Testing and Acceptance Sampling, Technometrics 24, 1982
    (intersection-union tests).
    Benjamini and Hochberg, Controlling the False Discovery Rate, JRSS B 1995.
"""

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from dissect.statistics.rungs import wilson
from dissect.statistics.shapes import Counts, Reals

CONFIDENCE = 0.95


def interval(
    inside: Counts,
    union: Counts,
    squares: Int[np.ndarray, "moment ..."],
    n_clusters: int,
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Bounds of the 95 % interval of IoU; never of length 0.

    Args:
        inside: ΣI.
        union: ΣU.
        squares: ΣI², ΣIU, ΣU² (further rows are ignored).
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
    variance = np.divide(spread, union**2, out=np.full(iou.shape, np.nan), where=union > 0)
    kish = np.divide(union**2, uu, out=np.zeros(iou.shape), where=uu > 0)
    # A variance of 0 is not certainty: nothing varied, but in a limited number of clusters.
    certain = (variance <= 1e-12 * iou * (1 - iou)) | (iou <= 0) | (iou >= 1)
    trials = np.divide(iou * (1 - iou), variance, out=kish.copy(), where=~certain & (union > 0))
    holding = np.divide(inside**2, ii, out=np.full(iou.shape, float(n_clusters)), where=ii > 0)
    freedom = np.minimum(n_clusters - 1, np.maximum(holding, 2))
    t = stats.t.ppf((1 + CONFIDENCE) / 2, freedom)
    low, high = wilson(iou * trials, trials, t)
    return np.asarray(low), np.asarray(high)


def p_values(
    difference: Counts | Reals, squares: Counts | Reals, n_clusters: int
) -> Float[np.ndarray, "..."]:
    """p-values of a one-sided paired t-test of a unit's own masks against a null.

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


def both_p_values(
    inside: Counts,
    shuffled: Counts,
    products: Counts,
    squares: Int[np.ndarray, "moment ..."],
    *,
    image_pixels: int,
    n_clusters: int,
) -> Float[np.ndarray, "..."]:
    """p-value of a pair against both nulls: the larger of the two.

    Args:
        inside: ΣI.
        shuffled: ΣS.
        products: Σ over images of a·c.
        squares: All moments of ``dissect.statistics.counts.MOMENTS``.
        image_pixels: Pixels of one image.
        n_clusters: n.
    """
    beyond = (np.asarray(inside) * image_pixels - np.asarray(products)) / image_pixels
    return np.maximum(
        p_values(np.asarray(inside) - np.asarray(shuffled), squares[3], n_clusters),
        p_values(beyond, squares[4] / 16, n_clusters),
    )


def label_p_values(
    p: Float[np.ndarray, "unit concept"], label: Int[np.ndarray, " unit"], n_concepts: int
) -> Float[np.ndarray, " unit"]:
    """p-values of labels, each the best of ``n_concepts`` concepts (those that occur at all)."""
    return np.minimum(1.0, p[np.arange(len(label)), label] * max(1, n_concepts))


def q_values(p: Float[np.ndarray, " unit"]) -> Float[np.ndarray, " unit"]:
    """Benjamini–Hochberg: the smallest false discovery rate at which each is still a discovery."""
    return stats.false_discovery_control(p, method="bh") if len(p) else p
