"""Checks of plain values that anyone may have written: one line says what is wrong with them."""

import math
from collections.abc import Mapping
from typing import Any, TypeGuard

from dissect.errors import ConfigError
from dissect.settings.kinds import short

LONGEST_NAME = 300
"""Most letters of the name of a layer or concept."""


def check_fields(what: str, content: Any, names: tuple[str, ...]) -> Mapping[str, Any]:
    """A mapping with exactly these fields, or a ``ConfigError``."""
    if not isinstance(content, Mapping):
        raise ConfigError(f"{what} is {short(content)}; expected the fields {', '.join(names)}")
    odd = sorted(str(name)[:40] for name in set(content) ^ set(names))
    if odd:
        raise ConfigError(
            f"{what} differs in {', '.join(odd[:5])}; expected the fields {', '.join(names)}"
        )
    return content


def check_list(name: str, content: object, most: int) -> list:
    """A list of at most so many entries, or a ``ConfigError``."""
    if not isinstance(content, (list, tuple)) or len(content) > most:
        raise ConfigError(f"{name} is {short(content)}; expected a list of at most {most}")
    return list(content)


def check_text(name: str, content: object) -> str:
    """A text of a moderate length, or a ``ConfigError``."""
    if not isinstance(content, str) or not 0 < len(content) <= LONGEST_NAME:
        raise ConfigError(
            f"{name} is {short(content)}; expected a text of 1 to {LONGEST_NAME} letters"
        )
    return content


def is_whole(content: object, least: int, most: int) -> TypeGuard[int]:
    """Whether it is a whole number of a range; true and false are none."""
    return type(content) is int and least <= content <= most


def as_number(name: str, content: object) -> float:
    """A finite number, or a ``ConfigError``."""
    if isinstance(content, bool) or not isinstance(content, (int, float)):
        raise ConfigError(f"{name} is {short(content)}; expected a number")
    try:
        number = float(content)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ConfigError(f"{name} is {short(content)}; expected a finite number")
    return number
