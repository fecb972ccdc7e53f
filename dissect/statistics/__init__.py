"""From maps and masks to integer counts, and from counts to scores.

Names are imported when they are first used: counting takes torch and numba, and reading scores does
not.
"""

from typing import TYPE_CHECKING

from segmenters.lazy import lazy_names

if TYPE_CHECKING:  # the same names, for editors and type checkers
    from dissect.statistics.counts import Counter as Counter, LayerCounts as LayerCounts
    from dissect.statistics.folds import (
        CLUSTER as CLUSTER,
        SETS as SETS,
        calibration_size as calibration_size,
        evaluation_clusters as evaluation_clusters,
        evaluation_size as evaluation_size,
    )
    from dissect.statistics.labels import BlockLabels as BlockLabels
    from dissect.statistics.scores import LayerScores as LayerScores, score as score
    from dissect.statistics.thresholds import THRESHOLDS as THRESHOLDS
    from dissect.statistics.units.top_images import TopImages as TopImages
else:
    __all__, __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "CLUSTER": "dissect.statistics.folds",
            "SETS": "dissect.statistics.folds",
            "THRESHOLDS": "dissect.statistics.thresholds",
            "BlockLabels": "dissect.statistics.labels",
            "Counter": "dissect.statistics.counts",
            "LayerCounts": "dissect.statistics.counts",
            "LayerScores": "dissect.statistics.scores",
            "TopImages": "dissect.statistics.units.top_images",
            "calibration_size": "dissect.statistics.folds",
            "evaluation_clusters": "dissect.statistics.folds",
            "evaluation_size": "dissect.statistics.folds",
            "score": "dissect.statistics.scores",
        },
    )
