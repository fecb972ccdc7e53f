"""The images on which each unit fires most, exactly, in memory that does not grow."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import Float, Int

from dissect.statistics.states import ranked
from dissect.statistics.units import LayerBlock, Setup, UnitStatistic


@dataclass
class TopImages(UnitStatistic):
    """For each unit the samples with the highest maximum over the map.

    Ties go to the lower sample index, so the order in which samples come does not matter.

    Attributes:
        values: float32 (unit, rank), falling; -inf where fewer samples were seen.
        indices: int64 (unit, rank); -1 where there is none.
    """

    values: Float[np.ndarray, "unit rank"] = ranked()
    indices: Int[np.ndarray, "unit rank"] = ranked()

    name = "top"

    @classmethod
    def empty(cls, setup: Setup) -> "TopImages":
        """No sample seen yet."""
        return cls.none(n_units=setup.n_units, k=setup.top_images)

    @classmethod
    def none(cls, *, n_units: int, k: int) -> "TopImages":
        """No sample seen yet; ``k`` places for each unit."""
        return cls(np.full((n_units, k), -np.inf, np.float32), np.full((n_units, k), -1, np.int64))

    # Self is the class of both; the checker takes that of the base for the class State.
    def merge(self, other: Self) -> Self:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The top of two disjoint sets of samples together."""
        values = np.concatenate([self.values, other.values], axis=1)
        indices = np.concatenate([self.indices, other.indices], axis=1)
        missing = indices < 0
        # lexsort: the last key counts most, so the highest value first, then the lower index.
        order = np.lexsort((indices, -values, missing), axis=1)[:, : self.values.shape[1]]
        return type(self)(
            np.take_along_axis(values, order, 1), np.take_along_axis(indices, order, 1)
        )

    def add(self, block: LayerBlock, units: slice) -> None:
        """Count a block."""
        peaks = block.maps[:, units].flatten(2).amax(dim=2).float().numpy()
        before = TopImages(self.values[units], self.indices[units])
        found = before.with_peaks(peaks, block.labels.indices)
        self.values[units], self.indices[units] = found.values, found.indices

    def with_peaks(
        self, peaks: Float[np.ndarray, "batch unit"], indices: Sequence[int]
    ) -> "TopImages":
        """This with a further batch: ``peaks`` are the maxima of its maps."""
        rows = np.broadcast_to(np.array(indices, np.int64), (peaks.shape[1], len(indices)))
        batch = type(self)(np.ascontiguousarray(peaks.T, np.float32), rows)
        return self.merge(batch)
