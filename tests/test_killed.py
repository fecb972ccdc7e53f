"""A run that is killed again and again ends in the same bytes as one that is left alone."""

import random
import shutil
import signal
import subprocess
import sys
import time

from dissect import dissect
from tests import patience

PLANTED = "dissect.worlds.planted:generator"
N_SAMPLES = 1600
_CODE = """
import sys
from dissect import dissect
dissect("dissect.worlds.planted:generator", "colour", out=sys.argv[1], n_samples=int(sys.argv[2]),
        resume=True, save_every=0, progress=False)
"""


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "run.json"
    }


def start(out):
    return subprocess.Popen([sys.executable, "-c", _CODE, str(out), str(N_SAMPLES)])


def kill_after(process, happened, seconds):
    """Kill a process a little after something happened; says whether it had not ended before."""
    deadline = time.monotonic() + patience.PROCESS
    while process.poll() is None and not happened():
        assert time.monotonic() < deadline
        time.sleep(0.001)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    return process.wait(timeout=patience.PROCESS) == -signal.SIGKILL


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


def test_a_run_killed_at_five_random_moments_and_resumed_is_the_same_bytes(tmp_path):
    draws, killed, tries = random.Random(0), 0, 0
    out, partial = tmp_path / "killed", tmp_path / "killed.partial"
    while killed < 5:
        tries += 1
        assert tries < 20
        # Some saves of this process, and then a little: inside a block, or inside the next save.
        happened, seconds = saves(partial / "state.npz", draws.randint(1, 6)), 0.03
        if killed == 4:  # the fifth falls into the writing of the finished files
            happened, seconds = (partial / "run" / "arrays.zarr").exists, 0.05
        alive = kill_after(start(out), happened, draws.uniform(0, seconds))
        if out.exists():  # on a busy machine a kill may come too late
            shutil.rmtree(out)
            shutil.rmtree(partial, ignore_errors=True)
            continue
        assert alive
        assert (partial / "state.npz").is_file()
        killed += 1
    assert start(out).wait(timeout=patience.PROCESS) == 0
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
