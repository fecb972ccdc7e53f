"""The progressive GAN against the program whose checkpoints it reads."""

import numpy as np
import pytest
import torch

from dissect import load_generator
from dissect.errors import ConfigError, GeneratorError
from dissect.generators.base import Generator
from dissect.generators.pggan import PGGAN, PGGANConfig, PGGANNetwork, save_pggan
from dissect.latents import Latent


@pytest.fixture
def network():
    torch.manual_seed(0)
    config = PGGANConfig(image_size=16, channels=(8, 6, 4), z_size=8, heads=(8, 16))
    return PGGANNetwork(config).requires_grad_(False)


def test_the_weights_of_a_real_program_give_its_images_and_features(checkpoints):
    state = torch.load(
        checkpoints / "gandissect_proggan32.pth", weights_only=True, map_location="cpu"
    )
    expected = np.load(checkpoints / "gandissect_proggan32.npz")
    network = PGGANNetwork(PGGANConfig(32, (24, 24, 16, 8), z_size=32))
    network.load_state_dict(state)
    generator = PGGAN(network.requires_grad_(False), name="gandissect")
    seen = {}
    for name, layer in generator.layers.items():
        module = generator.module.get_submodule(layer.module)
        module.register_forward_hook(lambda m, i, o, name=name: seen.update({name: o}))
    image = generator.synthesize(Latent("z", torch.from_numpy(expected["z"])))
    assert np.abs(image.numpy() - expected["img"]).max() < 2e-5
    for name, layer in generator.layers.items():
        assert seen[name].shape[1:] == (layer.units, layer.height, layer.width)
        assert np.abs(seen[name].numpy() - expected[f"feat.{name}"]).max() < 2e-5, name


def test_a_new_size_fades_in_from_the_image_before_it(network):
    z = torch.randn(2, 8)
    small, large = network(z, resolution=8), network(z, resolution=16)
    doubled = small.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert torch.equal(network(z, resolution=16, fade=0.0), doubled)
    middle = network(z, resolution=16, fade=0.25)
    assert torch.allclose(middle, 0.75 * doubled + 0.25 * large, atol=1e-6)


def test_a_saved_network_comes_back_with_its_last_head_only(network, tmp_path):
    path = tmp_path / "g.safetensors"
    save_pggan(network, path)
    generator = load_generator(path)
    assert generator.name == "g"
    assert isinstance(generator, Generator)
    z = generator.sample(range(2), seed=0)
    assert torch.equal(generator.synthesize(z), network(z.data))
    assert generator.module.config.heads == (16,)
    assert list(tmp_path.iterdir()) == [path]


def test_what_it_does_not_have_is_refused(network, tmp_path):
    generator = PGGAN(network, name="tiny")
    z = generator.sample([0], seed=0)
    with pytest.raises(GeneratorError, match="has no classes"):
        generator.sample([0], seed=0, label=1)
    with pytest.raises(GeneratorError, match="cannot be truncated"):
        generator.convert(z, "z", truncation=0.5)
    with pytest.raises(GeneratorError, match="'w' is not one of"):
        generator.convert(z, "w")


@pytest.mark.parametrize("changes", [{"image_size": 32}, {"heads": (8,)}])
def test_settings_that_do_not_fit_are_refused(changes):
    with pytest.raises(ConfigError, match="expected"):
        PGGANConfig(**({"image_size": 16, "channels": (8, 6, 4)} | changes))
