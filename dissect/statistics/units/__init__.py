"""Statistics of single units, each a module of this folder that is found by itself.

A statistic is one class: ``empty`` counts nothing yet, ``add`` counts a block, ``merge`` joins what
was counted of other samples, ``columns`` declares what it adds to a table and ``column_values``
computes that. It is saved and resumed with the pass, and its arrays are stored in the run.

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

if TYPE_CHECKING:  # what was counted is read without torch
    from jaxtyping import Float
    from torch import Tensor

    from dissect.statistics.labels import BlockLabels


@dataclass(frozen=True)
class Setup:
    """What the arrays of a statistic follow from.

    Attributes:
        n_units: Of the layer.
        n_concepts: Of the vocabulary.
        top_images, coactivation: As in the settings of the run.
        threshold: Place of the run's own threshold in ``THRESHOLDS``.
    """

    n_units: int
    n_concepts: int
    top_images: int
    coactivation: bool
    threshold: int = 1


@dataclass(frozen=True)
class LayerBlock:
    """A layer's maps of a block, and the masks.

    Attributes:
        maps: The layer's output in its basis, all units.
        labels: The samples and their masks, by cluster; some clusters may belong to the calibration
            fold and some to the evaluation fold.
        edges: Each unit's thresholds, rising.
        chosen: Index of the edge at which each pair is scored; -1 where the calibration fold is not
            complete.
        native: Whether maps are compared at the layer's own resolution.
    """

    maps: 'Float[Tensor, "batch unit height width"]'
    labels: "BlockLabels"
    edges: 'Float[Tensor, "unit edge"]'
    chosen: Int[np.ndarray, "threshold unit concept"]
    native: bool = False


class UnitStatistic(State):
    """Base of statistics: a dataclass of arrays whose first dimension is ``unit`` in most of them.

    Attributes:
        name: Prefix of its arrays in files.
        columns: What it adds to the table of a run.
        couples_units: Whether units are counted against each other. Where they are not, threads
            count shares of them at the same time.
    """

    name: ClassVar[str]
    columns: ClassVar[tuple[Column, ...]] = ()
    couples_units: ClassVar[bool] = False

    @classmethod
    def empty(cls, setup: Setup) -> Self | None:
        """Nothing counted yet; None where the run does not ask for it."""
        raise NotImplementedError

    def add(self, block: LayerBlock, units: slice) -> None:
        """Count a block for some units, in place: the rows of other units stay as they are.

        Args:
            block: Maps of all units.
            units: Which are counted; all of them where ``couples_units``.
        """
        raise NotImplementedError

    def column_values(self) -> dict[str, Shaped[np.ndarray, "..."]]:
        """Name of a column → its values: (unit,), or (unit, concept) where it is of pairs."""
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
        """The inverse of ``to_named_arrays``; None where none of them is there."""
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
    """Those that a run asks for, with nothing counted yet."""
    found = (kind.empty(setup) for kind in unit_statistics())
    return [statistic for statistic in found if statistic is not None]
