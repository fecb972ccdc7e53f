"""The images on which each unit fires most, exactly, in memory that does not grow."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass
class TopImages:
    """For each unit the k samples with the highest maximum over the map.

    Ties go to the lower sample index, so the order in which samples come does not matter.

    Attributes:
        values: float32 (unit, k), falling; -inf where fewer than k samples were seen.
        indices: int64 (unit, k); -1 where there is none.
    """

    values: Float[np.ndarray, "unit k"]
    indices: Int[np.ndarray, "unit k"]

    @classmethod
    def empty(cls, *, n_units: int, k: int) -> "TopImages":
        return cls(np.full((n_units, k), -np.inf, np.float32), np.full((n_units, k), -1, np.int64))

    def merge(self, other: "TopImages") -> "TopImages":
        """The top of two disjoint sets of samples together."""
        values = np.concatenate([self.values, other.values], axis=1)
        indices = np.concatenate([self.indices, other.indices], axis=1)
        missing = indices < 0
        # lexsort: the last key counts most, so the highest value first, then the lower index.
        order = np.lexsort((indices, -values, missing), axis=1)[:, : self.values.shape[1]]
        return TopImages(
            np.take_along_axis(values, order, 1), np.take_along_axis(indices, order, 1)
        )

    def add(self, peaks: Float[np.ndarray, "batch unit"], indices: list[int]) -> "TopImages":
        """This with a further batch: ``peaks`` are the maxima of its maps."""
        rows = np.broadcast_to(np.array(indices, np.int64), (peaks.shape[1], len(indices)))
        return self.merge(TopImages(np.ascontiguousarray(peaks.T, np.float32), rows))
