"""Ranks the units that draw a concept: by match, by single ablation, and by greedy search.

Matching needs no further pass but is not causal. A sweep edits each unit alone, so it misses units
that can replace each other. The greedy search adds the unit that changes most together with those
already chosen. It measures again only units whose last known gain could still win, since gains
rarely grow with the set.

References:
    Bau et al., GAN Dissection, ICLR 2019, section 3.2 (ranking by IoU, and why it is not enough).
    Minoux, Accelerated Greedy Algorithms for Maximizing Submodular Set Functions, 1978.
"""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd

from dissect.errors import SettingError
from dissect.progress import ProgressBar
from dissect.runs import Run
from dissect.studies.orders import MATCHES
from dissect.studies.originals import Originals
from dissect.studies.pixels import PixelCounts, Treatment, measure

T = TypeVar("T", bound=Hashable)


def best_layer(run: Run, concept: str, *, least_units: int = 1) -> str:
    """The layer of the unit with the most information about a concept.

    Args:
        run: A finished run.
        concept: A concept of its vocabulary.
        least_units: Layers with fewer units are used only if no layer has as many.

    Raises:
        SegmenterError: a concept that is not in the vocabulary.
    """
    layers = [str(layer) for layer in run.pairs(concept).layer.unique()]
    wide = [layer for layer in layers if run.layers[layer].units >= least_units]
    return (wide or layers)[0]


def rank_by_match(run: Run, layer: str, concept: str, *, by: str = "iou") -> list[int]:
    """All units of a layer, in descending order of their match with a concept.

    Args:
        run: A finished run.
        layer: One of its layers.
        concept: A concept of its vocabulary.
        by: ``iou`` or ``excess`` (excess information), at the run's own threshold.

    Raises:
        ConfigError: another order.
    """
    if by not in MATCHES:
        raise SettingError("order", f"is {by!r}; expected {' or '.join(MATCHES)}")
    pairs = run.pairs(concept)
    own = pairs[pairs.layer == layer].sort_values("unit")
    ranked = own.sort_values(MATCHES[by], ascending=False, kind="stable", na_position="last")
    return ranked.unit.tolist()


def sweep(
    originals: Originals, treatment: Treatment, units: Sequence[int], *, progress: bool = False
) -> pd.DataFrame:
    """Edit each unit alone and measure its effect on every concept.

    Args:
        originals: Samples for the trials.
        treatment: The edit of a unit.
        units: The units.
        progress: Show a progress bar.

    Returns:
        A row for each unit and concept: ``unit``, ``concept``, ``removed``, ``added``, ``change``
        (mean pixels per image) and ``removed_share``, NaN for a concept that never appears.
    """
    rows = []
    for unit in ProgressBar(units, desc="sweep", unit="unit", disable=None if progress else True):
        counts = measure(originals, treatment.of([unit]), treatment.region)
        before, after, kept = (
            array.mean(axis=0) for array in (counts.before, counts.after, counts.kept)
        )
        share = np.divide(before - kept, before, out=np.full(len(before), np.nan), where=before > 0)
        rows.append(
            pd.DataFrame(
                {
                    "unit": unit,
                    "concept": list(originals.vocabulary.names),
                    "removed": before - kept,
                    "added": after - kept,
                    "change": after - before,
                    "removed_share": share,
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


def gains_of_sweep(table: pd.DataFrame, treatment: Treatment, concept: str) -> dict[int, float]:
    """Unit → pixels per image that change as intended, largest first."""
    own = table[table.concept == concept]
    gains = (treatment.sign * own.set_index("unit").change).sort_values(
        ascending=False, kind="stable"
    )
    return {int(unit): float(gain) for unit, gain in gains.items()}


def greedy(
    originals: Originals,
    treatment: Treatment,
    concept: str,
    gains: Mapping[int, float],
    size: int,
    *,
    progress: bool = False,
) -> list[int]:
    """Choose units one by one, each time the one that adds most to those already chosen.

    Args:
        originals: Samples for the trials.
        treatment: The edit of the set.
        concept: Concept whose pixels should disappear, or appear.
        gains: Gain of each unit alone, from ``gains_of_sweep``; only these are candidates.
        size: Number of units, at most the number of candidates.
        progress: Show a progress bar.

    Returns:
        Units in the order in which they were chosen.
    """
    column = originals.vocabulary[concept].id - 1

    def reach(units: list[int]) -> float:
        counts = measure(originals, treatment.of(units), treatment.region)
        return _moved(counts, treatment, column)

    return take_greedily(gains, reach, size, progress=progress)


def take_greedily(
    gains: Mapping[T, float],
    reach: Callable[[list[T]], float],
    size: int,
    *,
    least: float = -math.inf,
    progress: bool = False,
) -> list[T]:
    """The greedy search itself, for any items and any objective.

    Args:
        gains: Gain of each item alone.
        reach: Value of a set; computed again only where the last known gain could still win.
        size: Largest number of items.
        least: Smallest gain; the search ends when no item exceeds it.
        progress: Show a progress bar.

    Returns:
        The chosen items, in order.
    """
    # Last known gain of an item, and the size of the set for which it was measured.
    known = {one: (gain, 0) for one, gain in gains.items()}
    taken: list[T] = []
    reached = 0.0
    with ProgressBar(
        total=size, desc="greedy", unit="unit", disable=None if progress else True
    ) as bar:
        while len(taken) < size and known:
            best = max(known, key=lambda one: known[one][0])
            gain, measured_with = known[best]
            if gain <= least:
                break
            if measured_with < len(taken):
                known[best] = (reach([*taken, best]) - reached, len(taken))
                continue
            taken.append(best)
            reached += gain
            del known[best]
            bar.update()
    return taken


def _moved(counts: PixelCounts, treatment: Treatment, column: int) -> float:
    return treatment.sign * float(counts.change[:, column].mean())
