"""Damaged runs: one line that names the file, exit status 2, little memory and time."""

import json
import subprocess
import sys

import pytest

from tests.runs.damaged_runs import KINDS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run_with_an_effect(planted_run, command, tmp_path_factory):
    import shutil

    run = shutil.copytree(planted_run.path, tmp_path_factory.mktemp("whole") / "run")
    done = command("ablate", run, "--concept", "red", "--units", 1, "--samples", 8, "--draws", 1)
    assert done.returncode == 0, done.stderr
    return run


@pytest.fixture(scope="module")
def told(run_with_an_effect, tmp_path_factory):
    """Kind → what its command gave, in a process of its own."""
    folder = tmp_path_factory.mktemp("damaged")
    done = subprocess.run(
        [sys.executable, "-m", "tests.runs.watched", "damaged", run_with_an_effect, folder],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = {one["kind"]: one for one in map(json.loads, done.stdout.splitlines())}
    assert list(found) == list(KINDS)
    return found


def test_a_damaged_run_is_told_in_one_line_that_names_the_place(told):
    wrong = {}
    for kind, (_, _, place) in KINDS.items():
        one = told[kind]
        fine = one["status"] == 2 and one["err"].count("\n") == 1 and place in one["err"]
        if not fine or not one["err"].startswith("dissect: "):
            wrong[kind] = (one["status"], one["err"][-600:], one.get("out"))
    assert wrong == {}


def test_a_damaged_run_takes_little_memory_and_time(told):
    assert {kind: one["memory"] for kind, one in told.items() if one["memory"] > 1e9} == {}
    assert {kind: one["seconds"] for kind, one in told.items() if one["seconds"] > 20} == {}


def test_the_whole_run_is_opened_by_the_same_commands(run_with_an_effect, command):
    for name, *options in {tuple(one[1]) for one in KINDS.values()}:
        done = command(name, run_with_an_effect, *options)
        assert done.returncode == 0, done.stderr
