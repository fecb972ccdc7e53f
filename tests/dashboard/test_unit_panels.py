"""The panels of a unit's page that make images: another threshold, new images, without the unit."""

import json
import re
import shutil

import pytest
from playwright.sync_api import expect

from tests import patience


@pytest.fixture
def folder(runs_dir, tmp_path):
    """Runs of the test's own: a whole one, and one whose generator is nowhere."""
    own = tmp_path / "runs"
    for name in ("whole", "lost", "emptied"):
        shutil.copytree(runs_dir / "planted", own / name)
    file = own / "lost" / "run.json"
    record = json.loads(file.read_text())
    record["config"]["generator"] = "gone/model.pkl"
    file.write_text(json.dumps(record))
    return own


@pytest.fixture
def url(folder, serving):
    with serving(folder) as address:
        yield address


def share(page):
    told = page.inner_text("#images-status")
    found = re.match(r"([0-9.]+) % of the pixels are above", told)
    return float(found[1]) if found else None


def strip(page):
    return page.get_attribute("#images-strip", "src")


def go(page, address):
    page.set_default_timeout(1000 * patience.PROCESS)  # a worker starts
    page.goto(address)
    page.get_by_role("heading", level=1).wait_for()


def test_the_threshold_moves_new_images_come_and_the_run_is_found_again(page, url, until, fits):
    go(page, f"{url}/run/whole/layer/units/unit/0")
    until(lambda: share(page) is not None)
    before, told = strip(page), page.inner_text("#images-status")
    page.get_by_role("button", name="More images").click()
    until(lambda: "64 new images" in page.inner_text("#images-status"))
    fresh = strip(page)
    assert fresh != before
    page.get_by_role("button", name="More images").click()
    until(lambda: strip(page) != fresh)
    page.get_by_text("Median", exact=True).click()
    page.get_by_text("Of 128 new images those whose peak is higher than 50 % of them").wait_for()
    expect(page.locator("#images-box .shot")).to_have_count(4)
    page.get_by_text("Top", exact=True).click()
    until(lambda: strip(page) == before)
    expect(page.locator("#images-status")).to_have_text(told)
    page.get_by_role("textbox", name="Also outline").click()
    page.get_by_role("option", name="red", exact=True).click()
    until(lambda: strip(page) != before)
    page.set_viewport_size({"width": 390, "height": 844})
    until(lambda: fits(page))


def test_without_a_generator_the_panels_and_painting_say_why_and_the_rest_works(page, url):
    go(page, f"{url}/run/lost/layer/units/unit/0")
    expect(page.get_by_text("IoU 1.00").first).to_be_visible()
    page.locator("#images-status .failed").get_by_text("gone/model.pkl").wait_for()
    expect(page.get_by_role("slider")).to_be_hidden()
    expect(page.get_by_role("switch", name="Ablate this unit")).to_be_hidden()
    expect(page.get_by_text("Off, for the reason that stands below")).to_be_visible()
    expect(page.locator("#images-box .shot")).to_have_count(8)  # those that the run keeps
    page.goto(f"{url}/run/lost/paint")
    page.get_by_role("alert").get_by_text("Painting is off").wait_for()
    page.goto(f"{url}/run/lost/units")
    page.get_by_text("5 of 9 units", exact=True).wait_for()


def test_arrays_that_went_while_the_app_ran_are_told_in_one_line(folder):
    from dashboard.panels.images import build
    from dashboard.routing import UnitVisit
    from dashboard.store import RunStore
    from dissect.errors import RunError

    opened = RunStore(folder).open("emptied")
    visit = UnitVisit(None, {}, {}, opened, "units", 0)
    assert build(visit)
    (array,) = opened.run.path.glob("arrays.zarr/*/edges")
    shutil.rmtree(array)
    with pytest.raises(RunError, match=r"arrays\.zarr/units is damaged"):
        build(visit)
