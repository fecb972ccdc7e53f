import json
import re
import time

import pytest
from playwright.sync_api import expect

from tests import patience


@pytest.fixture
def paint(page, scenes_url):
    """The paint page, ready."""

    def opened(query):
        # The first brush is tried on a machine with other work.
        page.set_default_timeout(1000 * patience.PROCESS)
        page.goto(f"{scenes_url}/run/scenes/paint?{query}")
        until(page, "document.querySelector('#paint-after')?.src.startsWith('data:')")
        until(
            page, "/[Tt]ried|hand-picked/.test(document.querySelector('#paint-how')?.textContent)"
        )
        until(page, "document.querySelector('#paint-after').naturalWidth == 64")
        until(page, "!document.querySelector('#paint-everywhere').disabled")
        return page

    return opened


def until(page, told, arg=None):
    """Wait in here: the page's policy lets no text become code there."""
    end = time.monotonic() + patience.PROCESS
    while not page.evaluate(told, arg):
        assert time.monotonic() < end, told
        page.wait_for_timeout(50)


def source(page):
    return page.get_attribute("#paint-after", "src")


def changed_from(page, before):
    until(page, "s => document.querySelector('#paint-after').src !== s", arg=before)
    return source(page)


def changes(page, concept, by):
    """Wait for the change of a concept, in pixels, to be more than ``by``, or less if negative."""
    true = f"Number(row?.dataset.change) {'>' if by > 0 else '<'} {by}"
    until(page, f"(row => {true})(document.querySelector(`tr[data-concept='{concept}']`))")


def brush(page, points):
    box = page.locator("#paint-canvas").bounding_box()
    places = [
        (box["x"] + box["width"] * x / 64, box["y"] + box["height"] * y / 64) for x, y in points
    ]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=6)
    page.mouse.up()


def fill(page, label, value):
    field = page.get_by_label(label, exact=True)
    field.fill(str(value))
    field.press("Tab")


def test_grass_is_painted_judged_undone_saved_and_reopened_to_the_same_bytes(paint, tmp_path):
    page = paint("index=5002&concept=grass")
    fill(page, "Brush, pixels", 24)
    bare = source(page)
    brush(page, [(12, 30), (12, 50)])
    painted = changed_from(page, bare)
    changes(page, "grass", 50)
    expect(page.locator("#paint-strokes")).to_contain_text("Draw grass, brushed")
    expect(page.locator("#paint-verdict")).to_contain_text(
        re.compile(r"[Gg]rass \+\d+ px of \d+ painted")
    )
    page.reload()  # the tab keeps strokes, and what can be undone
    until(page, "s => document.querySelector('#paint-after')?.src === s", arg=painted)
    expect(page.locator("#paint-strokes li")).to_have_count(1)
    expect(page.get_by_role("button", name="Redo")).to_be_disabled()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
    assert changed_from(page, painted) == bare
    page.get_by_role("button", name="Redo").click()
    assert changed_from(page, bare) == painted
    # The same by keyboard, outside fields.
    page.locator("#paint-save-image").focus()
    page.keyboard.press("Control+z")
    assert changed_from(page, painted) == bare
    page.keyboard.press("Control+Shift+z")
    assert changed_from(page, bare) == painted
    files = {}
    for kind in ("image", "recipe"):
        with page.expect_download() as waiting:
            page.get_by_role("button", name=f"Save {kind}").click()
        files[kind] = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(files[kind])
    assert files["image"].read_bytes()[:4] == b"\x89PNG"
    page = paint("index=7&concept=sun")
    other = source(page)
    page.set_input_files("#paint-upload input", files["recipe"])
    assert changed_from(page, other)
    until(page, "s => document.querySelector('#paint-after').src === s", arg=painted)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save image").click()
    again = tmp_path / "again.png"
    waiting.value.save_as(again)
    assert again.read_bytes() == files["image"].read_bytes()
    expect(page).to_have_url(re.compile("index=5002"))


def test_good_images_are_found_a_chip_chooses_the_concept_and_the_wheel_the_brush(paint):
    page = paint("index=5002&concept=grass")
    bare = source(page)
    page.get_by_role("button", name="Find some").click()
    page.get_by_text("Where it gains most").wait_for()
    starts = page.locator("#paint-starts .chip")
    gains = [int(text.replace("−", "-").replace(",", "").split()[0])
             for text in starts.all_inner_texts()]  # fmt: skip
    assert 0 < len(gains) <= 6
    assert min(gains) > 0
    sample = re.search(r"Sample (\d+)", starts.first.get_attribute("aria-label"))[1]
    starts.first.click()
    changed_from(page, bare)
    expect(page.get_by_label("Sample", exact=True)).to_have_value(sample)
    page.locator("#paint-canvas").hover()
    expect(page.locator("#paint-ring")).to_be_visible()
    size = page.get_by_label("Brush, pixels", exact=True)
    before = int(size.input_value())
    page.mouse.wheel(0, -120)
    until(page, "n => Number(document.querySelector('#paint-size').value) > n", arg=before)
    chip = page.locator(".paint-tools .chip").last
    chip.click()
    expect(page.get_by_role("textbox", name="Concept")).to_have_value(chip.inner_text().strip())
    expect(chip).to_have_attribute("aria-pressed", "true")


def test_a_direction_is_opened_as_a_move_and_painted_over(paint, tmp_path):
    from dissect import load_generator
    from dissect.directions import Direction
    from dissect.edits import from_json, to_json

    page = paint("index=3&concept=grass")
    bare = source(page)
    shape = load_generator("scenes-stylegan2").spaces["w"].shape
    vector = [1.0 if k < 40 else 0.0 for k in range(*shape)]
    moves = Direction("forty", "w", vector, unit="σ", sigma=0.2).moves(2)
    file = tmp_path / "moves.json"
    file.write_text(json.dumps(to_json(moves)))
    page.set_input_files("#paint-upload input", file)
    page.get_by_text("opened 1 edits").wait_for()
    moved = changed_from(page, bare)
    for name, value in (("Top", 40), ("Left", 0), ("Bottom", 64), ("Right", 64)):
        fill(page, name, value)
    page.get_by_role("button", name="Paint this rectangle").click()
    changed_from(page, moved)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save recipe").click()
    content = json.loads(waiting.value.path().read_text())
    assert from_json(content["edits"]) == moves
    assert len(content["strokes"]) == 1
    page.get_by_role("button", name="Clear").click()
    until(page, "s => document.querySelector('#paint-after').src === s", arg=moved)
    nothing = tmp_path / "nothing.json"
    nothing.write_text("[]")
    page.set_input_files("#paint-upload input", nothing)
    page.get_by_text("opened 0 edits").wait_for()
    until(page, "s => document.querySelector('#paint-after').src === s", arg=bare)


def test_windows_go_by_keyboard_alone_and_the_stroke_is_deleted(paint):
    page = paint("index=5010&concept=lit%20window&mode=remove")
    bare = source(page)
    page.locator("#paint-everywhere").focus()
    page.keyboard.press("Enter")
    gone = changed_from(page, bare)
    changes(page, "lit window", -50)
    for name, value in (("Top", 0), ("Left", 0), ("Bottom", 20), ("Right", 64)):
        fill(page, name, value)
    page.locator("#paint-box").press("Enter")
    page.get_by_text("in 0, 0, 20, 64").wait_for()
    page.get_by_role("button", name="Delete stroke 1").press("Enter")
    changed_from(page, gone)
    expect(page.locator("#paint-strokes li")).to_have_count(1)
    page.get_by_role("slider").first.press("ArrowLeft")
    until(page, "document.querySelector('#paint-after').style.clipPath.includes('1%')")


def test_mistakes_are_told_in_one_line_and_the_page_lives_on(paint, tmp_path):
    page = paint("index=x&seed=-3&truncation=nan&concept=<b>&layer=../etc&mode=erase")
    bare = source(page)
    expect(page.get_by_label("Sample", exact=True)).to_have_value("0")
    opened = page.locator("#paint-opened")
    for number, (content, told) in enumerate(
        (
            ("{", "not JSON; expected a file saved from the paint page"),
            (json.dumps({"kind": "run"}), "this is not a recipe of a painted image"),
            ("[" * 5000, "not JSON; expected a list of edits"),
        )
    ):
        file = tmp_path / f"recipe-{number}.json"  # the same name again is no change to a browser
        file.write_text(content)
        page.set_input_files("#paint-upload input", file)
        expect(opened).to_contain_text(told)
    fill(page, "Bottom", 0)
    page.get_by_role("button", name="Paint this rectangle").click()
    expect(page.locator("#paint-status")).to_contain_text("is not inside the image")
    expect(page.locator("#paint-verdict")).to_be_empty()  # said once
    page.get_by_role("button", name="Clear").click()
    page.get_by_role("button", name="Next").click()
    changed_from(page, bare)
    until(page, "location.search.includes('index=1')")
    expect(opened).to_contain_text("expected a list of edits")  # another image does not take it


def test_callbacks_refuse_payloads_of_wrong_types(scenes_url):
    from dashboard.painting.history import History
    from dashboard.painting.state import read_painting, read_stroke, read_units
    from dissect.errors import ConfigError

    about = {"fingerprint": "f", "run": "r", "image_size": 64, "threads": 1}
    fields = {"seed": 0, "index": 1, "truncation": 1, "label": ""}
    assert read_painting(about, fields).label is None

    def stroke(**values):
        brush = {"mode": "remove", "layer": "l", "units": [1], "values": []} | values
        return read_stroke(brush, n_units=1, strength=1, place={})

    calls = [
        lambda value: read_painting(value, fields),
        lambda value: read_painting({**about, "image_size": value}, fields),
        lambda value: read_painting(about, {**fields, "seed": value}),
        lambda value: read_stroke(value, n_units=1, strength=1, place={}),
        lambda value: read_stroke({"units": [1]}, n_units=value, strength=1, place={}),
        lambda value: stroke(mode=value),
        lambda value: stroke(units=[value]),
        lambda value: stroke(values=[value]),
        lambda value: History.from_json(
            {"strokes": {}, "now": value, "past": [["1"]], "future": []}
        ),
        read_units,
    ]
    for value in (None, [], {}, "x", -1, 1.5, True, 10**400, [[[]]]):
        for call in calls:
            with pytest.raises(ConfigError):
                call(value)


def test_an_address_gives_the_class_and_what_is_none_of_the_generators_is_left():
    from dashboard.painting.state import read_view

    def label(text, *, n_classes=10, own=3):
        of_run = {"seed": 0, "truncation": 1, "label": own, "concepts": (), "layers": ()}
        return read_view({"label": text}, n_classes=n_classes, **of_run).label

    assert label("7") == 7
    assert [label(text) for text in ("10", "-1", "x", "")] == [3] * 4
    assert label("0", n_classes=0, own=None) is None
