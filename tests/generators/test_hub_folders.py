import json

import pytest
import torch
from safetensors.torch import save_file

from dissect import CheckpointError, load_generator
from tests.generators.test_dcgan import small_state
from tests.generators.test_lightweight_gan import make_state

DISCRIMINATOR = {"main.0.weight": torch.ones(4, 3, 4, 4), "main.2.weight": torch.ones(1, 4, 4, 4)}


def held(**networks):
    """Networks of one module, as a hub mixin saves them."""
    return {
        f"{name}.{key}": v.clone() for name, state in networks.items() for key, v in state.items()
    }


CONFIGS = [{}, {"nz": 10, "ngf": 8}, {"model_type": "something", "architectures": ["Else"]}, []]


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("file", ["pytorch_model.bin", "model.safetensors"])
def test_a_dcgan_is_found_by_its_tensors_whatever_the_configuration_says(tmp_path, config, file):
    save = torch.save if file.endswith(".bin") else save_file
    save(small_state(), tmp_path / file)
    (tmp_path / "config.json").write_text(json.dumps(config))
    generator = load_generator(tmp_path)
    assert generator.family == "DCGAN"
    assert list(generator.layers) == ["main.1", "main.4"]


@pytest.mark.parametrize("holder", ["generator", "netG", "G", "model"])
def test_a_generator_beside_its_discriminator_is_found(tmp_path, holder):
    save_file(
        held(**{"disc": DISCRIMINATOR, holder: small_state()}), tmp_path / "model.safetensors"
    )
    (tmp_path / "config.json").write_text("{}")
    save_file(small_state(), tmp_path / "alone.safetensors")
    alone = load_generator(tmp_path / "alone.safetensors")
    assert load_generator(tmp_path).fingerprint == alone.fingerprint


def test_a_whole_lightweight_gan_is_found_among_its_networks(tmp_path):
    state = make_state((1, 2, 1))
    torch.save(held(D=DISCRIMINATOR, G=state, GE=state), tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text(json.dumps({"image_size": 512, "latent_dim": 1}))
    assert load_generator(tmp_path).family == "lightweight-gan"


def test_two_discriminators_are_no_generator(tmp_path):
    save_file(held(model=DISCRIMINATOR, other=DISCRIMINATOR), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="of no family known here"):
        load_generator(tmp_path)
