"""The masks of a block, ready to be counted against every layer.

Pixels are grouped by *code*: the combination of concepts on them. Codes are computed once for each
cluster of samples, and counted once for each layer.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int, Integer
from torch import Tensor

from dissect.statistics.codes import encode
from dissect.statistics.folds import CLUSTER, calibration_size, clusters
from dissect.statistics.gandissect import add_plane_labels
from dissect.statistics.groups import GroupedCodes


@dataclass(frozen=True)
class ClusterLabels:
    """The masks of a cluster, ready to be counted against every layer.

    Attributes:
        number: Number of the cluster.
        rows: Its rows in the block.
        codes: int32 (set, image, y, x): its own masks and, in the evaluation fold, the same masks
            shifted by one image, and the number of the image within the cluster.
        members: (code, plane): the concepts of each code; none where a code only numbers an
            image.
        areas: int64 (image, concept): pixels of each concept in each image.
    """

    number: int
    rows: slice
    codes: Int[Tensor, "set batch height width"]
    members: Int[np.ndarray, "code plane"]
    areas: Int[np.ndarray, "batch concept"]

    @property
    def scored(self) -> bool:
        """Whether it belongs to the evaluation fold."""
        return len(self.codes) > 1

    @property
    def area(self) -> Int[np.ndarray, " concept"]:
        """Pixels of each concept."""
        return self.areas.sum(axis=0)

    @functools.cached_property
    def grouped(self) -> GroupedCodes:
        """Its pixels by code, for the kernel."""
        return GroupedCodes.of(self.codes, n_codes=len(self.members))


class ConceptMasks(NamedTuple):
    """The masks of single concepts in some images, image after image.

    Attributes:
        rows: Rows of the images in the block.
        starts: int64 (image + 1,): index of the first mask of each image.
        concepts: int64: concept of each mask, counted from 0.
        masks: bool (mask, y, x): on the mask grid.
    """

    rows: Int[np.ndarray, " image"]
    starts: Int[np.ndarray, " end"]
    concepts: Int[np.ndarray, " mask"]
    masks: Bool[np.ndarray, "mask height width"]


@dataclass(frozen=True)
class BlockLabels:
    """The masks of one block of samples.

    Attributes:
        indices: The samples.
        clusters: Their masks by cluster.
    """

    indices: tuple[int, ...]
    clusters: tuple[ClusterLabels, ...]

    @functools.cached_property
    def scored_masks(self) -> ConceptMasks:
        """Masks of the concepts that occur in each image of the evaluation fold."""
        rows, starts, concepts, masks = [], [0], [], []
        for cluster in self.clusters:
            if not cluster.scored:
                continue
            codes = cluster.codes[0].numpy()
            for image, areas in enumerate(cluster.areas):
                present = np.flatnonzero(areas)
                holds = (cluster.members[:, :, None] == present + 1).any(axis=1)
                rows.append(cluster.rows.start + image)
                starts.append(starts[-1] + len(present))
                concepts.append(present)
                masks.append(holds.T[:, codes[image]])
        grid = self.clusters[0].codes.shape[2:]
        return ConceptMasks(
            np.array(rows, np.int64),
            np.array(starts, np.int64),
            np.concatenate([np.zeros(0, np.int64), *concepts]),
            np.concatenate([np.zeros((0, *grid), bool), *masks]),
        )

    def group(self) -> None:
        """Group the codes now, before several threads need them."""
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

        A cluster with a single image, at the end of a run or because other samples were left out,
        is paired with itself: it adds no evidence against chance.

        Args:
            planes: Masks on the mask grid.
            indices: Rising sample indices; a cluster is in one block.
            n_concepts: Length of the vocabulary.
            n_samples: Samples of the whole run, which fix where the evaluation fold begins.
            count_planes: Fill the histogram's rows of planes too.
        """
        found: list[ClusterLabels] = []
        if count_planes:
            planes = add_plane_labels(planes, n_concepts)
        last_calibration = calibration_size(n_samples) // CLUSTER - 1
        for number, rows in clusters(indices):
            codes, members = encode(planes[rows])
            n_images = len(codes)
            if len(members) < n_images:  # images are numbered by the same codes
                members = np.pad(members, ((0, n_images - len(members)), (0, 0)))
            sets = [codes]
            if number > last_calibration:
                images = torch.arange(n_images, dtype=codes.dtype)[:, None, None]
                sets += [codes.roll(1, dims=0), images.expand_as(codes)]
            areas = _areas(codes.numpy(), members, 1 + n_concepts + planes.shape[1])
            areas = areas[:, 1 : n_concepts + 1]
            found.append(ClusterLabels(number, rows, torch.stack(sets), members, areas))
        return cls(tuple(indices), tuple(found))


def _areas(
    codes: Int[np.ndarray, "batch height width"],
    members: Int[np.ndarray, "code plane"],
    n_ids: int,
) -> Int[np.ndarray, "batch id"]:
    """Pixels of each concept id in each image."""
    pixels = np.stack([np.bincount(one.ravel(), minlength=len(members)) for one in codes])
    areas = np.zeros((n_ids, len(codes)), np.int64)
    for ids in members.T:
        np.add.at(areas, ids, pixels.T)
    return areas.T
