"""From maps and masks to integer counts, and from counts to scores."""

from dissect.statistics.counts import SETS, BlockLabels, JointCounts, LastLabels, is_calibration
from dissect.statistics.scores import THRESHOLDS, LayerScores, score
from dissect.statistics.topk import TopImages

__all__ = [
    "SETS",
    "THRESHOLDS",
    "BlockLabels",
    "JointCounts",
    "LastLabels",
    "LayerScores",
    "TopImages",
    "is_calibration",
    "score",
]
