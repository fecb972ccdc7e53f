"""Edits as values: what is done to which units of a layer, and where.

With m the region on the layer's grid (1 everywhere if there is none) and x a unit's map:

==================================  =========================  ====================================
edit                                x becomes                  meaning
==================================  =========================  ====================================
``Ablate(layer, units)``            x · (1 − strength · m)     the unit is taken away
``Insert(layer, units, values)``    x · (1 − m) + value · m    the unit is held at a value
``Scale(layer, units, factor)``     x · (1 + (factor − 1) m)   the unit is turned up or down
==================================  =========================  ====================================

A list of edits is applied in its order, and is a recipe: ``to_json`` and ``from_json`` carry it
through a file. ``layer`` may be ``layer@basis``; units are coordinates of that basis then.

References:
    Bau et al., GAN Dissection, ICLR 2019, section 3.2 (ablation and insertion at pixels P).
"""

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from dissect.edits.regions import Region, check_region
from dissect.errors import ConfigError

if TYPE_CHECKING:  # a stored recipe is read without torch
    from torch import Tensor

_LARGEST_REGION = 8192  # pixels along an axis, of a region that is read from a file


class Edit:
    """What every edit has: a layer, units of it, and a region or None for everywhere."""

    layer: str
    units: Sequence[int]
    region: Region | None

    def __post_init__(self) -> None:
        if not isinstance(self.layer, str) or not self.layer:
            raise ConfigError(f"layer is {self.layer!r}; expected the name of a layer")
        object.__setattr__(self, "units", _check_units(self.units))
        if self.region is not None:
            object.__setattr__(self, "region", check_region(self.region))

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and to_json([self]) == to_json([other])

    def __hash__(self) -> int:
        return hash((type(self), self.layer, self.units))

    def apply(
        self,
        maps: 'Float[Tensor, "batch edited height width"]',
        mask: 'Float[Tensor, "height width"]',
    ) -> 'Float[Tensor, "batch edited height width"]':
        """The maps of ``units`` after the edit; the maps given stay as they are.

        Args:
            maps: Of the edited units, in the order of ``units``.
            mask: The region on the layer's grid, in [0, 1].
        """
        raise NotImplementedError  # each kind of edit below says how


@dataclass(frozen=True, eq=False)
class Ablate(Edit):
    """Take units away: x · (1 − strength · m).

    Args:
        layer: ``layer`` or ``layer@basis``.
        units: Which, from 0.
        region: Mask of the image of any size, numbers in [0, 1]; None means everywhere.
        strength: In [0, 1]; 1 sets units to zero, 0 leaves them.

    Raises:
        ConfigError: units given twice or below 0, an empty region, a strength out of range.

    Example:
        >>> Ablate("b16.conv1", [3, 7]).units
        (3, 7)
    """

    layer: str
    units: Sequence[int]
    region: Region | None = None
    strength: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        strength = _check_number("strength", self.strength)
        if not 0 <= strength <= 1:
            raise ConfigError(f"strength is {strength:g}; expected a number from 0 to 1")
        object.__setattr__(self, "strength", strength)

    def apply(
        self,
        maps: 'Float[Tensor, "batch edited height width"]',
        mask: 'Float[Tensor, "height width"]',
    ) -> 'Float[Tensor, "batch edited height width"]':
        """See ``Edit.apply``."""
        return maps * (1 - self.strength * mask)


@dataclass(frozen=True, eq=False)
class Insert(Edit):
    """Hold units at values: x · (1 − m) + value · m.

    Args:
        layer: ``layer`` or ``layer@basis``.
        units: Which, from 0.
        values: One finite number for each unit, in the unit's own scale.
        region: Mask of the image of any size, numbers in [0, 1]; None means everywhere.

    Raises:
        ConfigError: another number of values than of units, units given twice, an empty region.

    Example:
        >>> Insert("b16.conv1", [3, 7], [2.5, 4]).values
        (2.5, 4.0)
    """

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
        values = tuple(_check_number("a value to insert", value) for value in given)
        object.__setattr__(self, "values", values)

    def apply(
        self,
        maps: 'Float[Tensor, "batch edited height width"]',
        mask: 'Float[Tensor, "height width"]',
    ) -> 'Float[Tensor, "batch edited height width"]':
        """See ``Edit.apply``."""
        values = maps.new_tensor(self.values)
        return maps * (1 - mask) + values[:, None, None] * mask


@dataclass(frozen=True, eq=False)
class Scale(Edit):
    """Turn units up or down: x · (1 + (factor − 1) m).

    Args:
        layer: ``layer`` or ``layer@basis``.
        units: Which, from 0.
        factor: Any finite number; 1 leaves units, 0 ablates them, −1 turns their sign.
        region: Mask of the image of any size, numbers in [0, 1]; None means everywhere.

    Raises:
        ConfigError: units given twice or below 0, an empty region, a factor that is not finite.

    Example:
        >>> Scale("b16.conv1", [3], 2).factor
        2.0
    """

    layer: str
    units: Sequence[int]
    factor: float
    region: Region | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "factor", _check_number("factor", self.factor))

    def apply(
        self,
        maps: 'Float[Tensor, "batch edited height width"]',
        mask: 'Float[Tensor, "height width"]',
    ) -> 'Float[Tensor, "batch edited height width"]':
        """See ``Edit.apply``."""
        return maps * (1 + (self.factor - 1) * mask)


_KINDS: dict[str, type[Edit]] = {"ablate": Ablate, "insert": Insert, "scale": Scale}


def to_json(edits: Sequence[Edit]) -> list[dict[str, object]]:
    """A recipe as plain values; regions as runs of equal numbers, row by row."""
    names = {kind: name for name, kind in _KINDS.items()}
    recipe = []
    for edit in edits:
        values = {field.name: getattr(edit, field.name) for field in fields(edit)}
        plain = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if name != "region"
        }
        if edit.region is not None:
            plain["region"] = _region_to_json(edit.region)
        recipe.append({"edit": names[type(edit)], **plain})
    return recipe


def from_json(recipe: object) -> list[Edit]:
    """The inverse of ``to_json``.

    Raises:
        ConfigError: no list of edits, an unknown edit, a field that is missing, unknown or wrong.

    Example:
        >>> from_json([{"edit": "ablate", "layer": "b16.conv1", "units": [3]}])[0].strength
        1.0
    """
    if not isinstance(recipe, list):
        raise ConfigError(f"the recipe is a {type(recipe).__name__}; expected a list of edits")
    return [_edit_from_json(entry) for entry in recipe]


def _edit_from_json(entry: object) -> Edit:
    if not isinstance(entry, Mapping) or entry.get("edit") not in _KINDS:
        kind = entry.get("edit") if isinstance(entry, Mapping) else entry
        raise ConfigError(f"an edit of the recipe is {kind!r}; expected {', '.join(_KINDS)}")
    kind = _KINDS[entry["edit"]]
    values = {name: value for name, value in entry.items() if name != "edit"}
    known = {field.name: field.default is MISSING for field in fields(kind)}
    odd = [name for name in values if name not in known]
    odd += [name for name, needed in known.items() if needed and name not in values]
    if odd:
        raise ConfigError(
            f"edit {entry['edit']!r} of the recipe differs in {', '.join(odd)}; expected the "
            f"fields {', '.join(known)}"
        )
    if values.get("region") is not None:
        values["region"] = _region_from_json(values["region"])
    return kind(**values)


def _region_to_json(region: Region) -> dict[str, object]:
    runs = [[value, len(list(same))] for value, same in groupby(region.ravel().tolist())]
    return {"height": region.shape[0], "width": region.shape[1], "runs": runs}


def _region_from_json(content: object) -> np.ndarray:
    try:
        shape = int(content["height"]), int(content["width"])
        lengths = [int(length) for _, length in content["runs"]]
        # Counted before it is spread out: a recipe is a file that may hold anything.
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


def _check_units(units: object) -> tuple[int, ...]:
    numbers = [units] if isinstance(units, (int, str)) else list(units)
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


def _check_number(name: str, value: object) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"{name} is {value!r}; expected a finite number")
    return number
