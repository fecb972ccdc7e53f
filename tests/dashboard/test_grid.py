"""The grid and the table of units, over a run of many units."""

import json
import re

import pytest
from playwright.sync_api import expect

from benchmarks.dashboard import write_run
from dashboard.components.unit_table import chosen, rows
from dashboard.components.units import cards, counted
from dashboard.pages.chosen import MOST, read_chosen
from dashboard.store import RunStore
from dashboard.unit_filter import STEP, UnitFilter, list_query
from dissect.errors import ConfigError, LayerError

N_UNITS = 60
"""Of each of two layers: three pages, the last of them shorter."""


@pytest.fixture
def folder(tmp_path):
    write_run(tmp_path / "runs" / "large", n_layers=2, n_units=N_UNITS, n_concepts=5)
    return tmp_path / "runs"


@pytest.fixture
def url(folder, serving):
    with serving(folder) as address:
        yield address


def test_a_page_of_cards_is_added_and_those_above_are_left_alone(page, url):
    page.goto(f"{url}/run/large/units?certainty=all")
    drawn = page.locator(".card")
    expect(drawn).to_have_count(STEP)
    page.evaluate("document.querySelector('.card').dataset.seen = 'yes'")
    more = page.get_by_role("button", name=re.compile("^Show"))
    for count, new in ((2 * STEP, STEP), (2 * N_UNITS, 2 * N_UNITS - 2 * STEP)):
        expect(more).to_have_text(f"Show {new} more")
        # Others may come meanwhile: the page looks after its run.
        with page.expect_response(lambda one: "units-next" in (one.request.post_data or "")) as got:
            more.click()
        expect(drawn).to_have_count(count)
        # Nothing of the cards that are there is sent again.
        assert got.value.text().count('"href"') == new
    expect(more).to_be_hidden()
    assert page.get_attribute(".card >> nth=0", "data-seen") == "yes"
    places = page.locator(".card .names .quiet").all_text_contents()
    assert len(set(places)) == 2 * N_UNITS
    page.wait_for_url("**most=144**")
    page.reload()
    expect(drawn).to_have_count(2 * N_UNITS)


def test_another_filter_takes_the_place_of_all_cards(page, url):
    page.goto(f"{url}/run/large/units?certainty=all")
    expect(page.locator(".card")).to_have_count(STEP)
    page.get_by_label("Search").fill("b1.conv 7")
    page.get_by_text("1 of 120 units", exact=True).wait_for()
    expect(page.locator(".card")).to_have_count(1)
    expect(page.locator(".card")).to_contain_text("b1.conv · unit 7")


def test_a_facet_chooses_says_how_many_and_is_let_go_by_a_second_click(page, url, fits, until):
    page.goto(f"{url}/run/large/units?certainty=all")
    page.get_by_text("120 of 120 units", exact=True).wait_for()
    layers = page.get_by_role("group", name="Layer")
    expect(layers.get_by_role("button")).to_have_text(
        ["All120", f"b0.conv{N_UNITS}", f"b1.conv{N_UNITS}"]
    )
    concept = page.get_by_role("group", name="Concept").get_by_role("button").nth(1)
    count = concept.locator(".n").inner_text()
    concept.click()
    page.get_by_text(f"{count} of 120 units", exact=True).wait_for()
    page.wait_for_url("**concept=concept+*")
    expect(concept).to_have_attribute("aria-pressed", "true")
    expect(concept).to_be_focused()
    # The others count what they would give together with it.
    share = layers.get_by_role("button").nth(1).locator(".n").inner_text()
    assert 0 < int(share) < int(count)
    page.keyboard.press("Enter")
    page.get_by_text("120 of 120 units", exact=True).wait_for()
    page.set_viewport_size({"width": 390, "height": 844})
    page.reload()
    page.get_by_text("120 of 120 units", exact=True).wait_for()
    expect(layers).to_be_hidden()
    page.get_by_text("Evidence, layer, concept, category").click()
    layers.get_by_role("button", name="b1.conv").click()
    page.get_by_text("60 of 120 units", exact=True).wait_for()
    until(lambda: fits(page))


def test_the_size_of_pictures_is_chosen_and_draws_nothing_again(page, url):
    page.goto(f"{url}/run/large/units?certainty=all")
    card = page.locator(".card").first
    card.wait_for()
    widths = {}
    page.evaluate("document.querySelector('.card').dataset.seen = 'yes'")
    for size in ("Small", "Large"):
        page.locator("#units-size").get_by_text(size).click()
        page.wait_for_url(f"**size={size.lower()}**")
        expect(page.locator("#units-body")).to_have_class(f"units-body size-{size.lower()}")
        widths[size] = card.bounding_box()["width"]
    assert widths["Small"] < 0.6 * widths["Large"]
    expect(card).to_have_attribute("data-seen", "yes")


def test_units_are_chosen_by_keyboard_and_pointer_compared_and_put_into_a_list(page, url, folder):
    from dissect.runs import open_run
    from dissect.runs.notes import notes_of

    page.goto(f"{url}/run/large/units?certainty=all&sort=unit")
    page.locator(".card a").first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    bar = page.locator(".picks")
    expect(bar.get_by_role("status")).to_have_text("2 chosen")
    ablate = bar.get_by_role("link", name="Ablate")
    expect(ablate).to_have_attribute("href", re.compile(r"kind=ablate&layer=b0.conv&units=0%2C\+1"))
    page.get_by_role("group", name="Layer").get_by_role("button", name="b1.conv").click()
    page.get_by_role("checkbox", name="Choose b1.conv unit 2", exact=True).check()
    expect(bar.get_by_role("status")).to_have_text("3 chosen")
    expect(ablate).to_have_count(0)  # of several layers
    bar.get_by_role("link", name="Compare or list them").click()
    page.get_by_role("heading", name="Units side by side").wait_for()
    heads = page.get_by_role("columnheader").get_by_role("link")
    expect(heads).to_have_text(["b0.conv 0", "b0.conv 1", "b1.conv 2"])
    expect(page.locator(".card")).to_have_count(3)
    page.get_by_role("textbox", name="List").fill("odd ones")
    page.get_by_role("button", name="Add to list").click()
    expect(page.locator("#chosen-answer")).to_have_text("3 units put into the list odd ones.")
    kept = notes_of(open_run(folder / "large")).lists()
    assert kept == {"odd ones": [("b0.conv", 0), ("b0.conv", 1), ("b1.conv", 2)]}
    page.go_back()
    expect(page.get_by_role("checkbox", name="Choose b1.conv unit 2", exact=True)).to_be_checked()
    page.get_by_role("button", name="Choose none").click()
    expect(bar).to_be_hidden()


@pytest.mark.parametrize(
    "given", ["b0.conv:60", "b9.conv:1", "b0.conv", ":", "b0.conv:-1", "%2e:1"]
)
def test_units_that_are_none_are_refused(folder, given):
    opened = RunStore(folder).open("large")
    assert read_chosen(opened, "b0.conv:1,b1.conv:2,b0.conv:1") == [("b0.conv", 1), ("b1.conv", 2)]
    with pytest.raises(LayerError):
        read_chosen(opened, given)
    every = ",".join(f"b0.conv:{unit}" for unit in range(MOST + 1))
    with pytest.raises(ConfigError, match="choose fewer"):
        read_chosen(opened, every)


def test_next_and_previous_stay_in_the_list_that_one_came_from(page, url):
    page.goto(f"{url}/run/large/units?certainty=all&search=unit+7")
    page.get_by_text("2 of 120 units", exact=True).wait_for()
    page.locator(".card a").first.click()
    page.get_by_text("1 of 2 in the list").wait_for()
    expect(page.get_by_role("link", name="← previous")).to_have_count(0)
    first = page.url
    page.get_by_role("link", name="next →").click()
    page.get_by_text("2 of 2 in the list").wait_for()
    assert page.url != first
    expect(page.get_by_role("link", name="next →")).to_have_count(0)
    page.get_by_role("link", name="Back to the list").click()
    page.get_by_text("2 of 120 units", exact=True).wait_for()
    expect(page.get_by_label("Search")).to_have_value("unit 7")


def test_a_unit_that_is_not_in_the_list_is_one_of_its_layer(page, url):
    page.goto(f"{url}/run/large/layer/b0.conv/unit/0?search=nonsense")
    page.get_by_text("b0.conv · unit 0 of 60").wait_for()
    page.get_by_role("link", name="next →").click()
    page.wait_for_url("**/layer/b0.conv/unit/1")


def test_a_number_is_rounded_once_and_the_same_in_grid_and_table(tmp_path):
    write_run(tmp_path / "large", n_layers=2, n_units=1000, n_concepts=3)
    opened = RunStore(tmp_path).open("large")
    every = UnitFilter(certainty="all", sort="unit")
    found = chosen(opened, every)
    grid = cards(opened, found, query=list_query(every)).to_plotly_json()
    drawn = json.loads(grid["props"]["data-cards"])
    table = rows(opened, every, 0, len(found))
    assert len(drawn) == len(table) == 2000
    assert [card["iou"] for card in drawn] == [row["iou"] for row in table]
    assert [row["iou"] for row in table] == [f"{float(value):.2f}" for value in found.iou]
    assert [card["href"] for card in drawn] == [row["href"] for row in table]


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 layers"), (1, "1 layer"), (2, "2 layers"), (1200, "1,200 layers")]
)
def test_one_of_a_thing_is_not_called_several(number, text):
    assert counted(number, "layer") == text
