"""States: dataclasses of count arrays that can be merged.

    @dataclass
    class Areas(State):
        pixels: Int[np.ndarray, " concept"] = added()

    Areas.zeros(concept=26).merge(other)

Merging the states of two disjoint sets of samples gives the state of both sets together. Every
field declares how it merges. Added integers give the same bytes in any order and any partition.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar, get_type_hints

import numpy as np

_MERGE = "merge"
_Value = TypeVar("_Value")


def added() -> Any:
    """A field of integers; merging adds both states' values."""
    return dataclasses.field(metadata={_MERGE: _add})


def shared() -> Any:
    """A field that both states share; merging states with different values is an error."""
    return dataclasses.field(metadata={_MERGE: same})


def ranked() -> Any:
    """A field that the class itself merges, together with others, in ``merge``."""
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
        """State of zero samples.

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
        """The state of two disjoint sets of samples together; changes neither input."""
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
        """The inverse of ``to_arrays``; ignores arrays of other names."""
        return cls(**{name: arrays[name] for name in cls._fields()})

    @classmethod
    def _fields(cls) -> dict[str, Callable[[Any, Any], Any]]:
        """Field → its merge function."""
        fields: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(cls)  # type: ignore[arg-type]
        return {field.name: field.metadata[_MERGE] for field in fields}


def same(one: _Value, other: _Value) -> _Value:
    """The value that two states share.

    Raises:
        ValueError: the values differ.
    """
    if not np.array_equal(np.asarray(one), np.asarray(other)):
        raise ValueError("states of different passes were merged; expected those of one")
    return one


def _refuse(one: object, other: object) -> object:
    raise TypeError("a field was merged by itself that merges together with others")


def _add(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.asarray(one + other)
