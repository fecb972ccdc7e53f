"""A layer's finished numbers: scores, each unit's label, and the table of all pairs."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Shaped

from dissect.config import RunConfig
from dissect.runs.state import PassState
from dissect.statistics import (
    THRESHOLDS,
    LayerCounts,
    LayerScores,
    TopImages,
    evaluation_clusters,
    score,
)
from dissect.statistics.certainty import interval, label_p_values, p_values, q_values
from dissect.statistics.columns import IS_LABEL
from dissect.statistics.edges import quantile_edge
from dissect.statistics.gandissect import MIN_INFORMATION, choose_unit_edges, plane_rows
from dissect.statistics.registry import all_columns, table_order
from dissect.statistics.scores import above, choose_edges, pixels
from segmenters import Vocabulary


@dataclass(frozen=True)
class LayerResult:
    """What the counts of a layer say.

    Attributes:
        edges: float32 (unit, edge).
        edge: Index of the edge at which each pair was scored.
        top: Top images of each unit.
        scores: Of all pairs, for both thresholds.
        iou_low, iou_high: 95 % interval of IoU.
        p_value: Of each pair against masks of other images.
        chosen: Position of the run's own threshold in ``THRESHOLDS``.
        best: Column of each unit's label at that threshold.
        q_value: False discovery rate at which the label still is a find, over the whole run.
        same_in_halves: Whether both halves of the evaluation fold give the unit this label; with
            ``compat``, whether it has the highest IoU in both.
        interpretable: Whether the IoU with it exceeds ``min_iou``, and ``min_over_chance`` over
            chance, at a q-value of at most ``fdr``. With ``compat``, whether the IoU exceeds
            ``min_iou`` and the information quality ratio 0.01.
        of_statistics: Column → its values, of the unit statistics that were counted.
    """

    edges: Float[np.ndarray, "unit edge"]
    edge: Int[np.ndarray, "threshold unit concept"]
    top: TopImages
    scores: LayerScores
    iou_low: Float[np.ndarray, "threshold unit concept"]
    iou_high: Float[np.ndarray, "threshold unit concept"]
    p_value: Float[np.ndarray, "threshold unit concept"]
    chosen: int
    best: Int[np.ndarray, " unit"]
    q_value: Float[np.ndarray, " unit"]
    same_in_halves: Bool[np.ndarray, " unit"]
    interpretable: Bool[np.ndarray, " unit"]
    of_statistics: dict[str, Shaped[np.ndarray, "..."]]

    @property
    def thresholds(self) -> Float[np.ndarray, "threshold unit concept"]:
        """The activation above which each pair was compared."""
        n_units = len(self.edges)
        return self.edges[np.arange(n_units)[None, :, None], self.edge]

    def table(self, layer: str, vocabulary: Vocabulary) -> pd.DataFrame:
        """One row for each pair of unit and concept, at the run's threshold.

        ``q_value`` and ``same_in_halves`` belong to the unit's label, whatever the row's concept.
        """
        n_units, n_concepts = self.scores.iou.shape[1:]
        units = np.repeat(np.arange(n_units), n_concepts)
        columns = np.tile(np.arange(n_concepts), n_units)
        labelled = columns == self.best[units]
        concepts = list(vocabulary)
        values = self.values()
        of_pair, of_unit = table_order()
        return pd.DataFrame(
            {
                "layer": layer,
                "unit": units,
                "concept": np.array([c.name for c in concepts])[columns],
                "category": np.array([c.category for c in concepts])[columns],
                **{name: values[name].ravel() for name in of_pair},
                IS_LABEL.name: labelled,
                **{name: values[name][units] for name in of_unit},
                "interpretable": labelled & self.interpretable[units],
            }
        )

    def values(self) -> dict[str, Shaped[np.ndarray, "..."]]:
        """Name of each column of the table → its values: (unit, concept), or (unit,).

        Truth values are bool, all others float64.
        """
        scores, chosen = self.scores, self.chosen
        found = {
            "iou": scores.iou[chosen],
            "iou_low": self.iou_low[chosen],
            "iou_high": self.iou_high[chosen],
            "chance": scores.chance[chosen],
            "over_chance": scores.over_chance[chosen],
            "p_value": self.p_value[chosen],
            "q_value": self.q_value,
            "same_in_halves": self.same_in_halves,
            "threshold": self.thresholds[chosen],
            "information_quality_ratio": scores.information[chosen],
            "excess_information": scores.excess_information[chosen],
            "precision": scores.precision[chosen],
            "recall": scores.recall[chosen],
            "interpretable": self.interpretable,
            **self.of_statistics,
        }
        flags = {one.name for one in all_columns() if one.is_flag}
        return {
            name: array.astype(bool if name in flags else float) for name, array in found.items()
        }


def layer_results(
    state: PassState, config: RunConfig, vocabulary: Vocabulary
) -> dict[str, LayerResult]:
    """Score every layer of a finished pass."""
    scored: dict[str, LayerResult] = {}
    label_p: dict[str, Float[np.ndarray, " unit"]] = {}
    for layer, counts in state.counts.items():
        edges = state.edges[layer].numpy()
        scored[layer], label_p[layer] = _score_layer(counts, edges, config, vocabulary)
    # The false discovery rate is that of all units of the run together.
    q = q_values(np.concatenate(list(label_p.values())))
    results: dict[str, LayerResult] = {}
    start = 0
    for layer, result in scored.items():
        own = q[start : start + len(result.best)]
        start += len(own)
        # The original has no such rule.
        surely = np.ones(len(own), bool) if config.compat else own <= config.fdr
        results[layer] = replace(result, q_value=own, interpretable=result.interpretable & surely)
    return results


def _score_layer(
    counts: LayerCounts,
    edges: Float[np.ndarray, "unit edge"],
    config: RunConfig,
    vocabulary: Vocabulary,
) -> tuple[LayerResult, Float[np.ndarray, " unit"]]:
    """The scores of a layer as if it had no other units beside it, and p-values of its labels."""
    chosen = THRESHOLDS.index(config.threshold)
    rows = plane_rows(vocabulary) if config.compat else None
    at_quantile = quantile_edge(config.tail)
    n_clusters = evaluation_clusters(config.n_samples)
    pairs = counts.pairs
    inside, active, shuffled = (
        array.sum(axis=0) for array in (pairs.inside, pairs.active, pairs.shuffled)
    )
    area = pairs.area.sum(axis=0)
    allowed = area >= config.min_share * pairs.pixels.sum()
    halves = [
        score(
            pairs.inside[half],
            pairs.active[half],
            pairs.shuffled[half],
            pairs.area[half],
            int(pairs.pixels[half]),
        )
        for half in range(2)
    ]
    if rows is None:
        edge = choose_edges(counts.histogram[0], quantile_edge=at_quantile)
        scores = score(inside, active, shuffled, area, int(pairs.pixels.sum()))
        halved = np.array([concept.is_half for concept in vocabulary])
        best = scores.best_unless_halved(chosen, allowed, halved, halves)
    else:
        edge, label = choose_unit_edges(counts.histogram[0], edges, rows, quantile_edge=at_quantile)
        scores = score(
            inside,
            active,
            shuffled,
            area,
            pixels(counts.histogram[1])[rows],
            shuffled_active=above(counts.histogram[2])[rows, np.arange(len(edges))[:, None], edge],
        )
        best = label if config.threshold == "information" else scores.highest_iou(chosen)
    low, high = interval(inside, active + area - inside, pairs.squares, n_clusters)
    p = p_values(inside - shuffled, pairs.squares[3], n_clusters)
    first, second = (
        half.best(chosen, allowed) if rows is None else half.highest_iou(chosen) for half in halves
    )
    result = LayerResult(
        edges=edges,
        edge=edge,
        top=_top(counts),
        scores=scores,
        iou_low=low,
        iou_high=high,
        p_value=p,
        chosen=chosen,
        best=best,
        q_value=np.ones(len(best)),
        same_in_halves=(first == best) & (second == best),
        interpretable=allowed[best] & _beyond_floors(scores, chosen, best, config),
        of_statistics={
            name: values
            for statistic in counts.statistics.values()
            for name, values in statistic.column_values().items()
        },
    )
    return result, label_p_values(p[chosen], best, int((allowed & (area > 0)).sum()))


def _beyond_floors(
    scores: LayerScores, chosen: int, best: Int[np.ndarray, " unit"], config: RunConfig
) -> Bool[np.ndarray, " unit"]:
    """Whether the scores of each unit's label exceed what the settings ask for."""
    pair = (chosen, np.arange(len(best)), best)
    # NaN compares false: a unit without a union anywhere is not interpretable.
    enough = scores.iou[pair] > config.min_iou
    if config.compat:
        return enough & (scores.information[pair] > MIN_INFORMATION)
    return enough & (scores.over_chance[pair] > config.min_over_chance)


def _top(counts: LayerCounts) -> TopImages:
    found = counts.statistic(TopImages)
    if found is None:
        raise ValueError("a pass did not keep the images on which units fire most")
    return found
