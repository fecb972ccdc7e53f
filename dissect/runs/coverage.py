"""The set of counted blocks of samples, stored as ranges."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int


@dataclass(frozen=True)
class Coverage:
    """A set of integers.

    Attributes:
        ranges: First number and last number + 1 of each range; ascending, non-empty, never
            adjacent.

    Example:
        >>> Coverage.of([0, 1, 5]).ranges
        ((0, 2), (5, 6))
    """

    ranges: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, numbers: Iterable[int]) -> "Coverage":
        """The set of some numbers."""
        ranges: list[tuple[int, int]] = []
        for number in sorted(set(numbers)):
            if ranges and ranges[-1][1] == number:
                ranges[-1] = (ranges[-1][0], number + 1)
            else:
                ranges.append((number, number + 1))
        return cls(tuple(ranges))

    def merge(self, other: "Coverage") -> "Coverage":
        """The numbers of both.

        Raises:
            ValueError: a number is in both, so something was counted twice.
        """
        ranges: list[tuple[int, int]] = []
        for first, last in sorted(self.ranges + other.ranges):
            if ranges and first < ranges[-1][1]:
                raise ValueError(f"block {first} was counted twice; expected each block once")
            if ranges and first == ranges[-1][1]:
                ranges[-1] = (ranges[-1][0], last)
            else:
                ranges.append((first, last))
        return Coverage(tuple(ranges))

    def meets(self, other: "Coverage") -> bool:
        """Whether the sets intersect."""
        try:
            self.merge(other)
        except ValueError:
            return True
        return False

    def missing(self, total: int) -> Iterator[int]:
        """The numbers from 0 to ``total`` - 1 that are not in it, ascending."""
        place = 0
        for first, last in self.ranges:
            yield from range(place, min(first, total))
            place = last
        yield from range(place, total)

    def holds(self, total: int) -> bool:
        """Whether every number from 0 to ``total`` - 1 is in it."""
        return next(self.missing(total), None) is None

    def __iter__(self) -> Iterator[int]:
        for first, last in self.ranges:
            yield from range(first, last)

    def __contains__(self, number: int) -> bool:
        return any(first <= number < last for first, last in self.ranges)

    def __len__(self) -> int:
        return sum(last - first for first, last in self.ranges)

    def to_array(self) -> Int[np.ndarray, "range 2"]:
        """The ranges as rows."""
        return np.array(self.ranges, np.int64).reshape(-1, 2)

    @classmethod
    def from_array(cls, rows: Int[np.ndarray, "range 2"]) -> "Coverage":
        """The inverse of ``to_array``."""
        return cls(tuple((int(first), int(last)) for first, last in rows))
