"""Several codes blended in a layer: one is the generator, two are found again, more are nearer."""

import pytest
import torch

from dissect.errors import GeneratorError
from dissect.generators.pggan import PGGAN, PGGANConfig, PGGANNetwork
from dissect.inversion.multi_code import blend_codes, multi_code
from dissect.inversion.settings import MultiCodeSettings


@pytest.fixture(scope="module")
def chain():
    torch.manual_seed(0)
    config = PGGANConfig(image_size=16, channels=(16, 16, 8), z_size=8)
    network = PGGANNetwork(config).requires_grad_(False)
    return PGGAN(network, name="chain")


@pytest.fixture(scope="module")
def layer(chain):
    return list(chain.layers)[2]


def test_one_code_is_the_generator(chain, layer):
    z = chain.sample(range(3), seed=2)
    ones = torch.ones(3, 1, chain.layers[layer].units)
    blended = blend_codes(chain, z.data[:, None], ones, layer)
    assert torch.equal(blended, chain.synthesize(z))


def test_hooks_are_gone_afterwards(chain, layer):
    z = chain.sample(range(2), seed=2)
    before = chain.synthesize(z)
    blend_codes(chain, z.data[None], torch.full((1, 2, chain.layers[layer].units), 0.5), layer)
    assert torch.equal(chain.synthesize(z), before)


def test_two_blended_codes_are_recovered(chain, layer):
    codes = chain.sample(range(2), seed=11).data[None]
    weights = torch.zeros(1, 2, chain.layers[layer].units)
    weights[:, 0, ::2], weights[:, 1, 1::2] = 1, 1  # every other channel from the other code
    image = blend_codes(chain, codes, weights, layer)
    one, two = (
        multi_code(chain, image, layer, MultiCodeSettings(n_codes=n, n_steps=600))[0]
        for n in (1, 4)
    )
    assert two.errors["mse"] < 0.2 * one.errors["mse"]
    assert ((two.image - image) / 2).square().mean() < 0.1 * (image / 2).var()
    again = blend_codes(chain, two.codes[None], two.weights[None], layer)
    assert torch.allclose(again, two.image, atol=1e-6)


def test_a_generator_with_a_mapping_is_refused():
    import dissect

    generator = dissect.load_generator("scenes-stylegan2")
    with pytest.raises(GeneratorError, match="expected a plain chain from z"):
        multi_code(generator, torch.zeros(1, 3, 64, 64), "b16.conv1")
