"""Through the report as a reader goes, in Chromium, from a file."""

import dataclasses
import re
import shutil

import numpy as np
import pytest
from playwright.sync_api import expect

from reports import build_report
from reports.compact import compact_layer, to_script_text
from reports.facts import layer_facts
from tests import patience

ADDRESSES = {
    "summary": "",
    "layers": "#layers",
    "concepts": "#concepts",
    "effects": "#effects",
    "methods": "#methods",
    "layer": "#layer/units",
    "unit": "#layer/units/unit/0",
    "concept": "#concept/red",
    "nowhere": "#layer/nope",
}

IN_THE_DARK = ("summary", "layer", "unit", "effects")


def titled(view, title):
    """Wait for the page of that title."""
    expect(view.locator("h1:visible")).to_have_text(title)


def go(view, address):
    view.evaluate(
        """address => new Promise((done) => {
            if (location.hash === address) done();
            addEventListener("hashchange", done, { once: true });
            location.hash = address;
        })""",
        address or "#summary",
    )
    view.locator("#made:not([aria-busy])").wait_for(state="attached")
    view.locator("h1:visible").wait_for()


def test_every_page_fits_each_screen_and_every_picture_is_there(site, open_page):
    view = open_page(site / "index.html")
    for name, address in ADDRESSES.items():
        go(view, address)
        for width in (1440, 768, 390):
            view.set_viewport_size({"width": width, "height": 900})
            overflow = view.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert overflow <= 0, (name, width)
            loaded = view.evaluate("""async () => {
                const shown = [...document.images].filter((image) => image.offsetParent);
                for (const image of shown) image.loading = "eager";
                await Promise.all(shown.map((image) => image.decode()));
                return shown.every((image) => image.naturalWidth > 0);
            }""")
            assert loaded, (name, width)


def test_a_reader_sorts_filters_and_opens_a_unit(site, open_page, full_run):
    view = open_page(site / "index.html", "#layer/units")
    cards = view.locator(".card")
    cards.first.wait_for()
    expect(cards).to_have_count(9)
    view.locator("select[name=sort]").select_option("IoU")
    shown = [
        float(text)
        for text in view.locator(".card b:text-matches('^[0-9]\\\\.')").all_inner_texts()
    ]
    assert shown == sorted(shown, reverse=True)
    view.locator("select[name=concept]").select_option("red")
    expect(cards).to_have_count(int((full_run.units("units").concept == "red").sum()))
    view.locator("select[name=show]").select_option("not named")
    expect(view).to_have_url(re.compile(re.escape("?sort=iou&concept=red&show=no") + "$"))
    view.reload()
    expect(view.locator("select[name=concept]")).to_have_value("red")
    view.locator("select[name=show]").select_option("named")
    cards.first.get_by_role("link", name=re.compile("unit 0")).click()
    titled(view, "units unit 0")
    view.get_by_role("heading", name="Which units fire together with it?").wait_for()
    view.get_by_role("link", name="ablate-red").click()
    view.get_by_role("heading", name="What goes without 1 unit of units?").wait_for()


def test_a_bar_of_the_layer_filters_by_keyboard_and_keeps_the_focus(site, open_page):
    view = open_page(site / "index.html", "#layer/units")
    bar = view.get_by_role("button", name=re.compile("^red, .*: 2 units"))
    bar.focus()
    view.keyboard.press("Enter")
    view.get_by_text("2 of 9 units").wait_for()
    expect(bar).to_have_attribute("aria-pressed", "true")
    expect(bar).to_be_focused()


@pytest.mark.parametrize(("unit", "is_named"), [(1, True), (4, False)])
def test_a_link_to_a_unit_stays_valid_and_its_numbers_are_those_of_the_run(
    site, open_page, full_run, unit, is_named
):
    view = open_page(site / "index.html", f"#layer/units/unit/{unit}")
    titled(view, f"units unit {unit}")
    label = full_run.units("units").iloc[unit]
    assert label.is_named == is_named
    lead = view.locator("#made .lead").inner_text()
    assert f"IoU {label.iou:.2f} [{label.iou_low:.2f}, {label.iou_high:.2f}]" in lead
    assert ("It is named after" in lead) == is_named
    called = label.concept if is_named else "not named"
    assert (
        view.locator(".tile img:not(.mask)")
        .first.get_attribute("alt")
        .startswith(f"units unit {unit}, {called}, IoU {label.iou:.2f}")
    )
    expect(view.locator("#made svg.chart")).to_have_count(2)
    view.get_by_text("IoU at each threshold").click()
    facts = layer_facts(full_run, "units")
    expect(view.locator("details[open] tbody tr td:nth-child(2)")).to_have_text(
        [f"{v:.3f}" for v in facts.curves[unit, 0]]
    )
    view.get_by_role("link", name=label.concept).first.click()
    titled(view, label.concept)


def test_a_concept_shows_the_segmenters_masks_and_how_far_they_agree(site, open_page, full_run):
    view = open_page(site / "index.html", "#concept/red")
    (one,) = full_run.concept_strips("red")
    pictures = view.locator(".examples img:not(.mask)")
    pictures.first.wait_for()
    assert [picture.get_attribute("alt") for picture in pictures.all()] == [
        f"red in sample {sample}, {float(f'{100 * share:.2g}'):g} % of the image"
        for sample, share in zip(one.samples, one.shares, strict=True)
    ]
    mask = view.locator(".examples img.mask").first
    expect(mask).to_be_visible()
    assert mask.evaluate("image => image.decode().then(() => image.naturalHeight)") == 128
    view.keyboard.press("m")
    expect(mask).to_be_hidden()
    shift = full_run.trust.set_index("concept").loc["red", "shift"]
    view.get_by_text(f"to {shift:.2f} when it is shifted by a sixteenth").wait_for()
    go(view, "#concept/pink")
    view.get_by_text("It is nowhere in the few samples").wait_for()


def test_the_outline_can_be_taken_away_and_colours_are_dark_where_that_is_preferred(
    site, open_page
):
    view = open_page(site / "index.html", "#layer/units/unit/0", color_scheme="dark")
    titled(view, "units unit 0")
    mask = view.locator(".tile img.mask").first
    expect(mask).to_be_visible()
    view.keyboard.press("m")
    expect(mask).to_be_hidden()
    view.get_by_role("button", name="Outlines").click()
    expect(mask).to_be_visible()
    expect(view.locator("body")).to_have_css("background-color", "rgb(21, 23, 26)")
    view.get_by_role("button", name="Dark").click()
    expect(view.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")


def test_axe_finds_no_serious_violation_in_the_light_or_in_the_dark(site, open_page):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    # axe is put into the page, which the page's own policy forbids to everybody else.
    view = open_page(site / "index.html", bypass_csp=True)
    view.evaluate(axe.axe_script)  # once: going to another address loads nothing again
    serious = []
    for name, address in ADDRESSES.items():
        go(view, address)
        # In the dark only colours are others.
        for scheme, rules in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
            if scheme == "dark" and name not in IN_THE_DARK:
                continue
            view.emulate_media(color_scheme=scheme)
            options = {"preload": False, "resultTypes": ["violations"], **rules}
            found = view.evaluate("options => axe.run(options)", options)
            assert found["passes"], "axe looked at nothing"
            serious += [
                (name, scheme, one["id"], one["nodes"][0]["html"])
                for one in found["violations"]
                if one["impact"] in ("serious", "critical")
            ]
        view.emulate_media(color_scheme="light")
    assert serious == []


def test_the_summary_is_read_without_scripts(site, open_page):
    view = open_page(site / "index.html", java_script_enabled=False)
    for heading in (
        "What is clearest?",
        "How was this measured?",
        "Which layers know which concepts?",
    ):
        expect(view.get_by_role("heading", name=heading)).to_be_visible()


def test_one_file_is_walked_like_the_folder(full_run, tmp_path, open_page):
    path = build_report(
        full_run, out=tmp_path / "one.html", single_file=True, layers=["units"], units=3
    )
    view = open_page(path, "#concept/red")
    picture = view.locator(".card img").first
    picture.wait_for()
    expect(picture).to_have_attribute("src", re.compile("^data:image/webp"))
    expect(view.locator(".examples img")).to_have_count(12)
    for image in view.locator(".examples img").all():
        assert image.get_attribute("src").startswith("data:image/webp")
    view.locator(".card-link").first.click()
    titled(view, "units unit 0")
    go(view, "#concept/black")
    view.get_by_text("This file keeps no masks").wait_for()


def test_a_layer_of_two_thousand_units_shows_a_few_at_a_time(site, full_run, tmp_path, open_page):
    copy = shutil.copytree(site, tmp_path / "many")
    facts, n = layer_facts(full_run, "units"), 2048

    def repeat(value):
        if isinstance(value, np.ndarray):
            return np.resize(value, (n, *value.shape[1:]))
        if isinstance(value, dict):
            return {key: repeat(column) for key, column in value.items()}
        return (value * n)[:n] if isinstance(value, list) else value

    fields = {f.name: repeat(getattr(facts, f.name)) for f in dataclasses.fields(facts)}
    many = dataclasses.replace(facts, **fields | {"units": n, "coactive": None})
    data = to_script_text(compact_layer(many))
    assert len(data) < 4_000_000
    (copy / "data/layers/units.js").write_text(f'report.data("layer/units",{data});')
    index = copy / "index.html"
    text = index.read_text().replace(
        '"name":"units","key":"units","units":9', f'"name":"units","key":"units","units":{n}'
    )
    index.write_text(
        re.sub(r'"masks":true,"shown":true', '"masks":true,"shown":[0]', text, count=1)
    )
    view = open_page(index, "#layer/units")
    view.locator(".card").first.wait_for()
    assert view.locator(".card").count() <= 144
    view.get_by_role("button", name=re.compile("Show more of 2,048 units")).press("Enter")
    view.locator(".card").nth(95).wait_for(state="attached")
    view.locator("select[name=concept]").select_option("yellow")
    expect(view.locator("output")).to_contain_text("of 2,048 units")


def test_a_part_that_is_missing_is_told(site, tmp_path, chromium):
    copy = shutil.copytree(site, tmp_path / "torn")
    (copy / "data" / "layers" / "units.js").unlink()
    view = chromium.new_page()
    view.set_default_timeout(1000 * patience.PAGE)
    view.goto((copy / "index.html").as_uri() + "#layer/units")
    view.get_by_role("heading", name="This part of the report could not be read").wait_for()
    view.close()
