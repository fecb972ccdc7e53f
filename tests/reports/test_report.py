import json
import re
import shutil
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
import torch
from playwright.sync_api import expect

from dissect import LayerError, RunError, dissect, open_run
from dissect.errors import ConfigError
from reports import build_report
from reports.charts import best_cells, category_bars, ink_on, layer_bars
from segmenters.colour import ColourSegmenter
from segmenters.vocabulary import Vocabulary


class Page(HTMLParser):
    """Collects what a page shows and links to."""

    def __init__(self, path):
        super().__init__()
        self.images, self.anchors, self.ids, self.text, self._silent = [], [], [], "", False
        self.feed(path.read_text())
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag == "img":
            self.images.append(found)
        if tag == "a":
            self.anchors.append(found["href"])
        if "id" in found:
            self.ids.append(found["id"])
        self._silent = tag in ("script", "style")

    def handle_endtag(self, tag):
        self._silent = False

    def handle_data(self, data):
        self.text += "" if self._silent else data


@pytest.fixture(scope="module")
def page(planted_run, tmp_path_factory):
    return build_report(planted_run, out=tmp_path_factory.mktemp("report") / "page").parent


def test_every_unit_has_its_images_and_its_outline_beside_them(page, planted_run):
    for unit, strip in enumerate(planted_run.strips("units")):
        assert (page / f"strips/units/{unit}.webp").read_bytes() == strip.picture
        assert (page / f"strips/units/{unit}.mask.webp").is_file()


def test_every_image_tells_its_finding_and_keeps_its_place(page):
    images = Page(page / "index.html").images
    pictures = [image for image in images if image.get("class") != "mask"]
    assert len(pictures) == len(images) / 2 == 5  # one for each concept that was found
    for image in images:
        assert (image["width"], image["height"]) == ("1024", "128")
        assert (page / image["src"]).is_file()
    for image in pictures:
        assert re.search(r"units unit \d, \w+, IoU \d\.\d\d", image["alt"])


def test_nothing_comes_from_a_network(page):
    for name in ("index.html", "report.css", "report.js"):
        text = (page / name).read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|url\(|@import", text)
    assert "default-src &#39;none&#39;" in (page / "index.html").read_text()


def test_the_numbers_of_the_page_are_those_of_the_run(page, planted_run):
    text = Page(page / "index.html").text
    assert "7 of 9 units match a concept, 5 of them are named after it." in text
    unit = planted_run.units("units").iloc[4]
    assert f"IoU {unit.iou:.2f} [{unit.iou_low:.2f}, {unit.iou_high:.2f}]" in text
    assert "dissect run dissect.worlds.planted:generator --segmenter colour" in text
    assert "Nothing was measured on this run yet" in text


def test_a_report_shows_the_effects_that_were_measured(site, full_run):
    text = Page(site / "index.html").text
    target = json.loads(next((full_run.path / "effects").glob("ablate*/recipe.json")).read_text())[
        "summary"
    ]["target"]
    low, high = target["net_removed_share_low"], target["net_removed_share_high"]
    assert f"{target['net_removed_share']:.2f} [{low:.2f}, {high:.2f}] net removed" in text
    assert "Where do 1 unit of units make red?" in text
    assert "in a random rotation" in (site / "index.html").read_text()


def test_bars_hold_all_units_and_cells_the_best_of_each_layer(planted_run):
    (bar,) = layer_bars(planted_run)
    (by_category,) = category_bars(planted_run)
    for one in (bar, by_category):
        assert sum(segment.count for segment in one.segments) == one.named == 5
        assert one.segments[-1].start + one.segments[-1].width == pytest.approx(100 * 5 / 9)
    cells = best_cells(planted_run)
    assert (cells["red"][0].unit, cells["red"][0].iou) == (0, 1)
    assert not cells["pink"][0].named


def test_a_report_is_replaced_as_a_whole_and_other_places_are_left_alone(planted_run, tmp_path):
    build_report(planted_run, out=tmp_path / "r")
    (tmp_path / "r" / "strips" / "old.webp").write_bytes(b"")
    build_report(planted_run, out=tmp_path / "r")
    assert not (tmp_path / "r" / "strips" / "old.webp").exists()
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("dear")
    for single_file in (False, True):
        with pytest.raises(RunError, match="exists and is not a report"):
            build_report(planted_run, out=tmp_path / "letters", single_file=single_file)
    with pytest.raises(RunError, match="exists and is not a report"):
        build_report(planted_run, out=tmp_path / "letters" / "a.txt", single_file=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["letters", "r"]


def test_one_file_holds_everything(full_run, tmp_path):
    path = tmp_path / "sent.html"
    assert build_report(full_run, out=path, single_file=True, layers=["units"]) == path
    assert build_report(full_run, out=path, single_file=True, layers=["units"]) == path
    found = Page(path)
    assert all(image["src"].startswith("data:image/webp") for image in found.images)
    assert "This report shows 1 of the run’s 2 layers" in found.text
    assert not re.search(r'(src|href)="(?!data:|#)', path.read_text())


def test_a_file_over_its_budget_says_how_many_units_fit(full_run, tmp_path):
    def build(**options):
        return build_report(full_run, out=tmp_path / "r.html", single_file=True, **options)

    whole = build().stat().st_size
    with pytest.raises(
        RunError, match=r"images of about \d+ of 18 units fit; .* --units \d"
    ) as told:
        build(budget=whole - 10_000)
    fewer = int(re.search(r"--units (\d+)", str(told.value))[1])
    assert 0 < fewer < 9
    assert build(budget=whole - 10_000, units=fewer).stat().st_size <= whole - 10_000
    with pytest.raises(RunError, match="are no images of units; choose fewer --layers"):
        build(budget=10_000)


def test_a_mistake_in_what_is_asked_for_is_told(planted_run, command, tmp_path):
    with pytest.raises(LayerError, match="layer 'nope' is not in"):
        build_report(planted_run, layers=["nope"], out=tmp_path / "r")
    with pytest.raises(ConfigError, match="units is -1"):
        build_report(planted_run, units=-1, out=tmp_path / "r")
    asked = command("report", planted_run.path, "--layers", "units,nope", "--out", tmp_path / "r")
    assert asked.returncode == 2
    assert "layer 'nope'" in asked.stderr
    assert not list(tmp_path.iterdir())


def test_the_command_writes_what_it_says(planted_run, command, tmp_path):
    done = command(
        "report", planted_run.path, "--single-file", "--units", 2, "--out", tmp_path / "r.html",
        "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"report": str(tmp_path / "r.html")}
    assert (tmp_path / "r.html").is_file()


def test_a_layer_may_have_any_name(planted, tmp_path, monkeypatch):
    name = "a/b é%20<"
    monkeypatch.setattr(planted, "layers", {name: planted.layers["units"]})
    run = dissect(planted, ColourSegmenter(), out=tmp_path / "r", n_samples=32, progress=False)
    path = build_report(open_run(run.path))
    for image in Page(path).images:
        assert (path.parent / unquote(image["src"])).is_file()
    assert [p.name for p in (path.parent / "data" / "layers").iterdir()] == [
        "a%2Fb%20%C3%A9%2520%3C.js"
    ]


EVIL = "<script>alert(1)</script>"
LONG = "w" * 60


class Evil(ColourSegmenter):
    """Names a colour as nobody should."""

    def __init__(self):
        super().__init__()
        rows = [(c.name, c.category, c.plane, c.colour) for c in self.vocabulary]
        self.name = "evil"
        self.vocabulary = Vocabulary.build(
            [({"red": EVIL, "blue": LONG}.get(n, n), *r) for n, *r in rows]
        )


@pytest.fixture(scope="module")
def evil_page(planted, tmp_path_factory):
    out = tmp_path_factory.mktemp("evil") / "r"
    return build_report(dissect(planted, Evil(), out=out, n_samples=32, progress=False))


def test_a_concept_named_like_a_script_shows_as_text(evil_page, open_page):
    assert EVIL in Page(evil_page).text
    for path in evil_page.parent.rglob("*"):
        if path.suffix in (".html", ".js"):
            assert "<script>alert" not in path.read_text()
    address = "#concept/%3Cscript%3Ealert(1)%3C%2Fscript%3E"
    view = open_page(evil_page, address)
    view.get_by_role("heading", name=EVIL, exact=True).wait_for()
    view.get_by_role("link", name=re.compile("units unit 0")).first.click()
    view.get_by_role("heading", name=f"Does it tell {EVIL} from the rest?").wait_for()


@pytest.mark.parametrize("width", [390, 1440])
def test_names_of_sixty_letters_break_no_page(evil_page, open_page, width):
    view = open_page(evil_page, width=width)
    for address in ("#summary", "#layers", "#concepts", f"#concept/{LONG}", "#layer/units"):
        view.goto(evil_page.as_uri() + address)
        view.locator("h1:visible").wait_for()
        assert view.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, address
    view.goto(evil_page.as_uri() + f"#concept/{LONG}")
    view.locator(".card-link").first.click()
    view.locator("#made svg.chart").first.wait_for()
    assert view.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


class Blind(ColourSegmenter):
    """Marks nothing."""

    def segment(self, images):
        return torch.zeros_like(super().segment(images))


def test_a_run_in_which_nothing_was_found_is_still_a_page(planted, tmp_path, open_page):
    run = dissect(planted, Blind(), out=tmp_path / "r", n_samples=32, progress=False)
    path = build_report(run)
    assert "No unit of these layers is named after a concept" in Page(path).text
    view = open_page(path, "#layer/units/unit/3")
    view.get_by_text("It is not named.").wait_for()
    view.goto(path.as_uri() + "#concept/red")
    view.get_by_text("No unit is named after it.").wait_for()


def without(run, out, change):
    """A copy of a run as if its images had been written otherwise."""
    shutil.copytree(run.path, out)
    record = json.loads((out / "run.json").read_text())
    change(out, record)
    (out / "run.json").write_text(json.dumps(record))
    return open_run(out)


def drop_what_came_later(folder, record):
    for name in ("trust.json", "images/+concepts.zip"):
        (folder / name).unlink()
        del record["files"][name]


def test_a_run_of_an_earlier_version_says_what_it_does_not_hold(planted_run, tmp_path, open_page):
    path = build_report(without(planted_run, tmp_path / "r", drop_what_came_later))
    assert "This run did not measure it" in Page(path).text
    view = open_page(path, "#concept/red")
    view.get_by_text("This run keeps no masks of the segmenter").wait_for()
    view.get_by_text("did not measure how far masks are to be trusted").wait_for()


def test_the_summary_names_the_label_whose_masks_agree_least(page, planted_run):
    agreement = planted_run.summary()["trust"]["agreement"]
    worst = min(agreement, key=agreement.get)
    text = Page(page / "index.html").text
    assert f"the masks of {worst} agree least with themselves, to {agreement[worst]:.2f}" in text


def drop_images(folder, record):
    shutil.rmtree(folder / "images")
    record["files"] = {n: f for n, f in record["files"].items() if not n.startswith("images/")}


def test_a_run_without_images_is_still_a_page(planted_run, tmp_path, open_page):
    run = without(planted_run, tmp_path / "r", drop_images)
    with pytest.raises(RunError, match="holds no images of units"):
        run.strip("units", 0)
    path = build_report(run)
    assert Page(path).images == []
    view = open_page(path, "#layer/units")
    view.get_by_text("no images kept").first.wait_for()
    expect(view.locator("#masks")).to_be_hidden()


@pytest.mark.parametrize(
    ("colour", "ink"), [("#000000", "#ffffff"), ("#ffffff", "#000000"), ("#ffff14", "#000000")]
)
def test_text_on_a_colour_takes_the_ink_that_reads_better(colour, ink):
    assert ink_on(colour) == ink


def test_a_reopened_run_gives_the_same_files(planted_run, page, tmp_path):
    again = build_report(open_run(planted_run.path), out=tmp_path / "again").parent
    for path in page.rglob("*"):
        if path.is_file():
            assert (again / path.relative_to(page)).read_bytes() == path.read_bytes()
