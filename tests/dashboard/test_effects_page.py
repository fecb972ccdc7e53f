"""The page of effects."""

import json
import shutil

import pytest
from playwright.sync_api import expect

from dashboard.work.queue import Work
from tests import patience

NAME = "ablate-red-units-1-iou"


@pytest.fixture
def folder(runs_dir, tmp_path):
    """A folder of one run, of the test's own."""
    own = tmp_path / "runs"
    shutil.copytree(runs_dir / "planted", own / "whole")
    yield own
    work = Work(own)
    for job in [job for job in work.all() if job.live or job.turn]:
        work.cancel(job.id)


@pytest.fixture
def url(folder, serving):
    with serving(folder) as address:
        yield address


@pytest.fixture
def opened(url, page):
    def go(path):
        page.set_default_timeout(1000 * patience.PROCESS)  # a worker starts
        page.goto(url + path)
        page.get_by_role("heading", level=1).wait_for()
        return page

    return go


def test_an_effect_stands_with_its_numbers_units_side_effects_and_sheet(opened, until, fits):
    page = opened("/run/whole/effects")
    page.get_by_role("link", name=NAME).click()
    page.get_by_role("heading", name=NAME).wait_for()
    expect(page.get_by_text("random units that change the images as strongly: ")).to_be_visible()
    sheet = page.get_by_role("img", name="Before, after, difference")
    assert sheet.evaluate("async i => (await i.decode(), i.naturalWidth)") > 100
    units = page.locator(".effects a[href*='/layer/units/unit/']")
    expect(units).to_have_count(1)
    page.set_viewport_size({"width": 390, "height": 844})
    until(lambda: fits(page))
    expect(page.get_by_role("textbox", name="Concept")).to_have_value("red")
    expect(page.get_by_role("textbox", name="Layer")).to_have_value("units")
    units.click()
    page.wait_for_url("**/run/whole/layer/units/unit/*")


def test_a_name_that_is_no_effect_is_told_and_the_form_stays(opened):
    page = opened("/run/whole/effects?name=../../x")
    expect(page.get_by_role("alert")).to_contain_text("x")
    expect(page.get_by_role("button", name="Measure")).to_be_visible()


def fill(page, **values):
    for label, value in values.items():
        field = page.get_by_role("textbox", name=label, exact=True)
        field.fill(str(value))
        field.press("Tab")


def effects(folder):
    return sorted(path.name for path in (folder / "whole" / "effects").iterdir())


def test_a_set_with_its_curve_and_a_context_are_measured_from_the_page_at_once(opened, folder):
    page = opened("/run/whole/effects?concept=red&layer=units&units=0")
    expect(page.get_by_label("Units", exact=True)).to_be_hidden()
    fill(page, Samples=8, Name="mine")
    page.get_by_role("switch", name="Also a curve").press("Space")
    page.get_by_role("button", name="Measure").click()
    link = page.locator("#effects-list").get_by_role("link", name="mine", exact=True)
    page.get_by_role("progressbar", name="Progress of mine").or_(link).first.wait_for()
    fill(page, Name="where")
    page.get_by_role("radio", name="Insert at many places").check()
    page.get_by_role("button", name="Measure").click()
    link.click()
    curve = page.get_by_role("img", name="Effect against the number of units")
    assert curve.evaluate("async i => (await i.decode(), i.naturalWidth)") > 100
    recipe = json.loads((folder / "whole" / "effects" / "mine" / "recipe.json").read_text())
    assert (recipe["question"]["n_samples"], recipe["question"]["picked"]) == (8, [0])
    page.locator("#effects-list").get_by_role("link", name="where", exact=True).click()
    page.get_by_role("heading", name="What becomes red, by what covers").wait_for()
    expect(page.get_by_role("rowheader", name="black")).to_be_visible()
    page.get_by_role("img", name="What comes where").wait_for()


def test_a_measurement_is_followed_and_stopped_by_keyboard_and_leaves_nothing(
    opened, folder, until
):
    page = opened("/run/whole/effects")
    before = effects(folder)
    fill(page, Units=1, Samples=100_000, Name="endless")
    page.get_by_role("radio", name="Insert", exact=True).check()
    page.get_by_role("button", name="Measure").click()
    bar, stop = page.get_by_label("Progress of endless"), page.get_by_label("Stop: endless")
    stop.focus()
    until(lambda: int(bar.get_attribute("value") or 0) > 0)
    expect(bar).to_have_attribute("max", "100000")
    expect(page.locator("#effects-jobs")).to_contain_text("of 100,000 images as they are")
    page.reload()  # which does not stop it
    stop.wait_for()
    stop.focus()
    seen = bar.get_attribute("value")
    until(lambda: bar.get_attribute("value") not in (None, seen))
    page.keyboard.press("Enter")  # the moving bar has not taken the focus
    page.locator("#effects-jobs").get_by_text("stopped; nothing was stored").wait_for()
    assert effects(folder) == before


def test_a_mistake_in_the_form_is_told_and_nothing_begins(opened):
    page = opened("/run/whole/effects")
    fill(page, Name="../x")
    page.get_by_role("button", name="Measure").click()
    page.get_by_role("alert").get_by_text("expected letters, digits").wait_for()
    page.goto(page.url + "?layer=units&units=1,9")
    page.get_by_role("button", name="Measure").click()
    page.get_by_role("alert").get_by_text("unit 9 is not in units; expected 0 to 8").wait_for()
    expect(page.locator("#effects-jobs").get_by_text("../x")).to_have_count(0)
