"""Plain values of a pickle: hashable keys, and text with escape sequences."""

import re

from dissect.generators.reading.bounds import Allowance, damaged
from dissect.generators.reading.names import Global, Record

_WIDEST_KEY = 1 << 61  # from here on, different integers have the same hash
_DEEPEST_KEY = 8
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|[0-7]{1,3}|.)", re.DOTALL)
_UNICODE_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_NAMED_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def as_key(value: object, allowance: Allowance, depth: int = 0) -> object:
    """Convert a value to a key of a dictionary or a member of a set.

    Hashing visits every part of a tuple. A pickle can nest tuples until the stack overflows, or
    share one part many times, so each part is charged.

    Raises:
        Refusal: a value that cannot be hashed.
    """
    if isinstance(value, str) and depth == 0:
        return value
    allowance.charge(64 if depth == 0 else 256)
    if isinstance(value, memoryview):
        allowance.charge(len(value))
        return bytes(value)
    if isinstance(value, tuple | frozenset) and depth < _DEEPEST_KEY:
        return type(value)(as_key(item, allowance, depth + 1) for item in value)
    if isinstance(value, int) and abs(value) >= _WIDEST_KEY:
        raise damaged("a key beyond 61 bits")
    if value is None or isinstance(value, str | bytes | int | float | complex | Global | Record):
        return value
    raise damaged(f"a {type(value).__name__} as a key")


def unescape(text: str) -> str:
    """Unescape the text between the quotes of a bytes literal."""
    return _ESCAPE.sub(_unescape_one, text)


def unescape_unicode(text: str) -> str:
    r"""Unescape text in which only ``\uXXXX`` and ``\UXXXXXXXX`` are escape sequences."""
    return _UNICODE_ESCAPE.sub(
        lambda match: chr(int(match[1][1:], 16)) if len(match[1]) > 1 else match[0], text
    )


def _unescape_one(match: re.Match[str]) -> str:
    text = match[1]
    if len(text) == 3 and text[0] == "x":
        return chr(int(text[1:], 16))
    if text[0] in "01234567":
        return chr(int(text, 8) & 255)
    return _NAMED_ESCAPES.get(text, text)
