import pytest
from playwright.sync_api import expect

from dashboard.routing import discover
from tests.directions.folders import NAMES, add_directions


def pixels(page, name):
    return page.locator(f"#directions-{name}").get_attribute("src") or ""


@pytest.fixture
def directed(runs_dir):
    add_directions(runs_dir / "planted")
    return runs_dir


@pytest.fixture
def directed_url(directed, serving):
    with serving(directed) as url:
        yield url


def test_the_page_is_found_by_being_there():
    assert "dashboard.pages.directions" in discover().pages


def test_sliders_move_the_sample_and_a_random_direction_beside_it(directed_url, page, until, fits):
    page.goto(f"{directed_url}/run/planted/directions")
    page.get_by_role("heading", name="Directions", exact=True).wait_for()
    until(lambda: pixels(page, "moved").startswith("data:image/png"))
    until(lambda: pixels(page, "plain") == pixels(page, "moved") == pixels(page, "random"))
    slider = page.get_by_role("slider").first
    slider.focus()
    for _ in range(12):
        slider.press("ArrowRight")
    until(lambda: pixels(page, "moved") != pixels(page, "plain"))
    until(lambda: pixels(page, "random") != pixels(page, "moved"))
    page.get_by_role("button", name="All sliders to 0").click()
    until(lambda: pixels(page, "moved") == pixels(page, "plain"))
    # What each changes, in words and as a heat map; what is not certain stays pale.
    expect(page.get_by_role("heading", name="first: red +")).to_be_visible()
    expect(page.get_by_text("with it blue −0.").first).to_be_visible()
    expect(page.get_by_text("changes nothing that was measured").first).to_be_visible()
    table = page.get_by_role("region", name="Directions and attributes")
    certain = table.locator("td[title=certain]")
    expect(certain).to_have_count(2)
    expect(table.get_by_text("random, the largest")).to_be_visible()
    expect(page.get_by_role("heading", name="Which layers hold it? first")).to_be_visible()
    # Names are text, whatever they hold.
    expect(page.get_by_text(NAMES[1]).first).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 800})
    until(lambda: fits(page))


def test_a_run_without_directions_says_what_finds_them(dashboard_url, page):
    page.goto(f"{dashboard_url}/run/planted/directions")
    page.get_by_text("No directions were found for this run yet.").wait_for()
    expect(page.get_by_text("dissect directions fit planted").first).to_be_visible()


def test_unscored_directions_have_sliders_and_no_names(directed, serving, page):
    add_directions(directed / "planted", scored=False)
    with serving(directed) as url:
        page.goto(f"{url}/run/planted/directions")
        page.get_by_text("These directions are not scored yet").wait_for()
        expect(page.get_by_role("slider")).to_have_count(len(NAMES))
        page.goto("about:blank")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"folder": "../x"}, "are not in the run"),
        ({"strengths": [1]}, "expected 3 numbers"),
        ({"strengths": [9, 0, 0]}, "beyond 8"),
        ({"strengths": ["a", 0, 0]}, "expected a number"),
        ({"index": -1}, "whole numbers from 0"),
        ({"layers": [0, 3]}, "expected two layers"),
    ],
)
def test_what_a_browser_sends_is_checked(directed, change, line):
    from dashboard.rendering.answers import Responder
    from dashboard.rendering.frames import Frame
    from dissect import DissectError

    question = {
        "ask": "move", "folder": "sefa", "strengths": [1, 0, 0], "index": 0, "seed": 0,
        "layers": None,
    }  # fmt: skip
    responder = Responder(str(directed / "planted"))
    assert len(responder.answer(Frame(question)).parts) == 3
    with pytest.raises(DissectError, match=line):
        responder.answer(Frame(question | change))
