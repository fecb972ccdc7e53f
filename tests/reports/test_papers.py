import io
import json
import re
import sys

import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dissect import ConfigError, dissect
from dissect.runs.compare import compare_runs
from dissect.worlds.planted import PlantedGenerator
from reports.comparison import build_comparison
from reports.exporting import column_meanings, escape_latex, export_table, units_table
from reports.figures import draw_concepts, draw_layers, draw_unit
from segmenters.colour import ColourSegmenter
from segmenters.vocabulary import Vocabulary

EVIL = "<script>$x_1$</script> & a name of sixty letters, more or less 100 %"


class _Evil(ColourSegmenter):
    def __init__(self):
        super().__init__()
        rows = [(c.name, c.category, c.plane, c.colour) for c in self.vocabulary]
        self.name = "evil"
        self.vocabulary = Vocabulary.build([(EVIL if n == "red" else n, *r) for n, *r in rows])


@pytest.fixture(scope="module")
def evil_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "evil"
    return dissect(PlantedGenerator(), _Evil(), out=out, n_samples=200, progress=False)


def test_compare_prints_one_object_and_writes_one_page_without_a_network(
    command, planted_run, evil_run, tmp_path
):
    page = tmp_path / "c.html"
    done = command("compare", planted_run.path, evil_run.path, "--out", page, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [run["letter"] for run in found["runs"]] == ["A", "B"]
    assert found["changes"] == {"B": {"gained": [], "lost": []}}
    assert found["page"] == str(page)
    text = page.read_text()
    assert "<script" not in text
    assert "http" not in text
    assert re.findall(r'(?:src|href)="(?!data:|#)', text) == []
    assert all('alt="' in image for image in re.findall(r"<img[^>]*>", text))


def test_a_page_that_is_no_comparison_is_left_alone(planted_run, tmp_path):
    (tmp_path / "letter.html").write_text("dear")
    found = compare_runs([planted_run, planted_run])
    with pytest.raises(ConfigError, match="is not a comparison"):
        build_comparison(found, out=tmp_path / "letter.html")
    assert (tmp_path / "letter.html").read_text() == "dear"
    page = build_comparison(found, out=tmp_path / "c.html")
    first = page.read_text()
    assert build_comparison(found, out=page).read_text() == first


@pytest.mark.parametrize("kind", ["csv", "parquet", "json"])
def test_every_format_holds_the_same_table(planted_run, kind):
    table = units_table(planted_run, concept="red")
    content = export_table(table, kind)
    read = {
        "csv": lambda: pd.read_csv(io.BytesIO(content), keep_default_na=False, na_values=[""]),
        "parquet": lambda: pd.read_parquet(io.BytesIO(content)),
        "json": lambda: pd.DataFrame(json.loads(content)["rows"]),
    }[kind]()
    assert list(read.columns) == [
        name for name in column_meanings() if name not in ("stands_for", "second")
    ]
    pd.testing.assert_frame_equal(
        read.drop(columns="named"), table.drop(columns="named"), check_dtype=False, rtol=1e-12
    )
    if kind == "parquet":
        field = pq.read_schema(io.BytesIO(content)).field("chance")
        assert field.metadata[b"description"].decode() == column_meanings()["chance"]


def test_filters_choose_rows(planted_run):
    assert len(units_table(planted_run)) == 9
    named = units_table(planted_run, concept="red", named=True)
    assert named.unit.tolist() == [0]
    assert len(units_table(planted_run, layer="units", n_rows=2)) == 2


def test_a_latex_table_has_equal_cells_and_escaped_names(evil_run):
    text = export_table(units_table(evil_run, named=True), "latex").decode()
    assert r"\toprule" in text
    assert r"\textless{}script\textgreater{}\$x\_1\$" in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 1 + 5
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {7}
    assert escape_latex("a\\b\n%") == r"a\textbackslash{}b \%"


@pytest.mark.parametrize("suffix", [".pdf", ".svg", ".png"])
def test_figures_are_the_same_bytes_twice_with_names_of_any_kind(evil_run, suffix):
    one, two = (draw_layers(evil_run, width=3.25, suffix=suffix) for _ in range(2))
    assert one == two
    if suffix == ".pdf":
        assert b"/FontFile2" in one  # embedded TrueType
        assert b"/Type3" not in one
    if suffix == ".png":
        assert Image.open(io.BytesIO(one)).width == 975
    if suffix == ".svg":
        assert b"<text" not in one
        assert b"http://www.w3.org/2000/svg" in one


def test_figures_of_concepts_and_units_draw(evil_run):
    assert draw_concepts(evil_run, width=3.25, suffix=".png").startswith(b"\x89PNG")
    assert draw_unit(evil_run, "units", 0, width=3.25, suffix=".png").startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("compare", "RUN"), "1 run was given to compare; expected 2 to 12"),
        (("figure", "RUN", "curve", "--out", "f.pdf"), "was given no effect"),
        (("figure", "RUN", "curve", "--effect", "none", "--out", "f.pdf"), "effect 'none' is not"),
        (("figure", "RUN", "unit", "--out", "f.pdf"), "expected --layer L and --unit U"),
        (("figure", "RUN", "layers", "--out", "f.doc"), "expected a file in .pdf"),
        (("figure", "RUN", "layers", "--out", "f.pdf", "--width", "wide"), "width is 'wide'"),
        (("export", "RUN", "--format", "parquet"), "--format is parquet but there is no --out"),
        (("export", "RUN", "--rows", "0"), "rows is 0"),
        (("export", "RUN", "--concept", "violin"), "is not in the vocabulary"),
    ],
)
def test_a_mistake_is_one_line(command, planted_run, arguments, told):
    given = [planted_run.path if argument == "RUN" else argument for argument in arguments]
    done = command(*given)
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_matplotlib_a_figure_says_what_to_install(
    command, planted_run, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = command("figure", planted_run.path, "layers", "--out", tmp_path / "f.pdf")
    assert done.returncode == 2
    assert "pip install 'gan-dissection[figures]'" in done.stderr
    assert not (tmp_path / "f.pdf").exists()


def test_a_stored_curve_becomes_a_figure(command, tmp_path):
    run = tmp_path / "r"
    dissect(
        "dissect.worlds.planted:generator", "colour", out=run, n_samples=64, progress=False
    )  # fmt: skip
    settings = ("--concept", "red", "--units", 1, "--samples", 16, "--search", 16, "--draws", 1)
    done = command("ablate", run, *settings, "--curve", "iou,random", "--name", "e")
    assert done.returncode == 0, done.stderr
    done = command("figure", run, "curve", "--effect", "e", "--out", tmp_path / "f.svg")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "f.svg").stat().st_size > 1000
    refused = command(
        "figure", run, "curve", "--effect", "e", "--concept", "x", "--out", tmp_path / "g.svg"
    )
    assert "concept 'x' is not in effect 'e'" in refused.stderr
