"""Several processes that share a run: the same bytes, whoever dies on the way."""

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from functools import partial

import pytest

from dissect import ConfigError, GeneratorError, RunError, dissect, open_run
from dissect.errors import PartialRunError
from dissect.terminal import describe_run
from tests import patience
from tests.counting.sharing_models import FAILS, KILLS, NAN

PLANTED = "dissect.worlds.planted:generator"
N_SAMPLES = 200


def files(run):
    return {
        path.relative_to(run.path): path.read_bytes()
        for path in sorted(run.path.rglob("*"))
        if path.is_file() and path.name != "run.json"
    }


def make(out, *, generator=PLANTED, segmenter="colour", **settings):
    given = {"n_samples": N_SAMPLES, "progress": False} | settings
    return dissect(generator, segmenter, out=out, **given)


@pytest.mark.parametrize("workers", [2, 4])
def test_several_processes_make_the_bytes_of_one(planted_run, tmp_path, workers):
    run = make(tmp_path / "r", workers=workers)
    assert files(run) == files(planted_run)
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_a_block_of_both_folds_bases_and_passes_are_shared_too(tmp_path):
    settings = {
        "layers": ["units", "units@rotation:3", "units@pca:3"], "n_samples": 88, "pilot": 40,
        "coactivation": True,
    }  # fmt: skip
    whole = make(tmp_path / "a", **settings)
    assert files(make(tmp_path / "b", workers=3, **settings)) == files(whole)


def test_strips_of_workers_are_drawn_from_what_they_kept(planted_run, tmp_path, monkeypatch):
    from dissect.counting import top_images

    def never(subject, results, pictures, masks, missing, **_):
        assert not any(absent.any() for absent in missing.values())

    monkeypatch.setattr(top_images, "_draw_again", never)
    assert files(make(tmp_path / "r", workers=2)) == files(planted_run)


def test_models_that_are_objects_are_refused_in_one_line(planted, tmp_path):
    with pytest.raises(ConfigError, match=r"workers is 2 .* by name"):
        dissect(planted, "colour", out=tmp_path / "r", workers=2)
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_of_a_worker_is_told_as_one_process_tells_it(tmp_path):
    with pytest.raises(GeneratorError, match=r"NaN or infinity in images of sample \d+"):
        make(tmp_path / "r", generator=NAN, workers=2)
    assert list(tmp_path.iterdir()) == []


def test_a_worker_that_is_killed_is_replaced(planted_run, tmp_path, monkeypatch, capfd):
    mark = tmp_path / "mark"
    monkeypatch.setenv("TEST_MARK", str(mark))
    run = make(tmp_path / "r", generator=KILLS, workers=2)
    assert mark.read_text() == "killed"
    assert "another one takes its place" in capfd.readouterr().err
    assert files(run) == files(planted_run)


def test_a_block_that_fails_three_times_makes_a_partial_run_that_can_be_resumed(
    tmp_path, monkeypatch
):
    whole = make(tmp_path / "whole", pilot=64)
    mark = tmp_path / "mark"
    monkeypatch.setenv("TEST_MARK", str(mark))
    out, beside = tmp_path / "r", tmp_path / "r.partial"
    with pytest.raises(PartialRunError, match=r"partial: block 4 failed 3 times.*fault") as told:
        make(out, generator=FAILS, workers=2, pilot=64)
    assert "\n" not in str(told.value)
    assert "planted fault" in (beside / "failed.json").read_text()
    assert json.loads((beside / "status.json").read_text())["aside"] == [4]
    assert sorted(path.name for path in beside.iterdir()) == [
        "failed.json", "key.json", "state.npz", "status.json",
    ]  # fmt: skip

    partial = open_run(out)
    assert partial.record["coverage"]["missing"] == [[128, 160]]
    assert partial.record["coverage"]["evaluation"] == 200 - 48 - 32
    assert partial.record["fingerprint"] != whole.record["fingerprint"]
    (sentence,) = partial.summary()["left_out"]
    assert "32 of 200 samples (128 to 159) are missing" in sentence
    assert sentence in describe_run(partial)
    histogram = partial.array("units", "histogram").sel(set="evaluation", row="(all pixels)")
    assert (histogram.sum("bin") == 120 * 32 * 32).all()

    with pytest.raises(RunError, match="--resume"):
        make(out, generator=FAILS, pilot=64)
    (out / "notes.sqlite").write_bytes(b"")
    with pytest.raises(RunError, match=r"'notes.sqlite' was added since"):
        make(out, generator=FAILS, resume=True, pilot=64)
    (out / "notes.sqlite").unlink()
    mark.write_text("healed")
    resumed = make(out, generator=FAILS, workers=1, resume=True, pilot=64)
    assert files(resumed) == files(whole)
    assert resumed.record["fingerprint"] == whole.record["fingerprint"]
    assert resumed.summary()["left_out"] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mark", "r", "whole"]


def test_a_block_that_thresholds_rest_on_ends_the_run_without_scores(tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_MARK", str(tmp_path / "mark"))
    with pytest.raises(RunError, match=r"partial and has no scores: block 4 failed 3 times"):
        make(tmp_path / "r", generator=FAILS, workers=2, n_samples=640, pilot=64)
    assert not (tmp_path / "r").exists()
    assert (tmp_path / "r.partial" / "state.npz").is_file()


_CODE = """
import sys
from dissect import dissect
dissect("dissect.worlds.planted:generator", "colour", out=sys.argv[1], n_samples=1600, resume=True,
        workers=int(sys.argv[2]), save_every=0, progress=False)
"""


def start(out, workers):
    return subprocess.Popen([sys.executable, "-c", _CODE, str(out), str(workers)])


def n_counted(out):
    """Blocks in the state and in all parts, as far as they can be read at this moment."""
    return len(list(out.with_name(out.name + ".partial").glob("part-*.npz")))


@pytest.mark.slow
def test_a_shared_run_killed_at_random_moments_resumes_with_other_numbers_of_workers(tmp_path):
    draws = random.Random(int(os.environ.get("TEST_SEED", "0")))
    out = tmp_path / "killed"
    whole = make(tmp_path / "whole", n_samples=1600)
    killed = 0
    for _ in range(int(os.environ.get("TEST_KILLS", "4"))):
        process = start(out, draws.choice([2, 3]))
        deadline = time.monotonic() + patience.PROCESS
        while process.poll() is None and not n_counted(out):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(draws.uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        if process.wait(timeout=patience.PROCESS) == 0:
            break
        killed += 1
    print(f"killed {killed} times")
    assert killed
    process = start(out, 1 + draws.randrange(3))
    assert process.wait(timeout=patience.PROCESS) == 0
    assert files(open_run(out)) == files(whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed", "whole"]


N_KILLED = 6400


def start_command(out):
    command = [
        *(sys.executable, "-m", "dissect", "run", PLANTED, "--segmenter", "colour", "--resume"),
        *("--samples", str(N_KILLED), "--workers", "2", "--save-every", "0", "--out", str(out)),
        "--quiet",
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def wait_for(process, condition):
    """Wait until a condition holds or the process has ended."""
    deadline = time.monotonic() + patience.PROCESS
    while process.poll() is None and not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_owner(process, out):
    """Whether a process owns the run; its models are loaded then."""
    owner = out.with_name(f"{out.name}.partial") / "owner.json"
    return f'"pid": {process.pid},' in content_of(owner)


def status_time(out):
    """When the status of a run was last written; it is written while samples are counted."""
    try:
        return (out.with_name(f"{out.name}.partial") / "status.json").stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def content_of(path):
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


@pytest.mark.slow
def test_the_command_with_workers_is_killed_at_random_moments_and_resumes(tmp_path):
    """Moments are drawn over a run's whole time, a part of it before samples are counted."""
    draws = random.Random(int(os.environ.get("TEST_SEED", "0")))
    to_kill, killed, counting, names = int(os.environ.get("TEST_KILLS", "4")), 0, 0, ["0"]
    process = start_command(tmp_path / "0")
    wait_for(process, lambda: is_owner(process, tmp_path / "0"))
    began = time.monotonic()
    wait_for(process, lambda: status_time(tmp_path / "0"))
    before = time.monotonic() - began
    assert process.wait(timeout=patience.PROCESS) == 0
    seconds = time.monotonic() - began
    whole = files(open_run(tmp_path / "0"))
    while killed < to_kill:
        names.append(str(len(names)))
        out, ended = tmp_path / names[-1], False
        while not ended:
            process, last, moment = start_command(out), status_time(out), math.inf
            if killed < to_kill:
                moment = draws.uniform(0, seconds)
                wait_for(process, partial(is_owner, process, out))
                if moment > before:
                    wait_for(process, lambda out=out, last=last: status_time(out) != last)
                time.sleep(moment - before if moment > before else moment)
                process.send_signal(signal.SIGKILL)
            ended = process.wait(timeout=patience.PROCESS) == 0
            killed += not ended
            counting += not ended and moment > before
            left = sorted(path.name for path in out.with_name(f"{out.name}.partial").glob("*"))
            print(
                f"{killed} killed, {counting} after the first samples were counted; "
                f"{len(names)} runs; {'whole' if ended else left}",
                flush=True,
            )
        assert files(open_run(out)) == whole
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
