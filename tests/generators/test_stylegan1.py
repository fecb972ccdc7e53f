"""StyleGAN against the program whose checkpoints it reads, and at sizes that have no file."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from dissect import CheckpointError, GeneratorError, Latent, load_generator
from tests.rounding import assert_same


def small_state(
    *, channels=(6, 5, 4), z=7, w=9, hidden=8, depth=3, rgb=3, classes=0, const=True, spatial=True
):
    """A generator in genforce's naming, with random weights."""
    draw = torch.Generator().manual_seed(0)

    def some(*shape):
        return torch.randn(shape, generator=draw)

    state = {"truncation.w_avg": some(w), "synthesis.lod": torch.zeros(())}
    if classes:
        state["mapping.label_weight"] = some(classes, z)
    sizes = [2 * z if classes else z, *[hidden] * (depth - 1), w]
    for k in range(depth):
        state[f"mapping.dense{k}.weight"] = 100 * some(sizes[k + 1], sizes[k])
        state[f"mapping.dense{k}.bias"] = 10 * some(sizes[k + 1])
    for i in range(2 * len(channels)):
        name, pixels, n = f"synthesis.layer{i}", 4 << (i // 2), channels[i // 2]
        before = channels[(i - 1) // 2] if i else w
        if i == 0 and const:
            state[f"{name}.const"] = some(1, n, 4, 4)
        else:
            state[f"{name}.weight"] = some(n, before, *((3, 3) if i else (4, 4)))
        if i and i % 2 == 0:
            line = torch.tensor([1.0, 2.0, 1.0])
            state[f"{name}.blur.kernel"] = (line[:, None] * line / 16).repeat(n, 1, 1, 1)
        state[f"{name}.bias"] = some(n)
        noise = ((1, 1, pixels, pixels), (n,)) if spatial else ((1, n, 1, 1), (pixels, pixels))
        state[f"{name}.apply_noise.noise"] = some(*noise[0])
        state[f"{name}.apply_noise.weight"] = some(*noise[1])
        state[f"{name}.style.weight"], state[f"{name}.style.bias"] = some(2 * n, w), some(2 * n)
        state[f"synthesis.output{i // 2}.weight"] = some(rgb, n, 1, 1)
        state[f"synthesis.output{i // 2}.bias"] = some(rgb)
    return state


def load(tmp_path, **options):
    torch.save({"generator_smooth": small_state(**options)}, tmp_path / "g.pth")
    return load_generator(tmp_path / "g.pth")


def test_a_file_gives_the_images_and_latents_its_own_program_gives(checkpoints):
    generator = load_generator(checkpoints / "genforce_stylegan1_32.pth")
    expected = np.load(checkpoints / "genforce_stylegan1_32.npz")

    def assert_is(value, name):
        assert_same(value, expected[name], name)

    z = Latent("z", torch.from_numpy(expected["z"]))
    assert_is(generator.synthesize(z), "img")
    assert_is(generator.synthesize(generator.convert(z, "w+", truncation=0.5)), "img_psi05")
    assert_is(generator.convert(z, "w").data, "w")
    assert_is(generator.convert(z, "w+").data, "wp")
    s = generator.convert(z, "s").data
    for i in range(8):
        assert_is(s[:, generator.style_slices[f"layer{i}"]], f"S.style{i:02d}")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"channels": (5, 4), "rgb": 1, "depth": 1},
        {"channels": (8, 8, 4, 4), "z": 5, "w": 6, "hidden": 12, "depth": 5, "spatial": False},
        {"const": False},
    ],
)
def test_other_sizes_are_found_and_keep_the_laws(tmp_path, check_laws, options):
    generator = load(tmp_path, **options)
    channels = options.get("channels", (6, 5, 4))
    assert generator.image_size == 2 << len(channels)
    assert generator.channels == options.get("rgb", 3)
    assert generator.spaces["z"].shape == (options.get("z", 7),)
    assert generator.spaces["w+"].shape == (2 * len(channels), options.get("w", 9))
    first = 0 if options.get("const", True) else options.get("w", 9)
    assert generator.spaces["s"].shape == (first + 4 * sum(channels),)
    expected = [units for units in channels for _ in (0, 1)] + [generator.channels]
    assert [layer.units for layer in generator.layers.values()] == expected
    check_laws(generator)


def test_classes_enter_as_an_index_or_as_weights(tmp_path, check_laws):
    generator = load(tmp_path, classes=4)
    assert (generator.n_classes, generator.spaces["z"].shape) == (4, (7,))
    check_laws(generator, label=2)
    z = generator.sample([0, 1], seed=0, label=2)
    vectors = functional.one_hot(z.label, 4)
    assert torch.equal(
        generator.synthesize(z), generator.synthesize(Latent("z", z.data, vectors.float()))
    )
    other = Latent("z", z.data, torch.tensor([1, 3]))
    assert not torch.allclose(generator.convert(z, "w").data, generator.convert(other, "w").data)
    for label, message in (
        (None, "without labels"),
        (torch.tensor([1, 4]), "labels from 1 to 4 .* expected 0 to 3"),
        (torch.ones(2, 3), "labels of shape"),
    ):
        with pytest.raises(GeneratorError, match=message):
            generator.convert(Latent("z", z.data, label), "w")


def test_truncation_pulls_the_first_layers_to_the_mean_of_the_file(tmp_path):
    generator = load(tmp_path)
    z, mean = generator.sample([0, 1], seed=0), generator.module.w_avg
    w = generator.convert(z, "w").data
    some = generator.convert(z, "w+", truncation=0.25, cutoff=2).data
    torch.testing.assert_close(some[:, 0], mean + 0.25 * (w - mean))
    assert torch.equal(some[:, 2:], w[:, None].expand(-1, 4, -1))
    with pytest.raises(GeneratorError, match=r"convert to 'w\+'"):
        generator.convert(z, "w", truncation=0.5, cutoff=2)
    with pytest.raises(GeneratorError, match=r"expected w or w\+"):
        generator.convert(z, "z", truncation=0.5)


def test_without_a_stored_mean_it_is_estimated_once(tmp_path):
    state = small_state()
    del state["truncation.w_avg"]
    torch.save({"generator": state}, tmp_path / "g.pth")
    generator = load_generator(tmp_path / "g.pth")
    w = generator.convert(generator.sample(range(4000), seed=7), "w").data
    mean = generator.mean_w()
    assert (mean - w.mean(dim=0)).abs().max() < 0.15 * w.std()
    assert generator.mean_w() is mean


def test_noise_is_off_constant_or_fresh(tmp_path):
    generator = load(tmp_path)
    z = generator.sample([0], seed=0)
    fixed, none = generator.synthesize(z), generator.synthesize(z, noise="none")
    torch.manual_seed(0)
    first, second = (generator.synthesize(z, noise="random") for _ in range(2))
    images = [fixed, none, first, second]
    assert not any(torch.equal(a, b) for i, a in enumerate(images) for b in images[:i])
    with pytest.raises(GeneratorError, match="'loud'; expected const, none, random"):
        generator.synthesize(z, noise="loud")


def test_from_128_pixels_on_the_doubling_is_a_transposed_convolution(tmp_path):
    state = small_state(channels=(4, 4, 4, 4, 3, 2))
    torch.save(state, tmp_path / "g.pth")
    generator = load_generator(tmp_path / "g.pth")
    assert generator.image_size == 128
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    taps = functional.pad(state["synthesis.layer10.weight"], (1, 1, 1, 1))
    taps = taps[..., 1:, 1:] + taps[..., 1:, :-1] + taps[..., :-1, 1:] + taps[..., :-1, :-1]
    expected = functional.conv_transpose2d(x, taps.transpose(0, 1), stride=2, padding=1)
    layer = generator.module.synthesis.layer10
    doubled = functional.interpolate(x, scale_factor=2, mode="nearest")
    given = functional.conv2d(doubled, layer.weight, padding=1)
    assert_same(given, expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"synthesis.lod": torch.tensor(2.0)}, "level of detail 2"),
        ({"synthesis.layer3.bias": None}, r"layer3\.bias missing \(expected \(5,\)\)"),
        (
            {"synthesis.output2.weight": None},
            r"except for synthesis\.output2\.weight, which is missing",
        ),
        ({"synthesis.layer3.bias": torch.ones(9)}, r"layer3\.bias \(9,\) \(expected \(5,\)\)"),
        ({"synthesis.layer3.extra": torch.ones(9)}, r"layer3\.extra \(9,\) \(expected nothing\)"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(tmp_path, changes, message):
    state = {k: v for k, v in (small_state() | changes).items() if v is not None}
    torch.save(state, tmp_path / "g.pth")
    with pytest.raises(CheckpointError, match=message) as caught:
        load_generator(tmp_path / "g.pth")
    assert "\n" not in str(caught.value)
