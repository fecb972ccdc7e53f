"""Joint counts of units, concepts and threshold bins: everything that scores are made of.

Counts are integers and adding is all that happens to them, so blocks may come in any order and in
any number of parts: the sum is the same bytes.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dissect.statistics.codes import encode, fold
from dissect.statistics.kernel import tally

CALIBRATION, EVALUATION, SHUFFLED = range(3)
SETS = ("calibration", "evaluation", "shuffled")
CALIBRATION_EVERY = 4
SHUFFLE_GROUP = 32


def is_calibration(index: int) -> bool:
    """Whether a sample belongs to the calibration fold: every fourth one, by its index alone."""
    return index % CALIBRATION_EVERY == CALIBRATION_EVERY - 1


@dataclass
class JointCounts:
    """Counts of one layer over the three sets of ``SETS``.

    ``shuffled`` holds the maps of the evaluation fold against the masks of other images: what a
    unit would score if it saw nothing but where things usually are.

    Attributes:
        histogram: int64 (set, row, unit, bin); row 0 counts all pixels, row c those of concept c;
            bin n the pixels whose value is strictly above exactly n edges.
    """

    histogram: Int[np.ndarray, "set row unit bin"]

    @classmethod
    def empty(cls, *, n_concepts: int, n_units: int, n_edges: int) -> "JointCounts":
        return cls(np.zeros((len(SETS), n_concepts + 1, n_units, n_edges + 1), np.int64))

    def merge(self, other: "JointCounts") -> "JointCounts":
        """The counts of two disjoint sets of samples together."""
        return JointCounts(self.histogram + other.histogram)


@dataclass(frozen=True)
class LastLabels:
    """The planes of the last evaluation sample seen, with which the next one is shuffled."""

    index: int
    planes: Int[Tensor, "1 plane height width"]

    def partners(self, index: int) -> bool:
        """Whether these masks go with the maps of a later sample: of the same aligned group."""
        return self.index // SHUFFLE_GROUP == index // SHUFFLE_GROUP


@dataclass(frozen=True)
class BlockLabels:
    """The labels of one block of samples, ready to be counted against every layer.

    Attributes:
        n_concepts: Length of the vocabulary.
        parts: Each (sets, rows of the block, codes, members): samples of the calibration fold,
            those of the evaluation fold without a partner, and those with one, whose codes come
            twice: their own and their partner's.
        last: What the next block needs to know.
    """

    n_concepts: int
    parts: tuple[tuple[tuple[int, ...], Tensor, Tensor, np.ndarray], ...]
    last: LastLabels | None

    @classmethod
    def prepare(
        cls,
        planes: Int[Tensor, "batch plane height width"],
        indices: list[int],
        n_concepts: int,
        last: LastLabels | None,
    ) -> "BlockLabels":
        """Split a block by fold and encode its planes.

        The shuffled set pairs the maps of an evaluation sample with the masks of the one before it,
        within groups of ``SHUFFLE_GROUP`` indices; the first of a group has no partner. So it does
        not depend on how samples are cut into blocks.
        """
        parts = []
        calibration = [row for row, index in enumerate(indices) if is_calibration(index)]
        if calibration:
            codes, members = encode(planes[calibration])
            parts.append(((CALIBRATION,), torch.tensor(calibration), codes[None], members))
        lone, paired, own, other = [], [], [], []
        stacked = planes if last is None else torch.cat([last.planes, planes])
        offset = len(stacked) - len(planes)
        before = None if last is None else (last, 0)
        for row, index in enumerate(indices):
            if is_calibration(index):
                continue
            if before is not None and before[0].partners(index):
                paired.append(row)
                own.append(row + offset)
                other.append(before[1])
            else:
                lone.append(row)
            before = (LastLabels(index, planes[row : row + 1]), row + offset)
        if lone or paired:
            codes, members = encode(stacked)
        if lone:
            rows = torch.tensor(lone)
            parts.append(((EVALUATION,), rows, codes[rows + offset][None], members))
        if paired:
            both = torch.stack([codes[own], codes[other]])
            parts.append(((EVALUATION, SHUFFLED), torch.tensor(paired), both, members))
        return cls(n_concepts, tuple(parts), None if before is None else before[0])

    def add_to(
        self,
        counts: JointCounts,
        maps: Float[Tensor, "batch unit height width"],
        edges: Float[Tensor, "unit edge"],
    ) -> None:
        """Add this block's counts for one layer."""
        for sets, rows, codes, members in self.parts:
            table = tally(maps[rows], codes.contiguous(), edges, n_codes=len(members))
            for position, set_index in enumerate(sets):
                counts.histogram[set_index] += fold(table[position], members, self.n_concepts)
