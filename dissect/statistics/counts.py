"""Counts of one layer: everything that scores are made of, all of it integers.

Adding is all that happens to them, so parts of a pass may come in any order and in any number: the
sum is the same bytes.

``histogram`` holds units × concepts × threshold bins, from which every threshold can be read.
``PairCounts`` holds more about one threshold of each pair, the one chosen on the calibration fold:
both halves of the evaluation fold, and how clusters of images vary.
"""

import functools
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dissect.statistics.coactivation import Coactivation, Scale
from dissect.statistics.codes import encode
from dissect.statistics.collect import collect
from dissect.statistics.folds import CLUSTER, SETS, calibration_size, clusters
from dissect.statistics.gandissect import add_plane_labels, choose_unit_edges
from dissect.statistics.groups import GroupedCodes
from dissect.statistics.kernel import tally
from dissect.statistics.native import tally_native
from dissect.statistics.scores import choose_edges
from dissect.statistics.thresholds import THRESHOLDS

CALIBRATION, EVALUATION, SHUFFLED = range(len(SETS))
_SHARE = 32  # units that one thread counts at a time; their table stays in the second-level cache
MOMENTS = ("inside²", "inside·union", "union²", "(inside - shuffled)²")


@dataclass
class PairCounts:
    """Pixels of the evaluation fold at the chosen threshold of each pair.

    Clusters of even number are half 0, the others half 1. ``shuffled`` pairs the maps of a cluster
    with its own masks moved on by one image, so areas and active pixels are the same there.

    Attributes:
        inside: int64 (half, threshold, unit, concept): above the threshold and of the concept.
        active: Above the threshold, whatever the concept.
        shuffled: Above the threshold and of the concept in another image of the cluster.
        area: int64 (half, concept): of the concept.
        pixels: int64 (half,): all.
        squares: int64 (moment, threshold, unit, concept): sums over clusters, see ``MOMENTS``.
    """

    inside: Int[np.ndarray, "half threshold unit concept"]
    active: Int[np.ndarray, "half threshold unit concept"]
    shuffled: Int[np.ndarray, "half threshold unit concept"]
    area: Int[np.ndarray, "half concept"]
    pixels: Int[np.ndarray, " half"]
    squares: Int[np.ndarray, "moment threshold unit concept"]

    @classmethod
    def empty(cls, *, n_concepts: int, n_units: int) -> "PairCounts":
        pair = (len(THRESHOLDS), n_units, n_concepts)
        shapes = dict.fromkeys(("inside", "active", "shuffled"), (2, *pair))
        shapes |= {"area": (2, n_concepts), "pixels": (2,), "squares": (len(MOMENTS), *pair)}
        return cls(**{name: np.zeros(shape, np.int64) for name, shape in shapes.items()})


@dataclass
class LayerCounts:
    """What a pass has counted for one layer.

    Attributes:
        histogram: int64 (set, row, unit, bin); row 0 counts all pixels, row c those of concept c,
            rows after the concepts (where a run counts them) those of all images that hold anything
            of a plane; bin n the pixels whose value is strictly above exactly n edges. Set
            ``shuffled`` is the evaluation fold's maps against masks of other images.
        pairs: The evaluation fold at the chosen thresholds.
        coactivation: All samples, unit by unit, where a run asks for it.
    """

    histogram: Int[np.ndarray, "set row unit bin"]
    pairs: PairCounts
    coactivation: Coactivation | None = None

    @classmethod
    def empty(
        cls,
        *,
        n_concepts: int,
        n_units: int,
        n_edges: int,
        n_planes: int = 0,
        coactivation: bool = False,
    ) -> "LayerCounts":
        """Nothing counted yet; with rows of planes if ``n_planes`` is not 0."""
        n_rows = 1 + n_concepts + n_planes
        histogram = np.zeros((len(SETS), n_rows, n_units, n_edges + 1), np.int64)
        pairs = PairCounts.empty(n_concepts=n_concepts, n_units=n_units)
        return cls(histogram, pairs, Coactivation.empty(n_units) if coactivation else None)

    def merge(self, other: "LayerCounts") -> "LayerCounts":
        """The counts of two disjoint sets of samples together.

        Samples of the evaluation fold must have been counted at the same chosen edges.
        """
        return LayerCounts.from_arrays(
            {
                name: np.asarray(array + other.to_arrays()[name])
                for name, array in self.to_arrays().items()
            }
        )

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All counts by name, not copied."""
        arrays = {"histogram": self.histogram} | {
            field.name: getattr(self.pairs, field.name) for field in fields(PairCounts)
        }
        return arrays | (self.coactivation.to_arrays() if self.coactivation else {})

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "LayerCounts":
        """The inverse of ``to_arrays``."""
        pairs = PairCounts(**{field.name: arrays[field.name] for field in fields(PairCounts)})
        return cls(arrays["histogram"], pairs, Coactivation.from_arrays(arrays))


class Counter:
    """Counts blocks into the ``LayerCounts`` of one layer.

    Args:
        counts: What it adds to.
        edges: Each unit's thresholds, rising.
        quantile_edge: Index of the edge that is the quantile threshold.
        native: Compare at the layer's own resolution, not resized to the mask grid.
        plane_rows: Count and choose as ``dissect.statistics.gandissect`` does, whose ``plane_rows``
            these are.

    Attributes:
        chosen: int64 (threshold, unit, concept): edges at which pairs are scored; of a unit they
            are -1 until its first evaluation sample comes, when the calibration fold is complete.
    """

    def __init__(
        self,
        counts: LayerCounts,
        edges: Float[Tensor, "unit edge"],
        *,
        quantile_edge: int,
        native: bool = False,
        plane_rows: Int[np.ndarray, " concept"] | None = None,
    ) -> None:
        self.counts, self.edges, self.quantile_edge = counts, edges, quantile_edge
        self.plane_rows = plane_rows
        self._tally = tally_native if native else tally
        self._scale = Scale.from_edges(edges.numpy())
        self.chosen: Int[np.ndarray, "threshold unit concept"] = np.full(
            counts.pairs.inside.shape[1:], -1, np.int64
        )

    @property
    def shares(self) -> list[slice]:
        """Units that can be counted apart from each other, at the same time or one by one."""
        n_units = len(self.edges)
        return [slice(a, min(a + _SHARE, n_units)) for a in range(0, n_units, _SHARE)]

    def add(
        self,
        maps: Float[Tensor, "batch unit height width"],
        labels: "BlockLabels",
        units: slice | None = None,
    ) -> None:
        """Add a block.

        Args:
            maps: The layer's output, all units of it.
            labels: Masks of the block.
            units: One of ``shares``, to count only these; all of them, one by one, if None. A block
                is added when each was.
        """
        for share in self.shares if units is None else [units]:
            if share.start == 0:  # once for all units
                self._add_common(maps, labels)
            for cluster in labels.clusters:
                self._add_cluster(maps[cluster.rows, share], cluster, share)

    def _add_common(self, maps: Float[Tensor, "batch unit h w"], labels: "BlockLabels") -> None:
        pairs = self.counts.pairs
        for cluster in labels.clusters:
            if self.counts.coactivation is not None:
                self.counts.coactivation.add(maps[cluster.rows], self._scale)
            if cluster.scored:
                pairs.area[cluster.number % 2] += cluster.area
                pairs.pixels[cluster.number % 2] += cluster.codes[0].numel()

    def _add_cluster(
        self, maps: Float[Tensor, "batch unit h w"], cluster: "ClusterLabels", share: slice
    ) -> None:
        table = self._tally(maps, cluster.grouped, self.edges[share], n_threads=1)
        first, chosen = CALIBRATION, self.chosen[:0]  # nothing is scored yet
        if cluster.scored:
            if self.chosen[0, share.start, 0] < 0:
                self.chosen[:, share] = self._choose(share)
            first, chosen = EVALUATION, self.chosen
        pairs, half, n_concepts = self.counts.pairs, cluster.number % 2, self.chosen.shape[2]
        collect(
            table,
            cluster.members,
            self.counts.histogram[first : first + len(table)],
            chosen,
            np.zeros(n_concepts, np.int64) if self.plane_rows is None else self.plane_rows,
            pairs.inside[half],
            pairs.active[half],
            pairs.shuffled[half],
            pairs.squares,
            share.start,
        )

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


@dataclass(frozen=True)
class ClusterLabels:
    """The masks of a cluster, ready to be counted against every layer.

    Attributes:
        number: Of the cluster.
        rows: Of the block.
        codes: int32 (set, image, y, x): its own masks and, in the evaluation fold, the same ones
            moved on by one image.
        members: (code, plane): the concepts that a code stands for.
        area: int64 (concept,): pixels of each concept.
    """

    number: int
    rows: slice
    codes: Int[Tensor, "set batch height width"]
    members: Int[np.ndarray, "code plane"]
    area: Int[np.ndarray, " concept"]

    @property
    def scored(self) -> bool:
        """Whether it belongs to the evaluation fold."""
        return len(self.codes) == 2

    @functools.cached_property
    def grouped(self) -> GroupedCodes:
        """Its pixels by code, for the kernel."""
        return GroupedCodes.of(self.codes, n_codes=len(self.members))


@dataclass(frozen=True)
class BlockLabels:
    """The masks of one block of samples, by cluster."""

    clusters: tuple[ClusterLabels, ...]

    def group(self) -> None:
        """Group the codes now, before several threads ask for them."""
        _ = [cluster.grouped.groups for cluster in self.clusters]

    @classmethod
    def prepare(
        cls,
        planes: Int[Tensor, "batch plane height width"],
        indices: list[int],
        *,
        n_concepts: int,
        n_samples: int,
        count_planes: bool = False,
    ) -> "BlockLabels":
        """Encode the planes of a block.

        A cluster of a single image, at the end of a run, is its own partner: it adds nothing to
        what speaks against chance.

        Args:
            planes: Masks on the mask grid.
            indices: Consecutive sample indices from the start of a cluster.
            n_concepts: Length of the vocabulary.
            n_samples: Of the whole run; says where the folds part.
            count_planes: Fill the histogram's rows of planes too.
        """
        found = []
        if count_planes:
            planes = add_plane_labels(planes, n_concepts)
        last_calibration = calibration_size(n_samples) // CLUSTER - 1
        for number, rows in clusters(indices):
            codes, members = encode(planes[rows])
            sets = [codes] if number <= last_calibration else [codes, codes.roll(1, dims=0)]
            pixels = np.bincount(codes.numpy().ravel(), minlength=len(members))
            area = np.zeros(1 + n_concepts + planes.shape[1], np.int64)
            np.add.at(area, members, pixels[:, None])
            area = area[1 : n_concepts + 1]
            found.append(ClusterLabels(number, rows, torch.stack(sets), members, area))
        return cls(tuple(found))
