"""States: arrays that are counted into, and how two of them become one.

    @dataclass
    class Areas(State):
        pixels: Int[np.ndarray, " concept"] = added()

    Areas.zeros(concept=26).merge(other)

A state of two disjoint sets of samples is that of each, merged. Every field says how it merges;
whole numbers that are added come to the same bytes in any order and in any parts.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar, get_type_hints

import numpy as np

_MERGE = "merge"
_Value = TypeVar("_Value")


def added() -> Any:
    """A field of whole numbers: those of both states are added."""
    return dataclasses.field(metadata={_MERGE: _add})


def shared() -> Any:
    """A field that both states have in common; merging states that differ in it is refused."""
    return dataclasses.field(metadata={_MERGE: same})


def ranked() -> Any:
    """A field that its class merges together with others, in ``merge``."""
    return dataclasses.field(metadata={_MERGE: _refuse})


class State:
    """Base of dataclasses of arrays; the annotation of a field names the array's dimensions."""

    @classmethod
    def dimensions(cls) -> dict[str, tuple[str, ...]]:
        """Field → the names of its array's dimensions."""
        hints = get_type_hints(cls)
        return {name: tuple(hints[name].dim_str.split()) for name in cls._fields()}

    @classmethod
    def zeros(cls, **sizes: int) -> Self:
        """Nothing counted yet.

        Args:
            **sizes: Dimension → its length.
        """
        return cls(
            **{
                name: np.zeros([sizes[dimension] for dimension in dimensions], np.int64)
                for name, dimensions in cls.dimensions().items()
            }
        )

    def merge(self, other: Self) -> Self:
        """The state of two disjoint sets of samples together; neither of the two changes."""
        return type(self)(
            **{
                name: merge(getattr(self, name), getattr(other, name))
                for name, merge in self._fields().items()
            }
        )

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Field → its array, not copied."""
        return {name: getattr(self, name) for name in self._fields()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """The inverse of ``to_arrays``; arrays of other names are not looked at."""
        return cls(**{name: arrays[name] for name in cls._fields()})

    @classmethod
    def _fields(cls) -> dict[str, Callable[[Any, Any], Any]]:
        """Field → how it merges."""
        fields: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(cls)  # type: ignore[arg-type]
        return {field.name: field.metadata[_MERGE] for field in fields}


def same(one: _Value, other: _Value) -> _Value:
    """What two states have in common.

    Raises:
        ValueError: they differ in it.
    """
    if not np.array_equal(np.asarray(one), np.asarray(other)):
        raise ValueError("states of different passes were merged; expected those of one")
    return one


def _refuse(one: object, other: object) -> object:
    raise TypeError("a field was merged by itself that merges together with others")


def _add(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.asarray(one + other)
