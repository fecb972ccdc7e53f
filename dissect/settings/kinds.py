"""Kinds of values of settings: the values that each accepts, and its description in a message.

``accept`` checks a value from Python and returns its plain form, ``read`` parses a text from the
command line. Both raise ValueError for an invalid value. ``expected`` describes the kind in an
error message: "expected a whole number from 0 to 9".
"""

import math
import numbers
import os
import re
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Union, get_args, get_origin

_LONGEST_TEXT = 4096
_LONGEST_SHOWN = 60


class Kind(Protocol):
    """One kind of value."""

    @property
    def expected(self) -> str:
        """Description of the accepted values in a message."""
        ...

    @property
    def choices(self) -> tuple[str, ...]:
        """The accepted texts, if there is a fixed list."""
        ...

    def accept(self, value: object) -> object:
        """The value in its plain form. Raises ValueError."""
        ...

    def read(self, text: str) -> object:
        """Parse a text. Raises ValueError."""
        ...


@dataclass(frozen=True)
class Limits:
    """The range of a number, and of a list's length."""

    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    below: float | None = None
    multiple_of: int | None = None

    def hold(self, value: float) -> bool:
        """Whether a number is inside the range."""
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.at_most is None or value <= self.at_most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
            and (self.multiple_of is None or value % self.multiple_of == 0)
        )

    def __str__(self) -> str:
        low, high = self.at_least, self.at_most
        if low is not None and high is not None:
            return f" from {_number(low)} to {_number(high)}"
        if low is not None and self.below is not None:
            return f" from {_number(low)} to below {_number(self.below)}"
        parts = [
            f"{word} {_number(limit)}"
            for word, limit in (
                ("of at least", low),
                ("of at most", high),
                ("above", self.above),
                ("below", self.below),
            )
            if limit is not None
        ]
        return f" {' and '.join(parts)}" if parts else ""


@dataclass(frozen=True)
class Whole:
    """An integer. True and False are not accepted."""

    limits: Limits = Limits()
    choices: tuple[str, ...] = ()

    @property
    def expected(self) -> str:
        if self.limits.multiple_of is not None:
            return f"a multiple of {self.limits.multiple_of}{self.limits}"
        return f"a whole number{self.limits}"

    def accept(self, value: object) -> int:
        # Integral: numpy's integers are included, but JSON cannot store them.
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            raise ValueError(value)
        if not self.limits.hold(int(value)):
            raise ValueError(value)
        return int(value)

    def read(self, text: str) -> int:
        return self.accept(int(text))


@dataclass(frozen=True)
class Number:
    """A finite number. An integer is accepted and stays an integer."""

    limits: Limits = Limits()
    choices: tuple[str, ...] = ()

    @property
    def expected(self) -> str:
        return f"a number{self.limits}" if str(self.limits) else "a finite number"

    def accept(self, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise ValueError(value)
        plain = int(value) if isinstance(value, numbers.Integral) else float(value)
        try:
            finite = math.isfinite(plain)
        except OverflowError:
            finite = False
        if not finite or not self.limits.hold(plain):
            raise ValueError(value)
        return plain

    def read(self, text: str) -> float:
        return self.accept(float(text))


@dataclass(frozen=True)
class Switch:
    """True or False."""

    choices: tuple[str, ...] = ()
    expected: str = "True or False"

    def accept(self, value: object) -> bool:
        # A comparison in numpy gives a numpy bool.
        if not isinstance(value, bool) and type(value).__name__ != "bool":
            raise ValueError(value)
        return bool(value)

    def read(self, text: str) -> bool:
        return {"true": True, "false": False}[text.lower()]


@dataclass(frozen=True)
class Text:
    """A text: of moderate length, from a fixed list, or matching a pattern as a whole."""

    choices: tuple[str, ...] = ()
    pattern: str | None = None
    longest: int = _LONGEST_TEXT

    @property
    def expected(self) -> str:
        if self.choices:
            return any_of([repr(one) for one in self.choices])
        return (
            "a text" if self.longest == _LONGEST_TEXT else f"a text of 1 to {self.longest} letters"
        )

    def accept(self, value: object) -> str:
        if not isinstance(value, str) or not 0 < len(value) <= self.longest:
            raise ValueError(value)
        if self.choices and value not in self.choices:
            raise ValueError(value)
        if self.pattern is not None and not re.fullmatch(self.pattern, value, re.ASCII):
            raise ValueError(value)
        return value

    def read(self, text: str) -> str:
        return self.accept(text)


@dataclass(frozen=True)
class Location:
    """The path of a file or folder, which need not exist."""

    choices: tuple[str, ...] = ()
    expected: str = "a path"

    def accept(self, value: object) -> Path:
        if not isinstance(value, str | os.PathLike) or not str(value) or "\0" in str(value):
            raise ValueError(value)
        return Path(value)

    def read(self, text: str) -> Path:
        return self.accept(text)


@dataclass(frozen=True)
class Several:
    """A tuple or list of values of one kind; as a text, separated by commas."""

    kind: Kind
    counts: Limits = Limits()

    @property
    def choices(self) -> tuple[str, ...]:
        return self.kind.choices

    @property
    def expected(self) -> str:
        plural = re.sub(r"^a (whole number|number|text|multiple)", r"\1s", self.kind.expected)
        items = f"each {plural}" if plural == self.kind.expected else plural
        counts = f" of length{self.counts}" if str(self.counts) else ""
        return f"a list{counts} of {items}"

    def accept(self, value: object) -> tuple[object, ...]:
        if not isinstance(value, tuple | list) or not self.counts.hold(len(value)):
            raise ValueError(value)
        return tuple(self.kind.accept(one) for one in value)

    def read(self, text: str) -> tuple[object, ...]:
        found = tuple(self.kind.read(part.strip()) for part in text.split(","))
        return self.accept(found)


@dataclass(frozen=True)
class Each:
    """A tuple or list with one value of each kind; as a text, separated by commas."""

    kinds: tuple[Kind, ...]
    choices: tuple[str, ...] = ()

    @property
    def expected(self) -> str:
        return " and ".join(kind.expected for kind in self.kinds)

    def accept(self, value: object) -> tuple[object, ...]:
        if not isinstance(value, tuple | list) or len(value) != len(self.kinds):
            raise ValueError(value)
        return tuple(kind.accept(one) for kind, one in zip(self.kinds, value, strict=True))

    def read(self, text: str) -> tuple[object, ...]:
        parts = text.split(",")
        if len(parts) != len(self.kinds):
            raise ValueError(text)
        return tuple(kind.read(one.strip()) for kind, one in zip(self.kinds, parts, strict=True))


@dataclass(frozen=True)
class Either:
    """A value of the first of some kinds that accepts it."""

    kinds: tuple[Kind, ...]

    @property
    def choices(self) -> tuple[str, ...]:
        return tuple(choice for kind in self.kinds for choice in kind.choices)

    @property
    def expected(self) -> str:
        return any_of([kind.expected for kind in self.kinds])

    def accept(self, value: object) -> object:
        return self._first(lambda kind: kind.accept(value), value)

    def read(self, text: str) -> object:
        return self._first(lambda kind: kind.read(text), text)

    def _first(self, take: Callable[[Kind], object], value: object) -> object:
        for kind in self.kinds:
            try:
                return take(kind)
            except (ValueError, KeyError):
                continue
        raise ValueError(value)


def kind_of(
    annotation: object,
    *,
    limits: Limits = Limits(),
    counts: Limits = Limits(),
    choices: Sequence[str] = (),
    pattern: str | None = None,
    longest: int = _LONGEST_TEXT,
) -> tuple[Kind | None, bool]:
    """The kind of value for an annotation, and whether None is accepted as well.

    Args:
        annotation: A plain type, a tuple of one, or a union of these: ``int | str | None``.
        limits: Range of its numbers.
        counts: Range of a tuple's length.
        choices, pattern, longest: Limits of its texts.

    Returns:
        None instead of a kind for an unsupported type; its class checks such a field itself.
    """
    members = get_args(annotation) if _is_union(annotation) else (annotation,)
    plain = [one for one in members if one is not type(None)]

    def one_kind(member: object) -> Kind | None:
        if get_origin(member) in (tuple, list):
            items = get_args(member)
            if len(items) == 2 and items[1] is ...:
                inner = one_kind(items[0])
                return None if inner is None else Several(inner, counts)
            inner = [one_kind(item) for item in items]
            found = tuple(one for one in inner if one is not None)
            return Each(found) if len(found) == len(inner) else None
        simple: dict[object, Kind] = {
            bool: Switch(),
            int: Whole(limits),
            float: Number(limits),
            str: Text(tuple(choices), pattern, longest),
            Path: Location(),
        }
        return simple.get(member)

    kinds = [one_kind(member) for member in plain]
    found = [kind for kind in kinds if kind is not None]
    if len(found) < len(kinds):
        return None, len(plain) < len(members)
    kind = found[0] if len(found) == 1 else Either(tuple(found))
    return kind, len(plain) < len(members)


def any_of(names: Sequence[str]) -> str:
    """``a, b or c``."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def short(value: object) -> str:
    """A value as one line of moderate length, for a message."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a custom class, within another message
        text = f"a {type(value).__name__}"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"


def _is_union(annotation: object) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _number(value: float) -> str:
    if isinstance(value, int) and value >= 2**53 - 1 and value & (value + 1) == 0:
        return f"2**{value.bit_length()} - 1"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
