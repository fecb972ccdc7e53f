import re
import shutil
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
import torch

from dissect import RunError, dissect, open_run
from reports import build_report
from reports.charts import best_cells, ink_on, layer_bars
from segmenters.colour import ColourSegmenter
from segmenters.vocabulary import Vocabulary

CHROMIUM = shutil.which("chromium")


class _Page(HTMLParser):
    """Collects what a page links to and checks that its tags close."""

    def __init__(self, text):
        super().__init__()
        self.images, self.anchors, self.ids, self.text = [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag == "img":
            self.images.append(found)
        if tag == "a":
            self.anchors.append(found["href"])
        if "id" in found:
            self.ids.append(found["id"])

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def page(planted_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "page"
    build_report(planted_run, out=out)
    return out


def test_the_page_shows_every_interpretable_unit_of_the_planted_world(page, planted_run):
    found = _Page((page / "index.html").read_text())
    sources = {image["src"] for image in found.images}
    assert sources == {f"strips/units-{unit}.webp" for unit in (0, 1, 2, 3, 4, 5, 6)}
    for source in sources:
        unit = int(re.search(r"units-(\d+)", source)[1])
        assert (page / source).read_bytes() == planted_run.strip("units", unit)


def test_every_image_tells_its_finding_and_keeps_its_place(page):
    found = _Page((page / "index.html").read_text())
    for image in found.images:
        assert re.search(r"units unit \d, \w+, IoU \d\.\d\d", image["alt"])
        assert image["width"] == "1024"
        assert image["height"] == "128"
        assert image["loading"] == "lazy"


def test_links_lead_somewhere_and_nothing_comes_from_a_network(page):
    text = (page / "index.html").read_text() + (page / "report.css").read_text()
    found = _Page((page / "index.html").read_text())
    assert found.anchors
    assert all(anchor.removeprefix("#") in found.ids for anchor in found.anchors)
    assert "http" not in text
    assert "url(" not in text


def test_the_numbers_of_the_page_are_those_of_the_run(page, planted_run):
    text = " ".join(_Page((page / "index.html").read_text()).text.split())
    assert "7 of 9 units in 1 layer match a concept of the colour segmenter" in text
    assert "7 of 9" in text
    assert f"IoU {planted_run.units('units').iou[6]:.2f}" in text
    assert "dissect run dissect.worlds.planted:generator --segmenter colour" in text


def test_bars_hold_all_units_and_cells_the_best_of_each_layer(planted_run):
    (bar,) = layer_bars(planted_run)
    assert sum(segment.count for segment in bar.segments) == bar.interpretable == 7
    assert bar.segments[-1].start + bar.segments[-1].width == pytest.approx(100 * 7 / 9)
    cells = best_cells(planted_run)
    assert (cells["red"][0].unit, cells["red"][0].iou) == (0, 1)
    assert not cells["pink"][0].interpretable


def test_a_report_is_replaced_as_a_whole_and_other_folders_are_left_alone(planted_run, tmp_path):
    build_report(planted_run, out=tmp_path / "r")
    (tmp_path / "r" / "strips" / "old.webp").write_bytes(b"")
    build_report(planted_run, out=tmp_path / "r")
    assert not (tmp_path / "r" / "strips" / "old.webp").exists()
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("dear")
    with pytest.raises(RunError, match="exists and is not a report"):
        build_report(planted_run, out=tmp_path / "letters")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["letters", "r"]


def test_a_layer_may_have_any_name(planted, tmp_path, monkeypatch):
    name = "a/b é%20<"
    monkeypatch.setattr(planted, "layers", {name: planted.layers["units"]})
    run = dissect(planted, ColourSegmenter(), out=tmp_path / "r", n_samples=32, progress=False)
    found = _Page(build_report(open_run(run.path)).read_text())
    assert run.iou(name).shape == (9, 11)
    for image in found.images:
        assert (run.path / "report" / unquote(image["src"])).is_file()


EVIL = "<script>alert(1)</script>"


class _Evil(ColourSegmenter):
    """Names a colour as nobody should."""

    def __init__(self):
        super().__init__()
        rows = [(c.name, c.category, c.plane, c.colour) for c in self.vocabulary]
        self.name = "evil"
        self.vocabulary = Vocabulary.build([(EVIL if n == "red" else n, *r) for n, *r in rows])


def test_a_concept_named_like_a_script_shows_as_text(planted, tmp_path):
    run = dissect(planted, _Evil(), out=tmp_path / "r", n_samples=32, progress=False)
    text = build_report(run).read_text()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert EVIL in _Page(text).text


class _Blind(ColourSegmenter):
    """Marks nothing."""

    def segment(self, images):
        return torch.zeros_like(super().segment(images))


def test_a_run_in_which_nothing_was_found_is_still_a_page(planted, tmp_path):
    run = dissect(planted, _Blind(), out=tmp_path / "r", n_samples=32, progress=False)
    text = " ".join(_Page(build_report(run).read_text()).text.split())
    assert "No unit of these layers matches a concept" in text


@pytest.mark.parametrize(
    ("colour", "ink"), [("#000000", "#ffffff"), ("#ffffff", "#000000"), ("#ffff14", "#000000")]
)
def test_text_on_a_colour_takes_the_ink_that_reads_better(colour, ink):
    assert ink_on(colour) == ink


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
@pytest.mark.parametrize("width", [1440, 390])
def test_the_page_opens_from_a_file_without_errors_and_fits_the_screen(page, width):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        view = browser.new_page(viewport={"width": width, "height": 900})
        problems, requests = [], []
        view.on("console", lambda message: problems.append(message.text))
        view.on("pageerror", lambda error: problems.append(str(error)))
        view.on("requestfailed", lambda request: problems.append(request.url))
        view.on("request", lambda request: requests.append(request.url))
        view.goto((page / "index.html").as_uri())
        for image in view.locator("img").all():
            image.scroll_into_view_if_needed()
            assert image.evaluate("async i => (await i.decode(), i.naturalWidth)") == 1024
        assert problems == []
        assert all(url.startswith(("file:", "data:")) for url in requests)
        overflow = view.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert overflow <= 0
        view.get_by_text("The same as a table").click()
        assert view.get_by_role("row", name="interpretable 7").is_visible()
        browser.close()


def test_a_reopened_run_gives_the_same_page(planted_run, page, tmp_path):
    again = build_report(open_run(planted_run.path), out=tmp_path / "again")
    assert again.read_text() == (page / "index.html").read_text()
