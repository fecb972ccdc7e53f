"""Examples in docstrings are run: what they print is what they say.

An example may use what scripts import and a reader knows: ``load_generator``, ``load_segmenter``
and the other names of ``dissect``, ``torch``, ``np``. ``generator`` is the planted world's,
``runs/demo`` a run over it, ``folder`` a small diffusion model that diffusers saved.
"""

import doctest
import importlib
from pathlib import Path

import numpy as np
import pytest
import torch

import dissect
from segmenters import load_segmenter

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for package in ("segmenters", "dissect", "reports", "dashboard")
    for path in (ROOT / package).rglob("*.py")
    if ">>>" in path.read_text()
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say(
    name, planted, planted_run, checkpoints, tmp_path, monkeypatch
):
    if name.endswith("diffusers_unets"):
        pytest.importorskip("diffusers", reason="diffusers is not installed")
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    Path("runs/demo").symlink_to(planted_run.path)
    known = {public: getattr(dissect, public) for public in dissect.__all__}
    known |= {"load_segmenter": load_segmenter, "np": np, "torch": torch, "generator": planted}
    known["folder"] = checkpoints / "diffusers_ddpm16"
    found = doctest.testmod(importlib.import_module(name), extraglobs=known)
    assert found.attempted
    assert not found.failed
