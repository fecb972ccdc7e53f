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
class BlockLabels:
    """The labels of one block of samples, ready to be counted against every layer.

    Each part is (set, rows of the block, codes, members): one for the calibration fold and one for
    the evaluation fold, whose codes come twice, in place and moved on by one image.
    """

    n_concepts: int
    parts: tuple[tuple[tuple[int, ...], Tensor, Tensor, np.ndarray], ...]

    @classmethod
    def prepare(
        cls, planes: Int[Tensor, "batch plane height width"], indices: list[int], n_concepts: int
    ) -> "BlockLabels":
        """Split a block by fold and encode its planes.

        The shuffled set pairs each evaluation image with the masks of the next one in the block;
        where a block holds a single evaluation image, it has no other and is left out of that set.
        """
        parts = []
        calibration = torch.tensor([is_calibration(index) for index in indices])
        for fold_index, chosen in ((CALIBRATION, calibration), (EVALUATION, ~calibration)):
            rows = chosen.nonzero()[:, 0]
            if not len(rows):
                continue
            codes, members = encode(planes[rows])
            if fold_index == EVALUATION and len(rows) > 1:
                both = torch.stack([codes, codes.roll(-1, dims=0)])
                parts.append(((EVALUATION, SHUFFLED), rows, both, members))
            else:
                parts.append(((fold_index,), rows, codes[None].contiguous(), members))
        return cls(n_concepts, tuple(parts))

    def add_to(
        self,
        counts: JointCounts,
        maps: Float[Tensor, "batch unit height width"],
        edges: Float[Tensor, "unit edge"],
    ) -> None:
        """Add this block's counts for one layer."""
        for sets, rows, codes, members in self.parts:
            table = tally(maps[rows], codes, edges, n_codes=len(members))
            for position, set_index in enumerate(sets):
                counts.histogram[set_index] += fold(table[position], members, self.n_concepts)
