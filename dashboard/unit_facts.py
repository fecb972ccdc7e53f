"""Facts on one unit, read without reading its whole layer."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import xarray as xr
import zarr
from jaxtyping import Float

from dashboard.pairs import pairs_of
from dashboard.store import OpenRun
from dissect.errors import LayerError, RunError
from dissect.runs import Run, schema
from dissect.runs.record import ADVICE
from dissect.statistics import SETS
from dissect.statistics.spread import iou_at_edges, value_spread
from segmenters.received import reading


@dataclass(frozen=True)
class Match:
    """A unit against one concept."""

    concept: str
    colour: str
    iou: float
    iou_low: float
    iou_high: float
    chance: float
    precision: float
    recall: float
    threshold: float


@dataclass(frozen=True, eq=False)
class Values:
    """Distribution of a unit's values.

    Attributes:
        edges: Its thresholds, ascending.
        iou: IoU of every concept at each of them.
        spread: See ``dissect.statistics.spread.value_spread``.
    """

    edges: Float[np.ndarray, " edge"]
    iou: Float[np.ndarray, "concept edge"]
    spread: xr.Dataset


def row_of(opened: OpenRun, layer: str, unit: int) -> int:
    """A unit's row in ``pairs_of``.

    Raises:
        LayerError: a layer or unit that the run does not have.
    """
    layers = opened.run.layers
    if layer not in layers:
        raise LayerError(
            f"layer {layer!r} is not in {opened.name}; expected one of {', '.join(layers)}"
        )
    if not 0 <= unit < layers[layer].units:
        raise LayerError(f"unit {unit} is not in {layer}; expected 0 to {layers[layer].units - 1}")
    return pairs_of(opened).starts[layer] + unit


def matches(opened: OpenRun, row: int, *, most: int = 8) -> list[Match]:
    """The concepts about which a unit has most information, its label first."""
    pairs, concepts = pairs_of(opened), list(opened.run.vocabulary)
    excess = np.nan_to_num(pairs.scores["excess_information"][row], nan=-np.inf).copy()
    excess[pairs.best[row]] = np.inf
    names = ("iou", "iou_low", "iou_high", "chance", "precision", "recall", "threshold")
    return [
        Match(
            concepts[column].name,
            concepts[column].colour,
            *(float(pairs.scores[name][row, column]) for name in names),
        )
        for column in np.argsort(-excess, kind="stable")[:most]
        if excess[column] > -np.inf
    ]


def edges_of(run: Run, layer: str, unit: int) -> Float[np.ndarray, " edge"]:
    """A unit's thresholds, ascending; reads only its part of the file.

    Raises:
        RunError: arrays that no longer exist, or cannot be read.
    """
    with _reading(run, layer) as group:
        return np.asarray(_array(group, "edges")[unit])


def values(run: Run, layer: str, unit: int) -> Values:
    """Distribution of a unit's values over the evaluation fold; reads only its part of the file.

    Raises:
        RunError: arrays that no longer exist, or cannot be read.
    """
    edges = edges_of(run, layer, unit)
    with _reading(run, layer) as group:
        stored = np.asarray(_array(group, "histogram")[SETS.index("evaluation"), :, unit], np.int64)
        rows = {name: row for row, name in enumerate(_concepts(group))}
    names = list(run.vocabulary.names)
    histogram = np.zeros((len(names) + 1, stored.shape[1]), np.int64)
    for place, name in enumerate([schema.ALL_PIXELS, *names]):
        if name in rows:  # rows of concepts that never occur are not stored
            histogram[place] = stored[rows[name]]
    iou = iou_at_edges(histogram[1:], histogram[:1])
    return Values(edges, iou, value_spread(histogram, edges, names))


def coactive(opened: OpenRun, layer: str, unit: int, *, most: int = 8) -> list[tuple[int, float]]:
    """The units of the layer whose means over images correlate most with this one's.

    Raises:
        RunError: a run that did not count it.
    """
    found = opened.once(("coactivation", layer), lambda: opened.run.coactivation(layer).values)
    own = found[unit].copy()
    own[unit] = np.nan
    order = np.argsort(-np.nan_to_num(own, nan=-np.inf), kind="stable")[:most]
    return [(int(other), float(own[other])) for other in order if not np.isnan(own[other])]


def centres(spread: xr.Dataset) -> Float[np.ndarray, " bin"]:
    """A position for each bin on an axis; the two open bins are at their bound."""
    low, high = spread.above.values, spread.up_to.values
    low, high = np.where(np.isinf(low), high, low), np.where(np.isinf(high), low, high)
    return (low + high) / 2


@contextmanager
def _reading(run: Run, layer: str) -> Iterator[zarr.Group]:
    group = run.group(layer)
    with reading(run.path / schema.ARRAYS / group.path, RunError, ADVICE):
        yield group


def _array(group: zarr.Group, name: str) -> zarr.Array:
    found = group[name]
    if not isinstance(found, zarr.Array):
        raise ValueError(f"{name} is not an array")
    return found


def _concepts(group: zarr.Group) -> list[str]:
    """Names of the rows of a histogram."""
    found = group.attrs["row"]
    if not isinstance(found, list):
        raise ValueError("it does not name its rows")
    return [str(name) for name in found]
