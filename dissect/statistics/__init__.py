"""From maps and masks to integer counts, and from counts to scores.

Names are imported when they are first used: counting takes torch and numba, and reading scores does
not.
"""

from segmenters.lazy import lazy_names

_HOMES = {
    "CLUSTER": "dissect.statistics.folds",
    "SETS": "dissect.statistics.folds",
    "THRESHOLDS": "dissect.statistics.thresholds",
    "BlockLabels": "dissect.statistics.counts",
    "Counter": "dissect.statistics.counts",
    "LayerCounts": "dissect.statistics.counts",
    "LayerScores": "dissect.statistics.scores",
    "TopImages": "dissect.statistics.topk",
    "calibration_size": "dissect.statistics.folds",
    "evaluation_clusters": "dissect.statistics.folds",
    "score": "dissect.statistics.scores",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
