"""The progressive GAN against the program whose checkpoints it reads."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from dissect import CheckpointError, load_generator, trace
from dissect.errors import ConfigError, GeneratorError
from dissect.generators.base import Generator
from dissect.generators.pggan import PGGAN, PGGANConfig, PGGANNetwork, save_pggan
from dissect.latents import Latent
from dissect.testing import check_generator
from tests.rounding import assert_same


@pytest.fixture
def network():
    torch.manual_seed(0)
    config = PGGANConfig(image_size=16, channels=(8, 6, 4), z_size=8, heads=(8, 16))
    return PGGANNetwork(config).requires_grad_(False)


@pytest.mark.parametrize(
    ("file", "layers"),
    [
        ("gandissect_proggan32", [*(f"layer{i}" for i in range(1, 9)), "output_32x32"]),
        ("genforce_pggan32", [*(f"layer{i}" for i in range(8)), "output3"]),
    ],
)
def test_a_file_gives_the_images_and_maps_its_own_program_gives(checkpoints, file, layers):
    generator = load_generator(checkpoints / f"{file}.pth")
    expected = np.load(checkpoints / f"{file}.npz")
    with trace(generator, "all") as maps:
        image = generator.synthesize(Latent("z", torch.from_numpy(expected["z"])))
    assert_same(image, expected["img"])
    assert list(maps) == list(generator.layers) == layers
    for name in [n for n in expected.files if n.startswith("feat.")]:
        assert_same(maps[name.removeprefix("feat.")], expected[name], name)


def test_a_new_size_fades_in_from_the_image_before_it(network):
    z = torch.randn(2, 8)
    small, large = network(z, resolution=8), network(z, resolution=16)
    doubled = small.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert torch.equal(network(z, resolution=16, fade=0.0), doubled)
    middle = network(z, resolution=16, fade=0.25)
    assert_same(middle, 0.75 * doubled + 0.25 * large)


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


# Other programs' words for the same function, with their arithmetic written out plainly.

WIDTHS = (7, 6, 5, 4)  # z, and the units at 4, 8 and 16 pixels


def normal(x):
    return x / (x.square().mean(1, keepdim=True) + 1e-8).sqrt()


def bend(x):
    return functional.leaky_relu(x, 0.2)


def doubled(x):
    return functional.interpolate(x, scale_factor=2, mode="nearest")


def draw_parts(rgb):
    """Weights (out × in × k × k) and biases of a chain to 16 pixels, the head last."""
    draw = torch.Generator().manual_seed(0)
    shapes = [(6, 7, 4), (6, 6, 3), (5, 6, 3), (5, 5, 3), (4, 5, 3), (4, 4, 3), (rgb, 4, 1)]
    return [
        (torch.randn(a, b, k, k, generator=draw), torch.randn(a, generator=draw))
        for a, b, k in shapes
    ]


def run_plain(parts, z):
    x = z[:, :, None, None]
    for i, (weight, bias) in enumerate(parts):
        last = i == len(parts) - 1
        gain = (1 if last else math.sqrt(2)) / math.sqrt(weight[0].numel())
        x = normal(x)
        x = doubled(x) if i in (2, 4) else x
        padding = {4: 3, 3: 1, 1: 0}[weight.shape[-1]]
        x = functional.conv2d(x, weight * gain, bias, padding=padding)
        x = x if last else bend(x)
    return x


def gandissect(parts, pattern="layer{}", first=1, head="output_16x16"):
    names = [pattern.format(i + first) for i in range(6)] + [head]
    state = {}
    for name, (weight, bias) in zip(names, parts, strict=True):
        state[f"{name}.conv.weight"], state[f"{name}.wscale.b"] = weight, bias
    return state


def genforce(parts, *, fused=False):
    state = {"lod": torch.zeros(())}
    for i, (weight, bias) in enumerate(parts):
        name = f"layer{i}" if i < 6 else "output2"
        turned = weight.flip(2, 3).transpose(0, 1).contiguous()
        state[f"{name}.weight"] = turned if fused and i in (2, 4) else weight
        state[f"{name}.bias"] = bias
    for i in (0, 1):
        state[f"output{i}.weight"] = torch.ones(3, (6, 5)[i], 1, 1)
        state[f"output{i}.bias"] = torch.ones(3)
    return state


def tensorflow(parts, *, fused=True):
    (first, bias), *rest = parts
    # The kernel of a transposed convolution, from 1 pixel: what is at 0, 0 lands at 0, 0.
    state = {
        "4x4/Dense/weight": first.flip(2, 3).permute(1, 0, 2, 3).reshape(7, -1),
        "4x4/Dense/bias": bias,
        "lod": torch.zeros(()),
    }
    up = "Conv0_up" if fused else "Conv0"
    names = ["4x4/Conv", f"8x8/{up}", "8x8/Conv1", f"16x16/{up}", "16x16/Conv1", "ToRGB_lod0"]
    for name, (weight, bias) in zip(names, rest, strict=True):
        turned = name.endswith("Conv0_up")
        value = weight.flip(2, 3).permute(2, 3, 0, 1) if turned else weight.permute(2, 3, 1, 0)
        state[f"{name}/weight"], state[f"{name}/bias"] = value, bias
    return state


NUMBERS = {
    "gandissect": (gandissect, "layer1", "output_16x16"),
    "old": (lambda p: {"state_dict": gandissect(p, "features.{}", 0, "output")}, "features.0", "output"),
    "sequence": (lambda p: gandissect(p, "{}", 0, "6"), "0", "6"),
    "parallel": (lambda p: gandissect(p, "module.layer{}", 1, "module.output_16x16"), "layer1",
                 "output_16x16"),
    "genforce": (lambda p: {"generator": genforce(p) | {
        "layer0.bias": torch.zeros(6)}, "generator_smooth": genforce(p)}, "layer0", "output2"),
    "genforce, fused": (lambda p: {"generator_smooth": genforce(p, fused=True)}, "layer0", "output2"),
    "tensorflow": (tensorflow, "4x4/Dense", "ToRGB_lod0"),
    "tensorflow, Gs last": (lambda p: {"1": {"variables": {k: v + 1 for k, v in tensorflow(p).items()}},
                                       "2": {"variables": tensorflow(p, fused=False)}},
                            "4x4/Dense", "ToRGB_lod0"),
}  # fmt: skip


@pytest.mark.parametrize("program", NUMBERS)
@pytest.mark.parametrize("rgb", [1, 3])
def test_every_naming_gives_the_same_plain_network(tmp_path, program, rgb):
    write, first, last = NUMBERS[program]
    parts = draw_parts(rgb)
    torch.save(write(parts), tmp_path / "g.pth")
    generator = load_generator(tmp_path / "g.pth")
    assert next(iter(generator.layers)) == first
    assert list(generator.layers)[-1] == last
    assert (generator.image_size, generator.channels) == (16, rgb)
    assert [i.units for i in generator.layers.values()] == [6, 6, 5, 5, 4, 4, rgb]
    assert generator.spaces["z"].shape == (7,)
    latent = generator.sample(range(3), seed=1)
    with trace(generator, "all") as maps:
        images = generator.synthesize(latent)
    assert len(maps) == 7
    assert_same(images, run_plain(parts, latent.data))


@pytest.mark.parametrize("wrapper", ["", ".module"])
def test_pytorch_gan_zoo_scales_the_bias_too_and_normalises_last(tmp_path, wrapper):
    draw = torch.Generator().manual_seed(3)

    def part(*shape):
        return torch.randn(shape, generator=draw), torch.randn(shape[0], generator=draw)

    parts = {"formatLayer": part(6 * 16, 7), "groupScale0.0": part(6, 6, 3, 3),
             "scaleLayers.0.0": part(5, 6, 3, 3), "scaleLayers.0.1": part(5, 5, 3, 3),
             "scaleLayers.1.0": part(4, 5, 3, 3), "scaleLayers.1.1": part(4, 4, 3, 3),
             "toRGBLayers.0": part(3, 6, 1, 1), "toRGBLayers.1": part(3, 5, 1, 1),
             "toRGBLayers.2": part(3, 4, 1, 1)}  # fmt: skip

    def scaled(x, name, operation, **options):
        weight, bias = parts[name]
        return operation(x, weight, bias, **options) * math.sqrt(2 / weight[0].numel())

    state = {}
    for name, (weight, bias) in parts.items():
        state[f"{name}{wrapper}.weight"], state[f"{name}{wrapper}.bias"] = weight, bias
    broken = {name: value + 1 for name, value in state.items()}
    torch.save({"netG": broken, "avgG": state, "netD": {"x": torch.ones(1)}}, tmp_path / "g.pth")
    generator = load_generator(tmp_path / "g.pth")
    z = torch.randn(2, 7, generator=draw)
    x = normal(bend(scaled(normal(z), "formatLayer", functional.linear)).view(2, -1, 4, 4))
    x = normal(bend(scaled(x, "groupScale0.0", functional.conv2d, padding=1)))
    for scale in (0, 1):
        x = doubled(x)
        for k in (0, 1):
            x = bend(scaled(x, f"scaleLayers.{scale}.{k}", functional.conv2d, padding=1))
            kept, x = x, normal(x)
    x = scaled(x, "toRGBLayers.2", functional.conv2d)
    with trace(generator, ["scaleLayers.1.1", "formatLayer"]) as maps:
        images = generator.synthesize(Latent("z", z))
    assert_same(images, x)
    assert_same(maps["scaleLayers.1.1"], kept)
    assert maps["formatLayer"].shape == (2, 6, 4, 4)


def test_halves_become_floats(tmp_path):
    state = {name: value.half() for name, value in gandissect(draw_parts(3)).items()}
    torch.save(state, tmp_path / "g.pth")
    generator = load_generator(tmp_path / "g.pth")
    assert generator.synthesize(generator.sample([0], seed=0)).dtype == torch.float32


def test_every_layer_reaches_the_image(tmp_path):
    torch.save(genforce(draw_parts(3)), tmp_path / "g.pth")
    generator = load_generator(tmp_path / "g.pth")
    z = generator.sample([0], seed=0)
    image = generator.synthesize(z)
    for layer in generator.layers.values():
        module = generator.module.get_submodule(layer.module)
        handle = module.register_forward_hook(lambda m, i, o: o * torch.linspace(0, 2, o.shape[-1]))
        assert not torch.equal(generator.synthesize(z), image)
        handle.remove()
    assert torch.equal(generator.synthesize(z), image)


def test_what_cannot_be_read_as_one_is_told_in_one_line(tmp_path):
    torch.save(genforce(draw_parts(3)) | {"lod": torch.tensor(1.5)}, tmp_path / "g.pth")
    with pytest.raises(CheckpointError, match=r"level of detail 1\.5"):
        load_generator(tmp_path / "g.pth")
    state = gandissect(draw_parts(3))
    torch.save(state | {"layer4.wscale.b": torch.ones(9)}, tmp_path / "g.pth")
    with pytest.raises(CheckpointError, match=r"layer4\.wscale\.b \(9,\) \(expected \(5,\)\)"):
        load_generator(tmp_path / "g.pth")
    few = {name: state[name] for name in state if name[:6] not in ("layer5", "layer6")}
    few = {name: value for name, value in few.items() if name[:6] not in ("layer3", "layer4")}
    torch.save(few, tmp_path / "g.pth")
    with pytest.raises(CheckpointError, match="cannot be built"):
        load_generator(tmp_path / "g.pth")


def zoo_state(scales, rgb=3):
    """Random weights in pytorch_GAN_zoo's naming, with an output for each of its sizes."""
    draw = torch.Generator().manual_seed(0)

    def some(*shape):
        return torch.randn(shape, generator=draw)

    state = {"formatLayer.module.weight": some(6 * 16, 7), "formatLayer.module.bias": some(96)}
    for name, shape in [
        ("groupScale0.0", (6, 6, 3, 3)), ("toRGBLayers.0", (rgb, 6, 1, 1)),
        *(
            (name, shape)
            for k in range(scales)
            for name, shape in (
                (f"scaleLayers.{k}.0", (6, 6, 3, 3)), (f"scaleLayers.{k}.1", (6, 6, 3, 3)),
                (f"toRGBLayers.{k + 1}", (rgb, 6, 1, 1)),
            )
        ),
    ]:  # fmt: skip
        state[f"{name}.module.weight"], state[f"{name}.module.bias"] = some(*shape), some(shape[0])
    return state


@pytest.mark.parametrize("alpha", [0.0, 0.25, 1.0])
def test_a_file_from_a_transition_mixes_its_last_two_sizes(tmp_path, alpha):
    """α of the image of half the size, which the file without its last scale gives."""
    large = zoo_state(2)
    small = {n: v for n, v in large.items() if "scaleLayers.1" not in n and "Layers.2" not in n}
    for file, state, settings in (
        ("mixed", large, {"alpha": alpha}), ("large", large, {}), ("small", small, {}),
    ):  # fmt: skip
        torch.save({"config": settings, "netG": state, "avgG": state}, tmp_path / f"{file}.pt")
    mixed, whole, half = (
        load_generator(tmp_path / f"{name}.pt") for name in ("mixed", "large", "small")
    )
    assert (mixed.image_size, half.image_size) == (16, 8)
    latent = whole.sample([0, 1], seed=0)
    with torch.no_grad():
        expected = (1 - alpha) * whole.synthesize(latent)
        expected = expected + alpha * doubled(half.synthesize(latent))
        assert_same(mixed.synthesize(latent), expected)
    assert (mixed.fingerprint == whole.fingerprint) == (alpha == 0)
    assert mixed.source.obeyed == ({"config/alpha": alpha} if alpha else {})
    if alpha < 1:
        check_generator(mixed, tolerance=1e-3)
