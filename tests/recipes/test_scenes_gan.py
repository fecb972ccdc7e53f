"""The training of the scenes generators: it runs, resumes to the same bytes, and is measured."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from recipes.scenes_gan.__main__ import FAMILIES, SMOKE
from recipes.scenes_gan.data import prepare, shrink
from recipes.scenes_gan.discriminator import Discriminator
from recipes.scenes_gan.quality import frechet_distance
from recipes.scenes_gan.release import build
from recipes.scenes_gan.train import Training
from tests.rounding import assert_same

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("data"), n_images=32, size=64)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_training_that_is_stopped_and_taken_up_gives_the_same_bytes(family, images, tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    whole = Training(FAMILIES[family](), SMOKE, images, tmp_path / "whole")
    whole.run(until=0.1)
    Training(FAMILIES[family](), SMOKE, images, tmp_path / "parts").run(until=0.05)
    parts = Training(FAMILIES[family](), SMOKE, images, tmp_path / "parts")
    assert 0 < parts.step < whole.step
    parts.run(until=0.1)
    torch.set_num_threads(threads)
    assert parts.step == whole.step
    for name, value in whole.generator.state_dict().items():
        assert torch.equal(value, parts.generator.state_dict()[name]), name

    generator, kimg = build(family, whole.state_path, tmp_path / f"scenes-{family}.safetensors")
    assert kimg == pytest.approx(whole.kimg)
    assert generator.synthesize(generator.sample([0], seed=0)).shape == (1, 3, 64, 64)


def test_one_command_trains_twenty_steps_of_each_network():
    command = [sys.executable, "-m", "recipes.scenes_gan", "--smoke", "--threads", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for family in FAMILIES:
        assert any(line.startswith(f"{family}: 20 steps") for line in lines)
    losses = [json.loads(line) for line in lines if line.startswith("{")]
    assert {line["size"] for line in losses} == {32, 64}


def test_a_smaller_image_is_the_mean_of_the_pixels_it_covers(images):
    small = shrink(images, 16)
    block = images[3, 1, 8:12, 20:24].astype(float)
    assert small[3, 1, 2, 5] == round(block.mean())
    assert shrink(images, 64) is images


def test_a_new_size_comes_into_the_judge_from_the_one_before():
    torch.manual_seed(0)
    judge = Discriminator((8, 8, 8, 8)).requires_grad_(False)
    x = torch.randn(4, 3, 32, 32)
    assert_same(judge(x, 0.0), judge(torch.nn.functional.avg_pool2d(x, 2)))
    assert not torch.allclose(judge(x, 1.0), judge(x, 0.0), atol=1e-3)


def test_the_frechet_distance_of_two_normal_sets_is_what_the_formula_says():
    numbers = torch.Generator().manual_seed(0)
    first = torch.randn(200_000, 2, generator=numbers)
    second = 3 * torch.randn(200_000, 2, generator=numbers) + torch.tensor([1.0, 0.0])
    # ‖μ‖² = 1; for each of two dimensions (1 - 3)² = 4.
    assert frechet_distance(first, second) == pytest.approx(9.0, abs=0.1)
    assert frechet_distance(first, first) == pytest.approx(0.0, abs=1e-9)
