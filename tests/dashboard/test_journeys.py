"""A person's ways through the dashboard, in Chromium."""

import re
import shutil

import pytest
from playwright.sync_api import expect

EVIL = "<script>alert(1)</script>"


def _open(page, address):
    page.goto(address)
    page.get_by_role("heading", level=1).wait_for()


def test_a_red_unit_is_found_and_opened(page, dashboard_url):
    _open(page, dashboard_url)
    page.get_by_role("link", name="planted", exact=True).click()
    page.get_by_role("heading", name="planted").wait_for()
    page.get_by_role("link", name="red: 1 of 9 units of units").click()
    page.get_by_text("1 of 9 units", exact=True).wait_for()
    expect(page).to_have_url(re.compile("concept=red"))
    image = page.get_by_role("img", name=re.compile("units unit 0, red, IoU 1.00"))
    assert image.evaluate("async i => (await i.decode(), i.naturalWidth)") == 1024
    image.click()
    page.get_by_role("heading", name="red", exact=True).wait_for()
    expect(page).to_have_url(
        re.compile("/run/planted/layer/units/unit/0\\?layer=units&concept=red$")
    )
    expect(page.get_by_text("IoU 1.00").first).to_be_visible()
    page.locator("#unit-curves .js-plotly-plot").wait_for()
    expect(page.get_by_text("Red net removed, share")).to_be_visible()
    page.go_back()
    page.get_by_text("1 of 9 units", exact=True).wait_for()


def test_filters_stand_in_the_address_and_come_back_from_it(page, dashboard_url):
    _open(page, f"{dashboard_url}/run/planted/units")
    page.get_by_text("5 of 9 units", exact=True).wait_for()
    page.get_by_label("Search").fill("unit 3")
    page.get_by_text("1 of 9 units", exact=True).wait_for()
    page.wait_for_url("**/units?search=unit+3")
    page.get_by_text("Table", exact=True).click()
    page.get_by_role("gridcell", name="yellow").wait_for()
    page.wait_for_url("**/units?search=unit+3&view=table")
    page.reload()
    page.get_by_role("gridcell", name="yellow").wait_for()
    expect(page.get_by_label("Search")).to_have_value("unit 3")
    page.get_by_role("gridcell", name="3", exact=True).get_by_role("link").click()
    page.get_by_role("heading", name="yellow", exact=True).wait_for()


def test_a_header_sorts_the_table_and_the_order_stands_in_the_address(page, dashboard_url, until):
    _open(page, f"{dashboard_url}/run/planted/units?certainty=all&view=table")
    page.get_by_role("columnheader", name="Recall").click()
    page.wait_for_url("**sort=recall**")
    page.get_by_role("columnheader", name="Recall").click()
    page.wait_for_url("**reverse=1**")
    page.locator(".ag-header-cell[aria-sort=ascending]", has_text="Recall").wait_for()
    expect(page.get_by_role("checkbox", name="Reverse order")).to_be_checked()
    page.locator("[row-index='8'] [col-id=recall]").wait_for()
    cells = page.locator(".ag-row [col-id=recall]")

    def ascending():
        values = [float(text) for text in cells.all_inner_texts() if text]
        return len(values) > 1 and values == sorted(values)

    until(ascending)
    page.reload()
    page.locator(".ag-header-cell[aria-sort=ascending]", has_text="Recall").wait_for()


def test_a_filter_that_nothing_passes_says_how_to_go_on(page, dashboard_url):
    _open(page, f"{dashboard_url}/run/planted/units?search=nonsense")
    page.get_by_text("No unit is like that").wait_for()
    page.get_by_role("link", name="show all units").click()
    page.get_by_text("9 of 9 units", exact=True).wait_for()


def test_two_runs_are_compared_on_one_scale(page, dashboard_url):
    _open(page, dashboard_url)
    page.get_by_role("link", name="Compare two runs").click()
    page.get_by_role("heading", name="Which layers know which concepts?").wait_for()
    page.get_by_role("textbox", name="First run").click()
    page.get_by_role("option", name="planted", exact=True).click()
    page.get_by_role("textbox", name="Second run").click()
    page.get_by_role("option", name="planted-too").click()
    page.wait_for_url("**/compare?a=planted&b=planted-too-*")
    page.get_by_text("The full width is 9 units in both.").wait_for()
    row = page.locator(".pair", has_text="red")
    expect(row.get_by_role("link")).to_have_count(2)
    expect(
        row.get_by_role("img", name=re.compile("planted too, units unit 0, red"))
    ).to_be_visible()
    changes = [
        abs(float(text.replace("−", "-")))
        for text in page.locator(".pair-change").all_inner_texts()
    ]
    assert len(changes) > 1
    assert changes == sorted(changes, reverse=True)


def test_runs_show_their_images_and_two_of_them_are_ticked_to_compare(page, dashboard_url, until):
    _open(page, dashboard_url)
    card = page.locator(".run-card", has=page.get_by_role("link", name="planted", exact=True))
    picture = card.get_by_role("img", name="Images of planted", include_hidden=True)
    picture.wait_for()
    assert picture.evaluate("async i => (await i.decode(), i.naturalWidth)") == 3 * 128
    expect(card).to_contain_text("56 % named")
    expect(card).to_contain_text("red 1")
    for name in ("evil", "planted"):
        page.get_by_role("checkbox", name=f"Compare {name}", exact=True).check(force=True)
    link = page.get_by_role("link", name="Compare two runs")
    until(
        lambda: set(re.findall("[ab]=([^&]+)", link.get_attribute("href"))) == {"evil", "planted"}
    )
    link.click()
    page.get_by_role("heading", name="Which concepts changed most?").wait_for()


def test_everything_can_be_reached_by_keyboard(page, dashboard_url):
    _open(page, f"{dashboard_url}/run/planted/units")
    page.locator(".card a").first.wait_for()
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the page")
    seen = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.add(page.evaluate(
            "(a => a.getAttribute('aria-label') || a.labels?.[0]?.textContent || a.textContent)(document.activeElement)"
        ))  # fmt: skip
    assert {"Runs", "Compare", "Overview", "Search", "Sort by", "All units9", "All5"} <= seen
    assert any("units · unit 0" in text for text in seen)
    page.locator(".card a").first.focus()
    for key, place in (("End", 4), ("ArrowLeft", 3), ("Home", 0), ("ArrowRight", 1)):
        page.keyboard.press(key)
        expect(page.locator(".card a").nth(place)).to_be_focused()
    page.get_by_role("link", name=re.compile("unit 3")).focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="yellow", exact=True).wait_for()


def test_a_slash_goes_to_the_search_from_wherever_one_is(page, dashboard_url):
    _open(page, f"{dashboard_url}/run/planted")
    page.keyboard.press("/")
    expect(page.get_by_label("Search")).to_be_focused()
    page.keyboard.type("reds")
    page.get_by_text("1 of 9 units", exact=True).wait_for()
    page.keyboard.type("/")
    expect(page.get_by_label("Search")).to_have_value("reds/")


def test_the_map_of_the_overview_is_gone_over_with_arrows(page, dashboard_url):
    _open(page, f"{dashboard_url}/run/planted")
    cells = page.locator(".heat-table").first.get_by_role("link")
    cells.first.focus()
    page.keyboard.press("ArrowDown")  # from the layer to the cell below it
    focused = page.locator(":focus")
    expect(focused).to_have_attribute("aria-label", re.compile("^[a-z]+, units unit [0-9]+: IoU"))
    told = focused.get_attribute("aria-label")
    expect(page.locator(".heat-told").first).to_have_text(told)
    page.keyboard.press("Enter")
    page.wait_for_url("**/layer/units/unit/*")


# What the keyboard has to pass is counted as a browser would stop.
_STOPS = """() => [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")]
    .filter((e) => e.tabIndex >= 0 && !e.disabled && e.checkVisibility({ visibilityProperty: true })).length"""


def test_no_page_has_more_than_sixty_stops_of_the_keyboard(page, dashboard_url, until):
    for address in ("/", "/run/planted", "/run/planted/units?certainty=all",
                    "/run/planted/units?certainty=all&view=table",
                    "/run/planted/layer/units/unit/0", "/run/planted/concept/red",
                    "/run/planted/chosen?units=units:0,units:1",
                    "/compare?a=planted&b=evil", "/run/planted/effects"):  # fmt: skip
        _open(page, dashboard_url + address)
        page.wait_for_load_state("networkidle")
        until(lambda: 0 < page.evaluate(_STOPS) <= 60)


def test_names_that_are_scripts_are_shown_as_text_and_lead_to_their_pages(page, dashboard_url):
    _open(page, f"{dashboard_url}/run/evil")
    page.get_by_role("rowheader", name=EVIL).get_by_role("link").click()
    page.get_by_role("heading", name=EVIL).wait_for()
    page.locator(".card a").first.click()
    page.get_by_text("a/b é%20< · unit").first.wait_for()
    expect(page).to_have_url(f"{dashboard_url}/run/evil/layer/a%2Fb%20%C3%A9%2520%3C/unit/0")


@pytest.mark.parametrize(
    ("name", "words"),
    [("changed", "units.parquet has"), ("broken", "damaged"), ("newer", "update gan-dissection"),
     ("nope", "moved or deleted")],
)  # fmt: skip
def test_a_run_that_cannot_be_opened_says_so_on_its_page(
    page, dashboard_url, runs_dir, name, words
):
    _open(page, f"{dashboard_url}/run/{name}")
    expect(page.get_by_role("alert")).to_contain_text(words)
    expect(page.get_by_role("alert")).not_to_contain_text(str(runs_dir))
    page.get_by_role("link", name="All runs").click()
    page.get_by_role("link", name="planted", exact=True).wait_for()


def test_a_run_deleted_under_the_app_is_told_and_the_rest_goes_on(
    page, serving, runs_dir, tmp_path
):
    for name in ("one", "two"):
        shutil.copytree(runs_dir / "planted", tmp_path / name)
    with serving(tmp_path) as url:
        _open(page, f"{url}/run/one/units")
        # Not wait_for_function: the page's policy lets no text become code there.
        page.locator(".card img[src]").first.wait_for()
        page.wait_for_load_state("networkidle")
        shutil.rmtree(tmp_path / "one")
        # The page looks by itself, every quarter of a minute.
        page.evaluate("dash_clientside.set_props('run-look', { n_intervals: 1 })")
        page.locator("#run-news").get_by_role("alert").get_by_text("moved or deleted").wait_for()
        page.get_by_label("Search").fill("red")
        page.locator("#page").get_by_role("alert").get_by_text("moved or deleted").wait_for()
        page.get_by_role("link", name="Runs").click()
        page.get_by_role("link", name="two").click()
        page.get_by_role("heading", name="two").wait_for()
        page.wait_for_load_state("networkidle")
        page.goto("about:blank")  # so that nothing is asked of a server that is gone
