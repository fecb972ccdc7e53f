"""One owner for one run."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from dissect import RunError, dissect
from dissect.processes import identity
from dissect.runs.lock import FILE, RunLock
from dissect.runs.partial import Workspace
from tests import patience

PLANTED = "dissect.worlds.planted:generator"
_HOLD = """
import sys, time
from pathlib import Path
from dissect.runs.lock import RunLock
with RunLock(Path(sys.argv[1])):
    print("mine", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that owns ``tmp_path / "r"``."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, tmp_path / "r"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "mine\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_process_is_refused_in_a_line_before_any_model_is_loaded(tmp_path, other):
    started = []
    with pytest.raises(RunError, match=rf"r is being made by process {other.pid} on ") as caught:
        dissect("tests.broken:no_such", "colour", out=tmp_path / "r", progress=False)
    assert "\n" not in str(caught.value)
    assert started == []
    assert os.listdir(tmp_path / "r.partial") == [FILE]  # and nothing of the owner's was touched


def test_a_lock_whose_owner_died_is_taken_over(tmp_path, other):
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert json.loads((tmp_path / "r.partial" / FILE).read_text())["pid"] == other.pid
    run = dissect(PLANTED, "colour", out=tmp_path / "r", n_samples=32, progress=False)
    assert run.config.n_samples == 32
    assert os.listdir(tmp_path) == ["r"]


def test_a_number_that_was_given_again_is_another_process(tmp_path):
    folder = tmp_path / "r.partial"
    folder.mkdir()
    about = {"host": os.uname().nodename, "pid": os.getpid(), "identity": "before", "since": "then"}
    (folder / FILE).write_text(json.dumps(about))
    with RunLock(tmp_path / "r") as lock:
        assert lock.holds()
    assert os.listdir(tmp_path) == []
    # Where a file system has no locks, the file alone says that its owner lives.
    folder.mkdir()
    (folder / FILE).write_text(json.dumps(about | {"identity": identity(os.getpid())}))
    with pytest.raises(RunError, match="is being made by"), RunLock(tmp_path / "r"):
        pass


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"host": 3}', "[" * 4000])
def test_a_lock_that_says_nothing_is_free_or_of_another_machine(tmp_path, content):
    folder = tmp_path / "r.partial"
    folder.mkdir()
    (folder / FILE).write_text(content)
    if "host" in content:
        with pytest.raises(RunError, match="on 3"), RunLock(tmp_path / "r"):
            pass
        return
    with RunLock(tmp_path / "r") as lock:
        assert lock.holds()


def test_an_owner_on_another_machine_is_believed(tmp_path):
    folder = tmp_path / "r.partial"
    folder.mkdir()
    about = {"host": "elsewhere", "pid": 1, "identity": "x", "since": "then"}
    (folder / FILE).write_text(json.dumps(about))
    with pytest.raises(RunError, match=rf"process 1 on elsewhere.*delete .*{FILE}"):
        dissect(PLANTED, "colour", out=tmp_path / "r", n_samples=32, progress=False)


def test_a_lock_leaves_no_folder_that_was_not_there(tmp_path):
    with RunLock(tmp_path / "a" / "b" / "r"):
        assert (tmp_path / "a" / "b" / "r.partial" / FILE).is_file()
    assert os.listdir(tmp_path) == []


def test_nothing_is_published_that_is_of_two_runs(tmp_path, monkeypatch):
    """A state of other settings, put there while the run is made."""
    other = dissect(PLANTED, "colour", out=tmp_path / "other", n_samples=32, seed=7, progress=False)
    published = Workspace.publish

    def swapped(self):
        foreign = Workspace(tmp_path / "x", "another fingerprint")
        foreign.folder.mkdir()
        foreign.save(self.load())
        os.replace(foreign.folder / "state.npz", self.folder / "state.npz")
        published(self)

    monkeypatch.setattr(Workspace, "publish", swapped)
    with pytest.raises(RunError, match="other settings or models"):
        dissect(PLANTED, "colour", out=tmp_path / "r", n_samples=32, progress=False)
    assert not (tmp_path / "r").exists()
    assert other.path.exists()


def test_a_lock_that_was_taken_away_publishes_nothing(tmp_path, monkeypatch):
    published = Workspace.publish

    def taken(self):
        self.lock.path.unlink()
        published(self)

    monkeypatch.setattr(Workspace, "publish", taken)
    with pytest.raises(RunError, match="was taken by another process"):
        dissect(PLANTED, "colour", out=tmp_path / "r", n_samples=32, progress=False)
    assert not (tmp_path / "r").exists()


_PAIR = """
import sys
from dissect import dissect
from dissect.errors import DissectError
try:
    dissect("dissect.worlds.planted:generator", "colour", out=sys.argv[1], seed=int(sys.argv[2]),
            resume=sys.argv[3] == "resume", n_samples=160, save_every=0, progress=False)
except DissectError as error:
    print(error)
    sys.exit(2)
"""


def _files(run):
    return {
        p.relative_to(run): p.read_bytes()
        for p in sorted(run.rglob("*"))
        if p.is_file() and p.name != "run.json"
    }


def _try_pairs(folder, n_pairs, seed):
    draws = random.Random(seed)
    alone = {
        s: _files(dissect(PLANTED, "colour", out=folder / f"alone{s}", seed=s, n_samples=160, progress=False).path)
        for s in (0, 1)
    }  # fmt: skip
    for number in range(n_pairs):
        out = folder / f"run{number}"
        kind = draws.choice(["same", "other seed", "resume"])
        first = [0, "new"]
        second = {"same": [0, "new"], "other seed": [1, "new"], "resume": [0, "resume"]}[kind]
        pair = [
            subprocess.Popen(
                [sys.executable, "-c", _PAIR, str(out), *map(str, given)],
                stdout=subprocess.PIPE, text=True,
            )
            for given in (first, second)
            if time.sleep(draws.uniform(0, 0.3)) is None
        ]  # fmt: skip
        said = [process.communicate(timeout=patience.PROCESS)[0] for process in pair]
        status = [process.returncode for process in pair]
        # One finishes; the other is refused, or came when all was done and found the same run.
        assert sorted(status) in ([0, 2], [0, 0]), (kind, said)
        refused = [text for text, code in zip(said, status, strict=True) if code == 2]
        assert all(text.count("\n") == 1 for text in refused), refused
        assert all("is being made by" in t or "holds another run" in t for t in refused), refused
        winner = [first, second][status.index(0)][0]
        if status == [0, 0]:
            assert kind != "other seed"
        assert _files(out) == alone[winner], kind
        assert not out.with_name(out.name + ".partial").exists()


@pytest.mark.slow
def test_of_pairs_of_processes_one_makes_the_run(tmp_path):
    _try_pairs(tmp_path, int(os.environ.get("DISSECT_PAIRS", "5")), seed=0)
