"""Journeys by keyboard alone and on a telephone; by pointer they are in the tests of each page."""

import json
import re
import shutil

import pytest
from playwright.sync_api import expect

from dashboard.components.first_visit import demo_request
from dashboard.work.requests import RunRequest
from dissect.commands.demo import DemoOptions
from dissect.errors import GeneratorError
from dissect.runs import open_run
from dissect.runs.notes import notes_of
from tests import patience
from tests.dashboard.hands import WAYS
from tests.dashboard.slow_world import GATE, SPEC
from tests.dashboard.test_work import begin  # noqa: F401 - a fixture

PLANTED = "dissect.worlds.planted:generator"


@pytest.fixture(params=("keyboard", "telephone"))
def hands(page, request):
    return WAYS[request.param](page)


def _open(page, address):
    page.goto(address)
    page.get_by_role("heading", level=1).wait_for()


def test_the_button_of_the_first_visit_makes_the_run_of_the_command_demo(tmp_path):
    made = demo_request().arguments(tmp_path)
    assert made[-1] == "scenes-stylegan2"
    assert "--segmenter=scenes" in made
    assert f"--samples={DemoOptions().n_samples}" in made
    assert "--layers=all" in made


def test_the_demo_is_run_from_the_first_page_in_sight(page, hands, serving, tmp_path, monkeypatch):
    # In place of the demo's world, which takes a minute, a planted one that waits for a file.
    small = RunRequest(name="demo", generator=SPEC, segmenters=("colour",), n_samples=64)
    monkeypatch.setenv(GATE, str(tmp_path / "go"))
    monkeypatch.setattr("dashboard.pages.runs.demo_request", lambda: small)
    with serving(tmp_path) as url:
        _open(page, url)
        expect(page.locator(".first-pictures img")).to_have_count(3)
        for picture in page.locator(".first-pictures img").all():
            assert picture.evaluate("async i => (await i.decode(), i.naturalWidth)") == 388
        filled = page.locator(".action.filled:visible")
        expect(filled).to_have_text(["Run the demo"])
        hands.press(filled)
        page.get_by_role("progressbar", name="Progress of demo").wait_for()
        expect(page.get_by_role("button", name="Run the demo")).to_have_count(0)
        (tmp_path / "go").touch()
        link = page.locator("#runs-list").get_by_role("link", name="demo", exact=True)
        link.wait_for()
        expect(page.locator(".first")).to_have_count(0)
        hands.press(link)
        page.get_by_role("heading", name="demo").wait_for()
        page.wait_for_load_state("networkidle")
        page.goto("about:blank")  # so that nothing is asked of a server that is gone
    assert open_run(tmp_path / "demo").config.n_samples == 64


def test_two_runs_are_ticked_and_compared(page, hands, dashboard_url, until):
    _open(page, dashboard_url)
    for name in ("evil", "planted"):
        hands.tick(page.get_by_role("checkbox", name=f"Compare {name}", exact=True))
    link = page.get_by_role("link", name="Compare two runs")
    until(  # whole ids: there is a run "planted too", which the link may name before the second tick
        lambda: set(re.findall("[ab]=([^&]+)", link.get_attribute("href"))) == {"evil", "planted"}
    )
    hands.press(link)
    page.get_by_role("heading", name="Which concepts changed most?").wait_for()
    only = page.get_by_text("1 concept that only planted could mark")
    hands.press(only)
    expect(page.locator("details", has=only).get_by_role("listitem")).to_have_text(["red"])


def test_a_note_of_two_tabs_is_kept(page, hands, browser, serving, planted_run, tmp_path,
                                    monkeypatch):  # fmt: skip
    def no_generator(*_given, **_named):
        raise GeneratorError("not in this test, where starting it would take longest")

    monkeypatch.setattr("dashboard.panels.images.ask_unit", no_generator)
    shutil.copytree(planted_run.path, tmp_path / "runs" / "planted")
    notes, other = notes_of(open_run(tmp_path / "runs" / "planted")), browser.new_page()
    other.set_default_timeout(1000 * patience.PAGE)
    with serving(tmp_path / "runs") as url:
        tabs = {"barn": (page, hands), "shed": (other, type(hands)(other))}
        for tab, _ in tabs.values():
            _open(tab, f"{url}/run/planted/layer/units/unit/3")
        for name, (tab, own) in tabs.items():
            own.write(tab.get_by_label("What do you call it?"), name)
            own.press(tab.get_by_role("button", name="Save label"))
            if tab is page:
                tab.get_by_text("Saved the label “barn”.").wait_for()
        other.get_by_text("the label was changed meanwhile to 'barn'").wait_for()
        assert [note.text for note in notes.all()] == ["barn"]
        expect(other.get_by_label("What do you call it?")).to_have_value("shed")
        tabs["shed"][1].press(other.get_by_role("button", name="Save label"))
        other.get_by_text("Saved the label “shed”.").wait_for()
        assert [note.text for note in notes.all()] == ["shed"]
        page.goto("about:blank")
        other.close()


def test_a_run_is_started_stopped_and_gone_on_with(
    page, hands, serving, begin, tmp_path, monkeypatch  # noqa: F811 - a fixture
):  # fmt: skip
    # What stands in for `dissect run` waits until there is a file "go".
    monkeypatch.setattr("dashboard.work.service.Work", lambda folder: begin())
    with serving(tmp_path) as url:
        _open(page, url)
        hands.press(page.get_by_text("Start a new run"))
        hands.write(page.get_by_label("Name of the run"), "first")
        hands.press(page.get_by_role("button", name="Start", exact=True))
        page.get_by_text("16 of 64 samples").wait_for()
        hands.press(page.get_by_role("button", name="Stop: first"))
        page.get_by_text("stopped; it can be resumed").wait_for()
        hands.press(page.get_by_role("button", name="Resume: first"))
        page.get_by_text("32 of 64 samples").wait_for()
        hands.press(page.get_by_role("button", name="Stop: first"))
        page.get_by_text("stopped; it can be resumed").wait_for()
        page.goto("about:blank")
    assert json.loads((tmp_path / "first.partial" / "status.json").read_text())["done"] == 32


def test_a_generator_that_moved_is_pointed_to(page, hands, serving, planted_run, tmp_path,
                                              monkeypatch):  # fmt: skip
    shutil.copytree(planted_run.path, tmp_path / "runs" / "moved")
    file = tmp_path / "runs" / "moved" / "run.json"
    record = json.loads(file.read_text())
    record["config"]["generator"] = "gone/model.pkl"
    file.write_text(json.dumps(record))
    monkeypatch.setattr("dashboard.pages.effects._offered", lambda: {"planted": PLANTED})
    page.set_default_timeout(1000 * patience.PROCESS)  # a renderer starts
    with serving(tmp_path / "runs") as url:
        _open(page, f"{url}/run/moved/effects")
        measure = page.get_by_role("button", name="Measure", exact=True)
        expect(measure).to_have_count(0)
        hands.choose(page.get_by_role("textbox", name="Generator"), "planted")
        hands.press(page.get_by_role("button", name="Use it if it is the same"))
        measure.wait_for()
        page.goto("about:blank")
