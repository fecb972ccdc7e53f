"""A layer's finished numbers: scores, each unit's label, and the table of all pairs."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from dissect.config import RunConfig
from dissect.runs.partial import PassState
from dissect.statistics import THRESHOLDS, LayerScores, TopImages, score
from dissect.statistics.edges import quantile_edge
from segmenters import Vocabulary


@dataclass(frozen=True)
class LayerResult:
    """What the counts of a layer say.

    Attributes:
        histogram: int64 (set, row, unit, bin).
        edges: float32 (unit, edge).
        top: Top images of each unit.
        scores: Of all pairs, for both thresholds.
        chosen: Position of the run's own threshold in ``THRESHOLDS``.
        best: Column of each unit's best concept at that threshold.
        interpretable: Whether the IoU with it exceeds ``min_iou``, and ``min_over_chance`` over
            chance.
    """

    histogram: Int[np.ndarray, "set row unit bin"]
    edges: Float[np.ndarray, "unit edge"]
    top: TopImages
    scores: LayerScores
    chosen: int
    best: Int[np.ndarray, " unit"]
    interpretable: Bool[np.ndarray, " unit"]

    @property
    def thresholds(self) -> Float[np.ndarray, "threshold unit concept"]:
        """The activation above which each pair was compared."""
        n_units = len(self.edges)
        return self.edges[np.arange(n_units)[None, :, None], self.scores.edge]

    def table(self, layer: str, vocabulary: Vocabulary) -> pd.DataFrame:
        """One row for each pair of unit and concept, at the run's threshold."""
        s, k = self.scores, self.chosen
        n_units, n_concepts = s.iou.shape[1:]
        units = np.repeat(np.arange(n_units), n_concepts)
        columns = np.tile(np.arange(n_concepts), n_units)
        labelled = columns == self.best[units]
        concepts = list(vocabulary)
        return pd.DataFrame(
            {
                "layer": layer,
                "unit": units,
                "concept": np.array([c.name for c in concepts])[columns],
                "category": np.array([c.category for c in concepts])[columns],
                "iou": s.iou[k].ravel(),
                "chance": s.chance[k].ravel(),
                "over_chance": s.over_chance[k].ravel(),
                "threshold": self.thresholds[k].ravel().astype(np.float64),
                "information_quality_ratio": s.information[k].ravel(),
                "excess_information": s.excess_information[k].ravel(),
                "precision": s.precision[k].ravel(),
                "recall": s.recall[k].ravel(),
                "is_label": labelled,
                "interpretable": labelled & self.interpretable[units],
            }
        )


def layer_results(state: PassState, config: RunConfig) -> dict[str, LayerResult]:
    """Score every layer of a finished pass."""
    chosen = THRESHOLDS.index(config.threshold)
    results = {}
    for layer, counts in state.counts.items():
        scores = score(counts.histogram, quantile_edge=quantile_edge(config.tail))
        best = scores.best(chosen)
        rows = np.arange(len(best))
        # NaN compares false: a unit without a union anywhere is not interpretable.
        interpretable = (scores.iou[chosen, rows, best] > config.min_iou) & (
            scores.over_chance[chosen, rows, best] > config.min_over_chance
        )
        results[layer] = LayerResult(
            counts.histogram,
            state.edges[layer].numpy(),
            state.tops[layer],
            scores,
            chosen,
            best,
            interpretable,
        )
    return results
