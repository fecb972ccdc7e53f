"""The facts of a run for a report, as plain values: no HTML, no paths, only values for JSON.

    layer = layer_facts(open_run("runs/a"), "b16.conv1")
    unit_facts(layer, 12)["concept"], unit_facts(layer, 12)["curves"]

A layer's numbers are columns with one entry per unit, so that two thousand units cost little.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from dissect.runs import Run
from dissect.runs.schema import ALL_PIXELS, plane_row
from dissect.statistics.columns import Place
from dissect.statistics.registry import columns_in
from dissect.statistics.spread import bin_shares, iou_at_edges

CURVES = 4
"""Number of concepts per unit with an IoU at every threshold: its label, then the next best."""
NEIGHBOURS = 6
"""Number of co-active units listed for each unit."""


@dataclass(frozen=True)
class LayerFacts:
    """All reported facts about a layer's units.

    Attributes:
        layer: Its name.
        units: Number of units.
        height, width: Size of its maps.
        concept: Number of each unit's best concept in the vocabulary.
        numbers: ``Column.report_key`` → for each unit a number or a truth value.
        best: For each unit the ``CURVES`` concepts of its curves; its label first.
        best_iou, best_chance: IoU and chance IoU of these at the run's threshold.
        edges: (unit, edge) thresholds.
        curves: (unit, concept of ``best``, edge) IoU at each edge; NaN for an empty union.
        inside, outside: (unit, bin) share of the label's pixels, and of all others, between edges.
        samples, values: (unit, rank) top images and their highest values.
        coactive: For each unit the most co-active units with their correlation; None without.
    """

    layer: str
    units: int
    height: int
    width: int
    concept: list[int]
    numbers: dict[str, list[float | bool | None]]
    best: np.ndarray
    best_iou: np.ndarray
    best_chance: np.ndarray
    edges: np.ndarray = field(repr=False)
    curves: np.ndarray = field(repr=False)
    inside: np.ndarray = field(repr=False)
    outside: np.ndarray = field(repr=False)
    samples: np.ndarray = field(repr=False)
    values: np.ndarray = field(repr=False)
    coactive: list[list[tuple[int, float]]] | None


def short(value: float, digits: int = 4) -> float | None:
    """A number with few digits, for JSON; None for no number."""
    return None if not np.isfinite(value) else float(f"{value:.{digits}g}")


def layer_facts(run: Run, layer: str) -> LayerFacts:
    """Read a layer.

    Raises:
        LayerError: a layer that the run did not read.
    """
    table = run.table[run.table.layer == layer]
    labels = run.units(layer)
    names = list(run.vocabulary.names)
    concept = [names.index(name) for name in labels.concept]
    by_pair = {
        name: table[name].to_numpy().reshape(len(labels), len(names))
        for name in ("iou", "chance", "excess_information")
    }
    best = _best_concepts(by_pair["excess_information"], np.array(concept))
    edges, curves, inside, outside = _distributions(run, layer, best)
    info = run.layers[layer]
    return LayerFacts(
        layer=layer,
        units=info.units,
        height=info.height,
        width=info.width,
        concept=concept,
        numbers={
            one.report_key: labels[one.name].tolist()
            if one.is_flag
            else [short(value) for value in labels[one.name]]
            for one in columns_in(Place.LABELS, labels)
        },
        best=best,
        best_iou=np.take_along_axis(by_pair["iou"], best, axis=1),
        best_chance=np.take_along_axis(by_pair["chance"], best, axis=1),
        edges=edges,
        curves=curves,
        inside=inside,
        outside=outside,
        samples=run.array(layer, "top_indices").values,
        values=run.array(layer, "top_values").values,
        coactive=_coactive(run, layer) if run.config.coactivation else None,
    )


def unit_facts(facts: LayerFacts, unit: int) -> dict[str, object]:
    """The facts of one unit as plain values."""
    return {
        "layer": facts.layer,
        "unit": unit,
        "concept": facts.concept[unit],
        **{key: column[unit] for key, column in facts.numbers.items()},
        "best": [
            {"concept": int(concept), "iou": short(iou), "chance": short(chance)}
            for concept, iou, chance in zip(
                facts.best[unit], facts.best_iou[unit], facts.best_chance[unit], strict=True
            )
        ],
        "edges": facts.edges[unit].tolist(),
        "curves": [[short(v) for v in curve] for curve in facts.curves[unit]],
        "inside": [short(v) for v in facts.inside[unit]],
        "outside": [short(v) for v in facts.outside[unit]],
        "samples": facts.samples[unit].tolist(),
        "values": [short(v) for v in facts.values[unit]],
        "coactive": facts.coactive[unit] if facts.coactive is not None else None,
    }


def concept_pairs(run: Run, layers: Sequence[str], most: int = 60) -> dict[str, pd.DataFrame]:
    """For each concept its most informative units, named after it or not.

    Args:
        run: A run.
        layers: Layers to search.
        most: Number of units for each concept.

    Returns:
        Concept → rows of the run's table, with ``named``: the number of the unit's own concept, -1
        if it is not named.
    """
    table = run.table[run.table.layer.isin(list(layers))]
    labels = table[table.is_label].set_index(["layer", "unit"])
    number = {name: place for place, name in enumerate(run.vocabulary.names)}
    named = labels.concept.map(number).where(labels.is_named, -1).rename("named")
    ranked = table.sort_values("excess_information", ascending=False, kind="stable")
    ranked = ranked.groupby("concept", sort=False).head(most).join(named, on=["layer", "unit"])
    groups = dict(list(ranked.groupby("concept", sort=False)))
    return {name: groups[name] for name in run.vocabulary.names}


def by_chance(run: Run) -> dict[str, dict[str, int]]:
    """The apparent results of each layer with the masks of other images.

    Returns:
        Layer → category → number of units whose IoU with such masks exceeds the run's floor. Each
        unit is counted for its best concept; ``concepts`` is the number of distinct ones.
    """
    categories = {concept.name: concept.category for concept in run.vocabulary}
    rows = run.table[run.table.chance > run.config.min_iou]
    rows = rows.sort_values("chance", ascending=False, kind="stable")
    rows = rows.groupby(["layer", "unit"], sort=False).head(1)
    found = {}
    for layer in run.layers:
        own = rows[rows.layer == layer]
        counts = own.concept.map(categories).value_counts()
        found[layer] = {
            **{name: int(counts.get(name, 0)) for name in dict.fromkeys(categories.values())},
            "units": len(own),
            "concepts": int(own.concept.nunique()),
        }
    return found


def _best_concepts(excess: np.ndarray, label: np.ndarray) -> np.ndarray:
    """The label's column, then those with most excess information: (unit, CURVES)."""
    ranked = np.where(np.isnan(excess), -np.inf, excess)
    ranked[np.arange(len(label)), label] = np.inf
    return np.argsort(-ranked, axis=1, kind="stable")[:, :CURVES]


def _distributions(run: Run, layer: str, best: np.ndarray) -> tuple[np.ndarray, ...]:
    """Edges, IoU at each edge, and the distributions of values inside and outside the label."""
    stored = run.array(layer, "histogram").sel(set="evaluation")
    edges = run.array(layer, "edges").values
    row = {name: place for place, name in enumerate(stored.row.values.tolist())}
    counts, units = stored.values, np.arange(len(best))
    everything = counts[row[ALL_PIXELS]].astype(np.int64)
    concepts = list(run.vocabulary)
    # Concepts that never occur have no row; they get a row of zeros after all others.
    counts = np.concatenate([counts, np.zeros_like(counts[:1])])
    of_concept = np.array([row.get(concept.name, len(row)) for concept in concepts])
    plane = np.array([row.get(plane_row(c.plane), row[ALL_PIXELS]) for c in concepts])
    curves = np.full((*best.shape, edges.shape[1]), np.nan)
    for rank in range(best.shape[1]):
        own = counts[of_concept[best[:, rank]], units].astype(np.int64)
        counted = counts[plane[best[:, rank]], units].astype(np.int64)
        curves[:, rank] = iou_at_edges(own, counted)
    label = counts[of_concept[best[:, 0]], units].astype(np.int64)
    return edges, curves, bin_shares(label), bin_shares(everything - label)


def _coactive(run: Run, layer: str) -> list[list[tuple[int, float]]]:
    """For each unit the units whose means over images correlate most with its own."""
    matrix = run.coactivation(layer).values.copy()
    np.fill_diagonal(matrix, np.nan)
    ranked = np.argsort(-np.where(np.isnan(matrix), -np.inf, matrix), axis=1, kind="stable")
    return [
        [
            (int(other), round(float(matrix[unit, other]), 3))
            for other in ranked[unit, :NEIGHBOURS]
            if matrix[unit, other] > 0
        ]
        for unit in range(len(matrix))
    ]
