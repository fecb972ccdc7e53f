"""A person's note on a unit: what it may hold, and many of them as JSON or CSV."""

import csv
import io
import json
import unicodedata
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from dissect.errors import ConfigError

LABEL, COMMENT, LIST = KINDS = ("label", "comment", "list")
LONGEST = {LABEL: 80, COMMENT: 4000, LIST: 60}
"""Characters of a text by kind; that of a ``list`` is the list's name."""
LONGEST_AUTHOR = 60


@dataclass(frozen=True)
class Note:
    """What somebody said of a unit.

    Attributes:
        id: Number in this run's notes.
        kind: One of ``KINDS``.
        layer, unit: Of what.
        text: The label, the comment, or the name of the list that the unit is in.
        author: Who; "" where nobody said.
        made: When it was written or last changed, in seconds since 1970 UTC.
    """

    id: int
    kind: str
    layer: str
    unit: int
    text: str
    author: str
    made: float


def checked(text: str, kind: str) -> str:
    """A text as it is kept: without space around it, a label or name of a list on one line."""
    text = text.replace("\r\n", "\n").strip() if kind == COMMENT else " ".join(text.split())
    _check_text(text, "the name of the list" if kind == LIST else f"the {kind}", LONGEST[kind])
    if not text:
        raise ConfigError(f"the {kind} is empty; expected 1 to {LONGEST[kind]:,} characters")
    return text


def checked_author(author: str) -> str:
    """A person's name as it is kept; "" for none."""
    author = " ".join(author.split())
    _check_text(author, "the name", LONGEST_AUTHOR)
    return author


def _check_text(text: str, name: str, longest: int) -> None:
    if len(text) > longest:
        raise ConfigError(
            f"{name} has {len(text):,} characters; expected at most {longest:,}; shorten it"
        )
    # Cs: halves of characters, which a browser can send and no file can hold.
    bad = {c for c in text if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"}
    if bad:
        told = ", ".join(f"U+{ord(c):04X}" for c in sorted(bad)[:3])
        raise ConfigError(f"{name} holds {told}; expected text without control characters")


def to_json(notes: Iterable[Note], *, run: str) -> str:
    """Notes for programs: every field, times in ISO 8601, UTC.

    Args:
        notes: Which.
        run: Name of their run.
    """
    rows = [asdict(note) | {"made": told_time(note.made)} for note in notes]
    return json.dumps({"kind": "dissect-notes", "version": 1, "run": run, "notes": rows}, indent=1)


def to_csv(notes: Iterable[Note]) -> str:
    """Notes for spreadsheets.

    A text that a spreadsheet would take for a formula gets an apostrophe in front, since notes are
    written by whoever could reach the dashboard; ``to_json`` keeps texts as they are.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["id", "kind", "layer", "unit", "text", "author", "made"])
    for note in notes:
        row = (note.kind, note.layer, note.unit, note.text, note.author, told_time(note.made))
        writer.writerow([note.id, *(harmless(value) for value in row)])
    return out.getvalue()


def told_time(made: float) -> str:
    """Seconds since 1970 as a time."""
    return datetime.fromtimestamp(made, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def harmless(value: object) -> object:
    """For spreadsheets: a text that begins like a formula has an apostrophe in front."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠")):
        return "'" + value
    return value
