"""Runs the notebooks of the docs and keeps what they show, in place: `make notebooks`.

python docs/site/run_notebooks.py [NOTEBOOK …]
"""

import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"


def run_notebook(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Run all cells with a kernel whose working folder is ``folder``; outputs replace the old ones.

    Raises:
        CellExecutionError: a cell that fails.
    """
    NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": folder}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when it was run: another diff each time
        # Warnings of other libraries about this machine are none of the reader's.
        kept = [one for one in cell.get("outputs", ()) if one.get("name") != "stderr"]
        for output in kept:
            if "image/jpeg" in output.get("data", {}):  # a tenth of the PNG beside it
                output.data.pop("image/png", None)
        if cell.cell_type == "code":
            cell.outputs = kept


def main(paths: list[str]) -> None:
    """Run these notebooks, or all of them."""
    for path in [Path(one) for one in paths] or sorted(NOTEBOOKS.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        with tempfile.TemporaryDirectory() as folder:
            run_notebook(notebook, Path(folder))
        nbformat.write(notebook, path)
        print(path.name)


if __name__ == "__main__":
    main(sys.argv[1:])
