"""How runs, generators and segmenters show themselves."""

import copy
from html.parser import HTMLParser

import pytest

from dissect import load_generator, open_run
from dissect.generators.given_latents import GivenLatents
from segmenters import JoinedSegmenter, load_segmenter
from segmenters.notebook import MOST_ROWS, html_table


class Table(HTMLParser):
    """The cells of a table, and the tags that are open at its end."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.open, self.tags = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data


def read(shown):
    table = Table(shown._repr_html_())
    assert table.open == []
    return table


def test_a_run_shows_its_layers(planted_run):
    line = repr(planted_run)
    assert line == (
        f"<Run {planted_run.path}: dissect.worlds.planted:generator seen by colour, 200 samples, "
        "1 layer, 9 units>"
    )
    head, row = read(planted_run).rows
    assert head[:4] == ["layer", "units", "match", "named"]
    summary = planted_run.summary()["layers"]["units"]
    assert row[:4] == ["units", "9", str(summary["matches"]), str(summary["named"])]


def test_a_generator_shows_its_layers_and_spaces(planted):
    assert repr(planted) == "<PlantedGenerator planted: 32 × 32 pixels, spaces z, 1 layer>"
    assert read(planted).rows[1] == ["units", "9", "32 × 32"]
    over = GivenLatents(planted, planted.sample(range(4), seed=0), source="a<b>")
    assert repr(over) == "<GivenLatents planted?latents=a<b>: 32 × 32 pixels, spaces z, 1 layer>"
    assert "<b>:" not in over._repr_html_()
    assert "a&lt;b&gt;" in over._repr_html_()
    styled = load_generator("scenes-stylegan2")
    assert "64 × 64 pixels, spaces z p w p+ w+ s, " in repr(styled)
    assert len(read(styled).rows) == 1 + len(styled.layers)


def test_a_segmenter_shows_its_concepts_in_their_colours():
    colour = load_segmenter("colour")
    assert repr(colour) == "<ColourSegmenter colour: 11 concepts, planes colour>"
    assert read(colour).rows[1] == [colour.vocabulary.concepts[0].name, "colour", "colour"]
    assert f"background:{colour.vocabulary['red'].colour}" in colour._repr_html_()
    joined = JoinedSegmenter(load_segmenter("faces"), colour)
    assert repr(joined).startswith("<JoinedSegmenter faces+colour: ")


def test_a_long_table_says_how_much_is_left_out_and_takes_any_text():
    rows = [(f"<script>{k}</script>", 1000 * k) for k in range(MOST_ROWS + 3)]
    text = html_table("a & b", ["<i>", "n"], rows)
    table = Table(text)
    assert len(table.rows) == 1 + MOST_ROWS
    assert table.rows[2] == ["<script>1</script>", "1,000"]
    assert not {"script", "i"} & table.tags
    assert "and 3 more" in text


@pytest.mark.parametrize("damage", ["units.parquet"])
def test_a_damaged_run_still_has_a_line(planted_run, tmp_path, damage):
    import shutil

    shutil.copytree(planted_run.path, tmp_path / "r")
    run = open_run(tmp_path / "r")
    (tmp_path / "r" / damage).unlink()
    assert "200 samples" in repr(run)
    assert repr(copy.copy(run)) == repr(run)
