"""The masks of a block, ready to be counted against every layer.

Pixels are grouped by *code*: which concepts of which planes lie on it. Codes are made once for each
cluster of samples, and counted once for each layer.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int, Integer
from torch import Tensor

from dissect.statistics.codes import encode
from dissect.statistics.folds import CLUSTER, calibration_size, clusters
from dissect.statistics.gandissect import add_plane_labels
from dissect.statistics.groups import GroupedCodes


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
    """The masks of one block of samples.

    Attributes:
        indices: The samples.
        clusters: Their masks by cluster.
    """

    indices: tuple[int, ...]
    clusters: tuple[ClusterLabels, ...]

    def group(self) -> None:
        """Group the codes now, before several threads ask for them."""
        _ = [cluster.grouped.groups for cluster in self.clusters]

    @classmethod
    def prepare(
        cls,
        planes: Integer[Tensor, "batch plane height width"],
        indices: Sequence[int],
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
        found: list[ClusterLabels] = []
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
        return cls(tuple(indices), tuple(found))
