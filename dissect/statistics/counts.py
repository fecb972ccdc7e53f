"""Counts of one layer: the integers from which all scores are computed.

Counts are only ever added, so parts of a pass may come in any order and in any number: the sum has
the same bytes.

``histogram`` counts units × concepts × threshold bins; scores at every threshold follow from it.
``PairCounts`` adds detail at one threshold of each pair, the one chosen on the calibration fold:
counts for both halves of the evaluation fold, and the variation between clusters of images.
"""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dissect.statistics.collect import above_of, collect
from dissect.statistics.device import counts_there, tally_there
from dissect.statistics.edges import Levels, levels_of
from dissect.statistics.folds import SETS
from dissect.statistics.gandissect import choose_unit_edges
from dissect.statistics.kernel import LANES, Sources, count_above
from dissect.statistics.labels import BlockLabels, ClusterLabels
from dissect.statistics.native import tally_native
from dissect.statistics.scores import choose_edges
from dissect.statistics.states import State, added
from dissect.statistics.thresholds import THRESHOLDS
from dissect.statistics.units import LayerBlock, UnitStatistic, unit_statistics

CALIBRATION, EVALUATION, SHUFFLED = range(len(SETS))
_SHARE = 32  # units that one thread counts at a time; their table stays in the second-level cache
_Statistic = TypeVar("_Statistic", bound=UnitStatistic)
MOMENTS = (
    "inside²", "inside·union", "union²", "(inside - shuffled)²", "(4·inside - 4·expected)²",
)  # fmt: skip
"""Sums over clusters; *expected* is the intersection that the areas of the cluster's images alone
would give, in whole quarters of a pixel."""


@dataclass
class PairCounts(State):
    """Pixels of the evaluation fold at the chosen threshold of each pair.

    Clusters of even number are half 0, the others half 1. ``shuffled`` pairs the maps of a cluster
    with its own masks moved on by one image, so areas and active pixels are the same there.

    Attributes:
        inside: int64 (half, threshold, unit, concept): above the threshold and of the concept.
        active: Above the threshold, for any concept.
        shuffled: Above the threshold and of the concept in another image of the cluster.
        products: Σ over images of the pixels above the threshold times those of the concept.
            Divided by an image's pixels, it is the intersection expected of a unit that knows
            only areas.
        area: int64 (half, concept): pixels of the concept.
        pixels: int64 (half,): all pixels.
        squares: int64 (moment, threshold, unit, concept): sums over clusters, see ``MOMENTS``.
    """

    inside: Int[np.ndarray, "half threshold unit concept"] = added()
    active: Int[np.ndarray, "half threshold unit concept"] = added()
    shuffled: Int[np.ndarray, "half threshold unit concept"] = added()
    products: Int[np.ndarray, "half threshold unit concept"] = added()
    area: Int[np.ndarray, "half concept"] = added()
    pixels: Int[np.ndarray, " half"] = added()
    squares: Int[np.ndarray, "moment threshold unit concept"] = added()

    @classmethod
    def empty(cls, *, n_concepts: int, n_units: int) -> "PairCounts":
        """Counts of zero samples."""
        return cls.zeros(
            half=2, threshold=len(THRESHOLDS), unit=n_units, concept=n_concepts,
            moment=len(MOMENTS),
        )  # fmt: skip


@dataclass
class Histogram(State):
    """Pixels by threshold bin.

    Attributes:
        histogram: int64 (set, row, unit, bin); row 0 counts all pixels, row c those of concept c.
            Rows after the concepts, if the run counts them, count all images that hold anything
            of a plane. Bin n counts the pixels whose value is strictly above exactly n edges. Set
            ``shuffled`` is the evaluation fold's maps against masks of other images.
    """

    histogram: Int[np.ndarray, "set row unit bin"] = added()


@dataclass
class LayerCounts:
    """All counts of a pass for one layer.

    Attributes:
        histogram: See ``Histogram``.
        pairs: The evaluation fold at the chosen thresholds.
        statistics: Name → further statistic of each unit; see ``dissect.statistics.units``.
    """

    histogram: Int[np.ndarray, "set row unit bin"]
    pairs: PairCounts
    statistics: dict[str, UnitStatistic] = field(default_factory=dict)

    @classmethod
    def empty(
        cls,
        *,
        n_concepts: int,
        n_units: int,
        n_edges: int,
        n_planes: int = 0,
        statistics: Iterable[UnitStatistic] = (),
    ) -> "LayerCounts":
        """Counts of zero samples; with rows of planes if ``n_planes`` is not 0."""
        histogram = Histogram.zeros(
            set=len(SETS), row=1 + n_concepts + n_planes, unit=n_units, bin=n_edges + 1
        )
        pairs = PairCounts.empty(n_concepts=n_concepts, n_units=n_units)
        return cls(histogram.histogram, pairs, {one.name: one for one in statistics})

    def merge(self, other: "LayerCounts") -> "LayerCounts":
        """The counts of two disjoint sets of samples together.

        Samples of the evaluation fold must have been counted at the same chosen edges.
        """
        return LayerCounts(
            Histogram(self.histogram).merge(Histogram(other.histogram)).histogram,
            self.pairs.merge(other.pairs),
            {
                name: statistic.merge(other.statistics[name])
                for name, statistic in self.statistics.items()
            },
        )

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All counts by name, not copied; names of a statistic's arrays begin with its name."""
        arrays = {"histogram": self.histogram} | self.pairs.to_arrays()
        for statistic in self.statistics.values():
            arrays |= statistic.to_named_arrays()
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "LayerCounts":
        """The inverse of ``to_arrays``."""
        found = {one.name: one.from_named_arrays(arrays) for one in unit_statistics()}
        return cls(
            arrays["histogram"],
            PairCounts.from_arrays(arrays),
            {name: statistic for name, statistic in found.items() if statistic is not None},
        )

    def statistic(self, kind: type[_Statistic]) -> _Statistic | None:
        """The statistic of a kind; None if the run does not count it."""
        found = self.statistics.get(kind.name)
        return found if isinstance(found, kind) else None


class Counter:
    """Counts blocks into the ``LayerCounts`` of one layer.

    Args:
        counts: Counts to add to.
        edges: Each unit's thresholds, ascending.
        quantile_edge: Index of the edge that is the quantile threshold.
        native: Compare at the layer's own resolution, not resized to the mask grid.
        plane_rows: Result of ``gandissect.plane_rows``: count and choose as
            ``dissect.statistics.gandissect`` does.
        chosen: Edges at which pairs are scored, where the calibration fold was counted elsewhere.

    Attributes:
        chosen: int64 (threshold, unit, concept): edges at which pairs are scored; -1 for a unit
            until its first evaluation sample, when the calibration fold is complete.
    """

    def __init__(
        self,
        counts: LayerCounts,
        edges: Float[Tensor, "unit edge"],
        *,
        quantile_edge: int,
        native: bool = False,
        plane_rows: Int[np.ndarray, " concept"] | None = None,
        chosen: Int[np.ndarray, "threshold unit concept"] | None = None,
    ) -> None:
        self.counts, self.edges, self.quantile_edge = counts, edges, quantile_edge
        self.plane_rows = plane_rows
        self._native = native
        unknown: Int[np.ndarray, "threshold unit concept"] = np.full(
            counts.pairs.inside.shape[1:], -1, np.int64
        )
        self.chosen = unknown if chosen is None else chosen

    def shares(self, device: torch.device | None = None) -> list[slice]:
        """Groups of units that can be counted separately, at the same time or one by one.

        Args:
            device: Device of the maps; an accelerator takes all units at once. None: the processor.
        """
        n_units = len(self.edges)
        step = max(1, n_units) if device is not None and counts_there(device) else _SHARE
        return [slice(a, min(a + step, n_units)) for a in range(0, n_units, step)]

    def add(
        self,
        maps: Float[Tensor, "batch unit height width"],
        labels: BlockLabels,
        units: slice | None = None,
    ) -> None:
        """Add a block.

        Args:
            maps: The layer's output, all units of it.
            labels: Masks of the block.
            units: One of ``shares``, to count only these; None: all shares, one by one. A block is
                complete when every share was added.
        """
        block = LayerBlock(maps, labels, self.edges, self.chosen, native=self._native)
        for share in self.shares(maps.device) if units is None else [units]:
            if share.start == 0:  # once for all units
                self._add_areas(labels)
            if self._native or counts_there(maps.device):
                for cluster in labels.clusters:
                    self._add_table(maps[cluster.rows, share], cluster, share)
            elif labels.clusters:
                self._add_counted(maps, labels, share)
            for statistic in self.counts.statistics.values():
                if not statistic.couples_units:
                    statistic.add(block, share)
                elif share.start == 0:
                    statistic.add(block, slice(0, len(self.edges)))

    def _add_areas(self, labels: BlockLabels) -> None:
        pairs = self.counts.pairs
        for cluster in labels.clusters:
            if cluster.scored:
                pairs.area[cluster.number % 2] += cluster.area
                pairs.pixels[cluster.number % 2] += cluster.codes[0].numel()

    def _add_counted(
        self, maps: Float[Tensor, "batch unit h w"], labels: BlockLabels, share: slice
    ) -> None:
        """Count a block with the processor's kernel, a chunk of units at a time."""
        grid = labels.clusters[0].grouped.grid
        sources = Sources.of(maps, grid, share)
        for cluster in labels.clusters:
            for first in range(share.start, share.stop, LANES):
                units = first, min(first + LANES, share.stop)
                found = count_above(
                    sources, cluster.rows.start, cluster.grouped, self._levels, units
                )
                self._collect(*found, cluster, share, units)

    def _add_table(
        self, maps: Float[Tensor, "batch unit h w"], cluster: ClusterLabels, share: slice
    ) -> None:
        """Count a cluster in one of the other ways."""
        edges = self.edges[share]
        if counts_there(maps.device):
            table = tally_there(maps, cluster.grouped, edges, nearest=self._native)
        else:
            table = tally_native(maps, cluster.grouped, edges, n_threads=1)
        for first in range(share.start, share.stop, LANES):
            units = first, min(first + LANES, share.stop)
            part = table[:, :, first - share.start : units[1] - share.start]
            self._collect(*above_of(part), cluster, share, units)

    @functools.cached_property
    def _levels(self) -> Levels:
        return levels_of(self.edges.numpy())

    def _collect(
        self,
        above: Int[np.ndarray, "set code edge unit"],
        pixels: Int[np.ndarray, "set code"],
        cluster: ClusterLabels,
        share: slice,
        units: tuple[int, int],
    ) -> None:
        fold, chosen = slice(CALIBRATION, EVALUATION), self.chosen[:0]  # nothing is scored yet
        if cluster.scored:
            self.choose(share)
            fold, chosen = slice(EVALUATION, SHUFFLED + 1), self.chosen
        pairs, half, n_concepts = self.counts.pairs, cluster.number % 2, self.chosen.shape[2]
        collect(
            above,
            pixels,
            cluster.members,
            cluster.areas,
            self.counts.histogram[fold],
            chosen,
            np.zeros(n_concepts, np.int64) if self.plane_rows is None else self.plane_rows,
            pairs.inside[half],
            pairs.active[half],
            pairs.shuffled[half],
            pairs.products[half],
            pairs.squares,
            units,
        )

    def choose(self, share: slice) -> None:
        """Choose the edges at which the pairs of some units are scored, where not yet chosen.

        Args:
            share: One of ``shares`` whose calibration fold is counted.
        """
        if self.chosen[0, share.start, 0] < 0:
            self.chosen[:, share] = self._choose(share)

    def _choose(self, share: slice) -> Int[np.ndarray, "threshold unit concept"]:
        histogram = self.counts.histogram[CALIBRATION, :, share]
        if self.plane_rows is None:
            return choose_edges(histogram, quantile_edge=self.quantile_edge)
        return choose_unit_edges(
            histogram,
            self.edges[share].numpy(),
            self.plane_rows,
            quantile_edge=self.quantile_edge,
        )[0]
