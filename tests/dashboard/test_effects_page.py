"""The page of effects, and the panels of a unit that need its generator."""

import json
import shutil
import time

import pytest

NAME = "ablate-red-units-1-iou"


@pytest.fixture(scope="module")
def folder(runs_dir, tmp_path_factory):
    """Runs that may be changed: a whole one, and one whose generator is nowhere."""
    own = tmp_path_factory.mktemp("effects") / "runs"
    for name in ("whole", "lost"):
        shutil.copytree(runs_dir / "planted", own / name)
    file = own / "lost" / "run.json"
    record = json.loads(file.read_text())
    record["config"]["generator"] = "gone/model.pkl"
    file.write_text(json.dumps(record))
    return own


@pytest.fixture(scope="module")
def url(folder, serving):
    with serving(folder) as address:
        yield address


@pytest.fixture
def opened(page, url):
    def go(path):
        page.set_default_timeout(40_000)  # a worker starts, on a machine with other work
        page.goto(url + path)
        page.get_by_role("heading", level=1).wait_for()
        return page

    return go


def test_an_effect_stands_with_its_numbers_units_side_effects_and_sheet(opened):
    page = opened("/run/whole/effects")
    page.get_by_role("link", name=NAME).click()
    page.get_by_role("heading", name=NAME).wait_for()
    assert page.get_by_text("of red removed; by as many random units").is_visible()
    sheet = page.get_by_role("img", name="Before, after, difference")
    assert sheet.evaluate("async i => (await i.decode(), i.naturalWidth)") > 100
    units = page.locator(".effects a[href*='/layer/units/unit/']")
    assert units.count() == 1
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    units.click()
    page.wait_for_url("**/run/whole/layer/units/unit/*")


def test_a_name_that_is_no_effect_is_told_and_the_form_stays(opened):
    page = opened("/run/whole/effects?name=../../x")
    assert "x" in page.get_by_role("alert").text_content()
    assert page.get_by_role("button", name="Measure").is_visible()


def test_a_set_is_measured_from_the_page_and_found_in_the_list(opened, folder):
    page = opened("/run/whole/effects")
    for label, value in (("Units", "1"), ("Samples", "8"), ("Name", "mine")):
        page.get_by_role("textbox", name=label, exact=True).fill(value)
        page.get_by_role("textbox", name=label, exact=True).press("Tab")
    page.get_by_text("Also a curve").click()
    page.get_by_role("button", name="Measure").click()
    page.locator("#effects-list").get_by_role("link", name="mine", exact=True).click()
    page.get_by_role("img", name="Effect against the number of units").wait_for()
    recipe = json.loads((folder / "whole" / "effects" / "mine" / "recipe.json").read_text())
    assert recipe["question"]["n_samples"] == 8


def test_the_threshold_moves_masks_new_images_come_and_the_unit_is_ablated(opened):
    page = opened("/run/whole/layer/units/unit/0")
    strip, status = page.locator("#looking-strip[src]"), page.locator("#looking-status")
    strip.wait_for()
    before, share = strip.get_attribute("src"), _share(status)
    for _ in range(3):
        page.get_by_role("slider").press("End")
    _until(page, lambda: "Above" in status.inner_text() and _share(status) < share)
    assert strip.get_attribute("src") != before
    page.get_by_role("button", name="More images").click()
    _until(page, lambda: "new samples" in status.inner_text())
    page.get_by_role("button", name="Ablate this unit").click()
    row = page.locator("#ablating-found tr[data-concept='red']")
    row.wait_for()
    assert int(row.get_attribute("data-change")) < 0


def test_without_a_generator_the_panels_and_painting_say_why_and_the_rest_works(opened):
    page = opened("/run/lost/layer/units/unit/0")
    assert page.get_by_text("IoU 1.00").first.is_visible()
    page.locator("#looking-status .failed").get_by_text("gone/model.pkl").wait_for()
    page.goto(page.url.split("/layer")[0] + "/paint")
    page.get_by_role("alert").get_by_text("Painting is off").wait_for()


def _share(status):
    return float(status.inner_text().split(": ")[-1].split(" %")[0])


def _until(page, true):
    end = time.monotonic() + 40
    while not true():
        assert time.monotonic() < end
        page.wait_for_timeout(50)
