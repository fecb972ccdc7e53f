"""The grid and the table of units, over a run of many units."""

import json
import re

import pytest
from playwright.sync_api import expect

from benchmarks.dashboard import write_run
from dashboard.components.unit_table import chosen, rows
from dashboard.components.units import cards, counted
from dashboard.store import RunStore
from dashboard.unit_filter import STEP, UnitFilter, list_query

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
        with page.expect_response(re.compile("_dash-update-component")) as got:
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
