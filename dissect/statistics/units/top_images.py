"""The images on which each unit fires most, exactly, in constant memory.

Only images of the evaluation fold take part. Thresholds were chosen on other images, so a unit's
top images do not depend on that choice. For each image the state also holds the size of the unit's
outline at each concept's threshold, and how much of it the concept fills. So a label can be checked
against the same images and outlines that people see.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import Float, Int

from dissect.statistics.states import ranked, shared
from dissect.statistics.units import LayerBlock, Setup, UnitStatistic


@dataclass
class TopImages(UnitStatistic):
    """For each unit the samples with the highest maximum over the map.

    A tie goes to the lower sample index, so the order of samples does not matter.

    Attributes:
        values: float32 (unit, rank), descending; -inf where fewer samples were seen.
        indices: int64 (unit, rank); -1 where there is none.
        active: int64 (unit, rank, concept): mask-grid pixels above the pair's threshold; 0 where
            the image holds nothing of the concept.
        inside: int64 (unit, rank, concept): the active pixels that are of the concept.
        threshold: int64 (): index of the kind of threshold in ``THRESHOLDS``.
    """

    values: Float[np.ndarray, "unit rank"] = ranked()
    indices: Int[np.ndarray, "unit rank"] = ranked()
    active: Int[np.ndarray, "unit rank concept"] = ranked()
    inside: Int[np.ndarray, "unit rank concept"] = ranked()
    threshold: Int[np.ndarray, ""] = shared()

    name = "top"

    @classmethod
    def empty(cls, setup: Setup) -> "TopImages":
        """Top images of zero samples."""
        return cls.none(
            n_units=setup.n_units, k=setup.top_images, n_concepts=setup.n_concepts,
            threshold=setup.threshold,
        )  # fmt: skip

    @classmethod
    def none(cls, *, n_units: int, k: int, n_concepts: int = 0, threshold: int = 1) -> "TopImages":
        """Top images of zero samples, with ``k`` ranks for each unit."""
        return cls(
            np.full((n_units, k), -np.inf, np.float32),
            np.full((n_units, k), -1, np.int64),
            np.zeros((n_units, k, n_concepts), np.int64),
            np.zeros((n_units, k, n_concepts), np.int64),
            np.array(threshold, np.int64),
        )

    # Self is the class of both; the type checker uses the base's merge for the class State.
    def merge(self, other: Self) -> Self:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The top images of two disjoint sets of samples together."""
        order = _order(self, other)
        joined = {
            name: np.take_along_axis(
                np.concatenate([getattr(self, name), getattr(other, name)], axis=1),
                order.reshape(*order.shape, *[1] * (getattr(self, name).ndim - 2)),
                axis=1,
            )
            for name in ("values", "indices", "active", "inside")
        }
        return type(self)(**joined, threshold=self.threshold)

    def add(self, block: LayerBlock, units: slice) -> None:
        """Count a block."""
        import torch  # noqa: PLC0415, stored counts are read without it

        from dissect.statistics.outlines import count_outlines  # noqa: PLC0415, takes torch

        known = block.labels.scored_masks
        if not len(known.rows):
            return
        # The evaluation fold comes last, so its rows are a slice, which copies nothing.
        maps = block.maps[known.rows[0] : known.rows[-1] + 1, units]
        peaks = np.ascontiguousarray(maps.float().amax(dim=(2, 3)).cpu().numpy().T)
        # Most units get no new image, which is known without sorting.
        some = np.flatnonzero((peaks >= self.values[units, -1:]).any(axis=1))
        if not len(some):
            return
        indices = np.array(block.labels.indices, np.int64)[known.rows]
        batch = TopImages.none(n_units=len(some), k=len(indices), n_concepts=self.inside.shape[2])
        batch.values[...], batch.indices[...] = peaks[some], indices
        rows = np.arange(len(self.values))[units][some]
        before = TopImages(
            self.values[rows], self.indices[rows], self.active[rows], self.inside[rows],
            self.threshold,
        )  # fmt: skip
        order = _order(before, batch)
        new_units, places = np.nonzero(order >= self.values.shape[1])
        images = order[new_units, places] - self.values.shape[1]
        kind = int(self.threshold)
        limits = np.take_along_axis(block.edges.numpy()[rows], block.chosen[kind, rows], axis=1)
        candidates = maps[torch.from_numpy(images), torch.from_numpy(some[new_units])]
        count_outlines(
            candidates.float().cpu().numpy(), known, limits, new_units, images, batch.active,
            batch.inside, native=block.native,
        )  # fmt: skip
        batch.threshold = self.threshold
        found = before.merge(batch)
        for name in ("values", "indices", "active", "inside"):
            getattr(self, name)[rows] = getattr(found, name)


def _order(one: TopImages, other: TopImages) -> Int[np.ndarray, "unit rank"]:
    """Order of the ranks of both by value; ranks of ``other`` come after those of ``one``."""
    values = np.concatenate([one.values, other.values], axis=1)
    indices = np.concatenate([one.indices, other.indices], axis=1)
    # lexsort: the last key counts most, so the highest value first, then the lower index.
    return np.lexsort((indices, -values, indices < 0), axis=1)[:, : one.values.shape[1]]
