"""stylegan2_pytorch's generators against that program, and at sizes that have no file."""

import json

import numpy as np
import pytest
import torch

from dissect import CheckpointError, GeneratorError, Latent, load_generator, trace
from tests.rounding import assert_same


def test_a_folder_gives_the_images_styles_and_maps_its_own_program_gives(checkpoints):
    generator = load_generator(checkpoints / "lucidrains_sg2_32")
    expected = np.load(checkpoints / "lucidrains_sg2_32.npz")

    def assert_is(value, name):
        assert_same(value, expected[name], name)

    z = Latent("z", torch.from_numpy(expected["z"]))
    noise, mean = torch.from_numpy(expected["inoise"]), torch.from_numpy(expected["av"])
    with trace(generator, "all") as maps:
        images = generator.synthesize(z, noise=noise)
    assert_is((images + 1) / 2, "img_unclamped")
    assert_is(((images + 1) / 2).clamp(0, 1), "img")
    for layer in generator.layers:
        assert_is(maps[layer][:1], f"feat.{layer}")
    w = generator.convert(z, "w").data
    assert_is(w, "w")
    # The program's mean of w is one of 2,000 samples that are not in the file.
    half = generator.synthesize(Latent("w", mean + 0.5 * (w - mean)), noise=noise)
    assert_is((half + 1) / 2, "img_unclamped_psi05")
    assert (generator.mean_w() - mean[0]).abs().max() < 0.05
    s = generator.convert(z, "s").data
    for name, part in generator.style_slices.items():
        assert_is(s[:, part], f"S.{name}")


def small_state(*, size=6, depth=2, units=(5, 4, 3), attention=(), const=True, channels=3):
    """Random weights in the naming of stylegan2_pytorch."""
    draw = torch.Generator().manual_seed(0)
    state = {}

    def put(name, *shape, bias=True, scale=0.5):
        state[f"GE.{name}.weight"] = scale * torch.randn(shape, generator=draw)
        if bias:
            state[f"GE.{name}.bias"] = scale * torch.randn(shape[0], generator=draw)

    for k in range(depth):
        state[f"SE.net.{2 * k}.weight"] = 10 * torch.randn(size, size, generator=draw)
        state[f"SE.net.{2 * k}.bias"] = torch.randn(size, generator=draw)
    first = units[0]
    if const:
        state["GE.initial_block"] = torch.randn(1, first, 4, 4, generator=draw)
    else:
        state["GE.to_initial_block.weight"] = torch.randn(size, first, 4, 4, generator=draw)
    put("initial_conv", first, first, 3, 3)
    for i, (n_in, n_out) in enumerate(zip((first, *units), units, strict=False)):
        name = f"blocks.{i}"
        put(f"{name}.to_style1", n_in, size)
        put(f"{name}.to_style2", n_out, size)
        put(f"{name}.to_noise1", n_out, 1)
        put(f"{name}.to_noise2", n_out, 1)
        put(f"{name}.conv1", n_out, n_in, 3, 3, bias=False)
        put(f"{name}.conv2", n_out, n_out, 3, 3, bias=False)
        put(f"{name}.to_rgb.to_style", n_out, size)
        put(f"{name}.to_rgb.conv", channels, n_out, 1, 1, bias=False)
        if i < len(units) - 1:
            state[f"GE.{name}.to_rgb.upsample.1.f"] = torch.tensor([1.0, 2.0, 1.0])
        if i in attention:
            at = f"attns.{i}"
            for k in (0, 1):
                state[f"GE.{at}.{k}.fn.norm.g"] = torch.ones(1, n_in, 1, 1)
                state[f"GE.{at}.{k}.fn.norm.b"] = torch.zeros(1, n_in, 1, 1)
            put(f"{at}.0.fn.fn.to_q", 128, n_in, 1, 1, bias=False)
            put(f"{at}.0.fn.fn.to_kv.net.0", n_in, 1, 3, 3, bias=False)
            put(f"{at}.0.fn.fn.to_kv.net.1", 256, n_in, 1, 1, bias=False)
            put(f"{at}.0.fn.fn.to_out", n_in, 128, 1, 1)
            put(f"{at}.1.fn.fn.0", 2 * n_in, n_in, 1, 1)
            put(f"{at}.1.fn.fn.2", n_in, 2 * n_in, 1, 1)
    return state


def load(tmp_path, **options):
    torch.save({"GAN": small_state(**options), "version": "1.9.0"}, tmp_path / "model_3.pt")
    return load_generator(tmp_path / "model_3.pt")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"attention": (1, 2), "depth": 4},
        {"const": False, "units": (6, 4)},
        {"units": (4, 4, 3, 2), "attention": (0,), "const": False, "channels": 4},
    ],
)
def test_other_sizes_are_found_and_keep_the_laws(tmp_path, check_laws, options):
    generator = load(tmp_path, **options)
    units = options.get("units", (5, 4, 3))
    assert generator.image_size == 2 << len(units)
    assert generator.spaces["w+"].shape == (len(units), 6)
    start = 0 if options.get("const", True) else 6
    n_styles = start + units[0] + sum(units[:-1]) + 2 * sum(units)
    assert generator.spaces["s"].shape == (n_styles,)
    assert len(generator.layers) == 3 * len(units)
    check_laws(generator)


def attend(x, state):
    """Linear attention after its norm, written out per sample, head and pixel vector."""
    name = "GE.attns.1.0.fn.fn"
    query = torch.einsum("oi,ip->op", state[f"{name}.to_q.weight"][:, :, 0, 0], x.flatten(1))
    mixed = torch.nn.functional.conv2d(
        x[None], state[f"{name}.to_kv.net.0.weight"], padding=1, groups=len(x)
    )[0]
    both = torch.einsum(
        "oi,ip->op", state[f"{name}.to_kv.net.1.weight"][:, :, 0, 0], mixed.flatten(1)
    )
    out = []
    for head in range(2):
        rows = slice(64 * head, 64 * (head + 1))
        q, k, v = query[rows].softmax(0) / 8, both[:128][rows].softmax(1), both[128:][rows]
        out.append(torch.stack([(q[:, p, None] * (k @ v.T)).sum(0) for p in range(q.shape[1])], 1))
    out = torch.nn.functional.gelu(torch.cat(out))
    weight, bias = (state[f"{name}.to_out.{part}"] for part in ("weight", "bias"))
    return (weight[:, :, 0, 0] @ out + bias[:, None]).reshape(x.shape)


def test_attention_is_what_its_formula_says(tmp_path):
    generator = load(tmp_path, attention=(1,))
    state = small_state(attention=(1,))
    x = torch.randn(2, 5, 4, 4, generator=torch.Generator().manual_seed(1))
    normal = (x - x.mean(1, keepdim=True)) / (x.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    expected = torch.stack([one + attend(n, state) for one, n in zip(x, normal, strict=True)])
    given = generator.module.GE.attns[1][0](x)
    assert_same(given, expected)


def test_noise_is_fixed_absent_fresh_or_given_with_height_and_width_exchanged(tmp_path):
    generator = load(tmp_path)
    z = generator.sample([0, 1], seed=0)
    fixed, none = generator.synthesize(z), generator.synthesize(z, noise="none")
    torch.manual_seed(0)
    fresh = generator.synthesize(z, noise="random")
    assert not torch.equal(fixed, none)
    assert not torch.equal(fixed, fresh)
    assert torch.equal(fixed, generator.synthesize(z, noise=generator.module.GE.noise))
    corner = torch.zeros(1, 16, 16)
    corner[0, 0, 3] = 1  # row 0, column 3
    with trace(generator, "blocks.0.conv2") as maps:
        generator.synthesize(z, noise="none")
        plain = maps["blocks.0.conv2"]
        generator.synthesize(z, noise=corner)
    moved = (maps["blocks.0.conv2"] - plain).abs().sum(dim=(0, 1)) > 1e-6
    assert moved[2:, :2].all()
    assert not moved[:2].any()
    with pytest.raises(GeneratorError, match=r"expected one map or 2 of 16 × 16"):
        generator.synthesize(z, noise=torch.zeros(3, 16, 16))
    with pytest.raises(GeneratorError, match="expected const, none, random"):
        generator.synthesize(z, noise="loud")


def test_the_mappings_rate_comes_from_the_configuration(tmp_path):
    plain = load(tmp_path)
    (tmp_path / ".config.json").write_text(json.dumps({"lr_mlp": 0.2, "image_size": 16}))
    other = load_generator(tmp_path)
    z = plain.sample([0], seed=0)
    assert not torch.allclose(plain.convert(z, "w").data, other.convert(z, "w").data)
    assert plain.fingerprint != other.fingerprint


def test_the_mean_of_w_is_that_of_fixed_samples(tmp_path):
    first, second = load(tmp_path), load(tmp_path)
    z = first.sample([0], seed=0)
    mean = first.convert(z, "w", truncation=0.0).data
    assert torch.equal(mean, second.convert(z, "w", truncation=0.0).data)
    w = first.convert(first.sample(range(3000), seed=9), "w").data
    assert (mean[0] - w.mean(dim=0)).abs().max() < 0.15 * w.std()


def test_what_does_not_fit_is_told_in_one_line(tmp_path):
    for changes, message in (
        ({"GE.initial_conv.weight": None}, r"GE\.initial_conv\.weight, which is missing"),
        ({"GE.blocks.1.to_style2.bias": torch.ones(9)}, r"to_style2\.bias \(9,\)"),
    ):
        state = {k: v for k, v in (small_state() | changes).items() if v is not None}
        torch.save({"GAN": state}, tmp_path / "g.pt")
        with pytest.raises(CheckpointError, match=message) as caught:
            load_generator(tmp_path / "g.pt")
        assert "\n" not in str(caught.value)
