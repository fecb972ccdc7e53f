"""Where a run's time goes, how far it is, and what is written about both."""

import json
import time

import pytest

from dissect import dissect
from dissect.counting.stages import HERE, Stages
from dissect.counting.status import Status
from dissect.runs.lock import RunLock
from dissect.runs.partial import Workspace

PLANTED = "dissect.worlds.planted:generator"
STAGES = {
    "pilot", "generate", "segment", "count", "keep pictures", "save", "score", "trust", "strips",
    "write",
}  # fmt: skip


def clock(monkeypatch):
    """Time that goes on only when it is told to."""
    now = [100.0]
    for name in ("perf_counter", "process_time", "monotonic"):
        monkeypatch.setattr(time, name, lambda: now[0])
    return now


def test_a_stage_does_not_count_the_time_of_those_inside_it(monkeypatch):
    now, stages = clock(monkeypatch), Stages(keep_spans=True)
    with stages.stage("write"):
        now[0] += 1
        with stages.stage("strips"):
            now[0] += 4
            with stages.stage("save"):
                now[0] += 16
        now[0] += 2
        assert stages.times["write"].wall == 3  # so far

    def fail():
        with stages.stage("save"):
            now[0] += 8
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert {name: one.wall for name, one in stages.times.items()} == {
        "save": 24, "strips": 4, "write": 3,
    }  # fmt: skip
    assert stages.times["save"].times == 2
    spans = {(one.stage, one.begin - 100, one.seconds) for one in stages.spans_of[HERE]}
    assert ("strips", 1, 20) in spans
    assert ("write", 0, 23) in spans


def test_times_of_another_process_are_added_and_the_later_replace_the_earlier(monkeypatch):
    now, stages = clock(monkeypatch), Stages()
    with stages.stage("count"):
        now[0] += 1
    for seconds in (5.0, 7.0):
        stages.replace_part("worker 0", {"count": {"wall": seconds, "processor": 2 * seconds}})
    assert stages.to_json() == {"count": {"wall": 8.0, "processor": 15.0}}


def test_the_rate_is_that_of_this_process_and_says_what_is_left(tmp_path, monkeypatch):
    now = clock(monkeypatch)
    with RunLock(tmp_path / "r") as lock:
        workspace = Workspace(tmp_path / "r", "key", lock)
        # 300 of a second pass of 1,000 were counted by an earlier process.
        status = Status(workspace, Stages(), counted=300, total=1000, before=1000, overall=2000)
        now[0] += 20
        status.add(100, {"worker 0": 7})
        found = json.loads((tmp_path / "r.partial" / "status.json").read_text())
        (tmp_path / "r.partial" / "status.json").unlink()
    assert (found["done"], found["total"], found["unit"]) == (1400, 2000, "image")
    assert found["rate"] == 5
    assert found["seconds_left"] == 120
    assert found["memory"]["worker 0"] == 7
    assert found["memory"][HERE] > 10**7


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_says_where_its_time_went_and_a_trace_has_every_stay(tmp_path, workers):
    trace = tmp_path / "traces" / "run.json"
    run = dissect(
        PLANTED, "colour", out=tmp_path / "r", n_samples=64, progress=False, workers=workers,
        profile=trace,
    )  # fmt: skip
    assert set(run.record["stages"]) == STAGES
    assert all(one["wall"] >= 0 for one in run.record["stages"].values())
    events = json.loads(trace.read_text())["traceEvents"]
    stays = [one for one in events if one["ph"] == "X"]
    assert {one["name"] for one in stays} == STAGES
    assert all(one["dur"] >= 0 for one in stays)
    named = {one["args"]["name"] for one in events if one["ph"] == "M"}
    assert named == {HERE, *(f"worker {n}" for n in range(workers) if workers > 1)}
    assert sum(one["name"] == "count" for one in stays) == 2
