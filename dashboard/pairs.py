"""All pairs of a run as arrays: rows are units in the order of the run, columns its concepts.

``units.parquet`` lists them by layer, unit and concept, so its columns only need reshaping; a table
of a hundred thousand units and a hundred concepts would take seconds to group.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from jaxtyping import Float, Int

from dashboard.store import OpenRun
from dissect.errors import RunError
from dissect.runs import Run, schema
from dissect.runs.record import ADVICE
from dissect.runs.stored import check_table
from dissect.runs.summary import describe_ladder
from dissect.statistics.columns import Of, Place
from dissect.statistics.ladder import MATCHES
from dissect.statistics.registry import columns_in, required_columns
from dissect.studies.effects import open_effect
from dissect.studies.registry import study_of
from dissect.studies.store import effect_names
from segmenters.received import reading


@dataclass(frozen=True, eq=False)
class Pairs:
    """All pairs of a run.

    Attributes:
        layer: Position of each unit's layer in the run.
        unit: Number of each unit in its layer.
        scores: Score → float32 (unit, concept).
        best: Column of the concept that each unit matches best.
        is_named: Whether the unit is named after it; see ``Run.label_rung``.
        of_unit: Column → its values, for columns of a unit and its label.
        starts: Layer → its first row.
    """

    layer: Int[np.ndarray, " unit"]
    unit: Int[np.ndarray, " unit"]
    scores: Mapping[str, Float[np.ndarray, "unit concept"]]
    best: Int[np.ndarray, " unit"]
    is_named: np.ndarray
    of_unit: Mapping[str, np.ndarray]
    starts: Mapping[str, int]


def pairs_of(opened: OpenRun) -> Pairs:
    """The pairs of an opened run, read once."""
    return opened.once("pairs", lambda: _read(opened.run))


def labels_of(opened: OpenRun) -> pd.DataFrame:
    """One row per unit with the concept that it matches best; computed once."""
    return opened.once("labels", lambda: _labels(opened.run, pairs_of(opened)))


@dataclass(frozen=True)
class Measured:
    """The smallest measured set that contains a unit.

    Attributes:
        name: Name of the effect.
        n_units: Number of units of the set.
        label: The change of its concept, such as ``window net removed``.
        share: Size of the change if the set is only this unit; otherwise NaN, since a set's
            effect is not the effect of each unit.
    """

    name: str
    n_units: int
    label: str
    share: float


def measured_of(run: Run) -> dict[tuple[str, int], Measured]:
    """For each unit in a measured set, the smallest of these sets."""
    found: dict[tuple[str, int], Measured] = {}
    for name in effect_names(run):
        try:
            effect = open_effect(run, name)
            study, summary = study_of(effect), effect.record["summary"]
            target, layers = study.target(summary), study.layers(summary)
            own = {
                place: Measured(
                    name, 1, f"{one.concept} {one.verb}",
                    float("nan") if one.share is None else float(one.share),
                )
                for place, one in study.alone(effect).items()
            }  # fmt: skip
            if target is not None and not own:
                size = sum(map(len, layers.values()))
                of_set = Measured(name, size, f"{target.concept} {target.verb}", float("nan"))
                own = {(layer, int(u)): of_set for layer, units in layers.items() for u in units}
        except (RunError, KeyError, TypeError, AttributeError):
            continue  # the list of effects shows why a damaged one cannot be read
        for place, one in own.items():
            found[place] = min(found.get(place, one), one, key=lambda each: each.n_units)
    return found


def ladder_of(opened: OpenRun, layers: Iterable[str]) -> str:
    """The ladder of the units of some layers, in the words of the report."""
    labels = labels_of(opened)
    return describe_ladder(opened.run, layers, lambda layer: labels[labels.layer == layer])


def _read(run: Run) -> Pairs:
    check_table(run.path, run.layers, run.vocabulary)  # its pairs lie in the order of the run
    file = run.path / schema.TABLE
    with reading(file, RunError, ADVICE):
        present = {*pq.read_schema(file).names, *required_columns(run.record["schema_version"])}
        shown = columns_in(Place.LABELS, present)
        scores = [one.name for one in shown if one.of is Of.PAIR]
        of_unit = [one.name for one in shown if one.of is Of.UNIT]
        older = ["interpretable"] if "interpretable" in present else []
        table = pq.read_table(file, columns=["is_label", *older, *scores, *of_unit])
    sizes = [info.units for info in run.layers.values()]
    n_units, n_concepts = sum(sizes), len(run.vocabulary)

    def fold(name: str) -> np.ndarray:
        return table[name].to_numpy().reshape(n_units, n_concepts)

    label = fold("is_label")
    best = label.argmax(axis=1)
    rows = np.arange(n_units)
    rung = fold("interpretable")[rows, best] * MATCHES if older else fold("rung")[:, 0].copy()
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).tolist()
    return Pairs(
        layer=np.repeat(np.arange(len(sizes)), sizes),
        unit=np.concatenate([np.arange(size) for size in sizes]),
        scores={name: fold(name).astype(np.float32) for name in scores},
        best=best,
        is_named=rung >= run.label_rung,
        of_unit={"rung": rung, **{name: fold(name)[:, 0].copy() for name in of_unit}},
        starts=dict(zip(run.layers, starts, strict=True)),
    )


def _labels(run: Run, pairs: Pairs) -> pd.DataFrame:
    concepts = list(run.vocabulary)
    names = pd.CategoricalDtype([concept.name for concept in concepts])
    rows = np.arange(len(pairs.best))
    layers = pd.Categorical.from_codes(pairs.layer, dtype=pd.CategoricalDtype(list(run.layers)))
    return pd.DataFrame(
        {
            "layer": layers,
            "unit": pairs.unit,
            "concept": pd.Categorical.from_codes(pairs.best, dtype=names),
            "category": np.array([c.category for c in concepts], object)[pairs.best],
            "is_named": pairs.is_named,
            **pairs.of_unit,
            **{name: values[rows, pairs.best] for name, values in pairs.scores.items()},
        }
    )
