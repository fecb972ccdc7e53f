"""Checks of untrusted plain values; an error is one line."""

import math
from collections.abc import Mapping
from typing import Any, TypeGuard

from dissect.errors import ConfigError
from dissect.settings.kinds import short

LONGEST_NAME = 300
"""Longest name of a layer or concept, in characters."""


def check_fields(what: str, content: Any, names: tuple[str, ...]) -> Mapping[str, Any]:
    """Check for a mapping with exactly these fields; otherwise a ``ConfigError``."""
    if not isinstance(content, Mapping):
        raise ConfigError(f"{what} is {short(content)}; expected the fields {', '.join(names)}")
    odd = sorted(str(name)[:40] for name in set(content) ^ set(names))
    if odd:
        raise ConfigError(
            f"{what} differs in {', '.join(odd[:5])}; expected the fields {', '.join(names)}"
        )
    return content


def check_list(name: str, content: object, most: int) -> list:
    """Check for a list of at most ``most`` entries; otherwise a ``ConfigError``."""
    if not isinstance(content, (list, tuple)) or len(content) > most:
        raise ConfigError(f"{name} is {short(content)}; expected a list of at most {most}")
    return list(content)


def check_text(name: str, content: object) -> str:
    """Check for a text of 1 to ``LONGEST_NAME`` characters; otherwise a ``ConfigError``."""
    if not isinstance(content, str) or not 0 < len(content) <= LONGEST_NAME:
        raise ConfigError(
            f"{name} is {short(content)}; expected a text of 1 to {LONGEST_NAME} letters"
        )
    return content


def is_whole(content: object, least: int, most: int) -> TypeGuard[int]:
    """Whether it is an integer in a range; booleans are not."""
    return type(content) is int and least <= content <= most


def as_number(name: str, content: object) -> float:
    """Convert to a finite number; otherwise a ``ConfigError``."""
    if isinstance(content, bool) or not isinstance(content, (int, float)):
        raise ConfigError(f"{name} is {short(content)}; expected a number")
    try:
        number = float(content)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ConfigError(f"{name} is {short(content)}; expected a finite number")
    return number
