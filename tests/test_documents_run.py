"""README and the tutorials are gone through as a reader would, block by block, on small budgets.

Every command and every line of Python runs, in one folder for each page, so that a later command finds
what an earlier one made. All other pages are held against the command line's parser alone
(``tests/test_documents.py``).
"""

import contextlib
import io
import re

import numpy as np
import pytest
from PIL import Image

from dissect.cli import build_parser
from tests.documents import blocks

pytestmark = pytest.mark.slow

PAGES = [
    "README.md",
    "docs/tutorials/ablation.md",
    "docs/tutorials/directions.md",
    "docs/tutorials/image.md",
    "docs/tutorials/words.md",
]
# Budget → the most of it that is taken here.
CAPS = {
    "draws": 2, "images": 8, "n_alike": 2, "n_candidates": 8, "n_samples": 32, "n_search": 16,
    "n_starts": 1, "n_steps": 5, "top": 8, "trees": 5, "tuning_steps": 2,
}  # fmt: skip
# What is fitted on samples needs more of them.
FITTED = {"directions": 160, "disentangle": 160}
# Commands that are not run, by their first words, and why.
LEFT_OUT = {
    ("serve",): "a server: tests/dashboard starts it",
    ("zoo", "get"): "fetches",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with the files that a reader is said to have."""
    monkeypatch.chdir(tmp_path)
    y, x = np.mgrid[:64, :64]
    pixels = np.stack([255 * (y > 30), 3 * x, 200 - 2 * y], axis=-1).clip(0, 255).astype("uint8")
    photo = Image.fromarray(pixels)
    photo.save("photo.png")
    photo.convert("L").save("grey.png")
    photo.resize((16, 16)).save("small.png")
    return tmp_path


def run_command(given):
    """Run one command as the command line does, within ``CAPS``; returns what it printed."""
    options = build_parser().parse_args(given)
    fitted = {"n_samples": FITTED[given[0]]} if given[0] in FITTED else {}
    for name, cap in (CAPS | fitted).items():
        value = getattr(options, name, None)
        if isinstance(value, int) and value > cap:  # --images of a run is a folder
            setattr(options, name, cap)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        options.command(options)
    return printed.getvalue()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_can_be_gone_through(page, folder):
    names = {}
    n_run = 0
    for block in blocks(page):
        if not block.is_run:
            continue
        for given in block.commands:
            if "--help" in given or any(tuple(given[: len(one)]) == one for one in LEFT_OUT):
                continue
            assert run_command(given), (str(block), given)
            n_run += 1
        if block.language == "python":
            code = re.sub(r"n_samples=\d+", f"n_samples={CAPS['n_samples']}", block.text)
            exec(compile(code, str(block), "exec"), names)
            n_run += 1
    assert n_run > 2
