"""Damaged files of generators: one line that names the file, exit status 2, little memory and time."""

import json
import subprocess
import sys

import pytest

from tests.generators.damaged_files import kinds

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Kind → what ``dissect inspect`` gave, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.runs.watched", "files", tmp_path_factory.mktemp("files")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = {one["kind"]: one for one in map(json.loads, done.stdout.splitlines())}
    assert list(found) == list(kinds())
    return found


def test_a_damaged_file_is_told_in_one_line_that_names_it(told):
    wrong = {
        kind: (one["status"], one["err"][-600:])
        for kind, one in told.items()
        if one["status"] != 2 or one["err"].count("\n") != 1 or one["path"] not in one["err"]
    }
    assert wrong == {}


def test_a_damaged_file_takes_little_memory_and_time(told):
    assert {kind: one["memory"] for kind, one in told.items() if one["memory"] > 1e9} == {}
    assert {kind: one["seconds"] for kind, one in told.items() if one["seconds"] > 20} == {}
