"""People's notes on the units of a run: labels, comments, lists; stored in ``notes.sqlite``.

    notes = notes_of(open_run("runs/faces"))
    notes.label("main.7", 12, "left ear", author="Ada")
    notes.labels()  # {("main.7", 12): "left ear"}

The file is separate from the measured data and is not among the files whose digests run.json holds,
so notes never make a run count as damaged. Every operation opens the file, works in one transaction
and closes it. So several processes may write at the same time; one waits for the other. It uses the
rollback journal. Write-ahead logging needs memory shared between processes and so does not work on
network folders.
"""

import csv
import io
import json
import sqlite3
import sys
import time
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from dissect.errors import ConfigError, LayerError, RunError
from dissect.runs.database import open_database
from segmenters.plain_text import one_line, spreadsheet_safe

if TYPE_CHECKING:
    import pandas as pd

    from dissect.runs.read import Run


LABEL, COMMENT, LIST = KINDS = ("label", "comment", "list")
LONGEST = {LABEL: 80, COMMENT: 4000, LIST: 60}
"""Longest text by kind, in characters; for a ``list``, of the list's name."""
LONGEST_AUTHOR = 60


@dataclass(frozen=True)
class Note:
    """A note of a person on a unit.

    Attributes:
        id: Number in this run's notes.
        kind: One of ``KINDS``.
        layer, unit: The unit.
        text: The label, the comment, or the name of the list that contains the unit.
        author: The author's name; "" if not given.
        made: Time when it was written or last changed, in seconds since 1970 UTC.
    """

    id: int
    kind: str
    layer: str
    unit: int
    text: str
    author: str
    made: float


def checked(text: str, kind: str) -> str:
    """The text as it is stored: without outer white space; labels and list names in one line."""
    text = text.replace("\r\n", "\n").strip() if kind == COMMENT else " ".join(text.split())
    _check_text(text, "the name of the list" if kind == LIST else f"the {kind}", LONGEST[kind])
    if not text:
        raise ConfigError(f"the {kind} is empty; expected 1 to {LONGEST[kind]:,} characters")
    return text


def checked_author(author: str) -> str:
    """A person's name as it is stored; "" for none."""
    author = " ".join(author.split())
    _check_text(author, "the name", LONGEST_AUTHOR)
    return author


def _check_text(text: str, name: str, longest: int) -> None:
    if len(text) > longest:
        raise ConfigError(
            f"{name} has {len(text):,} characters; expected at most {longest:,}; shorten it"
        )
    # Cs: single surrogates, which a browser can send and no file can store.
    bad = {c for c in text if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"}
    if bad:
        codes = ", ".join(f"U+{ord(c):04X}" for c in sorted(bad)[:3])
        raise ConfigError(f"{name} holds {codes}; expected text without control characters")


def to_json(notes: Iterable[Note], *, run: str) -> str:
    """Notes as JSON: every field, times in ISO 8601, UTC.

    Args:
        notes: The notes.
        run: Name of their run.
    """
    rows = [asdict(note) | {"made": iso_time(note.made)} for note in notes]
    return json.dumps({"kind": "dissect-notes", "version": 1, "run": run, "notes": rows}, indent=1)


def to_csv(notes: Iterable[Note]) -> str:
    """Notes as CSV for spreadsheets.

    A text that a spreadsheet would read as a formula gets a leading apostrophe, because anybody
    with access to the dashboard can write notes; ``to_json`` does not change texts.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["id", "kind", "layer", "unit", "text", "author", "made"])
    for note in notes:
        row = (note.kind, note.layer, note.unit, note.text, note.author, iso_time(note.made))
        writer.writerow([note.id, *(spreadsheet_safe(value) for value in row)])
    return out.getvalue()


def iso_time(made: float) -> str:
    """Time in ISO 8601 from seconds since 1970."""
    return datetime.fromtimestamp(made, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


FILE = "notes.sqlite"
SCHEMA_VERSION = 1
MOST = 100_000
"""Largest number of notes of a run, so that reading all of them takes only a moment."""
_OF_KIND = "SELECT * FROM notes WHERE kind = ? ORDER BY made, id LIMIT ?"
_SCHEMA = (
    # AUTOINCREMENT: a number is never reused, so that deleting a note that somebody else has
    # just deleted never deletes a newer note.
    """CREATE TABLE notes (
        id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, layer TEXT NOT NULL,
        unit INTEGER NOT NULL, text TEXT NOT NULL, author TEXT NOT NULL, made REAL NOT NULL)""",
    "CREATE INDEX of_unit ON notes (layer, unit)",
    "CREATE UNIQUE INDEX one_label ON notes (layer, unit, author) WHERE kind = 'label'",
    "CREATE UNIQUE INDEX once_in_list ON notes (layer, unit, text) WHERE kind = 'list'",
)


class Notes:
    """The notes of one run. Threads and processes may share them.

    Args:
        folder: Folder of the run.
        units: Layer → number of its units.
    """

    def __init__(self, folder: str | Path, units: Mapping[str, int]) -> None:
        self.file = Path(folder) / FILE
        self._units = dict(units)

    def label(
        self, layer: str, unit: int, text: str, *, author: str = "", was: str | None = None
    ) -> Note:
        """Label a unit. An author's new label replaces their old one.

        Args:
            layer, unit: The unit.
            text: The label.
            author: The author's name.
            was: The author's label that the writer has seen, "" for none; None replaces any
                label.

        Raises:
            LayerError: a layer or unit that the run does not have.
            ConfigError: a text that is empty, too long or holds control characters; another label
                than ``was``.
            RunError: notes that cannot be read or written.
        """
        return self._add(LABEL, layer, unit, text, author, was=was)

    def comment(self, layer: str, unit: int, text: str, *, author: str = "") -> Note:
        """Add a comment on a unit; raises the errors of ``label``."""
        return self._add(COMMENT, layer, unit, text, author)

    def add_to_list(self, layer: str, unit: int, name: str, *, author: str = "") -> Note:
        """Add a unit to the list of a name, which is created if needed.

        Raises the errors of ``label``, and ConfigError if the list contains the unit already.
        """
        return self._add(LIST, layer, unit, name, author)

    def edit(self, number: int, text: str, *, was: str | None = None) -> Note:
        """Change the text of a note.

        Args:
            number: Its id.
            text: The new text.
            was: The text that the writer has seen; None replaces any text.

        Raises:
            ConfigError: no such note, another text than ``was``, or an invalid text.
            RunError: notes that cannot be read or written.
        """
        with self._writing() as database:
            old = _one(database, number)
            if was is not None and old.text != was:
                raise ConfigError(
                    f"note {number} was changed meanwhile to {old.text[:40]!r}; expected "
                    f"{was[:40]!r}; look at it and edit it again"
                )
            text = checked(text, old.kind)
            change = "UPDATE notes SET text = ?, made = ? WHERE id = ?"
            _once(database, change, (text, time.time(), number), old.kind, text)
            return _one(database, number)

    def delete(self, number: int) -> Note:
        """Delete a note and return it, so that ``restore`` can bring it back.

        Raises:
            ConfigError: no such note.
            RunError: notes that cannot be read or written.
        """
        with self._writing() as database:
            old = _one(database, number)
            database.execute("DELETE FROM notes WHERE id = ?", (number,))
            return old

    def restore(self, note: Note) -> Note:
        """Restore a deleted note, with its time, under a new number; raises as ``label``.

        If the same author has given a newer label since, it stays, and this is an error.
        """
        if note.kind not in KINDS:
            raise ConfigError(f"a note is a {note.kind!r}; expected one of {', '.join(KINDS)}")
        return self._add(note.kind, note.layer, note.unit, note.text, note.author, made=note.made)

    def all(self) -> list[Note]:
        """Every note, oldest first.

        Raises:
            RunError: notes that are damaged or of a newer version.
        """
        return self._read("SELECT * FROM notes ORDER BY made, id LIMIT ?", (MOST,))

    def of(self, layer: str, unit: int) -> list[Note]:
        """The notes of one unit; raises as ``all``."""
        question = "SELECT * FROM notes WHERE layer = ? AND unit = ? ORDER BY made, id"
        return self._read(question, (layer, unit))

    def get(self, number: int) -> Note:
        """The note with an id; raises as ``all``, and ConfigError if there is none."""
        with open_database(self.file, "rw") as database:
            return _one(database, number)

    def labels(self) -> dict[tuple[str, int], str]:
        """The latest label of each unit that has one; raises as ``all``."""
        return {(n.layer, n.unit): n.text for n in self._read(_OF_KIND, (LABEL, MOST))}

    def lists(self) -> dict[str, list[tuple[str, int]]]:
        """Name of a list → its units, in the order of adding; raises as ``all``."""
        found: dict[str, list[tuple[str, int]]] = {}
        for note in self._read(_OF_KIND, (LIST, MOST)):
            found.setdefault(note.text, []).append((note.layer, note.unit))
        return found

    def stamp(self) -> bytes:
        """A value that changes with every change of the notes; b"" if there are none.

        It is the change counter of the file (bytes 24 to 27, sqlite.org/fileformat.html section
        1.3.8) with the file's identity; modification times are too coarse.
        """
        if self.file.is_symlink():  # reading the notes is an error then
            return b""
        try:
            with self.file.open("rb") as file:
                header = file.read(28)
            return b"%d." % self.file.stat().st_ino + header[24:]
        except OSError:
            return b""

    def _add(
        self, kind: str, layer: str, unit: int, text: str, author: str, *,
        made: float | None = None, was: str | None = None,
    ) -> Note:  # fmt: skip
        self._check_unit(layer, unit)
        text, author = checked(text, kind), checked_author(author)
        values = (kind, layer, unit, text, author, time.time() if made is None else made)
        with self._writing() as database:
            (count,) = database.execute("SELECT count(*) FROM notes").fetchone()
            if count >= MOST:
                raise ConfigError(
                    f"the run has {count:,} notes; expected less than {MOST:,}; delete some"
                )
            if kind == LABEL and made is None:
                own = "FROM notes WHERE kind = ? AND layer = ? AND unit = ? AND author = ?"
                of = (LABEL, layer, unit, author)
                if was is not None:
                    _check_unchanged(database.execute(f"SELECT text {own}", of).fetchone(), was)
                database.execute(f"DELETE {own}", of)
            insert = (
                "INSERT INTO notes (kind, layer, unit, text, author, made) "
                "VALUES (?, ?, ?, ?, ?, ?)"
            )
            return _one(database, _once(database, insert, values, kind, text))

    def _check_unit(self, layer: str, unit: int) -> None:
        if layer not in self._units:
            raise LayerError(
                f"layer {str(layer)[:60]!r} is not in {self.file.parent.name}; expected one of "
                f"{', '.join(self._units)}"
            )
        last = self._units[layer] - 1
        if type(unit) is not int or not 0 <= unit <= last:
            raise LayerError(f"unit {str(unit)[:20]} is not in {layer}; expected 0 to {last}")

    def _read(self, question: str, values: tuple[object, ...]) -> list[Note]:
        if not self.file.is_file():
            return []
        # rw, since the remains of a killed writer must be rolled back first; sqlite only reads
        # if the file is read-only.
        with open_database(self.file, "rw") as database:
            if _version(database, self.file) == 0:
                return []  # another process is about to write the first note
            return [_note(row) for row in database.execute(question, values)]

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Open the file, created if missing, for one transaction without other writers."""
        with open_database(self.file, "rwc") as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                if _version(database, self.file) == 0:
                    for statement in _SCHEMA:
                        database.execute(statement)
                    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION:d}")
                yield database
            except BaseException:
                if database.in_transaction:
                    database.rollback()
                raise
            database.commit()


def notes_of(run: "Run") -> Notes:
    """The notes of an opened run."""
    return Notes(run.path, {name: info.units for name, info in run.layers.items()})


def _version(database: sqlite3.Connection, file: Path) -> int:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise RunError(
            f"{file} has schema version {version}; this version reads up to {SCHEMA_VERSION}; "
            "update gan-dissection"
        )
    return version


def _check_unchanged(found: tuple[str] | None, was: str) -> None:
    now = found[0] if found is not None else ""
    if now != was:
        raise ConfigError(
            f"the label was changed meanwhile to {now[:40]!r}; expected {was[:40]!r}; look at it "
            "and save yours again to replace it"
        )


def _one(database: sqlite3.Connection, number: int) -> Note:
    if type(number) is not int or not 0 < number < 2**63:
        raise ConfigError(f"note {str(number)[:20]!r} is not a number; reload the page")
    row = database.execute("SELECT * FROM notes WHERE id = ?", (number,)).fetchone()
    if row is None:
        raise ConfigError(f"note {number} is not there: it was deleted; reload the page")
    return _note(row)


def _note(row: tuple[Any, ...]) -> Note:
    """A row as a note; invalid content of a foreign file is cut or is an error."""
    number, kind, layer, unit, text, author, made = row
    if kind not in KINDS or type(unit) is not int:
        raise ValueError(f"note {number} is a {str(kind)[:20]!r} on unit {str(unit)[:20]!r}")
    return Note(
        number,
        kind,
        str(layer)[:1000],
        unit,
        str(text)[: LONGEST[kind]],
        str(author)[:LONGEST_AUTHOR],
        min(max(float(made), 0.0), 1e11),
    )


def _once(
    database: sqlite3.Connection, statement: str, values: tuple[object, ...], kind: str, text: str
) -> int:
    try:
        return database.execute(statement, values).lastrowid or 0
    except sqlite3.IntegrityError as error:
        if kind == LIST:
            raise ConfigError(f"the unit is in the list {text!r} already") from error
        raise ConfigError("the unit has a newer label of the same person; it stays") from error


SECOND = "second"
"""Name of the column with people's labels of units."""
_Unit = tuple[str, int]


@dataclass(frozen=True)
class Noted:
    """People's notes on units, in the order of the run's layers and of their units.

    Attributes:
        labels: The latest label of each unit that has one.
        notes: All notes on each unit, oldest first.
    """

    labels: Mapping[_Unit, str] = field(default_factory=dict)
    notes: Mapping[_Unit, tuple[Note, ...]] = field(default_factory=dict)


def read_noted(run: "Run") -> Noted:
    """The notes of a run; if they cannot be read, none, and a line on stderr.

    The file may come from somebody else. So notes on units that the run does not have are left out,
    and labels and list names are made safe for a terminal.
    """
    try:
        every = notes_of(run).all()
    except RunError as error:
        # tqdm's write leaves progress bars whole.
        tqdm.write(f"dissect: {error}; shown without notes", file=sys.stderr)
        return Noted()
    found: dict[_Unit, list[Note]] = {}
    for note in every:
        if note.layer in run.layers and 0 <= note.unit < run.layers[note.layer].units:
            plain = note if note.kind == COMMENT else replace(note, text=one_line(note.text))
            found.setdefault((note.layer, note.unit), []).append(plain)
    place = {layer: number for number, layer in enumerate(run.layers)}
    ordered = sorted(found, key=lambda unit: (place[unit[0]], unit[1]))
    labels = {unit: [n.text for n in found[unit] if n.kind == LABEL] for unit in ordered}
    return Noted(
        {unit: texts[-1] for unit, texts in labels.items() if texts},
        {unit: tuple(found[unit]) for unit in ordered},
    )


def with_second(run: "Run", table: "pd.DataFrame") -> "pd.DataFrame":
    """The table with a column ``second``, people's labels; unchanged if there are none.

    Args:
        run: Run of the units.
        table: Table with the columns ``layer`` and ``unit``.
    """
    labels = read_noted(run).labels
    if not labels:
        return table
    units = zip(table.layer, table.unit.astype(int), strict=True)
    return table.assign(**{SECOND: [labels.get(unit, "") for unit in units]})
