"""The training of the scenes generators: it runs, resumes to the same bytes, and is measured."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from dissect.generators.stylegan2 import StyledConvolution
from recipes.scenes_gan.__main__ import FAMILIES, SCHEDULES, smoke
from recipes.scenes_gan.data import prepare, shrink
from recipes.scenes_gan.discriminator import Discriminator
from recipes.scenes_gan.families import PGGANFamily, StyleGAN2Family
from recipes.scenes_gan.polyphase import synthesize
from recipes.scenes_gan.projected import ProjectedDiscriminator, hinge_fake, hinge_real
from recipes.scenes_gan.quality import (
    count_parts,
    frechet_distance,
    precision_and_recall,
    wavelet_statistics,
)
from recipes.scenes_gan.release import build
from recipes.scenes_gan.train import Training
from segmenters.scenes import load_network
from tests.rounding import assert_same

ROOT = Path(__file__).parents[2]
_CHANNELS = (16, 16, 16, 8, 8)
NARROW = {"stylegan2": StyleGAN2Family(_CHANNELS), "pggan": PGGANFamily(_CHANNELS)}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("data"), n_images=32, size=64)


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("name", "proportions"), [("stylegan2", False), ("stylegan2", True), ("pggan", False)]
)
def test_a_training_that_is_stopped_and_taken_up_gives_the_same_bytes(
    name, proportions, images, tmp_path
):
    segmenter = load_network() if proportions else None
    family, schedule = NARROW[name], smoke(SCHEDULES[name])

    def training(folder):
        return Training(family, schedule, images, tmp_path / folder, segmenter=segmenter)

    whole = training("whole")
    whole.run(until=0.08)
    training("parts").run(until=0.05)
    parts = training("parts")
    assert 0 < parts.step < whole.step
    parts.run(until=0.08)
    assert parts.step == whole.step
    for key, value in whole.generator.state_dict().items():
        assert torch.equal(value, parts.generator.state_dict()[key]), key

    generator, kimg = build(family, whole.state_path, tmp_path / f"scenes-{name}.safetensors")
    assert kimg == pytest.approx(whole.kimg)
    assert generator.synthesize(generator.sample([0], seed=0)).shape == (1, 3, 64, 64)


@pytest.mark.slow
def test_one_command_trains_twenty_steps_of_each_network():
    command = [sys.executable, "-m", "recipes.scenes_gan", "--smoke", "--threads", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for family in FAMILIES:
        assert any(line.startswith(f"{family}: 20 steps") for line in lines)
    losses = [json.loads(line) for line in lines if line.startswith("{")]
    assert {line["size"] for line in losses} == {32, 64, 128}


@pytest.mark.usefixtures("one_thread")
def test_another_machine_begins_from_mean_weights_and_discriminators(images, tmp_path):
    schedule = smoke(SCHEDULES["stylegan2"])
    first = Training(NARROW["stylegan2"], schedule, images, tmp_path / "first")
    first.run(until=0.03)
    first.save_start(tmp_path / "start.safetensors")
    start = tmp_path / "start.safetensors"
    second = Training(NARROW["stylegan2"], schedule, images, tmp_path / "second", start=start)
    assert (second.step, second.kimg) == (first.step, first.kimg)
    for name, value in first.mean.state_dict().items():
        for network in (second.generator, second.mean):
            assert torch.equal(network.state_dict()[name], value.half().float()), name
    for name, value in first.projected.heads.state_dict().items():
        assert torch.equal(second.projected.heads.state_dict()[name], value.half().float()), name
    assert start.stat().st_size < first.state_path.stat().st_size / 3


def test_the_polyphase_synthesis_is_the_generators_own():
    torch.manual_seed(0)
    network = NARROW["stylegan2"].build().eval().requires_grad_(False)
    for layer in network.modules():
        if isinstance(layer, StyledConvolution):  # no symmetry that could hide a flipped filter
            layer.resample_filter.copy_(torch.rand(4, 4))
    w = network.mapping(torch.randn(2, 128))[:, None].expand(-1, network.config.n_ws, -1)
    styles = network.styles(w)
    expected = network.synthesis(styles)
    found = synthesize(network.synthesis, styles)
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()


def test_the_projected_discriminator_learns_in_its_heads_alone():
    encoder = load_network().unet.encoder
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    projected = ProjectedDiscriminator(encoder, size=64)
    moved = {name.partition(".")[0] for name, p in projected.named_parameters() if p.requires_grad}
    assert moved == {"heads"}
    scores = projected(torch.randn(8, 3, 64, 64))
    assert len(scores) == 4
    (hinge_real(scores) + hinge_fake(scores)).backward()
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert all(p.grad is None for p in encoder.parameters())


def test_the_hinge_losses_are_the_published_ones():
    scores = [torch.tensor([[2.0, 0.5]]), torch.tensor([[-3.0]])]
    assert hinge_real(scores).item() == pytest.approx((0.25 + 4.0) / 2)
    assert hinge_fake(scores).item() == pytest.approx((2.25 + 0.0) / 2)


def test_a_flat_image_has_no_wavelets_and_a_chessboard_has_the_finest_only():
    flat = torch.full((1, 3, 64, 64), 0.5)
    y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    board = (1.0 - 2.0 * ((x + y) % 2)).expand(1, 3, 64, 64)
    statistics = wavelet_statistics(torch.cat([flat, board]))
    assert torch.equal(statistics[0, :27], torch.zeros(27))
    assert torch.allclose(statistics[0, 27:], torch.full((36,), 0.5))
    assert torch.equal(statistics[1, :9], torch.tensor([0.0] * 6 + [2.0] * 3))
    assert torch.equal(statistics[1, 9:], torch.zeros(54))


def test_wavelets_keep_the_energy_of_an_image():
    image = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    a, b, c, d = (image[..., i::2, j::2] for i in (0, 1) for j in (0, 1))
    bands = [a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d]
    assert sum((x / 2).square().sum() for x in bands) == pytest.approx(image.square().sum().item())
    expected = torch.stack([(x / 2).abs().mean(dim=(2, 3)) for x in bands[1:]], 1).flatten(1)
    assert torch.allclose(wavelet_statistics(image)[:, :9], expected)


def test_precision_falls_with_foreign_fakes_and_recall_with_missing_modes():
    numbers = torch.Generator().manual_seed(0)
    real = torch.cat([torch.randn(200, 2, generator=numbers) + 20 * k for k in range(2)])
    one_mode = torch.randn(200, 2, generator=numbers)
    far = torch.randn(200, 2, generator=numbers) - 50
    precision, recall = precision_and_recall(real, one_mode)
    assert precision > 0.9
    assert 0.4 < recall < 0.55
    assert precision_and_recall(real, torch.cat([one_mode, far]))[0] == pytest.approx(
        precision / 2, abs=0.02
    )


def test_parts_are_counted_apart_and_specks_are_not():
    plane = np.zeros((10, 10), dtype=np.int64)
    plane[1:3, 1:3] = 7
    plane[6:9, 6:9] = 7
    plane[4, 9] = 7
    assert count_parts(plane, 7) == 2
    assert count_parts(plane, 6) == 0


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
