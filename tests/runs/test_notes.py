import contextlib
import csv
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dissect.runs
from dissect.errors import ConfigError, DissectError, LayerError, RunError
from dissect.runs import open_run
from dissect.runs.notes import FILE, LONGEST, Notes, notes_of, to_csv, to_json
from tests import patience

UNITS = {"a": 4, "b/c é": 2}


@pytest.fixture
def notes(tmp_path):
    return Notes(tmp_path, UNITS)


def test_what_was_written_is_read_again_by_whoever_opens_it_next(notes, tmp_path):
    notes.label("a", 1, "  left \n ear ", author="Ada")
    notes.comment("a", 1, "one\ntwo")
    notes.add_to_list("b/c é", 0, "ears", author="Bo")
    found = Notes(tmp_path, UNITS).all()
    told = [(n.kind, n.layer, n.unit, n.text, n.author) for n in found]
    assert told == [
        ("label", "a", 1, "left ear", "Ada"),
        ("comment", "a", 1, "one\ntwo", ""),
        ("list", "b/c é", 0, "ears", "Bo"),
    ]
    assert [n.kind for n in notes.of("a", 1)] == ["label", "comment"]
    assert notes.lists() == {"ears": [("b/c é", 0)]}
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILE]  # no journal is left


def test_a_new_label_takes_the_place_of_ones_own_and_leaves_those_of_others(notes):
    notes.label("a", 0, "ear", author="Ada")
    notes.label("a", 0, "horn", author="Bo")
    notes.label("a", 0, "nose", author="Ada")
    assert [(n.text, n.author) for n in notes.all()] == [("horn", "Bo"), ("nose", "Ada")]
    assert notes.labels() == {("a", 0): "nose"}


def test_a_deleted_note_comes_back_as_it_was(notes):
    first = notes.comment("a", 2, "seen", author="Ada")
    notes.comment("a", 3, "later")
    gone = notes.delete(first.id)
    assert gone == first
    assert [n.text for n in notes.all()] == ["later"]
    back = notes.restore(gone)
    assert (back.text, back.author, back.made) == (first.text, first.author, first.made)
    assert back.id > 2  # numbers are never given again
    assert [n.text for n in notes.all()] == ["seen", "later"]


def test_a_label_that_was_deleted_does_not_come_back_over_a_newer_one(notes):
    gone = notes.delete(notes.label("a", 0, "old").id)
    notes.label("a", 0, "new")
    with pytest.raises(ConfigError, match="newer label"):
        notes.restore(gone)
    assert notes.labels() == {("a", 0): "new"}


def test_an_edit_of_what_was_changed_meanwhile_is_refused(notes):
    note = notes.comment("a", 0, "one")
    notes.edit(note.id, "two", was="one")
    with pytest.raises(ConfigError, match="changed meanwhile to 'two'; expected 'one'"):
        notes.edit(note.id, "three", was="one")
    assert notes.get(note.id).text == "two"


@settings(max_examples=40)
@given(st.text(max_size=90))
def test_any_text_comes_back_the_same_or_is_refused_in_one_line(text):
    with tempfile.TemporaryDirectory() as folder:
        notes = Notes(folder, UNITS)
        try:
            note = notes.label("a", 0, text)
        except ConfigError as error:
            refused = str(error)
            assert (refused.count("\n"), notes.all()) == (0, [])
        else:
            assert notes.all() == [note]
            assert note.text == " ".join(text.split())


EVIL = "'); DROP TABLE notes; --"


def test_a_text_is_never_part_of_a_statement(notes):
    note = notes.label("a", 0, EVIL, author=EVIL)
    notes.add_to_list("a", 0, EVIL)
    notes.edit(note.id, EVIL + "'")
    assert [n.text for n in notes.all()] == [EVIL, EVIL + "'"]


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        (lambda n: n.label("x", 0, "t"), LayerError, "expected one of a, b/c é"),
        (lambda n: n.label("a", 4, "t"), LayerError, "expected 0 to 3"),
        (lambda n: n.label("a", True, "t"), LayerError, "expected 0 to 3"),
        (lambda n: n.label("a", 0, " "), ConfigError, "empty; expected 1 to 80"),
        (lambda n: n.comment("a", 0, "x" * 4001), ConfigError, "4,001 characters; expected at"),
        (lambda n: n.label("a", 0, "t", author="x" * 61), ConfigError, "61 characters"),
        (lambda n: n.comment("a", 0, "a\x00b"), ConfigError, r"U\+0000"),
        (lambda n: n.comment("a", 0, "a\ud800"), ConfigError, r"U\+D800"),
        (lambda n: n.edit(1, "t"), ConfigError, "was deleted"),
        (lambda n: n.delete(2**70), ConfigError, "not a number"),
        (lambda n: [n.add_to_list("a", 0, "l") for _ in "ab"], ConfigError, "'l' already"),
    ],
)
def test_a_mistake_is_one_line(notes, act, error, words):
    with pytest.raises(error, match=words) as caught:
        act(notes)
    assert "\n" not in str(caught.value)


def test_two_processes_that_write_at_once_lose_nothing(notes, tmp_path, monkeypatch):
    monkeypatch.setattr("dissect.runs.database._WAIT", patience.PROCESS)  # for a busy machine
    # The package of runs is stood in for, since it brings torch along, which takes seconds.
    code = (
        "import sys, types\n"
        "sys.modules['dissect.runs'] = package = types.ModuleType('dissect.runs')\n"
        "package.__path__ = [sys.argv[2]]\n"
        "from dissect.runs import database\n"
        "from dissect.runs.notes import Notes\n"
        "database._WAIT = float(sys.argv[3])\n"
        "assert 'torch' not in sys.modules\n"
        "notes = Notes(sys.argv[1], {'a': 4})\n"
        "print(flush=True)\n"
        "for i in range(25): notes.comment('a', i % 4, f'child {i}')\n"
    )
    package = Path(dissect.runs.__file__).parent
    child = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path, package, str(patience.PROCESS)],
        stdout=subprocess.PIPE,
    )
    with child:
        child.stdout.readline()
        for i in range(25):
            notes.comment("a", i % 4, f"parent {i}")
    assert child.returncode == 0
    told = [n.text for n in notes.all()]
    assert sorted(told) == sorted(f"{name} {i}" for name in ("child", "parent") for i in range(25))


def test_its_stamp_differs_after_every_change(notes):
    stamps = [notes.stamp()]
    for number in range(4):
        notes.label("a", number, "same")
        stamps.append(notes.stamp())
    notes.edit(1, "else")
    stamps.append(notes.stamp())
    assert len(set(stamps)) == 6
    notes.all()
    assert notes.stamp() == stamps[-1]


@contextlib.contextmanager
def _without_rights():
    """As a user who owns nothing, where the tests run as root, who may write anywhere."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="rights of files are POSIX's")
def test_in_a_folder_that_is_read_only_notes_are_read_and_none_is_written():
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        Notes(folder, UNITS).label("a", 0, "ear")
        empty = folder / "empty"
        empty.mkdir()
        (folder / FILE).chmod(0o444)
        for each in (empty, folder):
            each.chmod(0o555)
        try:
            with _without_rights():
                for each, known in ((folder, {("a", 0): "ear"}), (empty, {})):
                    notes = Notes(each, UNITS)
                    with pytest.raises(RunError, match=r"cannot be written .* writable"):
                        notes.label("a", 1, "x")
                    assert notes.labels() == known
        finally:
            for each in (folder, empty):
                each.chmod(0o755)


def _foreign(file, *statements):
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        for statement in statements:
            database.execute(statement)


def test_damaged_notes_say_so_and_stay_as_they_are(notes):
    notes.label("a", 0, "ear")
    whole = notes.file.read_bytes()
    for content in (b"no database " * 100, whole[:5000], whole[:100] + b"\xff" * 9000):
        notes.file.write_bytes(content)
        for act in (notes.all, lambda: notes.label("a", 0, "x")):
            with pytest.raises(RunError, match=f"{FILE} is damaged") as caught:
                act()
            assert "\n" not in str(caught.value)
        assert notes.file.read_bytes() == content


def test_notes_of_a_newer_version_are_neither_read_nor_written(notes):
    _foreign(notes.file, "PRAGMA user_version = 9")
    for act in (notes.all, lambda: notes.label("a", 0, "x")):
        with pytest.raises(RunError, match="version 9; this version reads up to 1; update"):
            act()


def test_what_a_strangers_file_holds_is_cut_or_refused(notes):
    notes.label("a", 0, "ear")
    _foreign(notes.file, "UPDATE notes SET text = printf('%.*c', 9999, 'x'), made = 1e300")
    (note,) = notes.all()
    assert len(note.text) == LONGEST["label"]
    assert json.loads(to_json([note], run="r"))["notes"][0]["made"].startswith("5138-")
    _foreign(notes.file, "UPDATE notes SET kind = 'virus'")
    with pytest.raises(RunError, match=r"damaged.*'virus'"):
        notes.all()
    _foreign(notes.file, "DROP TABLE notes")
    with pytest.raises(RunError, match="damaged"):
        notes.all()


def test_csv_holds_no_formula_and_json_the_text_as_it_is(notes):
    texts = ["=1+1", "+1", "-1", "@x", 'say "a, b"', "plain"]
    for text in texts:
        notes.comment("a", 0, text)
    rows = list(csv.DictReader(io.StringIO(to_csv(notes.all()))))
    assert [row["text"] for row in rows] == ["'" + t for t in texts[:4]] + texts[4:]
    told = json.loads(to_json(notes.all(), run="faces"))
    assert [n["text"] for n in told["notes"]] == texts
    assert (told["kind"], told["run"]) == ("dissect-notes", "faces")


def test_a_run_with_notes_is_still_whole(planted_run, tmp_path):
    shutil.copytree(planted_run.path, tmp_path / "run")
    notes = notes_of(open_run(tmp_path / "run"))
    notes.label("units", 3, "sun")
    again = open_run(tmp_path / "run")
    assert notes_of(again).labels() == {("units", 3): "sun"}
    notes.file.write_bytes(b"damaged")
    assert open_run(tmp_path / "run").table.equals(planted_run.table)
    with pytest.raises(DissectError):
        notes_of(again).labels()
