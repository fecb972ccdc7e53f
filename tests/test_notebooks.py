"""The notebooks of the docs run from their first cell to their last, on few samples."""

import re

import pytest

from tests.documents import ROOT

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
BUDGET = re.compile(r"^n_samples = \d+", re.M)


def sources(path):
    """The code cells of a notebook, with few samples."""
    cells = [
        cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"
    ]
    assert BUDGET.search(cells[0])
    return [BUDGET.sub("n_samples = 48", cells[0]), *cells[1:]]


def test_there_are_two():
    assert [path.stem for path in NOTEBOOKS] == ["first_dissection", "your_own"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_what_it_showed_and_nothing_of_the_machine(path):
    cells = nbformat.read(path, as_version=4).cells
    assert path.stat().st_size < 150_000
    assert any(cell.get("outputs") for cell in cells)
    assert not re.search(r"/(home|root|tmp|work)/", path.read_text())


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path):
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell, source in zip(code, sources(path), strict=True):
        cell.source = source
    # Jupyter warns of its own transport; what a cell raises comes as CellExecutionError.
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": tmp_path}}).execute()
    assert (tmp_path / "runs").is_dir()
