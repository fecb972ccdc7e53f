import runpy
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.fixture(scope="module")
def run_folder(planted_run, tmp_path_factory):
    path = tmp_path_factory.mktemp("examples") / "r"
    shutil.copytree(planted_run.path, path)
    return path


@pytest.fixture
def run_example(monkeypatch, capsys):
    """Runs a script in this process, where importing takes no time again; gives what it printed."""

    def run(name, *arguments):
        path = ROOT / "examples" / name
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
        runpy.run_path(str(path), run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_short(path):
    assert len(path.read_text().splitlines()) < 60


def test_ablate_windows_compares_orders(run_example, run_folder):
    told = run_example(
        "ablate_windows.py", run_folder, "--concept", "red", "--units", 1, "--samples", 32,
        "--orders", "iou,greedy",
    )  # fmt: skip
    lines = told.splitlines()
    assert [line.split()[0] for line in lines] == ["iou", "greedy"]
    assert all("1.00 [1.00, 1.00] of red net removed" in line for line in lines)


def test_compare_generators_draws_a_line_for_each_run_and_concept(
    run_example, run_folder, tmp_path
):
    out = tmp_path / "curves.svg"
    told = run_example(
        "compare_generators.py", run_folder, "--concepts", "red,blue", "--samples", 32, "--most", 2,
        "--out", out,
    )  # fmt: skip
    assert "red: 1.00 by 2 units of units" in told
    assert out.read_text().count("<polyline") == 2


def test_door_context_tells_each_group(run_example, run_folder):
    told = run_example(
        "door_context.py", run_folder, "--concept", "red", "--units", 1, "--samples", 8,
    )  # fmt: skip
    groups = {line.split()[0]: line for line in told.splitlines()[1:-1]}
    assert {"black", "red"} <= groups.keys()
    assert "by random units" in groups["black"]
