"""Two journeys over drawn scenes, each by pointer, by keyboard alone and on a telephone."""

import json
import re
import shutil

import pytest
from playwright.sync_api import expect

from tests import patience
from tests.dashboard.hands import WAYS, Keyboard, Pointer

_EACH_WAY = [way if way == "pointer" else pytest.param(way, marks=pytest.mark.slow) for way in WAYS]


@pytest.fixture(scope="module")
def url(scenes_run, tmp_path_factory, serving):
    """One dashboard, whose renderer all journeys share."""
    folder = tmp_path_factory.mktemp("ways")
    shutil.copytree(scenes_run, folder / "scenes")
    with serving(folder) as address:
        yield f"{address}/run/scenes"


@pytest.fixture(scope="module")
def trees_url(command, tmp_path_factory, serving):
    """A dashboard over a run of the layer in which learned values draw trees best."""
    folder = tmp_path_factory.mktemp("trees")
    done = command(
        "run", "scenes-stylegan2", "--segmenter", "scenes", "--layers", "b32.conv0",
        "--samples", 128, "--out", folder / "scenes",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with serving(folder) as address:
        yield f"{address}/run/scenes"


@pytest.fixture
def hands(page, request):
    page.set_default_timeout(1000 * patience.PROCESS)  # a renderer starts, and brushes are tried
    expect.set_options(timeout=1000 * patience.PROCESS)
    yield WAYS[request.param](page)
    page.goto("about:blank")  # so that nothing is asked of a server that is gone
    expect.set_options(timeout=1000 * patience.PAGE)


@pytest.mark.parametrize("hands", _EACH_WAY, indirect=True)
def test_the_best_window_unit_is_found_seen_by_interval_and_ablated(page, hands, url, until):
    page.goto(f"{url}/units?certainty=matches")
    hands.write(page.get_by_label("Search"), "windows")
    page.wait_for_url("**search=windows**")
    first = page.locator(".card a").first
    expect(first).to_contain_text("window")
    hands.press(first)
    expect(page.get_by_role("heading", level=1)).to_contain_text("window")
    status = page.locator("#images-status")
    expect(status).to_contain_text("% of the pixels are above")
    # Its images by how strongly it fires.
    for interval, told in (("99 %", "higher than 99 %"), ("None", "in which it stays lowest"),
                           ("Top", "Top images of the run")):  # fmt: skip
        hands.pick(page.get_by_role("radiogroup", name="how strongly it fires"), interval)
        expect(status).to_contain_text(told)
    # A higher threshold outlines less.
    share = lambda: float(re.match("[0-9.]+", status.inner_text())[0])  # noqa: E731
    before = share()
    slider = page.get_by_role("slider", name="Threshold")
    if isinstance(hands, Keyboard):
        hands.reach(slider)
    slider.press("End")
    until(lambda: share() < before)
    # Without it there are fewer windows, in the same images; then they come back.
    switch = page.get_by_role("switch", name="Ablate this unit")
    hands.tick(switch)
    told = page.locator("#ablation-status")
    expect(told).to_contain_text(re.compile(r"window from [0-9,]+ to [0-9,]+ pixels, −[0-9]+ %"))
    row = page.locator("#ablation-found tr[data-concept$='window']").first
    row.wait_for(state="attached")  # folded
    assert int(row.get_attribute("data-change")) < 0
    without = page.get_by_role("img", name="The same images without the unit")
    expect(without).to_be_visible()
    expect(without.locator(".shot")).to_have_count(8)
    expect(page.locator("#images-box")).to_be_hidden()
    hands.tick(switch)
    expect(page.locator("#images-box .shot")).to_have_count(8)
    expect(without).to_be_hidden()


@pytest.mark.slow
@pytest.mark.parametrize("hands", WAYS, indirect=True)
def test_trees_are_painted_into_three_scenes_and_the_verdict_says_that_it_worked(
    page, hands, trees_url
):
    page.goto(f"{trees_url}/paint?index=5002&concept=sun")
    hands.choose(page.get_by_role("textbox", name="Concept"), "tree")
    hands.press(page.get_by_text("Advanced: layer, units"))
    hands.tick(page.get_by_role("switch", name="Learned values"))
    how = page.locator("#paint-how")
    expect(how).to_contain_text("with learned values; the best of")
    box = page.get_by_role("button", name="Paint this rectangle")
    expect(box).to_be_enabled()
    if type(hands) is Pointer:
        _brush_over(page)
    else:
        hands.press(box)
    expect(page.locator("#paint-strokes li")).to_have_count(1)
    verdict = page.locator("#paint-verdict .paint-verdict-first")
    expect(verdict).to_contain_text(re.compile(r"[Tt]ree [+−-]?\d+ px of \d+ painted"))
    hands.press(page.get_by_role("button", name="Undo"))
    expect(page.locator("#paint-strokes")).to_have_text("None yet.")
    expect(verdict).to_have_count(0)
    hands.press(page.get_by_role("button", name="Redo"))
    expect(page.locator("#paint-strokes li")).to_have_count(1)
    # Scenes into which it is painted best; the stroke goes with one.
    hands.press(page.get_by_role("button", name="Find some"))
    starts = page.locator("#paint-starts .chip")
    starts.nth(2).wait_for()
    samples = []
    for number in range(3):
        hands.press(starts.nth(number))
        sample = re.search(r"Sample (\d+)", starts.nth(number).get_attribute("aria-label"))[1]
        expect(page.get_by_label("Sample", exact=True)).to_have_value(sample)
        worked = page.locator(f".paint-verdict-first.worked[data-sample='{sample}']")
        expect(worked).to_contain_text(re.compile(r"^It worked: tree \+\d+ px of \d+ painted"))
        samples.append(int(sample))
    assert len(set(samples)) == 3
    with page.expect_download() as waiting:
        hands.press(page.get_by_role("button", name="Save recipe"))
    saved = json.loads(waiting.value.path().read_text())
    assert saved["index"] == samples[-1]
    assert [stroke["concept"] for stroke in saved["strokes"]] == ["tree"]


def _brush_over(page):
    """The left half of the ground."""
    place = page.locator("#paint-canvas").bounding_box()
    at = lambda x, y: (place["x"] + place["width"] * x, place["y"] + place["height"] * y)  # noqa: E731
    page.mouse.move(*at(0.15, 0.6))
    page.mouse.down()
    for x, y in ((0.4, 0.6), (0.15, 0.8), (0.4, 0.8)):
        page.mouse.move(*at(x, y), steps=6)
    page.mouse.up()
