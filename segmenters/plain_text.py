"""Makes untrusted text safe to display in a terminal or a spreadsheet.

Names of layers, concepts and files come from the unknown author of a file. A control character
could move a terminal's cursor and overwrite printed text. A direction mark could reverse a line. A
spreadsheet computes a cell that begins like a formula.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

# C0, DEL and C1; further line ends; marks that reverse the direction of text; and single
# surrogates, which no terminal and no file can store.
_OBEYED = "\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_CONTROLS = re.compile(f"[\x00-\x1f{_OBEYED}]")
_NOT_PRINTED = re.compile(f"[\x00-\x08\x0b-\x1f{_OBEYED}]")
# Control codes of progress bars: to the start of the line, and one line up.
_NOT_IN_PROGRESS = re.compile(f"\x1b(?!\\[A)|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f{_OBEYED}]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def one_line(text: str) -> str:
    """Text for one line of a terminal: white space is collapsed, other controls become U+FFFD."""
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """Text for a terminal: keeps line feeds and tabs, other control characters become U+FFFD."""
    return _NOT_PRINTED.sub("\ufffd", text)


def escape_json(text: str) -> str:
    """JSON in which characters that control a terminal are escaped; the values are the same."""
    return _NOT_PRINTED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def find_control(text: str) -> str | None:
    """The first control character of a text as U+XXXX; None if it has none."""
    found = _CONTROLS.search(text)
    return None if found is None else f"U+{ord(found[0]):04X}"


def spreadsheet_safe(value: object) -> object:
    """A cell for spreadsheets: a text that begins like a formula gets a leading apostrophe."""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value


class _Filtered:
    """A stream that removes matches of a pattern from text; otherwise the wrapped stream."""

    def __init__(self, stream: TextIO, pattern: re.Pattern[str]) -> None:
        self._stream, self._pattern = stream, pattern

    def write(self, text: str) -> int:
        return self._stream.write(self._pattern.sub("\ufffd", text))

    def writelines(self, lines: Iterator[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def printable_output() -> Iterator[None]:
    """Within the ``with``, printed text has no control characters; progress bars keep theirs."""
    streams = sys.stdout, sys.stderr
    sys.stdout = _Filtered(sys.stdout, _NOT_PRINTED)
    sys.stderr = _Filtered(sys.stderr, _NOT_IN_PROGRESS)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
