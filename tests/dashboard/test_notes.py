"""Notes in the dashboard: written on a unit's page, found again everywhere."""

import json
import re
import shutil

import pytest
from playwright.sync_api import expect

from dashboard import create_app
from dashboard.components.layers import cells_of, heat_map
from dashboard.notes.changes import restore
from dashboard.notes.labels import second_labels
from dashboard.pages.compare import _side
from dashboard.pages.concept import _nearest
from dashboard.pages.notes import Sought, results, seek
from dashboard.pages.unit import _coactive
from dashboard.painting.callbacks import _called
from dashboard.pairs import labels_of
from dashboard.store import RunStore
from dashboard.unit_filter import UnitFilter, filter_units
from dissect.errors import ConfigError, GeneratorError
from dissect.runs.notes import FILE, Note, notes_of
from tests import patience

EVIL = "<img src=x onerror=alert(1)>"


def _no_generator(*_given, **_named):
    raise GeneratorError("not in this test, where starting it would take longest")


@pytest.fixture
def noted(planted_run, tmp_path, monkeypatch):
    """A folder with one run, which a test may write on; no generator is started for it."""
    monkeypatch.setattr("dashboard.panels.images.ask_unit", _no_generator)
    shutil.copytree(planted_run.path, tmp_path / "runs" / "planted")
    return tmp_path / "runs"


@pytest.fixture
def opened(noted):
    return RunStore(noted).open("planted")


def _open(page, address):
    page.goto(address)
    page.get_by_role("heading", level=1).wait_for()


def _serious(page):
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [(v["id"], v["nodes"][0]["html"][:200]) for v in found
            if v["impact"] in ("serious", "critical")]  # fmt: skip


def _rows(opened, **choice):
    found = filter_units(labels_of(opened), UnitFilter(**choice), None, second_labels(opened))
    return [(str(row.layer), int(row.unit), row.second) for row in found.itertuples()]


def test_what_a_person_calls_a_unit_is_searched_too_also_where_it_matches_no_concept(opened):
    labels = labels_of(opened)
    unnamed = int(labels[~labels.is_named].unit.iloc[0])
    before = _rows(opened)
    assert _rows(opened, search="gadget") == []
    notes_of(opened.run).label("units", unnamed, "Odd Gadget")
    assert _rows(opened, search="gadget units") == [("units", unnamed, "Odd Gadget")]
    assert len(_rows(opened)) == len(before) + 1
    assert _rows(opened, certainty="sure", search="gadget") == []


def test_second_labels_follow_every_change_and_are_empty_where_they_cannot_be_read(opened):
    notes = notes_of(opened.run)
    assert second_labels(opened) == {}
    notes.label("units", 0, "one")
    assert second_labels(opened) == {("units", 0): "one"}
    assert second_labels(opened) is second_labels(opened)
    notes.label("units", 0, "two")
    assert second_labels(opened) == {("units", 0): "two"}
    notes.file.write_bytes(b"no database at all " * 9)
    assert second_labels(opened) == {}


def test_notes_are_sought_by_words_kind_and_list():
    notes = [Note(1, "label", "a", 1, "Left ear", "Ada", 0.0),
             Note(2, "comment", "a", 2, "an ear?", "Bo", 0.0),
             Note(3, "list", "a", 2, "ears", "Bo", 0.0)]  # fmt: skip
    found = {
        sought: [note.id for note in seek(notes, sought)]
        for sought in (Sought(), Sought("EAR bo"), Sought("unit 2"), Sought(kind="label"),
                       Sought(list="ears"), Sought(list="no such"))
    }  # fmt: skip
    assert list(found.values()) == [[1, 2, 3], [2, 3], [2, 3], [1], [2, 3], []]


def test_of_very_many_notes_the_latest_are_shown(opened, monkeypatch):
    notes = [Note(n, "comment", "units", 0, f"note {n}", "", float(n)) for n in range(1, 1001)]
    monkeypatch.setattr("dissect.runs.notes.Notes.all", lambda self: notes)
    text = json.dumps(
        results(opened, Sought()).to_plotly_json(), default=lambda c: c.to_plotly_json()
    )
    assert "1,000 of 1,000 notes; the latest 200 are shown" in text
    assert text.count("note-buttons") == 200
    assert text.index("note 1000") < text.index("note 999")


def test_a_unit_is_labelled_and_found_again(page, serving, noted):
    with serving(noted) as url:
        _open(page, f"{url}/run/planted/layer/units/unit/3")
        page.get_by_text("Nobody has said anything").wait_for()
        page.get_by_label("Your name").fill("Ada")
        page.get_by_label("What do you call it?").fill(EVIL)
        page.keyboard.press("Enter")
        page.get_by_role(
            "heading", name=re.compile(re.escape(f"yellow People call it “{EVIL}”"))
        ).wait_for()
        page.get_by_label("What do you call it?").fill("corn field")
        page.get_by_role("button", name="Save label").click()
        page.get_by_role("heading", name=re.compile("corn field")).wait_for()
        page.get_by_role("textbox", name="List").fill("plants")
        page.get_by_role("button", name="Add to list").click()
        page.get_by_text("Saved the place in the list “plants”.").wait_for()
        page.get_by_label("Comment").fill("only in summer")
        page.get_by_role("button", name="Add comment").click()
        page.locator(".notes").get_by_text("only in summer").wait_for()
        expect(page.locator(".notes").get_by_text("Ada")).to_have_count(3)
        assert _serious(page) == []

        page.get_by_role("link", name="Units", exact=True).click()
        page.get_by_label("Search").fill("corn")
        page.get_by_text("1 of 9 units", exact=True).wait_for()
        page.get_by_text("Table", exact=True).click()
        page.get_by_role("gridcell", name="corn field").wait_for()
        page.get_by_text("Grid", exact=True).click()
        page.locator(".card").get_by_text("“corn field”").click()
        page.get_by_role("heading", name=re.compile("corn field")).wait_for()
        expect(page.get_by_label("Your name")).to_have_value("Ada")

        page.get_by_role("link", name="All notes of this run").click()
        page.get_by_text("3 of 3 notes").wait_for()
        page.get_by_label("Search").fill("ada corn")
        page.get_by_text("1 of 3 notes").wait_for()
        page.wait_for_url("**/run/planted/notes?search=ada+corn")
        with page.expect_download() as got:
            page.get_by_role("button", name="Download JSON").click()
        (told,) = json.loads(got.value.path().read_text())["notes"]
        assert (told["unit"], told["text"], told["author"]) == (3, "corn field", "Ada")
        page.locator(".notes").get_by_role("link").click()
        page.wait_for_url("**/layer/units/unit/3")
        page.goto("about:blank")  # so that nothing is asked of a server that is gone


def test_notes_are_edited_deleted_and_brought_back_by_keyboard(
    page, serving, noted, opened, until, fits
):
    notes = notes_of(opened.run)
    notes.comment("units", 1, "a typpo")
    notes.comment("units", 2, "other")
    with serving(noted) as url:
        _open(page, f"{url}/run/planted/notes")
        page.get_by_role("button", name="Edit: comment “a typpo”").focus()
        page.keyboard.press("Enter")
        page.get_by_role("dialog", name="Edit a note").wait_for()
        field = page.get_by_role("textbox", name="Text")
        field.fill("a typo " + EVIL)
        assert _serious(page) == []
        page.get_by_role("button", name="Save").press("Enter")
        page.locator(".notes").get_by_text("a typo " + EVIL).wait_for()
        page.get_by_role("dialog").wait_for(state="hidden")
        page.get_by_role("button", name="Delete: comment “other”").press("Enter")
        page.get_by_text("1 of 1 notes").wait_for()
        page.get_by_text("Deleted the comment “other”.").wait_for()
        expect(page.locator(":focus")).to_have_text("Undo")
        assert [n.text for n in notes.all()] == ["a typo " + EVIL]
        page.keyboard.press("Enter")
        page.get_by_text("2 of 2 notes").wait_for()
        assert _serious(page) == []
        page.set_viewport_size({"width": 390, "height": 844})
        until(lambda: fits(page))
        page.goto("about:blank")


def test_of_two_tabs_the_second_label_does_not_silently_replace_the_first(
    page, browser, serving, noted, opened
):
    notes, other = notes_of(opened.run), browser.new_page()
    other.set_default_timeout(1000 * patience.PAGE)
    with serving(noted) as url:
        for tab in (page, other):
            _open(tab, f"{url}/run/planted/layer/units/unit/3")
        for tab, name in ((page, "barn"), (other, "shed")):
            tab.get_by_label("What do you call it?").fill(name)
            tab.get_by_role("button", name="Save label").click()
            if tab is page:
                tab.get_by_text("Saved the label “barn”.").wait_for()
        other.get_by_text("the label was changed meanwhile to 'barn'").wait_for()
        other.locator(".notes").get_by_text("barn").wait_for()
        assert [note.text for note in notes.all()] == ["barn"]
        expect(other.get_by_label("What do you call it?")).to_have_value("shed")
        other.get_by_role("button", name="Save label").click()  # now on purpose
        other.get_by_text("Saved the label “shed”.").wait_for()
        assert [note.text for note in notes.all()] == ["shed"]
        page.goto("about:blank")
        other.close()


def test_damaged_notes_are_told_and_the_rest_goes_on(page, serving, noted):
    (noted / "planted" / FILE).write_bytes(b"no database at all " * 9)
    with serving(noted) as url:
        _open(page, f"{url}/run/planted/notes")
        page.get_by_role("alert").get_by_text("is damaged").wait_for()
        _open(page, f"{url}/run/planted/layer/units/unit/3")
        page.get_by_role("alert").get_by_text("is damaged").wait_for()
        page.get_by_label("What do you call it?").fill("x")
        page.get_by_role("button", name="Save label").click()
        page.get_by_role("status").get_by_text("is damaged").wait_for()
        page.get_by_role("link", name="Units", exact=True).click()
        page.get_by_text("5 of 9 units", exact=True).wait_for()
        page.goto("about:blank")


@pytest.mark.parametrize("kept", [None, {}, {"kind": "virus"}, {"kind": "label", "layer": "units",
    "unit": True, "text": "x", "author": "", "made": 1}, {"kind": "virus", "layer": "units",
    "unit": 1, "text": "x", "author": "", "made": 1}])  # fmt: skip
def test_nothing_but_a_note_is_brought_back(noted, kept):
    with create_app(noted).server.app_context():
        notes = notes_of(RunStore(noted).open("planted").run)
        with pytest.raises(ConfigError):
            restore(notes, kept)
        assert notes.all() == []


def _texts(component):
    return json.dumps(
        component.to_plotly_json(), default=lambda c: c.to_plotly_json(), ensure_ascii=False
    )


def test_second_labels_stand_wherever_units_are_named(noted, opened):
    """On the lists and titles of units that are no cards: the other journeys see those."""
    best = next(cell for cell in cells_of(opened)["red"] if cell is not None)
    notes_of(opened.run).label(best.layer, best.unit, EVIL)
    people = second_labels(opened)
    title = f"{best.layer} unit {best.unit} “{EVIL}”"
    drawn = heat_map(opened, ["red"], label="all").to_plotly_json()["props"]["data-heat"]
    told = [cell["told"] for cell in json.loads(drawn)["rows"][0]["cells"] if cell]
    assert any(text.startswith(f"{title}: IoU") for text in told)
    assert f"{title}, red: IoU" in _texts(_side(opened, "red", best, people))
    nearest = next(cell for cell in cells_of(opened)["pink"] if cell is not None)
    notes_of(opened.run).label(nearest.layer, nearest.unit, "almost pink")
    assert "almost pink" in _texts(_nearest(opened, "pink"))


def test_second_labels_stand_in_the_lists_of_units_that_fire_together_and_are_picked_by_hand(
    noted, opened, monkeypatch
):
    notes_of(opened.run).label("units", 2, "corn field")
    monkeypatch.setattr("dashboard.unit_facts.coactive", lambda *given: [(2, 0.5), (3, 0.4)])
    rows = [_texts(row) for row in _coactive(opened, "units", 0).children]
    assert ["corn field" in row for row in rows] == [True, False]
    with create_app(noted).server.app_context():
        assert _called("planted", "units", [3, 2]) == ". People call unit 2 “corn field”"
        assert _called("planted", "units", [3]) == ""
