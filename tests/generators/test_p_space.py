"""p and p+: w and w+ before the leaky ReLU that a mapping ends in."""

import math

import pytest
import torch

from dissect import Latent, load_generator
from dissect.edits import Move, intervene
from dissect.errors import GeneratorError
from dissect.generators.stylegan2 import StyleGAN2, StyleGAN2Config, StyleGAN2Network
from dissect.testing import check_generator
from tests.rounding import assert_same

# The mapping's last layer, the scale of its weight times √fan-in, that of its bias, and the gain
# behind the leaky ReLU: as the papers and programs define them.
FILES = {
    "genforce_stylegan1_32.pth": ("mapping.dense2", 0.01 * math.sqrt(2), 0.01, 1.0),
    "rosinality_train16.pt": ("mapping.fc2", 0.01, 0.01, math.sqrt(2)),
    "lucidrains_sg2_32": ("SE.net.4", None, 0.1, 1.0),
    "sg3t_uncond32.pkl": ("mapping.fc1", 0.01, 0.01, math.sqrt(2)),
}


def tiny(**options):
    torch.manual_seed(0)
    options = {"z_size": 8, "w_size": 8, "mapping_depth": 2, **options}
    network = StyleGAN2Network(StyleGAN2Config(16, (4, 4, 4), **options))
    torch.nn.init.normal_(network.mapping.w_avg)
    return StyleGAN2(network.eval().requires_grad_(False), name="tiny")


@pytest.fixture(scope="module", params=FILES)
def loaded(request, checkpoints):
    return load_generator(checkpoints / request.param), *FILES[request.param]


def test_p_is_what_the_mappings_last_layer_gives_before_it_is_bent(loaded):
    generator, name, weight_scale, bias_scale, gain = loaded
    layer, given = generator.module.get_submodule(name), []
    hook = layer.register_forward_pre_hook(lambda module, arguments: given.append(arguments[0]))
    latent = generator.sample(range(5), seed=0)
    p = generator.convert(latent, "p")
    hook.remove()
    if weight_scale is None:  # this one leaves the fan-in out
        weight_scale = bias_scale * math.sqrt(given[0].shape[1])
    weight = layer.weight * weight_scale / math.sqrt(given[0].shape[1])
    assert_same(p.data, gain * (given[0] @ weight.T + layer.bias * bias_scale))


def test_all_ways_between_the_spaces_of_w_lead_to_the_same_image(loaded):
    generator = loaded[0]
    assert list(generator.spaces) == ["z", "p", "w", "p+", "w+", "s"]
    z = generator.sample(range(2), seed=1)
    image = generator.synthesize(z)
    for space in ("p", "p+"):
        at = generator.convert(z, space)
        assert at.data.shape[1:] == generator.spaces[space].shape
        assert_same(generator.synthesize(at), image)
        for back in ("p", "w", "p+", "w+"):
            assert_same(generator.convert(at, back).data, generator.convert(z, back).data)


def test_p_truncates_in_w_and_goes_back_only_where_it_can():
    generator = tiny()
    z = generator.sample(range(2), seed=1)
    near = generator.convert(z, "p+", truncation=0.5)
    assert_same(generator.convert(near, "w+").data, generator.convert(z, "w+", truncation=0.5).data)
    p = generator.convert(z, "p")
    again = generator.convert(generator.convert(p, "p", truncation=0.5), "w").data
    assert_same(again, generator.convert(z, "w", truncation=0.5).data)
    assert torch.equal(generator.convert(p, "p").data, p.data)
    with pytest.raises(GeneratorError, match="cutoff given on the way to 'p'"):
        generator.convert(z, "p", truncation=0.5, cutoff=2)
    with pytest.raises(GeneratorError, match="cannot convert from 'p' back to 'z'"):
        generator.convert(p, "z")
    mixed = generator.convert(p, "p+").with_layers(
        Latent("p+", torch.zeros(2, *generator.spaces["p+"].shape)), [1]
    )
    with pytest.raises(GeneratorError, match="its layers differ"):
        generator.convert(mixed, "p")


def test_moves_in_p_plus_reach_the_image():
    generator = tiny()
    z = generator.sample(range(2), seed=1)
    move = Move("p+", torch.ones(8).tolist(), 0.5, layers=[3])
    moved = generator.convert(z, "p+").shift([0.5] * 8, layers=[3])
    expected = generator.synthesize(moved)
    with intervene(generator, [move]):
        assert_same(generator.synthesize(z), expected)
    assert (expected - generator.synthesize(z)).abs().max() > 0.01


def test_generators_with_and_without_p_keep_the_laws():
    check_generator(tiny())
    bare = tiny(mapping_depth=0)  # w is z, brought to length √8
    assert list(bare.spaces) == ["z", "w", "w+", "s"]
    with pytest.raises(GeneratorError, match="space 'p' is not one of tiny's; expected z, w, w"):
        bare.convert(bare.sample([0], seed=0), "p")
