"""The page of effects."""

import shutil

import pytest

NAME = "ablate-red-units-1-iou"


@pytest.fixture(scope="module")
def folder(runs_dir, tmp_path_factory):
    """A run of one's own."""
    own = tmp_path_factory.mktemp("effects") / "runs"
    shutil.copytree(runs_dir / "planted", own / "whole")
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
