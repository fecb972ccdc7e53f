"""StyleGAN2 against a slow reference written from the papers, and against a real checkpoint."""

import math

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.nn import functional

from dissect import load_generator
from dissect.errors import CheckpointError, ConfigError, GeneratorError
from dissect.generators.base import Generator
from dissect.generators.stylegan2 import (
    ARCHITECTURES,
    StyleGAN2,
    StyleGAN2Config,
    StyleGAN2Network,
    save_stylegan2,
)
from dissect.latents import Latent
from tests.rounding import assert_same


def build(**changes):
    settings = {"image_size": 16, "channels": (8, 6, 4), "z_size": 12, "w_size": 10,
                "mapping_depth": 2} | changes  # fmt: skip
    torch.manual_seed(3)
    network = StyleGAN2Network(StyleGAN2Config(**settings))
    for name, value in network.named_parameters():
        if "bias" in name or "strength" in name:
            torch.nn.init.normal_(value, mean=1.0 if "affine" in name else 0.0, std=0.3)
    torch.nn.init.normal_(network.mapping.w_avg)
    return StyleGAN2(network.requires_grad_(False), name="tiny")


@pytest.fixture(scope="module")
def generator():
    return build()


# The reference: one sample at a time, weights modulated, filters applied by definition.


def filtered(x, up, before, after):
    """Zeros between pixels, padding, then convolution with [1, 3, 3, 1]² / 64 · up²."""
    channel, height, width = x.shape
    spread = x.new_zeros(channel, height * up, width * up)
    spread[:, ::up, ::up] = x
    spread = functional.pad(spread, (before, after, before, after))
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    plane = torch.outer(taps, taps) / 64
    n = spread.shape[1] - 3
    out = x.new_zeros(channel, n, n)
    for i in range(4):
        for j in range(4):
            out += plane[i, j] * spread[:, i : i + n, j : j + n]
    return out


def styled(layer, x, style, *, gain=1.0):
    weight = layer.weight * style[None, :, None, None]
    weight = weight / (weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
    if layer.up:
        # A transposed convolution by its definition: each pixel lays down the kernel at stride 2.
        n = x.shape[1]
        y = x.new_zeros(weight.shape[0], 2 * n + 1, 2 * n + 1)
        for i in range(n):
            for j in range(n):
                stamp = torch.einsum("oikl,i->okl", weight, x[:, i, j])
                y[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] += stamp
        y = 4 * filtered(y, 1, 1, 1)
    else:
        y = functional.conv2d(x[None], weight, padding=1)[0]
    if layer.use_noise:
        y = y + layer.noise_const * layer.noise_strength
    y = y + layer.bias[:, None, None]
    y = torch.where(y > 0, y, 0.2 * y) * math.sqrt(2) * gain
    return y if layer.clamp is None else y.clamp(-layer.clamp * gain, layer.clamp * gain)


def reference(network, ws):
    """The image of one sample from its w+."""
    config, synthesis = network.config, network.synthesis
    x = image = None
    at = 0
    for size in config.resolutions:
        block = synthesis.block(size)

        def style(layer, k):
            return layer.affine.weight @ ws[k] / math.sqrt(config.w_size) + layer.affine.bias

        if size == 4:
            x = styled(block.conv1, block.const, style(block.conv1, at))
            at += 1
        else:
            around = None
            if config.architecture == "resnet":
                thin = block.skip.weight[:, :, 0, 0] / math.sqrt(x.shape[0])
                around = 4 * filtered(torch.einsum("oi,ihw->ohw", thin, x), 2, 2, 1)
                around = around * math.sqrt(0.5)
            x = styled(block.conv0, x, style(block.conv0, at))
            gain = 1.0 if around is None else math.sqrt(0.5)
            x = styled(block.conv1, x, style(block.conv1, at + 1), gain=gain)
            x = x if around is None else x + around
            at += 2
        if image is not None:
            image = 4 * filtered(image, 2, 2, 1)
        if hasattr(block, "torgb"):
            layer = block.torgb
            s = style(layer, at) / math.sqrt(x.shape[0])
            rgb = torch.einsum("oi,ihw->ohw", layer.weight[:, :, 0, 0] * s, x)
            rgb = rgb + layer.bias[:, None, None]
            rgb = rgb if layer.clamp is None else rgb.clamp(-layer.clamp, layer.clamp)
            image = rgb if image is None else image + rgb
    return image


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("clamp", [None, 0.7])
def test_the_fast_way_gives_what_the_papers_define(architecture, clamp):
    generator = build(architecture=architecture, conv_clamp=clamp)
    ws = torch.randn(2, generator.module.config.n_ws, 10)
    fast = generator.synthesize(Latent("w+", ws))
    for k in range(2):
        slow = reference(generator.module, ws[k])
        assert_same(fast[k], slow)
    if clamp is not None:
        free = build(architecture=architecture).synthesize(Latent("w+", ws))
        assert (free - fast).abs().max() > 1e-3


def test_the_mapping_gives_what_the_papers_define():
    generator = build(n_classes=3)
    latent = generator.sample(range(4), seed=0)
    mapping = generator.module.mapping
    for k in range(4):
        z, c = latent.data[k], int(latent.label[k])
        e = mapping.embed.weight[:, c] / math.sqrt(3) + mapping.embed.bias
        x = torch.cat([v / (v.square().mean() + 1e-8).sqrt() for v in (z, e)])
        for layer in (mapping.fc0, mapping.fc1):
            x = 0.01 * (layer.weight @ x / math.sqrt(len(x)) + layer.bias)
            x = torch.where(x > 0, x, 0.2 * x) * math.sqrt(2)
        w = generator.convert(latent, "w").data[k]
        assert_same(w, x)


def test_every_space_leads_to_the_same_image(generator):
    z = generator.sample(range(3), seed=1)
    image = generator.synthesize(z)
    at = z
    for space in ("w", "w+", "s"):
        direct, at = generator.convert(z, space), generator.convert(at, space)
        assert torch.equal(direct.data, at.data)
        assert at.data.shape[1:] == generator.spaces[space].shape
        assert torch.equal(generator.synthesize(at), image)


def test_a_block_reads_one_w_per_convolution_and_its_torgb_the_next_blocks_first(generator):
    z = generator.sample([0], seed=1)
    plain = generator.convert(z, "w+")
    s = generator.convert(plain, "s").data
    expected = {0: ["b4.conv1"], 1: ["b4.torgb", "b8.conv0"], 2: ["b8.conv1"],
                3: ["b8.torgb", "b16.conv0"], 4: ["b16.conv1"], 5: ["b16.torgb"]}  # fmt: skip
    for k, layers in expected.items():
        moved = plain.data.clone()
        moved[:, k] += 1
        change = (generator.convert(Latent("w+", moved), "s").data - s).abs()
        hit = [
            name for name, part in generator.style_slices.items() if change[:, part].max() > 1e-3
        ]
        assert hit == layers


def test_layers_are_what_a_hook_on_their_module_sees(generator):
    seen = {}
    for name, layer in generator.layers.items():
        module = generator.module.get_submodule(layer.module)
        module.register_forward_hook(lambda m, i, o, name=name: seen.update({name: o.shape[1:]}))
    generator.synthesize(generator.sample([0], seed=0))
    assert seen == {n: (v.units, v.height, v.width) for n, v in generator.layers.items()}
    assert list(seen) == list(generator.layers)
    assert isinstance(generator, Generator)


def test_truncation_pulls_towards_the_mean_of_w(generator):
    z = generator.sample(range(2), seed=0)
    w, mean = generator.convert(z, "w").data, generator.module.mapping.w_avg
    half = generator.convert(z, "w", truncation=0.5).data
    assert torch.allclose(half, mean + 0.5 * (w - mean))
    assert torch.allclose(generator.convert(z, "w+", truncation=0.0).data, mean.expand(2, 6, -1))
    some = generator.convert(z, "w+", truncation=0.5, cutoff=2).data
    assert torch.allclose(some[:, :2], half[:, None].expand(-1, 2, -1))
    assert torch.equal(some[:, 2:], w[:, None].expand(-1, 4, -1))
    by_s = generator.convert(z, "s", truncation=0.5).data
    assert torch.equal(by_s, generator.convert(Latent("w", half), "s").data)


def test_a_sample_is_the_same_latent_in_any_batch(generator):
    together = generator.sample([5, 9, 2], seed=4)
    assert torch.equal(generator.sample([9], seed=4).data, together.data[1:2])


def test_noise_is_off_constant_or_fresh():
    generator = build()
    z = generator.sample([0], seed=0)
    images = {noise: generator.synthesize(z, noise=noise) for noise in ("none", "const")}
    assert not torch.equal(images["none"], images["const"])
    assert torch.equal(images["const"], generator.synthesize(z))
    torch.manual_seed(0)
    first, second = (generator.synthesize(z, noise="random") for _ in range(2))
    assert not torch.equal(first, second)
    with pytest.raises(GeneratorError, match="'loud'; expected const, none, random"):
        generator.synthesize(z, noise="loud")


def test_a_partial_image_is_what_the_later_layers_add_to(generator):
    network = generator.module
    z = generator.sample([0], seed=0).data
    small = network(z, resolution=8)
    assert small.shape == (1, 3, 8, 8)
    torch.nn.init.zeros_(network.synthesis.b16.torgb.weight)
    torch.nn.init.zeros_(network.synthesis.b16.torgb.bias)
    assert_same(network(z)[0], 4 * filtered(small[0], 2, 2, 1))


@pytest.mark.parametrize(
    ("latent", "space", "options", "message"),
    [
        (Latent("w", torch.zeros(1, 10)), "z", {}, "cannot convert from 'w' back to 'z'"),
        (Latent("z", torch.zeros(1, 12)), "y", {}, "'y' is not one of"),
        (Latent("z", torch.zeros(1, 5)), "w", {}, "shape"),
        (
            Latent("z", torch.zeros(1, 12)),
            "w",
            {"truncation": 0.5, "cutoff": 2},
            r"convert to 'w\+'",
        ),
        (Latent("z", torch.zeros(1, 12)), "z", {"truncation": 0.5}, r"expected w or w\+"),
    ],
)
def test_what_is_not_on_the_way_is_refused(generator, latent, space, options, message):
    with pytest.raises(GeneratorError, match=message):
        generator.convert(latent, space, **options)


def test_classes_are_asked_for_and_checked():
    conditional, plain = build(n_classes=3), build()
    assert conditional.sample(range(3), seed=0, label=2).label.tolist() == [2, 2, 2]
    with pytest.raises(GeneratorError, match=r"label 3 .*0 to 2"):
        conditional.sample([0], seed=0, label=3)
    with pytest.raises(GeneratorError, match="it has no classes"):
        plain.sample([0], seed=0, label=0)
    with pytest.raises(GeneratorError, match="without labels"):
        conditional.convert(Latent("z", torch.zeros(1, 12)), "w")


@pytest.mark.parametrize("half", [False, True])
def test_a_saved_network_comes_back(tmp_path, half):
    generator = build(n_classes=2, conv_clamp=256.0)
    path = tmp_path / "g.safetensors"
    save_stylegan2(generator.module, path, half=half)
    again = load_generator(path)
    z = generator.sample(range(2), seed=0)
    difference = (again.synthesize(z) - generator.synthesize(z)).abs().max()
    assert difference < 0.05 if half else difference == 0
    assert (again.fingerprint == generator.fingerprint) is not half
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_file_is_refused_in_one_line(tmp_path):
    path = tmp_path / "g.safetensors"
    save_stylegan2(build().module, path)
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    del tensors["mapping.w_avg"]
    save_file(tensors, path, metadata=metadata)
    with pytest.raises(CheckpointError, match="do not fit its configuration") as caught:
        load_generator(path)
    assert "\n" not in str(caught.value)
    save_file(tensors, path, metadata=metadata | {"config": "{}"})
    with pytest.raises(CheckpointError, match="cannot be built"):
        load_generator(path)


@pytest.mark.parametrize(
    "changes", [{"image_size": 24}, {"channels": (4, 4)}, {"architecture": "new"}]
)
def test_settings_that_do_not_fit_are_refused(changes):
    with pytest.raises(ConfigError, match="expected"):
        StyleGAN2Config(**({"image_size": 16, "channels": (8, 8, 8)} | changes))
