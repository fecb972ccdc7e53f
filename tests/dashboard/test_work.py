"""Runs and effects that are started from the dashboard: what their files say, a person's way."""

import errno
import json
import os
import re
import signal
import time
from contextlib import suppress
from types import SimpleNamespace

import pytest
from playwright.sync_api import expect

from dashboard.disk import DiskUse
from dashboard.tags import Tags
from dashboard.work import processes
from dashboard.work.generators import files_of, generators_of, look_up
from dashboard.work.queue import Work
from dashboard.work.records import EFFECT, RUN, Records
from dashboard.work.requests import EffectRequest, RunRequest, check_segmenters
from dissect.errors import ConfigError, RunError
from tests import patience

# Counts 16 samples of 64, and the rest once there is a file "go"; as `dissect run` leaves files.
COUNTS = """
import json, os, signal, sys, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)
out = Path(next(a for a in sys.argv if a.startswith("--out=")).removeprefix("--out="))
partial = out.with_name(out.name + ".partial")
partial.mkdir(exist_ok=True)
file = partial / "status.json"
done = json.loads(file.read_text())["done"] if file.exists() else 0
try:
    while done < 64:
        done += 16
        fresh = partial / "new"
        fresh.write_text(json.dumps({"done": done, "total": 64}))
        os.replace(fresh, file)
        while not (out.parent / "go").exists():
            time.sleep(0.01)
except KeyboardInterrupt:
    sys.exit("dissect: stopped")
(partial / "run.json").write_text("{}")
partial.rename(out)
"""
IGNORES = """
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""
FAILS = "import sys; print('noise', file=sys.stderr); sys.exit('dissect: no such layer')"


def ask(name="first", **others):
    values = {"generator": "scenes-pggan", "segmenters": ("colour",)} | others
    return RunRequest(name=name, **values)


@pytest.fixture
def begin(tmp_path):
    """Queues of one folder, as one app after the other makes them; no process outlives the test."""

    def make(program=COUNTS, **options):
        return Work(tmp_path, program=program, **options)

    yield make
    work = Work(tmp_path)
    for job in [job for job in work.all() if job.turn]:
        work.cancel(job.id)  # before the one that it waits for ends
    for job in work.all():
        if job.live:
            with suppress(ProcessLookupError):  # it may end by itself meanwhile
                os.killpg(work._records.read(job.id)["pid"], signal.SIGKILL)


def wait(jobs, *, state, done=None):
    """The newest job, once it is so."""
    end = time.monotonic() + patience.PROCESS
    while time.monotonic() < end:
        job = jobs.all()[0]
        if job.state == state and done in (None, job.done):
            return job
        time.sleep(0.02)
    raise AssertionError(f"still {jobs.all()[0]}")


def test_an_app_that_starts_anew_sees_what_the_one_before_saw(begin, tmp_path):
    begin().start(ask())
    job = wait(begin(), state="running", done=16)
    assert (job.name, job.total) == ("first", 64)
    (tmp_path / "go").touch()
    assert wait(begin(), state="finished").error == ""


def test_a_stopped_run_is_gone_on_with_by_another_app(begin, tmp_path):
    jobs = begin()
    jobs.start(ask())
    wait(jobs, state="running", done=16)
    begin().cancel("first")
    assert wait(begin(), state="cancelled").done == 16
    (tmp_path / "go").touch()
    begin().resume("first")
    wait(begin(), state="finished")
    with pytest.raises(ConfigError, match="is finished"):
        begin().resume("first")


def test_one_that_does_not_listen_is_killed_after_a_while(begin, tmp_path):
    jobs = begin(IGNORES)
    jobs.start(ask())
    while not (jobs._records.place_of("first") / "stdout.txt").read_text():
        time.sleep(0.02)
    jobs.cancel("first")
    assert jobs.all()[0].state == "stopping"  # for twenty seconds
    begin(patience=0).cancel("first")
    wait(jobs, state="cancelled")


def test_a_failed_run_shows_its_one_line_and_can_be_removed(begin, tmp_path):
    jobs = begin(FAILS)
    jobs.start(ask())
    assert wait(jobs, state="failed").error == "no such layer"
    jobs.remove("first")
    assert jobs.all() == []
    jobs.start(ask())


def test_a_process_that_was_given_the_number_later_is_neither_shown_nor_stopped(begin, tmp_path):
    jobs = begin(FAILS)
    jobs.start(ask())
    wait(jobs, state="failed")
    record = jobs._records.read("first") | {"pid": os.getpid()}
    jobs._records.write("first", record)
    assert jobs.all()[0].state == "failed"
    processes.stop(os.getpid(), record["identity"], patience=0)
    with pytest.raises(ConfigError, match="failed already"):
        jobs.cancel("first")


def test_names_that_are_taken_and_runs_at_work_are_left_alone(begin, tmp_path):
    jobs = begin()
    jobs.start(ask())
    with pytest.raises(ConfigError, match="stop it first"):
        jobs.remove("first")
    (tmp_path / "go").touch()
    wait(jobs, state="finished")
    (tmp_path / "third.partial").mkdir()
    for name in ("first", "third"):
        with pytest.raises(ConfigError, match="expected a new name"):
            jobs.start(ask(name))


def test_runs_wait_for_their_turn_and_begin_in_order_without_a_dashboard(begin, tmp_path):
    # One after the other under a lock, in processes of their own: here nobody asks `jobs` again.
    jobs = begin()
    stood = [jobs.start(ask(name)) for name in ("a", "b", "c", "d")]
    assert [(job.state, job.turn) for job in stood] == [
        ("running", 0), ("waiting", 1), ("waiting", 2), ("waiting", 3),
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="stop it first"):
        jobs.remove("c")
    begin().cancel("c")  # by another dashboard
    assert {job.name: job.turn for job in begin().all()} == {"a": 0, "b": 1, "d": 2}
    (tmp_path / "go").touch()
    end = time.monotonic() + patience.PROCESS
    while not (tmp_path / "d/run.json").exists() and time.monotonic() < end:
        time.sleep(0.05)
    began = [(tmp_path / name / "run.json").stat().st_mtime_ns for name in ("a", "b", "d")]
    assert began == sorted(began)
    assert not (tmp_path / "c").exists()


def test_one_that_waits_to_go_on_keeps_what_was_counted_when_it_is_taken_out(begin, tmp_path):
    jobs = begin()
    jobs.start(ask())
    wait(jobs, state="running", done=16)
    jobs.cancel("first")
    wait(jobs, state="cancelled")
    jobs.start(ask("second"))
    assert jobs.resume("first").turn == 1
    jobs.cancel("first")
    assert (jobs.find("first").state, jobs.find("first").done) == ("cancelled", 16)


def test_a_run_that_took_the_name_of_one_that_waits_is_left_alone(begin, tmp_path):
    jobs = begin()
    jobs.start(ask())
    wait(jobs, state="running", done=16)  # before that it may be deaf to a stop
    jobs.start(ask("b"))
    (tmp_path / "b.partial").mkdir()
    jobs.cancel("first")
    end = time.monotonic() + patience.PROCESS
    while jobs.find("b").state != "failed" and time.monotonic() < end:
        jobs.advance()
        time.sleep(0.05)
    assert "another run of this name" in jobs.find("b").error
    jobs.remove("b")
    assert (tmp_path / "b.partial").is_dir()


def test_of_dashboards_that_start_at_the_same_moment_one_begins_and_a_name_is_given_once(
    begin, tmp_path
):
    from concurrent.futures import ThreadPoolExecutor

    def start(name):
        try:
            return begin().start(ask(name)).state
        except ConfigError as error:
            return "expected a new name" in str(error) and "taken"

    with ThreadPoolExecutor(8) as pool:
        stood = list(pool.map(start, ["a", "b"] * 6))
    assert sorted(stood) == sorted(["running", "waiting"] + ["taken"] * 10)
    assert sum(job.live for job in begin().all()) == 1


def test_a_folder_that_somebody_gave_starts_nothing(serving, begin, tmp_path):
    """What an older version, or somebody else, left as work in the data is not read."""
    import urllib.request

    runs = tmp_path / "runs"
    hostile = {
        "version": 1, "arguments": [], "created": "2026-01-01T00:00:00", "waiting": 1,
        "kind": "run", "run": "evil", "name": "evil", "id": "evil", "cwd": str(tmp_path),
    }  # fmt: skip
    for place in (".jobs", "work", "jobs"):
        (runs / place / "evil").mkdir(parents=True)
        (runs / place / "evil/job.json").write_text(json.dumps(hostile))
    with serving(runs) as url:
        for path in ("/", "/_dash-layout"):
            urllib.request.urlopen(url + path).read()
    jobs = Work(runs, program=FAILS)
    assert jobs.all() == []
    assert not jobs.advance()
    assert not jobs.place.is_relative_to(tmp_path / "runs")


def test_a_record_that_this_user_did_not_sign_for_this_job_is_none(begin, tmp_path):
    jobs = begin()
    jobs.start(ask())
    wait(jobs, state="running", done=16)
    jobs.start(ask("second"))
    own = jobs._records.place_of("second") / "job.json"
    good = json.loads(own.read_text())
    assert (jobs.find("second").state, jobs.find("second").turn) == ("waiting", 1)
    changed = json.loads(own.read_text())
    changed["record"]["arguments"] = ["--version"]
    copied = json.loads((jobs._records.place_of("first") / "job.json").read_text())
    for wrong in (changed, copied, good | {"signature": ""}, good | {"signature": None},
                  good["record"], {"record": good["record"]}, [], None):  # fmt: skip
        own.write_text(json.dumps(wrong))
        assert [job.id for job in jobs.all()] == ["first"], wrong
    own.write_text("[" * 100_000)
    assert [job.id for job in jobs.all()] == ["first"]
    own.write_text(json.dumps(good))
    elsewhere = Work(tmp_path / "another")
    elsewhere._records.place_of("second").mkdir(parents=True)
    (elsewhere._records.place_of("second") / "job.json").write_text(json.dumps(good))
    assert elsewhere.all() == []  # signed for another folder
    assert [job.id for job in jobs.all()] == ["second", "first"]


@pytest.mark.parametrize("name", ["..", "../first", "nope", "", None, 3, ["first"]])
def test_a_job_is_looked_up_and_never_a_path(begin, tmp_path, name):
    jobs = begin(FAILS)
    jobs.start(ask())
    wait(jobs, state="failed")
    for act in (jobs.cancel, jobs.resume, jobs.remove):
        with pytest.raises(ConfigError, match="no job is called"):
            act(name)


def test_a_folder_that_is_a_run_takes_no_other(planted_run):
    with pytest.raises(RunError, match="expected a folder of runs"):
        Work(planted_run.path, program=FAILS).start(ask())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "../up"), ("name", "-x"), ("name", ""), ("name", "a" * 61), ("name", None),
        ("n_samples", 15), ("n_samples", 10**9), ("n_samples", "64"), ("n_samples", True),
        ("n_samples", 64.5), ("seed", -1), ("seed", 2**53), ("truncation", float("nan")),
        ("truncation", "1"), ("truncation", 3), ("threshold", "other"), ("threshold", []),
        ("layers", ""), ("layers", "a,,b"), ("layers", "a@sae:/etc/passwd"), ("layers", None),
        ("layers", "a/b"), ("coactivation", "yes"), ("halves", None), ("segmenters", ()),
    ],
)  # fmt: skip
def test_what_a_run_cannot_be_is_told_in_one_line(field, value):
    with pytest.raises(ConfigError, match="expected") as caught:
        ask(**({} if field == "name" else {"name": "first"}) | {field: value})
    assert "\n" not in str(caught.value)


def test_the_command_line_reads_what_was_asked_for(tmp_path):
    from dissect.cli import build_parser

    given = ask(
        "first", generator="--out=/tmp/elsewhere", segmenters=("scenes", "colour"), halves=True,
        layers="a.b, c@pca:4", n_samples=64, seed=3, truncation=0.5, threshold="quantile",
        coactivation=True, grid="native", block=16,
    )  # fmt: skip
    read = build_parser().parse_args(given.arguments(tmp_path))
    assert read.generator == "--out=/tmp/elsewhere"
    assert read.out == str(tmp_path / "first")
    assert read.segmenter == "scenes+colour+quadrants"
    assert (read.layers, read.n_samples, read.seed) == (("a.b", "c@pca:4"), 64, 3)
    assert (read.truncation, read.threshold) == (0.5, "quantile")
    assert read.coactivation
    assert (read.grid, read.block, read.compat, read.label) == ("native", 16, None, None)
    assert read.resume


def effect(**changed):
    given = {
        "run": "planted",
        "edit": "ablate",
        "concept": "red",
        "name": "mine",
        "n_units": 1,
        "n_samples": 8,
    }
    return EffectRequest(**(given | changed))


@pytest.mark.parametrize(
    ("field", "value"),
    [("edit", "rm"), ("edit", None), ("order", "--help"), ("name", "../mine"), ("name", "a/b"),
     ("name", ".."), ("name", 3), ("n_units", 0), ("n_units", True), ("n_units", 1.5), ("n_samples", 1),
     ("picked", (3,)), ("picked", tuple(range(5000))), ("n_samples", 10**9), ("n_samples", "8"), ("curve", "yes"), ("curve", 1)],
)  # fmt: skip
def test_an_effect_that_cannot_be_measured_is_refused(field, value):
    with pytest.raises(ConfigError, match="expected"):
        effect(**{field: value})


def test_no_value_of_an_effect_can_become_an_option(tmp_path):
    asked = effect(concept="--device=evil", name="-x", layer="--json", curve=True)
    words = asked.arguments(tmp_path)
    assert words[0] == "ablate"
    assert words[-3:] == ["--json", "--", str(tmp_path / "planted")]
    assert {"--concept=--device=evil", "--layer=--json", "--name=-x", "--curve=iou"} <= set(words)
    assert all("=" in word for word in words[1:-3])


def test_units_by_hand_take_the_place_of_how_many_by_which_order(tmp_path):
    words = effect(picked=(3, 1), order="picked", layer="units", curve=True).arguments(tmp_path)
    assert {"--pick=3,1", "--layer=units", "--curve=picked"} <= set(words)
    assert not [word for word in words if word.startswith(("--units", "--order"))]
    with pytest.raises(ConfigError, match="no layer was given; expected theirs"):
        effect(picked=(3, 1), order="picked")


def test_contexts_have_no_curve(tmp_path):
    words = effect(edit="context", curve=True).arguments(tmp_path)
    assert not [word for word in words if word.startswith("--curve")]


EFFECT_DONE = """
import sys, time
from pathlib import Path
folder = Path(sys.argv[-1])
while not (folder.parent / "go").exists():
    time.sleep(0.01)
print("{}")
"""


def test_an_effect_and_a_run_work_at_the_same_time_and_a_second_effect_waits(begin, tmp_path):
    jobs = begin(EFFECT_DONE)
    stood = [jobs.start(request).state for request in (
        ask(), ask("other"), effect(name="one"), effect(name="two")
    )]  # fmt: skip
    assert stood == ["running", "waiting", "running", "waiting"]
    assert [job.turn for job in jobs.all(EFFECT)] == [1, 0]
    assert [job.id for job in jobs.all(EFFECT, run="planted")] == ["planted/two", "planted/one"]
    assert jobs.all(EFFECT, run="other") == []
    with pytest.raises(ConfigError, match="being measured already"):
        jobs.start(effect(name="two"))
    (tmp_path / "go").touch()
    end = time.monotonic() + patience.PROCESS
    while {job.state for job in begin().all(EFFECT)} != {"finished"} and time.monotonic() < end:
        time.sleep(0.05)
    assert {job.state for job in begin().all(EFFECT)} == {"finished"}
    assert jobs.start(effect(name="two")).state == "running"  # it may be measured again
    assert {job.state for job in begin().all(RUN)} == {"running", "waiting"}


def test_an_effect_that_fails_gives_the_line_of_the_command_which_works_where_the_server_does(
    tmp_path, monkeypatch
):
    (tmp_path / "runs/planted").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    jobs = Work("runs")
    jobs.start(effect())
    job = wait(jobs, state="failed")
    assert "planted is not a run: it has no run.json" in job.error
    assert str(tmp_path) not in job.error
    jobs.remove(job.id)
    assert jobs.all() == []


def test_an_effect_of_a_single_run_is_measured_and_is_there_for_the_next_dashboard(
    planted_run, tmp_path
):
    import shutil

    shutil.copytree(planted_run.path, tmp_path / "runs/planted")
    Work(tmp_path / "runs/planted").start(effect(name="mine"))
    assert wait(Work(tmp_path / "runs"), state="finished").id == "planted/mine"
    assert (tmp_path / "runs/planted/effects/mine/recipe.json").is_file()


def test_a_browser_chooses_of_what_is_at_hand(tmp_path):
    models = tmp_path / "models"
    (models / "deep").mkdir(parents=True)
    for name in ("a.pt", "deep/b.safetensors", ".hidden.pt", "notes.txt"):
        (models / name).touch()
    (tmp_path / "secret.pt").touch()
    (models / "link.pt").symlink_to(tmp_path / "secret.pt")
    assert list(files_of(models)) == ["a.pt", "deep/b.safetensors"]
    offered = generators_of({"here": True, "away": False}, models)
    assert list(offered) == ["here", "file: a.pt", "file: deep/b.safetensors"]
    assert look_up(offered, "file: a.pt") == str(models.resolve() / "a.pt")
    for given in ("away", "os:system", "../secret.pt", str(models / "a.pt"), "file: link.pt", None, []):  # fmt: skip
        with pytest.raises(ConfigError, match="expected one of the list"):
            look_up(offered, given)
    assert check_segmenters(["colour", "colour"], {"colour": ""}) == ("colour",)
    for given in ([], None, "os:system", ["colour", {}]):
        with pytest.raises(ConfigError, match="segmenters are"):
            check_segmenters(given, {"colour": ""})


def test_tags_are_kept_and_a_damaged_file_is_left_alone(tmp_path):
    assert Tags(tmp_path).put("run", [" new ", "über", "new"]) == ["new", "über"]
    Tags(tmp_path).put("other", ["x"])
    assert Tags(tmp_path).all() == {"other": ["x"], "run": ["new", "über"]}
    Tags(tmp_path).put("run", [])
    assert Tags(tmp_path).all() == {"other": ["x"]}
    for wrong in (["<b>"], ["a" * 31], [3], [""], None, [f"t{n}" for n in range(13)]):
        with pytest.raises(ConfigError, match="expected"):
            Tags(tmp_path).put("run", wrong)
    (tmp_path / ".tags.json").write_text("{damaged")
    with pytest.raises(RunError, match="left as it is"):
        Tags(tmp_path).put("run", ["x"])
    assert (tmp_path / ".tags.json").read_text() == "{damaged"


def test_disk_is_all_files_of_a_folder_and_nothing_of_one_that_is_gone(tmp_path):
    (tmp_path / "run/deep").mkdir(parents=True)
    (tmp_path / "run/a").write_bytes(b"12")
    (tmp_path / "run/deep/b").write_bytes(b"345")
    disk = DiskUse()
    assert disk.of(tmp_path / "run") == 5
    (tmp_path / "run/c").write_bytes(b"6")
    os.utime(tmp_path / "run", ns=(1, 1))
    assert disk.of(tmp_path / "run") == 6
    assert disk.of(tmp_path / "gone") == 0


def test_a_run_is_started_watched_stopped_and_gone_on_with(
    page, serving, begin, tmp_path, monkeypatch
):
    # What stands in for `dissect run` waits where a person would look; see the test after.
    monkeypatch.setattr("dashboard.work.service.Work", lambda folder: begin())
    with serving(tmp_path) as url:
        page.goto(url)
        page.get_by_text("Start a new run").focus()
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Start", exact=True).click()
        page.get_by_role("alert").get_by_text("expected 1 to 60 small letters").wait_for()
        for name, stands in (("first", "running"), ("second", "waiting, 1st")):
            page.get_by_label("Name of the run").fill(name)
            page.get_by_role("button", name="Start", exact=True).click()
            page.get_by_text(f"{name} is {stands}").wait_for()
        page.get_by_text("16 of 64 samples").wait_for()
        page.get_by_role("button", name="Take out: second").click()
        page.get_by_text("second was taken out").wait_for()
        page.get_by_text("second is waiting").wait_for(state="detached")  # what was said is gone
        page.get_by_role("button", name="Stop: first").click()
        page.get_by_text("stopped; it can be resumed").wait_for()
        page.goto("about:blank")  # so that nothing is asked of a server that is gone
    # Another app over the same folder.
    with serving(tmp_path) as url:
        page.goto(url)
        page.get_by_role("button", name="Resume: first").click()
        page.get_by_text("32 of 64 samples").wait_for()
        page.get_by_role("button", name="Stop: first").click()
        page.get_by_label("Remove: first").click()
        page.get_by_role("button", name="Delete what was counted: first").click()
        page.get_by_text("first was removed").wait_for()
        page.goto("about:blank")  # so that nothing is asked of a server that is gone
    assert list(tmp_path.iterdir()) == []  # nothing but runs lies in a folder of runs


def test_a_real_run_is_stopped_and_gone_on_with_from_an_empty_page_to_the_same_bytes(
    page, serving, tmp_path, monkeypatch
):
    from dissect import dissect
    from tests.dashboard.slow_world import SECONDS, SPEC

    monkeypatch.setattr("dashboard.pages.runs._generators", lambda own: {"slow": SPEC})
    monkeypatch.setenv(SECONDS, "5")  # a minute left for the stop to come before the end
    runs, n_samples = tmp_path / "runs", 640
    runs.mkdir()
    page.set_default_timeout(1000 * patience.PAGE)
    with serving(runs) as url:
        page.goto(url)
        page.get_by_text("There is no run in this folder yet").wait_for()
        expect(page.get_by_label("Find a run")).to_be_hidden()
        page.get_by_text("Start a new run").click()
        page.get_by_label("Name of the run").fill("first")
        page.get_by_role("textbox", name="Segmenters").focus()
        page.keyboard.press("Backspace")  # that which was chosen
        page.keyboard.press("ArrowDown")
        page.get_by_role("option", name="colour", exact=True).click()
        page.get_by_label("Samples").fill(str(n_samples))
        page.get_by_role("button", name="Start", exact=True).click()
        page.get_by_text(re.compile("^[1-9].* of 640 samples$")).wait_for()
        page.get_by_role("button", name="Stop: first").click()
        page.get_by_text("first was stopped").wait_for()
        counted = page.get_by_role("progressbar", name="Progress of first").get_attribute("value")
        assert 0 < int(counted) < n_samples
        monkeypatch.setenv(SECONDS, "0")
        page.get_by_role("button", name="Resume: first").click()
        page.get_by_text("first is finished and stands in the list").wait_for()
        expect(page.get_by_label("Find a run")).to_be_visible()
        page.locator("#runs-list").get_by_role("link", name="first").click()
        page.get_by_role("heading", name="first").wait_for()
        page.wait_for_load_state("networkidle")
        page.goto("about:blank")  # so that nothing is asked of a server that is gone
    whole = dissect(SPEC, "colour", n_samples=n_samples, out=tmp_path / "whole", progress=False)
    assert contents(runs / "first") == contents(whole.path)


def contents(run):
    """Every file of a run but its record, which says when it was made."""
    files = [path for path in sorted(run.rglob("*")) if path.is_file() and path.name != "run.json"]
    return {path.relative_to(run): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    ("now", "started", "acted", "listed"),
    [
        (("second is waiting, 1st", "second was taken out", None, "", None), "", None, True),
        (("second is waiting, 1st", None, None, "red", None), None, None, True),
        (("second is waiting, 1st", None, None, "", None), None, None, False),
    ],
)
def test_what_an_answer_would_have_shown_that_a_tick_overtook_is_shown_by_the_tick(
    tmp_path, monkeypatch, now, started, acted, listed
):
    from dash import no_update

    from dashboard import create_app
    from dashboard.pages import runs

    seen = ["second is waiting, 1st", None, None, "", None]
    tick = SimpleNamespace(triggered_prop_ids={"runs-tick.n_intervals": "runs-tick"})
    monkeypatch.setattr(runs, "ctx", tick)
    with create_app(tmp_path).server.app_context():
        found = runs._follow([], [], seen, 7, *now)
    kept = [no_update if value is None else value for value in (started, acted)]
    assert list(found[10:12]) == kept
    assert (found[0] is not no_update) == listed
    assert found[-1] == ["" if started == "" else now[0], *now[1:]]


def test_runs_are_tagged_and_found_by_their_tags(page, serving, runs_dir, tmp_path):
    import shutil

    for name in ("one", "two"):
        shutil.copytree(runs_dir / "planted", tmp_path / name)
    with serving(tmp_path) as url:
        page.goto(url)
        page.get_by_text("2 of 2 runs").wait_for()
        page.get_by_text("Tag a run").click()
        page.get_by_role("textbox", name="Run to tag").click()
        with page.expect_response(re.compile("_dash-update-component")):  # the tags that it has
            page.get_by_role("option", name="two").click()
        page.get_by_role("textbox", name="Its tags").fill("good")
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Keep tags").click()
        page.get_by_text("two: good").wait_for()
        page.get_by_role("textbox", name="Tag", exact=True).click()
        page.get_by_role("option", name="good").click()
        page.get_by_text("1 of 2 runs").wait_for()
        page.wait_for_url("**/?tag=good")
        page.reload()
        page.get_by_text("1 of 2 runs").wait_for()
        expect(page.get_by_role("link", name="two", exact=True)).to_be_visible()
        page.goto("about:blank")  # so that nothing is asked of a server that is gone


def test_a_full_disk_is_told_in_one_line_and_leaves_nothing_behind(begin, tmp_path, monkeypatch):
    def full(target, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    jobs = begin()
    with monkeypatch.context() as patch:
        patch.setattr("dashboard.work.records.replace_file", full)
        patch.setattr("dashboard.tags.replace_file", full)
        with pytest.raises(RunError, match=r"No space left on device.*expected free space"):
            jobs.start(ask())
        with pytest.raises(RunError, match=r"No space left on device.*expected free space"):
            Tags(tmp_path).put("run", ["good"])
    assert jobs.all() == []
    jobs.start(ask())
    jobs.start(ask("second"))
    wait(jobs, state="waiting")
    with monkeypatch.context() as patch:
        patch.setattr("dashboard.work.records.replace_file", full)
        with pytest.raises(RunError, match="No space left on device"):
            jobs.cancel("first")
    assert jobs.find("second").turn == 1  # what is on the disk stands


def test_the_watcher_of_those_that_wait_is_a_small_process():
    import subprocess
    import sys

    code = "import dashboard.work.queue, dashboard.work.watcher, sys; print({'torch', 'pandas', 'dash'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("name", ["../outside", "a/b", "", None, 5])
def test_a_name_that_is_no_folder_of_the_runs_is_refused_in_one_line(tmp_path, name):
    with pytest.raises(ConfigError, match=r"name is .*; expected 1 to 60 small letters"):
        Records(tmp_path).out(name)
