"""Statistics of single units. Every module of this folder is found by itself.

A statistic is one class: ``empty`` counts nothing yet, ``add`` counts a block, ``merge`` joins the
counts of other samples, ``columns`` declares its columns of the table and ``column_values``
computes them. The pass saves and resumes it, and the run stores its arrays.

    @dataclass
    class Fired(UnitStatistic):
        name = "fired"
        columns = (Column(name="fired", title="fired", meaning="images with a value above 0"),)

        images: Int[np.ndarray, " unit"] = added()

        @classmethod
        def empty(cls, setup):
            return cls.zeros(unit=setup.n_units)

        def add(self, block, units):
            self.images[units] += (block.maps[:, units] > 0).any(dim=(2, 3)).sum(dim=0).numpy()

        def column_values(self):
            return {"fired": self.images}
"""

import functools
import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from jaxtyping import Int, Shaped

from dissect.statistics.columns import Column
from dissect.statistics.states import State

if TYPE_CHECKING:  # stored counts are read without torch
    from jaxtyping import Float
    from torch import Tensor

    from dissect.statistics.labels import BlockLabels


@dataclass(frozen=True)
class Setup:
    """The sizes and settings that fix the arrays of a statistic.

    Attributes:
        n_units: Units of the layer.
        n_concepts: Concepts of the vocabulary.
        top_images, coactivation: As in the settings of the run.
        threshold: Index in ``THRESHOLDS`` of the run's own threshold.
    """

    n_units: int
    n_concepts: int
    top_images: int
    coactivation: bool
    threshold: int = 1


@dataclass(frozen=True)
class LayerBlock:
    """A layer's maps of a block, and the masks of its samples.

    Attributes:
        maps: The layer's output in its basis, all units.
        labels: The samples and their masks, by cluster; some clusters may belong to the calibration
            fold and some to the evaluation fold.
        edges: Each unit's thresholds, rising.
        chosen: Index of the edge at which each pair is scored; -1 while the calibration fold is
            incomplete.
        native: Whether maps are compared at the layer's own resolution.
    """

    maps: 'Float[Tensor, "batch unit height width"]'
    labels: "BlockLabels"
    edges: 'Float[Tensor, "unit edge"]'
    chosen: Int[np.ndarray, "threshold unit concept"]
    native: bool = False


class UnitStatistic(State):
    """Base of statistics: a dataclass of arrays, most of which have ``unit`` as first dimension.

    Attributes:
        name: Prefix of its arrays in files.
        columns: Its columns in the table of a run.
        couples_units: Whether its arrays relate units to each other. If False, threads count
            different units at the same time.
    """

    name: ClassVar[str]
    columns: ClassVar[tuple[Column, ...]] = ()
    couples_units: ClassVar[bool] = False

    @classmethod
    def empty(cls, setup: Setup) -> Self | None:
        """Statistic of zero samples; None if the run's settings do not include it."""
        raise NotImplementedError

    def add(self, block: LayerBlock, units: slice) -> None:
        """Count a block for some units, in place; the rows of other units do not change.

        Args:
            block: Maps of all units.
            units: Units to count; all of them if ``couples_units``.
        """
        raise NotImplementedError

    def column_values(self) -> dict[str, Shaped[np.ndarray, "..."]]:
        """Column name → values: (unit,), or (unit, concept) for a column of pairs."""
        return {}

    @classmethod
    def named_dimensions(cls) -> dict[str, tuple[str, ...]]:
        """Name of an array in files → its dimensions."""
        return {f"{cls.name}_{field}": names for field, names in cls.dimensions().items()}

    def to_named_arrays(self) -> dict[str, Shaped[np.ndarray, "..."]]:
        """Its arrays by their names in files, not copied."""
        return {f"{self.name}_{field}": array for field, array in self.to_arrays().items()}

    @classmethod
    def from_named_arrays(cls, arrays: Mapping[str, Shaped[np.ndarray, "..."]]) -> Self | None:
        """The inverse of ``to_named_arrays``; None if none of its arrays is present."""
        names = {field: f"{cls.name}_{field}" for field in cls.dimensions()}
        if not any(name in arrays for name in names.values()):
            return None
        return cls.from_arrays({field: arrays[name] for field, name in names.items()})


@functools.cache
def unit_statistics() -> tuple[type[UnitStatistic], ...]:
    """Every statistic of this folder, by name."""
    found: dict[str, type[UnitStatistic]] = {}
    for module in pkgutil.iter_modules(__path__):
        content = vars(importlib.import_module(f"{__name__}.{module.name}"))
        for kind in content.values():
            if isinstance(kind, type) and issubclass(kind, UnitStatistic) and hasattr(kind, "name"):
                found[kind.name] = kind
    return tuple(found[name] for name in sorted(found))


def empty_statistics(setup: Setup) -> list[UnitStatistic]:
    """The statistics that a run's settings include, of zero samples."""
    found = (kind.empty(setup) for kind in unit_statistics())
    return [statistic for statistic in found if statistic is not None]
