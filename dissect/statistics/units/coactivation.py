"""Which units of a layer are active in the same images: a covariance that merges exactly.

Each image gives one number per unit, the mean of its map. Sums of floating-point numbers depend on
their order, so the means are first rounded to integers, on a scale per unit that the pilot fixes:

    q = round((mean - first edge) / step),   step = (last edge - first edge) / 2¹⁸

Their sums and products are integers, so adding them in any order gives the same bytes. Rounding
adds a variance of 1/12 step². This is a millionth of the variance of a unit whose means vary by a
thousandth of its range, for example a unit that fires at one pixel in a thousand.

A unit that hardly varied in the pilot takes a tenth of the layer's median range instead, so a step
is never 0. Numbers beyond ± 2²⁰, four times the range, are clamped, and the images in which this
happened are counted (``saturated``). Up to 2²³ samples, no sum exceeds 64 bits.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from dissect.statistics.states import added
from dissect.statistics.units import LayerBlock, Setup, UnitStatistic

if TYPE_CHECKING:  # stored counts are read without torch
    from torch import Tensor

MOST_SAMPLES = 1 << 23
_LEVELS = 1 << 18
_LIMIT = 1 << 20
_NARROWEST = 0.1  # of the layer's median range


@dataclass(frozen=True)
class Scale:
    """Scale that maps the means of a layer to integers.

    Attributes:
        zero: float64 (unit,): the mean that becomes 0.
        step: float64 (unit,): distance of means between adjacent integers; above 0.
    """

    zero: Float[np.ndarray, " unit"]
    step: Float[np.ndarray, " unit"]

    @classmethod
    def from_edges(cls, edges: Float[np.ndarray, "unit edge"]) -> "Scale":
        """The scale derived from a layer's edges."""
        edges = edges.astype(np.float64)
        reach = edges[:, -1] - edges[:, 0]
        moving = reach[reach > 0]
        typical = float(np.median(moving)) if len(moving) else 1.0
        return cls(edges[:, 0], np.maximum(reach, _NARROWEST * typical) / _LEVELS)

    def numbers(
        self, maps: 'Float[Tensor, "batch unit height width"]'
    ) -> tuple[Int[np.ndarray, "batch unit"], Int[np.ndarray, "batch unit"]]:
        """The mean of each map as an integer, and 1 where it was clamped."""
        # numpy adds up each contiguous row by itself, so an image's mean does not depend on which
        # others are in the batch.
        values = np.ascontiguousarray(maps.cpu().double().numpy()).reshape(*maps.shape[:2], -1)
        exact = np.rint((values.mean(axis=2) - self.zero) / self.step)
        held = np.clip(exact, -_LIMIT, _LIMIT)
        return held.astype(np.int64), (held != exact).astype(np.int64)


@dataclass
class Coactivation(UnitStatistic):
    """Sums over images of the integers that represent units' means.

    Attributes:
        images: int64 (): number of images.
        sums: int64 (unit,): Σ q_u.
        products: int64 (unit, unit): Σ q_u q_v.
        saturated: int64 (unit,): images in which the unit's number was clamped.
    """

    images: Int[np.ndarray, ""] = added()
    sums: Int[np.ndarray, " unit"] = added()
    products: Int[np.ndarray, "unit other"] = added()
    saturated: Int[np.ndarray, " unit"] = added()

    name = "coactivation"
    couples_units = True

    @classmethod
    def empty(cls, setup: Setup) -> "Coactivation | None":
        """Sums of zero images; None if the run's settings do not include it."""
        if not setup.coactivation:
            return None
        return cls.zeros(unit=setup.n_units, other=setup.n_units)

    def add(self, block: LayerBlock, units: slice) -> None:
        """Count a block."""
        scale = Scale.from_edges(block.edges.numpy())
        for cluster in block.labels.clusters:
            self.add_maps(block.maps[cluster.rows, units], scale)

    def add_maps(self, maps: 'Float[Tensor, "batch unit height width"]', scale: Scale) -> None:
        """Add a batch of at most 4,096 images."""
        numbers, held = scale.numbers(maps)
        # Products are below 2⁴⁰ and their sums below 2⁵², so float64 holds all of them exactly,
        # and multiplies matrices many times as fast as int64.
        products = numbers.T.astype(np.float64) @ numbers.astype(np.float64)
        self.images += len(numbers)
        self.sums += numbers.sum(axis=0)
        self.products += products.astype(np.int64)
        self.saturated += held.sum(axis=0)

    def correlation(self) -> Float[np.ndarray, "unit unit"]:
        """Pearson correlation of units' means over images; NaN for a unit that does not vary."""
        n = float(self.images)
        sums = self.sums.astype(np.float64)
        covariance = self.products / n - np.outer(sums, sums) / n**2
        variance = np.diagonal(covariance).copy()
        # The rest that rounding leaves of equal numbers in float64 is not variance.
        variance[variance <= 1e-12 * np.diagonal(self.products) / n] = 0
        spread = np.sqrt(np.outer(variance, variance))
        ratio = np.divide(covariance, spread, out=np.full(spread.shape, np.nan), where=spread > 0)
        return np.clip(ratio, -1, 1)
