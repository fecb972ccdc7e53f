"""Final results of a layer: scores, each unit's label, and the table of all pairs."""

from collections.abc import Mapping
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
    evaluation_size,
    score,
)
from dissect.statistics.axes import Directions, compare
from dissect.statistics.certainty import both_p_values, interval, label_p_values, q_values
from dissect.statistics.columns import IS_LABEL
from dissect.statistics.edges import quantile_edge
from dissect.statistics.gandissect import MIN_INFORMATION, choose_unit_edges, plane_rows
from dissect.statistics.ladder import MATCHES, NAMED, NONE
from dissect.statistics.registry import all_columns, table_order
from dissect.statistics.rungs import (
    HALF,
    UPPER_TAIL,
    clearly_ahead,
    filled,
    one_thing,
    runners_up,
    wilson,
)
from dissect.statistics.scores import above, choose_edges, pixels
from segmenters import Vocabulary


@dataclass(frozen=True)
class LayerResult:
    """Results computed from the counts of a layer.

    Attributes:
        edges: float32 (unit, edge).
        edge: Index of the edge at which each pair was scored.
        top: Top images of each unit.
        scores: Scores of all pairs, for both thresholds.
        iou_low, iou_high: 95 % interval of IoU.
        p_value: p-value of each pair against both nulls.
        chosen: Position of the run's own threshold in ``THRESHOLDS``.
        best: Column of each unit's label at that threshold.
        q_value: False discovery rate at which the label is still a discovery, over the whole run.
        same_in_halves: Whether both halves of the evaluation fold give the unit this label; with
            ``compat``, whether it has the highest IoU in both.
        matches: Whether the IoU with it exceeds ``min_iou``, and ``min_over_chance`` over chance,
            at a q-value of at most ``fdr``, and both halves agree. With ``compat``, whether the IoU
            exceeds ``min_iou`` and the information quality ratio 0.01.
        top_share, top_low, top_high: Share of the top images in which the label fills at least
            half of the unit's outline, and its interval.
        runner_up: The second best concept, -1 for none.
        runner_up_share: Its excess information divided by that of the label.
        selective: Whether the unit matches its label, the lower bound of ``top_share`` is above a
            half, and the runner-up is clearly behind or one thing with the label.
        mixtures: Results of the layer's mixtures; None if there are none.
        of_statistics: Column → its values, for the unit statistics that were counted.
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
    matches: Bool[np.ndarray, " unit"]
    top_share: Float[np.ndarray, " unit"]
    top_low: Float[np.ndarray, " unit"]
    top_high: Float[np.ndarray, " unit"]
    runner_up: Int[np.ndarray, " unit"]
    runner_up_share: Float[np.ndarray, " unit"]
    selective: Bool[np.ndarray, " unit"]
    of_statistics: dict[str, Shaped[np.ndarray, "..."]]
    mixtures: "LayerResult | None" = None

    @property
    def directions(self) -> Directions:
        """Labels and scores of the units, to be compared with those of mixtures."""
        units = np.arange(len(self.best))
        excess = self.scores.excess_information[self.chosen, units, self.best]
        return Directions(self.best, self.selective, excess)

    @property
    def mixtures_below(self) -> Float[np.ndarray, " unit"]:
        """Share of the layer's mixtures with less information on the unit's label, or NaN."""
        theirs = self._mixtures_excess
        if theirs is None:
            return np.full(len(self.best), np.nan)
        return (theirs < self.directions.excess).mean(axis=0)

    @property
    def _mixtures_excess(self) -> Float[np.ndarray, "mixture unit"] | None:
        """Excess information of each mixture about each unit's label."""
        if self.mixtures is None:
            return None
        return self.mixtures.scores.excess_information[self.chosen][:, self.best]

    @property
    def rung(self) -> Int[np.ndarray, " unit"]:
        """Highest rung that each unit reaches in the pass; a pass cannot find ``CAUSAL``.

        A selective unit is named, except where the layer's axes stand out and the unit's
        information about its label does not exceed the 95 % quantile of the mixtures.
        """
        named, theirs = self.selective, self._mixtures_excess
        if (
            self.mixtures is not None
            and theirs is not None
            and compare([(self.directions, self.mixtures.directions)]).stand_out
        ):
            named = named & (self.directions.excess > np.quantile(theirs, UPPER_TAIL, axis=0))
        return np.where(named, NAMED, np.where(self.matches, MATCHES, NONE))

    @property
    def thresholds(self) -> Float[np.ndarray, "threshold unit concept"]:
        """The activation threshold of each pair."""
        n_units = len(self.edges)
        return self.edges[np.arange(n_units)[None, :, None], self.edge]

    def table(self, layer: str, vocabulary: Vocabulary) -> pd.DataFrame:
        """One row per pair of unit and concept, at the run's threshold.

        ``q_value`` and ``same_in_halves`` belong to the unit's label, for any concept of the row.
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
            }
        )

    def values(self) -> dict[str, Shaped[np.ndarray, "..."]]:
        """Column of the table → its values: (unit, concept), or (unit,).

        Flags are bool, all others float64.
        """
        scores, chosen = self.scores, self.chosen
        found = {
            "iou": scores.iou[chosen],
            "iou_low": self.iou_low[chosen],
            "iou_high": self.iou_high[chosen],
            "chance": scores.chance[chosen],
            "chance_shuffled": scores.chance_shuffled[chosen],
            "chance_areas": scores.chance_areas[chosen],
            "over_chance": scores.over_chance[chosen],
            "p_value": self.p_value[chosen],
            "q_value": self.q_value,
            "same_in_halves": self.same_in_halves,
            "threshold": self.thresholds[chosen],
            "information_quality_ratio": scores.information[chosen],
            "excess_information": scores.excess_information[chosen],
            "precision": scores.precision[chosen],
            "recall": scores.recall[chosen],
            "rung": self.rung,
            "selective": self.selective,
            "top_share": self.top_share,
            "top_low": self.top_low,
            "top_high": self.top_high,
            "runner_up_share": self.runner_up_share,
            "mixtures_below": self.mixtures_below,
            **self.of_statistics,
        }
        flags = {one.name for one in all_columns() if one.is_flag}
        return {
            name: array.astype(bool if name in flags else float) for name, array in found.items()
        }


def layer_results(
    state: PassState,
    config: RunConfig,
    vocabulary: Vocabulary,
    mixtures: Mapping[str, str] | None = None,
) -> dict[str, LayerResult]:
    """Score every layer of a finished pass.

    Args:
        state: State of the pass.
        config: Settings.
        vocabulary: Concepts.
        mixtures: Layer → name of its mixtures in the state.
    """
    mixtures = mixtures or {}
    related = one_thing(vocabulary, state.overlap)
    left_out = state.left_out(config.n_samples, config.block)
    n_scored = (
        evaluation_size(config.n_samples, left_out),
        evaluation_clusters(config.n_samples, left_out),
    )
    scored: dict[str, LayerResult] = {}
    label_p: dict[str, Float[np.ndarray, " unit"]] = {}
    for layer, counts in state.counts.items():
        edges = state.edges[layer].numpy()
        scored[layer], label_p[layer] = _score_layer(
            counts, edges, config, vocabulary, related, n_scored
        )
    # One false discovery rate for all units of the run, and one for all mixtures.
    apart = set(mixtures.values())
    for group in ([one for one in scored if one not in apart], list(mixtures.values())):
        q = q_values(np.concatenate([np.zeros(0), *(label_p[layer] for layer in group)]))
        start = 0
        for layer in group:
            result = scored[layer]
            own = q[start : start + len(result.best)]
            start += len(own)
            # The original has no such rule.
            surely = np.ones(len(own), bool) if config.compat else own <= config.fdr
            scored[layer] = replace(
                result, q_value=own, matches=result.matches & surely,
                selective=result.selective & surely,
            )  # fmt: skip
    return {
        layer: replace(result, mixtures=scored[mixtures[layer]] if layer in mixtures else None)
        for layer, result in scored.items()
        if layer not in apart
    }


def _score_layer(
    counts: LayerCounts,
    edges: Float[np.ndarray, "unit edge"],
    config: RunConfig,
    vocabulary: Vocabulary,
    related: Bool[np.ndarray, "concept concept"],
    n_scored: tuple[int, int],
) -> tuple[LayerResult, Float[np.ndarray, " unit"]]:
    """The scores of a layer without correction over other layers, and p-values of its labels.

    ``n_scored`` is the number of samples in the evaluation fold, and of their clusters.
    """
    chosen = THRESHOLDS.index(config.threshold)
    rows = plane_rows(vocabulary) if config.compat else None
    at_quantile = quantile_edge(config.tail)
    n_images, n_clusters = n_scored
    pairs = counts.pairs
    inside, active, shuffled, products = (
        array.sum(axis=0) for array in (pairs.inside, pairs.active, pairs.shuffled, pairs.products)
    )
    image_pixels = int(pairs.pixels.sum()) // n_images
    area = pairs.area.sum(axis=0)
    allowed = area >= config.min_share * pairs.pixels.sum()
    halves = [
        score(
            pairs.inside[half],
            pairs.active[half],
            pairs.shuffled[half],
            pairs.products[half],
            pairs.area[half],
            int(pairs.pixels[half]),
            image_pixels=image_pixels,
        )
        for half in range(2)
    ]
    if rows is None:
        edge = choose_edges(counts.histogram[0], quantile_edge=at_quantile)
        total = int(pairs.pixels.sum())
        scores = score(
            inside, active, shuffled, products, area, total, image_pixels=image_pixels
        )  # fmt: skip
        halved = np.array([concept.is_half for concept in vocabulary])
        best = scores.best_unless_halved(chosen, allowed, halved, halves)
    else:
        edge, label = choose_unit_edges(counts.histogram[0], edges, rows, quantile_edge=at_quantile)
        scores = score(
            inside,
            active,
            shuffled,
            products,
            area,
            pixels(counts.histogram[1])[rows],
            image_pixels=image_pixels,
            shuffled_active=above(counts.histogram[2])[rows, np.arange(len(edges))[:, None], edge],
        )
        best = label if config.threshold == "information" else scores.highest_iou(chosen)
    low, high = interval(inside, active + area - inside, pairs.squares, n_clusters)
    p = both_p_values(
        inside, shuffled, products, pairs.squares,
        image_pixels=image_pixels, n_clusters=n_clusters,
    )  # fmt: skip
    first, second = (
        half.best(chosen, allowed) if rows is None else half.highest_iou(chosen) for half in halves
    )
    same_in_halves = (first == best) & (second == best)
    matches = allowed[best] & _beyond_floors(scores, chosen, best, config)
    if rows is None:
        matches &= same_in_halves
    top, units = _top(counts), np.arange(len(best))
    fills = filled(top.inside[units, :, best], top.active[units, :, best])
    n_shown = (top.indices >= 0).sum(axis=1)
    top_low, top_high = wilson(fills.sum(axis=1), n_shown)
    second_best, second_share = runners_up(scores.excess_information[chosen], best, allowed)
    ahead = clearly_ahead(best, second_best, second_share, related)
    result = LayerResult(
        edges=edges,
        edge=edge,
        top=top,
        scores=scores,
        iou_low=low,
        iou_high=high,
        p_value=p,
        chosen=chosen,
        best=best,
        q_value=np.ones(len(best)),
        same_in_halves=same_in_halves,
        matches=matches,
        top_share=np.divide(
            fills.sum(axis=1), n_shown, out=np.full(len(best), np.nan), where=n_shown > 0
        ),
        top_low=top_low,
        top_high=top_high,
        runner_up=second_best,
        runner_up_share=second_share,
        # The original uses the concept that makes the unit match.
        selective=matches & (top_low > HALF) & ahead & (config.compat is None),
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
    """Whether the scores of each unit's label exceed the minima of the settings."""
    pair = (chosen, np.arange(len(best)), best)
    # NaN compares false: a unit without a union anywhere matches nothing.
    enough = scores.iou[pair] > config.min_iou
    if config.compat:
        return enough & (scores.information[pair] > MIN_INFORMATION)
    return enough & (scores.over_chance[pair] > config.min_over_chance)


def _top(counts: LayerCounts) -> TopImages:
    found = counts.statistic(TopImages)
    if found is None:
        raise ValueError("a pass did not keep the images on which units fire most")
    return found
