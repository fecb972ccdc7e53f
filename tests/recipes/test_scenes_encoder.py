"""The training of encoders: it learns, it can be taken up, and its command runs to the end."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dissect.generators.stylegan2 import StyleGAN2, StyleGAN2Config, StyleGAN2Network
from dissect.inversion.encoder import read_encoder
from dissect.latents import Latent
from recipes.scenes_encoder.train import Length, evaluate, known_latents, train

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def generator():
    torch.manual_seed(0)
    config = StyleGAN2Config(
        image_size=16, channels=(16, 16, 8), z_size=8, w_size=8, mapping_depth=2
    )
    network = StyleGAN2Network(config).requires_grad_(False)
    for size in (4, 8, 16):  # images inside [-1, 1]
        network.synthesis.block(size).torgb.weight.mul_(0.15)
    return StyleGAN2(network, name="tiny")


@pytest.fixture(scope="module")
def draw(generator):
    """Images of the domain: what the generator makes of other seeds."""

    def drawn(indices, seed):
        with torch.no_grad():
            return generator.synthesize(generator.sample(indices, seed=seed)).clamp(-1, 1)

    return drawn


def test_known_latents_are_of_two_samples_and_the_same_in_any_batch(generator):
    whole = known_latents(generator, range(40), space="w+", seed=3)
    part = known_latents(generator, range(20, 40), space="w+", seed=3)
    assert torch.allclose(part, whole[20:], atol=1e-6)
    same = (whole == whole[:, :1]).all(dim=2).all(dim=1)
    assert 8 <= int((~same).sum()) <= 32
    alone = known_latents(generator, range(40), space="w", seed=3)
    assert torch.equal(whole[:, 0], alone)
    styles = known_latents(generator, range(40), space="s", seed=3)
    assert torch.equal(styles, generator.convert(Latent("w+", whole), "s").data)


@pytest.mark.parametrize("space", ["w", "w+", "s"])
def test_a_short_training_beats_the_mean_image(generator, draw, tmp_path, capsys, space):
    length = Length(960, 640, every=960)
    encoder = train(tmp_path, generator, draw, length, space=space)
    assert capsys.readouterr().out.count("images_per_s") == 2
    found = evaluate(encoder, generator, draw, n_images=64)
    for kind in ("samples", "renders"):
        assert found[kind]["mse"] < 0.75 * found[kind]["mean_image_mse"]


def test_a_training_that_was_stopped_ends_in_the_same_bits(generator, draw, tmp_path):
    length = Length(64, 96, every=32, half=True)
    whole = train(tmp_path / "whole", generator, draw, length)
    calls = []

    def stop(indices, seed):
        calls.append(indices)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return draw(indices, seed)

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", generator, stop, length)
    again = train(tmp_path / "cut", generator, draw, length)
    assert again.fingerprint == whole.fingerprint


def test_a_training_may_begin_from_another_encoder(generator, draw, tmp_path):
    first = train(tmp_path / "a", generator, draw, Length(320, 0))
    none = Length(0, 0)
    again = train(tmp_path / "b", generator, draw, none, start=first.network)
    assert again.fingerprint == first.fingerprint


@pytest.mark.slow
def test_the_command_trains_writes_weights_and_a_card(tmp_path):
    command = [sys.executable, "-m", "recipes.scenes_encoder", "--smoke", "--threads", "1"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    weights = tmp_path / "scenes-stylegan2-encoder.safetensors"
    assert weights.stat().st_size < 8_000_000
    assert read_encoder(weights).generator
    assert "MSE of the mean image" in weights.with_suffix(".md").read_text()
