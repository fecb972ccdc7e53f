"""Which samples choose thresholds and which are scored, and in what groups.

Samples are taken in *clusters* of eight consecutive indices. The first quarter of the clusters, at
most ``_MOST`` samples, is the calibration fold: on it each pair of unit and concept gets its
threshold. All others are the evaluation fold. As thresholds are settled before the first evaluation
sample comes, what happens at them can be kept for each cluster, which is what certainty is made of.
"""

from collections.abc import Iterator, Sequence

CLUSTER = 8
_MOST = 1024

SETS = ("calibration", "evaluation", "shuffled")
"""What is counted apart: both folds, and the evaluation fold with masks of other images."""


def calibration_size(n_samples: int) -> int:
    """Samples 0 … k - 1 are the calibration fold, the rest the evaluation fold.

    Args:
        n_samples: Of the whole run, at least two clusters.
    """
    n_clusters = -(-n_samples // CLUSTER)
    return min(max(1, n_clusters // 4) * CLUSTER, _MOST)


def evaluation_clusters(n_samples: int) -> int:
    """How many clusters are scored."""
    return -(-(n_samples - calibration_size(n_samples)) // CLUSTER)


def clusters(indices: Sequence[int]) -> Iterator[tuple[int, slice]]:
    """The clusters of a block: the number of each and its rows.

    Args:
        indices: Consecutive sample indices; the first starts a cluster.
    """
    for start in range(0, len(indices), CLUSTER):
        yield indices[start] // CLUSTER, slice(start, min(start + CLUSTER, len(indices)))
