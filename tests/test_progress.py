"""Progress as lines that another program reads."""

import pytest

from dissect.progress import LINES, PROGRESS_VARIABLE, ProgressBar, Stage, read_stage


def told(capsys):
    out, err = capsys.readouterr()
    assert out == ""
    return [stage for line in err.splitlines() if (stage := read_stage(line)) is not None]


def go_through(n_steps, **options):
    with ProgressBar(total=n_steps, desc="measure", unit="image", disable=None, **options) as bar:
        for _ in range(n_steps):
            bar.update()


def test_lines_tell_the_beginning_and_the_end_of_a_stage(monkeypatch, capsys):
    monkeypatch.setenv(PROGRESS_VARIABLE, LINES)
    go_through(300)
    found = told(capsys)
    assert found[0] == Stage("measure", 0, 300, "image")
    assert found[-1] == Stage("measure", 300, 300, "image")
    assert len(found) < 30  # however fast the steps are


def test_a_loop_and_a_bar_that_is_wiped_away_are_told_too(monkeypatch, capsys):
    monkeypatch.setenv(PROGRESS_VARIABLE, LINES)
    assert list(ProgressBar(range(3), desc="curve", unit="point", disable=None)) == [0, 1, 2]
    assert told(capsys)[-1] == Stage("curve", 3, 3, "point")
    go_through(3, leave=False)
    assert told(capsys) == [Stage("measure", 0, 3, "image")]


def test_nothing_is_written_where_nobody_asked_for_lines_or_progress(monkeypatch, capsys):
    monkeypatch.delenv(PROGRESS_VARIABLE, raising=False)
    go_through(3)  # stderr is no terminal here
    monkeypatch.setenv(PROGRESS_VARIABLE, LINES)
    assert list(ProgressBar(range(3), disable=True)) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "line",
    ["", "measure:  40%|###", "dissect-progress", "dissect-progress {", "dissect-progress {}",
     'dissect-progress {"stage": "a", "done": -1, "total": 3, "unit": "b"}',
     'dissect-progress {"stage": "a", "done": 1, "total": null, "unit": "b"}',
     'dissect-progress {"stage": "a", "done": 1, "total": 0, "unit": "b"}',
     'dissect-progress {"stage": "a", "done": 1e999, "total": 3, "unit": "b"}'],
)  # fmt: skip
def test_what_is_no_progress_is_none(line):
    assert read_stage(line) is None
