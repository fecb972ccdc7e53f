"""The commands that docs/models.md shows for latents and images of one's own, run as they stand."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import models

from dissect import load_generator

DOCS = Path(__file__).resolve().parents[1] / "docs" / "models.md"
BLOCKS = re.findall(
    r"<!-- run by tests/test_own_samples.py -->\n```\n(.*?)```", DOCS.read_text(), re.DOTALL
)


def run_block(block, command):
    for line in block.splitlines():
        words = shlex.split(line)
        assert words[0] == "dissect"
        done = command(*words[1:])
        assert done.returncode == 0, done.stderr


@pytest.mark.slow  # tests/generators/test_given_latents.py has a run over the planted world
def test_latents_of_ones_own_are_dissected_as_the_docs_say(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    generator = load_generator("scenes-stylegan2")
    w = generator.convert(generator.sample(range(128), seed=3), "w").data
    np.save("mine.npy", w.numpy())
    run_block(BLOCKS[0], command)
    (effect,) = Path("runs/mine/effects").iterdir()
    assert (effect / "recipe.json").is_file()


def test_a_network_that_looks_at_images_is_dissected_as_the_docs_say(
    tmp_path, monkeypatch, command
):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    torch.save(models.squeezenet1_1(weights=None).state_dict(), "net.pth")
    Path("photos").mkdir()
    draw = np.random.default_rng(0)
    for k in range(32):
        tint = draw.integers(0, 256, (3, 4, 3)).astype(np.uint8)
        Image.fromarray(tint).resize((96, 72), Image.Resampling.NEAREST).save(f"photos/{k}.jpg")
    run_block(BLOCKS[1], command)
    assert len(BLOCKS) == 2
