"""What people said of units, in everything that is written of a run."""

import csv
import io
import json
import shutil

import pytest
from playwright.sync_api import expect

from dissect import open_run
from dissect.cli import main
from dissect.runs.compare import compare_runs
from dissect.runs.notes import FILE, Noted, notes_of, read_noted
from reports import build_report
from reports.comparison import build_comparison

EVIL = "</script><script>alert(1)</script>"


@pytest.fixture(scope="module")
def noted_run(full_run, tmp_path_factory):
    """A run in which two people named units. Tests must not change it."""
    folder = shutil.copytree(full_run.path, tmp_path_factory.mktemp("noted") / "r")
    notes = notes_of(open_run(folder))
    notes.label("units", 0, "old name", author="Ada")
    notes.label("units", 0, EVIL, author="Bo")
    notes.label("units", 4, "=corn field")
    notes.comment("units", 0, "only in summer\n" + EVIL, author="Ada")
    notes.add_to_list("units", 0, "plants & trees")
    notes.comment("units", 5, "nobody named it")
    return open_run(folder)


def files_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_report_without_notes_holds_nothing_of_them_and_with_them_the_same_bytes_again(
    site, noted_run, full_run, tmp_path
):
    without = files_of(site)
    assert "data/notes.js" not in without
    assert b"watchPages" not in without["report.js"]
    assert b".second" not in without["report.css"]
    assert b'"labels":' not in without["index.html"]
    layers = {"layers": ["units"], "units": 1}
    report = build_report(noted_run, out=tmp_path / "a", **layers).parent
    again = build_report(open_run(noted_run.path), out=tmp_path / "b", **layers).parent
    assert files_of(report) == files_of(again)
    # What was measured stays as it was; layers that nobody said anything of have no notes.
    assert files_of(report)["data/layers/units.js"] == without["data/layers/units.js"]
    rotated = {"layers": ["units@rotation:0"], "units": 0, "single_file": True}
    one, two = (
        build_report(run, out=tmp_path / f"{name}.html", **rotated).read_bytes()
        for name, run in (("one", noted_run), ("two", full_run))
    )
    assert one == two


@pytest.mark.parametrize("single_file", [False, True])
def test_second_labels_stand_wherever_a_report_names_units(
    noted_run, tmp_path, open_page, single_file
):
    out = tmp_path / ("r.html" if single_file else "r")
    path = build_report(noted_run, out=out, single_file=single_file, layers=["units"])
    for file in tmp_path.rglob("*"):
        if file.suffix in (".html", ".js"):
            assert "<script>alert" not in file.read_text()
    view = open_page(path)
    name, corn = f"“{EVIL}”", "“=corn field”"
    expect(view.locator("#summary .people").get_by_text(name)).to_be_visible()
    expect(view.locator("#summary .people").get_by_text("plants & trees")).to_be_visible()
    expect(view.locator("#summary .finding").get_by_text(name)).to_be_visible()
    expect(view.locator(f"#concepts td[title*='{corn}']")).not_to_have_count(0)
    view.goto(path.as_uri() + "#layer/units")
    view.locator(".card").first.wait_for()
    expect(view.locator(".card .second")).to_have_count(2)
    expect(view.locator(".card", has_text="unit 4").locator(".second")).to_contain_text(corn)
    view.locator("#made").get_by_text("The same as a table").click()
    expect(view.locator("#made tbody .second")).to_have_count(2)
    view.locator(".card", has_text=name).locator(".card-link").click()
    view.get_by_role("heading", name="What do people say about it?").wait_for()
    expect(view.locator("#made h1")).to_contain_text(name)
    expect(view.locator(".notes p")).to_have_text(
        ["plants & trees", "only in summer " + EVIL, EVIL, "old name"]
    )
    expect(view.locator(".notes").get_by_text("Ada")).to_have_count(2)
    expect(view.locator("#made .cards .second")).to_have_count(1)  # of those that fire together
    view.keyboard.press("ArrowRight")
    view.get_by_role("heading", name="units unit 1").wait_for()
    expect(view.locator("#made h1 .second, .notes")).to_have_count(0)
    view.set_viewport_size({"width": 390, "height": 844})
    for address in ("#summary", "#layer/units/unit/0"):
        view.goto(path.as_uri() + address)
        view.locator("h1:visible").wait_for()
        assert view.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_a_comparison_says_what_people_call_its_units(noted_run, full_run, tmp_path):
    runs = compare_runs([full_run, noted_run])
    text = build_comparison(runs, out=tmp_path / "c.html").read_text()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;”" in text
    plain = build_comparison(compare_runs([full_run, full_run]), out=tmp_path / "d.html")
    left_out = build_comparison(runs, out=tmp_path / "e.html", notes=False)
    for page in (plain, left_out):
        assert "second" not in page.read_text()


def test_a_table_for_others_has_them_unless_they_are_left_out(noted_run, full_run, capsys):
    def export(run, *given):
        assert main(["export", str(run.path), "--layer", "units", *given]) == 0
        return capsys.readouterr().out

    rows = csv.DictReader(io.StringIO(export(noted_run)))
    assert {row["unit"]: row["second"] for row in rows if row["second"]} == {
        "0": EVIL,
        "4": "'=corn field",  # no formula
    }
    told = json.loads(export(noted_run, "--format", "json"))
    assert "what people call the unit" in told["columns"]["second"]
    assert {row["second"] for row in told["rows"]} == {EVIL, "=corn field", ""}
    for kind in ("csv", "json", "latex"):
        bare = export(full_run, "--format", kind)
        assert export(noted_run, "--format", kind, "--no-notes") == bare
        assert "people call" not in bare
    assert export(noted_run, "--format", "latex") == export(full_run, "--format", "latex")


def test_a_report_without_them_is_that_of_a_run_without_them(noted_run, full_run, tmp_path):
    for number, single_file in enumerate((False, True)):
        pages = [
            build_report(run, out=tmp_path / f"{run.path.name}-{number}", single_file=single_file,
                         layers=["units"], notes=False)
            for run in (noted_run, full_run)
        ]  # fmt: skip
        bare, told = (page.read_text() for page in pages)
        assert told == bare
        assert EVIL not in "".join(
            file.read_text(errors="replace") for file in tmp_path.rglob("*") if file.is_file()
        )


def show(capsys, *given):
    assert main(["show", *map(str, given)]) == 0
    return capsys.readouterr()


def test_show_has_a_column_of_them_only_where_there_are_some(noted_run, full_run, capsys):
    asked = ("--layer", "units", "--concept", "red")
    plain, told = (show(capsys, run.path, *asked).out for run in (full_run, noted_run))
    assert "people call it" not in plain
    for bare, line in zip(plain.splitlines(), told.splitlines(), strict=True):
        assert line.startswith(bare)
    (line,) = (line for line in told.splitlines() if EVIL in line)
    assert line.split()[:2] == ["units", "0"]
    rows = json.loads(show(capsys, noted_run.path, *asked, "--json").out)["rows"]
    assert {row["unit"]: row["second"] for row in rows if row["second"]} == {
        0: EVIL,
        4: "=corn field",
    }
    sheet = csv.DictReader(io.StringIO(show(capsys, noted_run.path, *asked, "--csv").out))
    assert {row["unit"]: row["second"] for row in sheet if row["second"]} == {
        "0": EVIL,
        "4": "'=corn field",  # no formula
    }
    assert "second" not in show(capsys, full_run.path, "--csv").out
    cut = show(capsys, noted_run.path, "--rows", 2).out.splitlines()
    assert cut[-1].startswith("… ")


def test_damaged_notes_are_one_line_and_the_rest_goes_on(planted_run, tmp_path, capsys):
    folder = shutil.copytree(planted_run.path, tmp_path / "r")
    (folder / FILE).write_bytes(b"no database at all " * 9)
    plain, told = (show(capsys, path) for path in (planted_run.path, folder))
    assert told.out == plain.out
    assert told.err.count("\n") == 1
    assert "is damaged" in told.err
    assert main(["report", str(folder), "--out", str(tmp_path / "a")]) == 0
    assert capsys.readouterr().err.count("\n") == 1
    build_report(planted_run, out=tmp_path / "b")
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_notes_of_a_stranger_reach_no_other_unit_and_no_terminal(planted_run, tmp_path):
    run = open_run(shutil.copytree(planted_run.path, tmp_path / "r"))
    notes = notes_of(run)
    notes.label("units", 1, "mine")
    strange = [("units", 99, "far"), ("nope", 0, "x"), ("units", 2, "a\x1b[2J\nb")]
    with notes._writing() as database:
        database.executemany(
            "INSERT INTO notes (kind, layer, unit, text, author, made) "
            "VALUES ('label', ?, ?, ?, '', 0)",
            strange,
        )
    assert read_noted(run).labels == {("units", 1): "mine", ("units", 2): "a\ufffd[2J b"}
    assert read_noted(planted_run) == Noted()
