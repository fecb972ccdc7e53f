"""A run that is killed again and again ends in the same bytes as one that is left alone."""

import random
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


def wait_until(process, happened):
    """Poll until something happened; fails where the process ended before."""
    deadline = time.monotonic() + patience.PROCESS
    while not happened():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.001)


def kill(process):
    process.send_signal(signal.SIGKILL)
    assert process.wait(timeout=patience.PROCESS) == -signal.SIGKILL


def version(path):
    """Changes with each save, which puts a new file in the place of the old one."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def test_a_run_killed_at_five_random_moments_and_resumed_is_the_same_bytes(tmp_path):
    draws = random.Random(0)
    out, state = tmp_path / "killed", tmp_path / "killed.partial" / "state.npz"
    for _ in range(4):
        process = start(out)
        # Some saves of this process, and then a little: inside a block, or inside the next save.
        for _ in range(draws.randint(1, 6)):
            seen = version(state)
            wait_until(process, lambda seen=seen: version(state) not in (seen, None))
        time.sleep(draws.uniform(0, 0.03))
        kill(process)
        assert state.is_file()
        assert not out.exists()
    # The fifth falls into the writing of the finished files.
    process = start(out)
    wait_until(process, (tmp_path / "killed.partial" / "run" / "arrays.zarr").exists)
    time.sleep(draws.uniform(0, 0.05))
    kill(process)
    assert not out.exists()
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
