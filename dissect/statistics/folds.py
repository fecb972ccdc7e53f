"""The two folds of a run (calibration and evaluation) and the clusters of samples.

Samples are taken in *clusters* of eight consecutive indices. The first quarter of the clusters, at
most ``LONGEST_CALIBRATION`` samples, is the calibration fold: it gives each pair of unit and
concept its threshold. All others are the evaluation fold. Thresholds are fixed before the first
evaluation sample comes, so the counts at them can be kept per cluster; certainty is computed from
these.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

CLUSTER = 8
LONGEST_CALIBRATION = 1024

SETS = ("calibration", "evaluation", "shuffled")
"""Sets counted separately: both folds, and the evaluation fold with masks of other images."""


def calibration_size(n_samples: int) -> int:
    """Size k of the calibration fold: samples 0 … k - 1; the others are the evaluation fold.

    Args:
        n_samples: Samples of the whole run, at least two clusters.
    """
    n_clusters = -(-n_samples // CLUSTER)
    return min(max(1, n_clusters // 4) * CLUSTER, LONGEST_CALIBRATION)


def evaluation_size(n_samples: int, left_out: Iterable[int] = ()) -> int:
    """Number of scored samples.

    Args:
        n_samples: Number of samples of the whole run.
        left_out: Samples that were not counted, each once.
    """
    first = calibration_size(n_samples)
    return n_samples - first - sum(index >= first for index in left_out)


def evaluation_clusters(n_samples: int, left_out: Iterable[int] = ()) -> int:
    """Number of scored clusters, which have at least one counted sample.

    Args:
        n_samples: Number of samples of the whole run.
        left_out: Samples that were not counted, each once.
    """
    first = calibration_size(n_samples)
    absent = Counter(index // CLUSTER for index in left_out if index >= first)
    empty = sum(
        n_absent == min(CLUSTER, n_samples - cluster * CLUSTER)
        for cluster, n_absent in absent.items()
    )
    return -(-(n_samples - first) // CLUSTER) - empty


def clusters(indices: Sequence[int]) -> Iterator[tuple[int, slice]]:
    """The clusters of a block: the number and the rows of each.

    Args:
        indices: Rising sample indices; some may be missing.
    """
    start = 0
    for number, members in groupby(indices, key=lambda index: index // CLUSTER):
        size = len(list(members))
        yield number, slice(start, start + size)
        start += size
