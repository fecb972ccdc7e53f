"""A run that is killed again and again ends in the same bytes as one that is left alone."""

import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time

import pytest

from dissect import dissect
from tests import patience

PLANTED = "dissect.worlds.planted:generator"
N_SAMPLES = 1600
# For each line, a child of this process makes a run; says its number, and how it ended.
_STARTS = """
import os, sys
import dissect.counting.driver, dissect.runs.write, dissect.worlds.planted, segmenters.colour
from dissect import dissect

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        dissect("dissect.worlds.planted:generator", "colour", out=line.strip(), resume=True,
                n_samples=int(sys.argv[1]), save_every=0, progress=False)
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "run.json"
    }


class Runs:
    """Makes runs, one after the other, in processes that need not import everything again."""

    def __init__(self, process):
        self._process = process

    def start(self, out):
        self._process.stdin.write(f"{out}\n".encode())
        self._number = int(self._process.stdout.readline())

    def ended(self, seconds=0.0):
        """Whether it ended, within some seconds."""
        return bool(select.select([self._process.stdout], [], [], seconds)[0])

    def kill(self):
        os.kill(self._number, signal.SIGKILL)

    def status(self):
        assert self.ended(patience.PROCESS)
        return int(self._process.stdout.readline())


@pytest.fixture
def runs():
    process = subprocess.Popen(
        [sys.executable, "-c", _STARTS, str(N_SAMPLES)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
    )  # fmt: skip
    yield Runs(process)
    process.kill()
    process.communicate()


def version(path):
    """Changes with each save, which puts a new file in the place of the old one."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def saves(path, number):
    """A function that says whether so many saves were seen since now."""
    seen = [version(path)]

    def happened():
        if version(path) not in (seen[-1], None):
            seen.append(version(path))
        return len(seen) > number

    return happened


def test_a_run_killed_at_five_random_moments_and_resumed_is_the_same_bytes(runs, tmp_path):
    draws, killed, tries = random.Random(0), 0, 0
    out, partial = tmp_path / "killed", tmp_path / "killed.partial"
    while killed < 5:
        tries += 1
        assert tries < 20
        # Some saves of this process, and then a little: inside a block, or inside the next save.
        happened, seconds = saves(partial / "state.npz", draws.randint(1, 6)), 0.03
        if killed == 4:  # the fifth falls into the writing of the finished files
            happened, seconds = (partial / "run" / "arrays.zarr").exists, 0.05
        runs.start(out)
        while not runs.ended(0.001) and not happened():
            pass
        time.sleep(draws.uniform(0, seconds))
        if not runs.ended():
            runs.kill()
        status = runs.status()
        if out.exists():  # on a busy machine a kill may come too late
            shutil.rmtree(out)
            shutil.rmtree(partial, ignore_errors=True)
            continue
        assert status == -signal.SIGKILL
        assert (partial / "state.npz").is_file()
        killed += 1
    runs.start(out)
    assert runs.status() == 0
    whole = dissect(PLANTED, "colour", out=tmp_path / "whole", n_samples=N_SAMPLES, progress=False)
    assert contents(out) == contents(whole.path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed", "whole"]


def test_what_a_kill_after_the_last_rename_leaves_is_removed(tmp_path):
    out = tmp_path / "r"
    settings = {"out": out, "n_samples": 32, "progress": False}
    run = dissect(PLANTED, "colour", **settings)
    left = tmp_path / "r.partial"
    left.mkdir()
    (left / "key.json").write_text(f'{{"fingerprint": "{run.record["fingerprint"]}"}}')
    (left / "state.npz").write_bytes(b"")
    dissect(PLANTED, "colour", **settings)
    assert not left.exists()
