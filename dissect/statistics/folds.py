"""The two folds of a run (calibration and evaluation) and the clusters of samples.

Samples are taken in *clusters* of eight consecutive indices. The first quarter of the clusters, at
most ``_MOST`` samples, is the calibration fold: it gives each pair of unit and concept its
threshold. All others are the evaluation fold. Thresholds are fixed before the first evaluation
sample comes, so the counts at them can be kept per cluster; certainty is computed from these.
"""

from collections.abc import Iterator, Sequence

CLUSTER = 8
_MOST = 1024

SETS = ("calibration", "evaluation", "shuffled")
"""Sets counted separately: both folds, and the evaluation fold with masks of other images."""


def calibration_size(n_samples: int) -> int:
    """Size k of the calibration fold: samples 0 … k - 1; the others are the evaluation fold.

    Args:
        n_samples: Samples of the whole run, at least two clusters.
    """
    n_clusters = -(-n_samples // CLUSTER)
    return min(max(1, n_clusters // 4) * CLUSTER, _MOST)


def evaluation_clusters(n_samples: int) -> int:
    """Number of clusters of the evaluation fold."""
    return -(-(n_samples - calibration_size(n_samples)) // CLUSTER)


def clusters(indices: Sequence[int]) -> Iterator[tuple[int, slice]]:
    """The clusters of a block: the number and the rows of each.

    Args:
        indices: Consecutive sample indices; the first starts a cluster.
    """
    for start in range(0, len(indices), CLUSTER):
        yield indices[start] // CLUSTER, slice(start, min(start + CLUSTER, len(indices)))
