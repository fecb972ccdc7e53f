"""A folder of runs that somebody sent: nothing of it is imported, started, read or written elsewhere."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import patience
from tests.runs.hostile_folder import SECRET, make_folder

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
LOADS = {"factory", "package", "segmenter", "names", "hub", "path", "above", "inside"}
"""Runs that name models which may not be loaded."""


@pytest.fixture(scope="module")
def hostile(planted_run, command, tmp_path_factory):
    """The folder, what lies outside of it, and its runs that can be opened."""
    place = tmp_path_factory.mktemp("received")
    run = shutil.copytree(planted_run.path, place / "whole")
    done = command("ablate", run, "--concept", "red", "--units", 1, "--samples", 8, "--draws", 1)
    assert done.returncode == 0, done.stderr
    readable = make_folder(run, place / "runs", place / "outside")
    return place / "runs", place / "outside", readable


@pytest.fixture(scope="module")
def told(hostile, tmp_path_factory):
    """What each command gave, and what it did that it should not have done."""
    runs, _, _ = hostile
    done = subprocess.run(
        [sys.executable, "-m", "tests.runs.watched", "hostile", runs, tmp_path_factory.mktemp("out")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_nothing_is_imported_started_read_or_written_elsewhere(told, hostile):
    _, outside, _ = hostile
    assert {f"{o['run']} {o['command']}": o["found"] for o in told if o["found"]} == {}
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]
    assert (outside / "secret").read_text() == SECRET
    assert not any(SECRET in one["out"] + one["err"] for one in told)


def test_every_refusal_is_one_line_that_names_the_run(told, hostile):
    _, _, readable = hostile
    assert {one["run"] for one in told} > set(readable)
    for one in told:
        about = (one["run"], one["command"], one["status"], one["err"][-400:])
        assert one["status"] in (0, 2), about
        lines = [line for line in one["err"].splitlines() if line.startswith("dissect: ")]
        if one["status"] == 2:
            assert len(one["err"].splitlines()) == len(lines), about
            assert one["run"] in lines[-1], about
        loads = one["command"] in ("ablate", "compare") and one["run"] in LOADS
        opens = one["run"] in readable and not loads
        # A segmenter is not needed to compare units.
        opens |= one["command"] == "compare" and one["run"] in ("segmenter", "names", "hub")
        if one["run"] in readable:
            assert (one["status"] == 0) == opens, about


def test_no_control_character_and_no_formula_is_told(told):
    for one in told:
        assert not set("\x1b\x07\x9b\u202e") & set(one["out"] + one["err"]), one["run"]
        if one["command"] in ("show", "export") and one["run"] == "formula":
            cells = [cell for line in one["out"].splitlines() for cell in line.split(",")]
            assert not any(cell.strip('"').startswith("=") for cell in cells)


def test_a_dashboard_over_it_starts_nothing_and_shows_the_others(hostile, chromium, tmp_path):
    runs, outside, _ = hostile
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.runs.watched", "served", runs],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )  # fmt: skip
    url = json.loads(process.stdout.readline())["url"]
    page = chromium.new_page()
    page.set_default_timeout(1000 * patience.PAGE)
    try:
        page.goto(url)
        page.get_by_text("formula").first.wait_for()
        page.get_by_text("run.json").first.wait_for()  # what is damaged is said to be
        for name in ("formula", "factory", "notes"):
            page.goto(f"{url}/run/{name}/units")
            page.get_by_text("7 of 9 units", exact=True).wait_for()
    finally:
        page.close()
        said, _ = process.communicate(timeout=patience.PROCESS)
    found = json.loads(said)["found"]
    assert not found, "\n".join(found)
    assert [path.name for path in outside.iterdir()] == ["secret"]


def test_the_hook_sees_what_it_is_for(tmp_path):
    code = (
        "import sys; from tests.runs.watch import Watch; import subprocess\n"
        "watch = Watch([sys.argv[1]], ['evil'])\n"
        "open('/etc/passwd').close()\n"
        "subprocess.run(['true'])\n"
        "open(sys.argv[1] + '/own', 'w').close()\n"
        "import os; os.listdir('/root'); os.mkdir('/tmp/hostile-none-of-it') if 0 else None\n"
        "try:\n    import evilmodule\nexcept ImportError: pass\n"
        "print(*watch.found, sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], cwd=ROOT, capture_output=True, text=True, check=True
    )
    seen = done.stdout
    assert [
        word in seen for word in ("/etc/passwd (read)", "subprocess.Popen", "import evilmodule")
    ] == [True] * 3
    assert "own" not in seen
