"""A generator that moved: it is asked for, compared by its weights, and used."""

import json
import shutil

import pytest
from playwright.sync_api import expect

from dashboard.work.requests import EffectRequest
from dissect.generators import zoo


@pytest.fixture
def moved_url(scenes_run, tmp_path, serving):
    """A dashboard over a run whose generator is not where the run names it."""
    folder = tmp_path / "runs" / "moved"
    shutil.copytree(scenes_run, folder)
    record = json.loads((folder / "run.json").read_text())
    record["config"]["generator"] = "gone/model.pkl"
    (folder / "run.json").write_text(json.dumps(record))
    with serving(tmp_path / "runs") as url:
        yield url


def test_nothing_is_measured_until_a_generator_of_the_same_weights_is_found(page, moved_url):
    page.set_default_timeout(200_000)  # a renderer starts, on a machine with other work
    page.goto(f"{moved_url}/run/moved/effects")
    page.get_by_role("heading", name="Where is it now?").wait_for()
    measure = page.get_by_role("button", name="Measure", exact=True)
    expect(measure).to_have_count(0)
    field = page.get_by_role("textbox", name="Generator")
    others = [name for name in zoo.ENTRIES if zoo.is_at_hand(name) and name != "scenes-stylegan2"]
    for name in (*others[:1], "scenes-stylegan2"):
        field.click()
        page.get_by_role("option", name=name, exact=True).click()
        expect(field).to_have_value(name)
        page.get_by_role("button", name="Use it if it is the same").click()
        if name in others:
            page.get_by_role("alert").get_by_text("other weights").wait_for()
            expect(measure).to_have_count(0)
    measure.wait_for()
    unit = page.goto(f"{moved_url}/run/moved/layer/b16.conv1/unit/0")
    assert unit.ok
    page.locator("#images-status").get_by_text("of the pixels are above").wait_for()


def test_what_is_measured_takes_the_place_that_was_found(tmp_path):
    found = EffectRequest(
        run="moved", edit="ablate", concept="window", name="one", generator="/models/--odd.pt"
    ).arguments(tmp_path)
    assert "--generator=/models/--odd.pt" in found
    assert found.index("--generator=/models/--odd.pt") < found.index("--")
