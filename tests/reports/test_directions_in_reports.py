import shutil

import pytest
from playwright.sync_api import expect

from dissect.runs import open_run
from reports import build_report
from tests import patience
from tests.directions.folders import add_directions


@pytest.fixture
def run(planted_run, tmp_path):
    folder = tmp_path / "planted"
    shutil.copytree(planted_run.path, folder)
    return folder


@pytest.mark.parametrize("single_file", [True, False])
def test_a_report_names_the_directions_and_shows_strips(run, single_file, chromium):
    add_directions(run)
    path = build_report(open_run(run), single_file=single_file)
    text = path.read_text()
    assert "<b>second</b>" not in text
    page = chromium.new_page()
    page.set_default_timeout(1000 * patience.PAGE)
    problems = []
    page.on("console", lambda m: problems.append(m.text) if m.type in ("error", "warning") else 0)
    page.goto(f"{path.as_uri()}#directions")
    section = page.locator("#directions")
    section.get_by_role("heading", name="Which direction is which?").wait_for()
    expect(section.get_by_text("changes red +")).to_be_visible()
    expect(section.locator("figure img")).to_have_count(4)
    sizes = section.locator("figure img").evaluate_all(
        "all => Promise.all(all.map(async i => (await i.decode(), i.naturalWidth)))"
    )
    assert min(sizes) > 0
    table = section.get_by_role("region", name="Effects of sefa")
    expect(table.locator("td[style]")).to_have_count(2)
    expect(table.get_by_text("random, the largest")).to_be_visible()
    page.get_by_role("link", name="Effects", exact=True).click()
    expect(section).to_be_hidden()
    page.close()
    assert problems == []


def test_without_directions_there_is_no_such_page(run, chromium):
    path = build_report(open_run(run), single_file=True)
    assert 'id="directions"' not in path.read_text()
    page = chromium.new_page()
    page.set_default_timeout(1000 * patience.PAGE)
    page.goto(f"{path.as_uri()}#methods")
    page.locator("#methods h1").wait_for()
    assert page.get_by_role("link", name="Directions").count() == 0
    page.close()


def test_unscored_directions_are_shown_as_such(run):
    add_directions(run, scored=False)
    assert "They are not scored yet" in build_report(open_run(run), single_file=True).read_text()
