"""From maps and masks to integer counts, and from counts to scores."""

from dissect.statistics.counts import SETS, BlockLabels, Counter, LayerCounts
from dissect.statistics.folds import CLUSTER, calibration_size, evaluation_clusters
from dissect.statistics.scores import THRESHOLDS, LayerScores, score
from dissect.statistics.topk import TopImages

__all__ = [
    "CLUSTER",
    "SETS",
    "THRESHOLDS",
    "BlockLabels",
    "Counter",
    "LayerCounts",
    "LayerScores",
    "TopImages",
    "calibration_size",
    "evaluation_clusters",
    "score",
]
