"""The results in the report's HTML: summary, layers, concepts."""

import shlex
from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
import pandas as pd

from dissect.runs import Run
from dissect.runs.schema import CHANGES, layer_key
from dissect.runs.summary import compare_axes, describe_axes
from dissect.statistics.ladder import CAUSAL, MATCHES, NAMED, RUNGS
from dissect.statistics.registry import rows_of
from dissect.studies.causes import unit_causes
from reports.charts import LayerBar, category_bars
from reports.facts import by_chance, short

CLEAREST = 6
"""Number of findings in the summary."""
DOUBTFUL = 6
"""Number of concepts with unstable masks in the summary."""


class LayerFinding(TypedDict):
    """Results of a layer.

    Attributes:
        name: Name of the layer.
        key: Its name in addresses and folders.
        units, height, width: Shape of its output.
        matches: Number of units that match a concept beyond chance.
        named: Number of units that are named after a concept; see ``Run.label_rung``.
        axes: Comparison of units with random mixtures, in words.
        same_in_halves: Number of named units with the same label in both halves of the evaluation
            fold.
        distinct: Number of concepts that units are named after.
        expected: Expected number of false discoveries among the named units, as text, from their
            largest q-value; None for the original rules, which do not control it.
        rotated: Number of named units in a random rotation of the layer; None if not counted.
        chance_units, chance_concepts: Number of units that exceed the IoU floor with the masks of
            other images, and number of distinct concepts of these units.
        bar: Units of each category, as a stacked bar.
        categories: The same as numbers.
    """

    name: str
    key: str
    units: int
    height: int
    width: int
    matches: int
    named: int
    axes: str
    same_in_halves: int
    distinct: int
    expected: str | None
    rotated: float | None
    chance_units: int
    chance_concepts: int
    bar: LayerBar
    categories: dict[str, int]


class ConceptFinding(TypedDict):
    """Results for a concept.

    Attributes:
        name, category, colour: As in its vocabulary.
        area: Fraction of the pixels that it covers.
        counts: Number of units that it labels in each layer.
        units: Their sum.
        trust: Agreement of its masks with themselves under each change, and the number of images
            with the concept; None if the run did not measure it or never found the concept.
    """

    name: str
    category: str
    colour: str
    area: float
    counts: list[int]
    units: int
    trust: dict[str, float | None] | None


def layer_rows(run: Run, layers: Sequence[str]) -> list[LayerFinding]:
    """For each layer its counts and the counts by chance."""
    chance = by_chance(run)
    rows: list[LayerFinding] = []
    for bar in category_bars(run, layers):
        units = run.units(bar.layer)
        found = units[units.is_named]
        false = float(found.q_value.max() * len(found)) if len(found) else 0.0
        info = run.layers[bar.layer]
        rows.append(
            {
                "name": bar.layer,
                "key": layer_key(bar.layer),
                "units": info.units,
                "height": info.height,
                "width": info.width,
                "matches": int((units.rung >= MATCHES).sum()),
                "named": bar.named,
                "axes": describe_axes(compare_axes(run, [bar.layer])),
                "same_in_halves": int(found.same_in_halves.sum()),
                "distinct": int(found.concept.nunique()),
                "expected": None if run.config.compat else _about(false),
                "rotated": bar.rotated,
                "chance_units": chance[bar.layer]["units"],
                "chance_concepts": chance[bar.layer]["concepts"],
                "bar": bar,
                "categories": {part.concept: part.count for part in bar.segments},
            }
        )
    return rows


def concept_rows(run: Run, layers: Sequence[str]) -> list[ConceptFinding]:
    """For each concept of the vocabulary its colour, area, units by layer and trust."""
    trust = _trust_rows(run)
    table = run.table[run.table.is_label & run.table.is_named]
    counts = table.groupby(["concept", "layer"]).size().to_dict()
    areas = run.areas()
    return [
        {
            "name": concept.name,
            "category": concept.category,
            "colour": concept.colour,
            "area": round(float(areas[concept.name]), 5),
            "counts": (by_layer := [int(counts.get((concept.name, name), 0)) for name in layers]),
            "units": sum(by_layer),
            "trust": trust.get(concept.name),
        }
        for concept in run.vocabulary
    ]


def by_evidence(run: Run, concepts: Sequence[ConceptFinding]) -> list[ConceptFinding]:
    """Concepts with most named units first, then those with the most informative unit."""
    most = run.table.groupby("concept").excess_information.max().to_dict()

    def rank(concept: ConceptFinding) -> tuple[int, float]:
        excess = float(most.get(concept["name"], np.nan))
        return -concept["units"], np.inf if np.isnan(excess) else -excess

    return sorted(concepts, key=rank)


def rung_tiles(run: Run, layers: Sequence[str]) -> list[dict[str, Any]]:
    """Number of units on each rung or higher; ``count`` is None if it is not known.

    Returns:
        For each rung its ``name``, ``colour``, ``meaning``, ``count``, and the total ``of``.
    """
    labels = run.table[run.table.is_label & run.table.layer.isin(layers)]
    causes = unit_causes(run)
    named = labels[labels.is_named]
    tried = causes.merge(named[["layer", "unit"]].astype({"layer": str}), on=["layer", "unit"])
    known = run.label_rung >= NAMED
    counts = {
        MATCHES: (int((labels.rung >= MATCHES).sum()), len(labels)),
        NAMED: (len(named) if known else None, len(labels)),
        CAUSAL: (int(tried.causal.sum()) if len(tried) else None, len(tried)),
    }
    return [
        {
            "name": RUNGS[number].name,
            "colour": RUNGS[number].colour,
            "meaning": RUNGS[number].meaning,
            "count": count,
            "of": of,
        }
        for number, (count, of) in counts.items()
    ]


def clearest(run: Run, layers: Sequence[str], most: int = CLEAREST) -> list[Any]:
    """The most certain findings, one for each concept, as rows of the run's table."""
    found = run.table[run.table.is_label & run.table.is_named & run.table.layer.isin(layers)]
    ranked = found.sort_values("excess_information", ascending=False, kind="stable")
    return list(rows_of(ranked.groupby("concept", sort=False).head(1).head(most)))


def doubtful(run: Run, layers: Sequence[str], most: int = DOUBTFUL) -> list[ConceptFinding]:
    """Concepts that label units and have the least stable masks, worst first."""
    rows = [
        (trust["lowest"], place, row)
        for place, row in enumerate(concept_rows(run, layers))
        if row["units"] and (trust := row["trust"])
    ]
    return [row for _, _, row in sorted(rows, key=lambda found: found[:2])][:most]


def _trust_rows(run: Run) -> dict[str, dict[str, float | None]]:
    if run.trust is None:
        return {}
    seen = run.trust[run.trust.lowest.notna() & (run.trust.images > 0)].set_index("concept")
    return {
        str(name): {
            **{key: short(float(row[key])) for key in (*CHANGES, "lowest")},
            "images": int(row["images"]),
        }
        for name, row in seen.iterrows()
    }


def labels_of(run: Run, layers: Sequence[str]) -> set[str]:
    """The concepts that units of these layers are named after."""
    found = run.table[run.table.is_label & run.table.is_named & run.table.layer.isin(layers)]
    return set(found.concept)


def clearest_units(run: Run, layer: str, most: int) -> list[int]:
    """The most informative units of a layer, named ones first."""
    units = run.units(layer)
    ranked = units.sort_values(["is_named", "excess_information"], ascending=False, kind="stable")
    return sorted(int(unit) for unit in ranked.unit.head(most))


def stable_share(table: pd.DataFrame) -> float | None:
    """Share of named units with the same label in both halves of the evaluation fold."""
    found = table[table.is_label & table.is_named]
    return float(found.same_in_halves.mean()) if len(found) else None


def run_command(run: Run) -> str:
    """The command line that repeats the run."""
    config, words = run.config, ["dissect", "run"]
    words.append(shlex.quote(config.generator))
    options = {
        "segmenter": config.segmenter,
        "layers": ",".join(config.layers),
        "samples": config.n_samples,
        "seed": config.seed,
        "threshold": config.threshold,
        "tail": config.tail,
        "min-iou": config.min_iou,
        "min-over-chance": config.min_over_chance,
        "fdr": config.fdr,
        "batch": config.block,
        "truncation": config.truncation if config.truncation != 1 else None,
        "label": config.label,
        "grid": config.grid,
        "compat": config.compat,
    }
    for name, value in options.items():
        if value is not None:
            words += [f"--{name}", shlex.quote(str(value))]
    words += ["--coactivation"] if config.coactivation else []
    return " ".join([*words, "--out", "RUN"])


def _about(count: float) -> str:
    return "fewer than one" if count < 1 else f"about {count:.0f}"
