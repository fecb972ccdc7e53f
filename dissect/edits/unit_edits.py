"""Edits of units: the change, the units of a layer, and the region.

With m the region on the layer's grid (1 everywhere if there is none) and x a unit's map:

==================================  =========================  ====================================
edit                                x becomes                  meaning
==================================  =========================  ====================================
``Ablate(layer, units)``            x · (1 − strength · m)     the unit is removed
``Insert(layer, units, values)``    x · (1 − m) + value · m    the unit is held at a value
``Scale(layer, units, factor)``     x · (1 + (factor − 1) m)   the unit is amplified or weakened
==================================  =========================  ====================================

``layer`` may be ``layer@basis``; units are then coordinates of that basis.

References:
    Bau et al., GAN Dissection, ICLR 2019, section 3.2 (ablation and insertion at pixels P).
"""

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from jaxtyping import Float

from dissect.edits.edit import Edit, check_number
from dissect.edits.regions import Region, check_region
from dissect.errors import ConfigError

if TYPE_CHECKING:  # reading a stored recipe does not need torch
    from torch import Tensor

_LARGEST_REGION = 8192  # pixels along an axis of a region from a file


class UnitEdit(Edit):
    """Base of edits of units: a layer, its units, and a region or None for everywhere.

    Raises:
        ConfigError: no name of a layer, units given twice or below 0, an empty region.
    """

    layer: str
    units: Sequence[int]
    region: Region | None

    def __post_init__(self) -> None:
        if not isinstance(self.layer, str) or not self.layer:
            raise ConfigError(f"layer is {self.layer!r}; expected the name of a layer")
        object.__setattr__(self, "units", _check_units(self.units))
        if self.region is not None:
            object.__setattr__(self, "region", check_region(self.region))

    def to_plain(self) -> dict[str, object]:
        """See ``Edit.to_plain``; a region becomes runs of equal numbers, row by row."""
        plain = super().to_plain()
        del plain["region"]
        return plain if self.region is None else plain | {"region": _region_to_json(self.region)}

    @classmethod
    def from_plain(cls, values: Mapping[str, object]) -> Self:
        """See ``Edit.from_plain``."""
        region = values.get("region")
        if region is not None:
            values = {**values, "region": _region_from_json(region)}
        return super().from_plain(values)

    def apply(
        self,
        maps: 'Float[Tensor, "batch edited height width"]',
        mask: 'Float[Tensor, "height width"]',
    ) -> 'Float[Tensor, "batch edited height width"]':
        """The maps of ``units`` after the edit; does not change the input.

        Args:
            maps: Maps of the edited units, in the order of ``units``.
            mask: The region on the layer's grid, in [0, 1].
        """
        raise NotImplementedError  # implemented by each kind of edit below


@dataclass(frozen=True, eq=False)
class Ablate(UnitEdit):
    """Remove units: x · (1 − strength · m).

    Args:
        layer: ``layer`` or ``layer@basis``.
        units: Unit numbers, from 0.
        region: Mask of the image of any size, numbers in [0, 1]; None means everywhere.
        strength: In [0, 1]; 1 sets units to zero, 0 leaves them unchanged.

    Raises:
        ConfigError: units given twice or below 0, an empty region, a strength out of range.

    Example:
        >>> Ablate("b16.conv1", [3, 7]).units
        (3, 7)
    """

    kind: ClassVar[str] = "ablate"
    layer: str
    units: Sequence[int]
    region: Region | None = None
    strength: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        strength = check_number("strength", self.strength)
        if not 0 <= strength <= 1:
            raise ConfigError(f"strength is {strength:g}; expected a number from 0 to 1")
        object.__setattr__(self, "strength", strength)

    def apply(
        self,
        maps: 'Float[Tensor, "batch edited height width"]',
        mask: 'Float[Tensor, "height width"]',
    ) -> 'Float[Tensor, "batch edited height width"]':
        """See ``UnitEdit.apply``."""
        return maps * (1 - self.strength * mask)


@dataclass(frozen=True, eq=False)
class Insert(UnitEdit):
    """Hold units at values: x · (1 − m) + value · m.

    Args:
        layer: ``layer`` or ``layer@basis``.
        units: Unit numbers, from 0.
        values: One finite number for each unit, in the unit's own scale.
        region: Mask of the image of any size, numbers in [0, 1]; None means everywhere.

    Raises:
        ConfigError: a different number of values and units, duplicate units, an empty region.

    Example:
        >>> Insert("b16.conv1", [3, 7], [2.5, 4]).values
        (2.5, 4.0)
    """

    kind: ClassVar[str] = "insert"
    layer: str
    units: Sequence[int]
    values: Sequence[float]
    region: Region | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            given = list(self.values)
        except TypeError:  # a single number, or nothing
            given = []
        if len(given) != len(self.units):
            raise ConfigError(
                f"values is {self.values!r} for {len(self.units)} units; expected one value for "
                "each unit"
            )
        values = tuple(check_number("a value to insert", value) for value in given)
        object.__setattr__(self, "values", values)

    def apply(
        self,
        maps: 'Float[Tensor, "batch edited height width"]',
        mask: 'Float[Tensor, "height width"]',
    ) -> 'Float[Tensor, "batch edited height width"]':
        """See ``UnitEdit.apply``."""
        values = maps.new_tensor(self.values)
        return maps * (1 - mask) + values[:, None, None] * mask


@dataclass(frozen=True, eq=False)
class Scale(UnitEdit):
    """Amplify or weaken units: x · (1 + (factor − 1) m).

    Args:
        layer: ``layer`` or ``layer@basis``.
        units: Unit numbers, from 0.
        factor: Any finite number; 1 leaves units unchanged, 0 ablates them, −1 inverts them.
        region: Mask of the image of any size, numbers in [0, 1]; None means everywhere.

    Raises:
        ConfigError: units given twice or below 0, an empty region, a factor that is not finite.

    Example:
        >>> Scale("b16.conv1", [3], 2).factor
        2.0
    """

    kind: ClassVar[str] = "scale"
    layer: str
    units: Sequence[int]
    factor: float
    region: Region | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "factor", check_number("factor", self.factor))

    def apply(
        self,
        maps: 'Float[Tensor, "batch edited height width"]',
        mask: 'Float[Tensor, "height width"]',
    ) -> 'Float[Tensor, "batch edited height width"]':
        """See ``UnitEdit.apply``."""
        return maps * (1 + (self.factor - 1) * mask)


def _region_to_json(region: Region) -> dict[str, object]:
    runs = [[value, len(list(same))] for value, same in groupby(region.ravel().tolist())]
    return {"height": region.shape[0], "width": region.shape[1], "runs": runs}


def _region_from_json(content: Any) -> np.ndarray:
    try:
        shape = int(content["height"]), int(content["width"])
        lengths = [int(length) for _, length in content["runs"]]
        # The size is checked before expansion: a recipe file may hold anything.
        if min(*shape, *lengths) < 1 or sum(lengths) != shape[0] * shape[1]:
            raise ValueError
        if max(shape) > _LARGEST_REGION:
            raise ValueError
        values = np.array([float(value) for value, _ in content["runs"]], np.float32)
        return np.repeat(values, lengths).reshape(shape)
    except (KeyError, TypeError, ValueError, IndexError):
        raise ConfigError(
            "a region of the recipe is damaged; expected height, width and runs [value, length] "
            f"that add up to height · width, neither above {_LARGEST_REGION}"
        ) from None


def _check_units(units: Any) -> tuple[int, ...]:
    numbers = list(units) if isinstance(units, Iterable) else [units]
    try:
        checked = tuple(operator.index(unit) for unit in numbers)
    except TypeError:
        checked = ()
    if not checked or min(checked) < 0 or isinstance(units, str):
        raise ConfigError(f"units is {units!r}; expected whole numbers from 0, at least one")
    twice = sorted({unit for unit in checked if checked.count(unit) > 1})
    if twice:
        raise ConfigError(f"unit {twice[0]} is given twice in one edit; expected each unit once")
    return checked
