"""Base of all edits: a kind, plain values for a file, and equality by value."""

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar, Self

from dissect.errors import ConfigError


class Edit:
    """A change made while an image is generated: of units (``UnitEdit``) or of a latent (``Move``).

    Each kind is a frozen dataclass, so an edit is a value: equal edits have equal fields.
    """

    kind: ClassVar[str]
    """Its name in a recipe."""

    def to_plain(self) -> dict[str, object]:
        """Its fields as plain values, in order; the inverse of ``from_plain``."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
        }

    @classmethod
    def from_plain(cls, values: Mapping[str, object]) -> Self:
        """The inverse of ``to_plain``.

        Raises:
            ConfigError: an invalid value.
        """
        return cls(**values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Edit):
            return NotImplemented
        return self.kind == other.kind and self.to_plain() == other.to_plain()

    def __hash__(self) -> int:
        return hash(self.kind)


def check_number(name: str, value: Any) -> float:
    """Check that a value is a finite number.

    Raises:
        ConfigError: anything else.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"{name} is {value!r}; expected a finite number")
    return number
