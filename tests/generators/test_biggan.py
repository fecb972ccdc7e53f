"""BigGAN against the program of its folder, and against the plain arithmetic of the other one."""

import json
import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from dissect import CheckpointError, GeneratorError, Latent, load_generator, trace
from dissect.generators import biggan
from tests.rounding import assert_same


@pytest.mark.parametrize("one_hot", [True, False])
def test_a_folder_gives_the_images_and_maps_its_own_program_gives(checkpoints, one_hot):
    generator = load_generator(checkpoints / "biggan_hf32")
    expected = np.load(checkpoints / "biggan_hf32.npz")
    label = torch.from_numpy(expected["class_label"])
    label = label if one_hot else label.argmax(dim=1)
    z = Latent("z", torch.from_numpy(expected["z"]), label)
    for truncation, name in ((1.0, "img_trunc1"), (0.43, "img_trunc043"), (0.4, "img_trunc04")):
        latent = generator.convert(z, "z", truncation=truncation)
        assert torch.equal(latent.data, z.data)
        with trace(generator, "all") as maps:
            image = generator.synthesize(latent)
        assert_same(image, expected[name], name)
    assert_same(generator.synthesize(latent[1:2]), image[1:2])
    for layer in generator.layers:
        feature = expected[f"feat.{layer}@0.4"]
        assert_same(maps[layer][:1], feature)


def hugging_face_state(*, width=8, z=6, embed=6, classes=5, stats=3, blocks=((16, 8), (8, 8))):
    """Random weights in the naming of pytorch-pretrained-biggan."""
    draw = torch.Generator().manual_seed(0)

    def some(*shape):
        return torch.randn(shape, generator=draw)

    state = {"embeddings.weight": some(embed, classes)}

    def spectral(name, *shape, bias=True):
        weight = some(*shape)
        u, _, v = torch.linalg.svd(weight.flatten(1), full_matrices=False)
        state[f"{name}.weight_orig"] = weight
        state[f"{name}.weight_u"], state[f"{name}.weight_v"] = u[:, 0], v[0]
        if bias:
            state[f"{name}.bias"] = some(shape[0])

    def statistics(name, n):
        state[f"{name}.running_means"] = some(stats, n)
        state[f"{name}.running_vars"] = 1 + some(stats, n).square()

    first = blocks[0][0] * width
    spectral("generator.gen_z", 16 * first, z + embed)
    for i, (a, b) in enumerate(blocks):
        n_in, n_out, middle = a * width, b * width, a * width // 4
        name = f"generator.layers.{i}"
        shapes = [(middle, n_in, 1, 1), (middle, middle, 3, 3), (middle, middle, 3, 3)]
        for k, shape in enumerate([*shapes, (n_out, middle, 1, 1)]):
            spectral(f"{name}.conv_{k}", *shape)
            statistics(f"{name}.bn_{k}", shape[1])
            spectral(f"{name}.bn_{k}.scale", shape[1], z + embed, bias=False)
            spectral(f"{name}.bn_{k}.offset", shape[1], z + embed, bias=False)
    last = blocks[-1][1] * width
    statistics("generator.bn", last)
    state["generator.bn.weight"], state["generator.bn.bias"] = some(last), some(last)
    spectral("generator.conv_to_rgb", last, last, 3, 3)
    return state


@pytest.mark.parametrize("described", [False, True])
def test_a_folder_of_other_sizes_keeps_the_laws(tmp_path, check_laws, described):
    torch.save(hugging_face_state(width=1, blocks=((8, 8), (8, 4))), tmp_path / "pytorch_model.bin")
    if described:
        config = {"layers": [[True, 8, 8], [True, 8, 4]], "eps": 1e-3}
        (tmp_path / "config.json").write_text(json.dumps(config))
    generator = load_generator(tmp_path)
    assert generator.image_size == (16 if described else 8)
    assert (generator.n_classes, generator.spaces["z"].shape) == (5, (6,))
    assert [layer.units for layer in generator.layers.values()] == [8, 4]
    check_laws(generator, label=3)


def test_the_doubling_blocks_are_listed_in_the_configuration():
    layers = [[False, 16, 16], [True, 16, 8]]
    flat = {f"layers/{i}": layer for i, layer in enumerate(layers)}
    for attributes in ({"layers": layers}, flat):
        assert biggan._listed_doubles(attributes) == [False, True]
    assert biggan._listed_doubles({}) == []


def test_the_table_is_entered_by_truncation_with_the_weights_swapped(tmp_path):
    torch.save(hugging_face_state(width=1, blocks=((8, 4),)), tmp_path / "pytorch_model.bin")
    generator = load_generator(tmp_path)
    table = generator.module.get_submodule("generator.bn").means
    assert torch.equal(biggan._row(table, 0.5), table[1])
    assert torch.equal(biggan._row(table, 1.0), table[2])
    torch.testing.assert_close(biggan._row(table, 0.6), 0.2 * table[1] + 0.8 * table[2])
    z = generator.sample([0], seed=0)
    half = generator.convert(z, "z", truncation=0.5)
    assert half.truncation == generator.convert(half, "z").truncation == 0.5
    assert not torch.equal(generator.synthesize(half), generator.synthesize(z))
    for truncation in (0.0, 1.5):
        with pytest.raises(GeneratorError, match="above 0 and up to 1"):
            generator.convert(z, "z", truncation=truncation)
    with pytest.raises(GeneratorError, match=r"has no w\+ space"):
        generator.convert(z, "z", cutoff=2)


# BigGAN-PyTorch


def ajbrock_state(*, deep=False, hier=False, shared=4, z=6, classes=3, attention=None,
                  widths=((8, 8), (8, 4)), rgb=3, spectral=True):  # fmt: skip
    """Random weights in the naming of BigGAN-PyTorch; ``shared`` 0 means no shared embedding."""
    draw = torch.Generator().manual_seed(1)
    state = {}

    def some(*shape):
        return torch.randn(shape, generator=draw)

    def weight(name, *shape, bias=True):
        state[f"{name}.weight"] = some(*shape)
        if bias:
            state[f"{name}.bias"] = some(shape[0])
        if not spectral:  # values of hundreds would leave tanh with the rounding of their digits
            state[f"{name}.weight"] /= math.prod(shape[1:]) ** 0.5
        else:
            state[f"{name}.u0"], state[f"{name}.sv0"] = some(1, shape[0]), torch.ones(1)

    def statistics(name, n):
        state[f"{name}.stored_mean"], state[f"{name}.stored_var"] = some(n), 1 + some(n).square()

    chunk = z // (len(widths) + 1) if hier and not deep else 0
    condition = (z if deep else chunk) + shared
    if shared:
        state["shared.weight"] = some(classes, shared)
    weight("linear", widths[0][0] * 16, (z + shared if deep else chunk or z))
    for i, (n_in, n_out) in enumerate(widths):
        name, inner = f"blocks.{i}.0", n_in // 4
        convolutions = [(n_out, n_in, 3, 3), (n_out, n_out, 3, 3)]
        if deep:
            convolutions = [(inner, n_in, 1, 1), (inner, inner, 3, 3), (inner, inner, 3, 3),
                            (n_out, inner, 1, 1)]  # fmt: skip
        for k, shape in enumerate(convolutions, start=1):
            weight(f"{name}.conv{k}", *shape)
            statistics(f"{name}.bn{k}", shape[1])
            for part in ("gain", "bias"):
                if shared:
                    weight(f"{name}.bn{k}.{part}", shape[1], condition, bias=False)
                else:
                    state[f"{name}.bn{k}.{part}.weight"] = some(classes, shape[1])
        if not deep:
            weight(f"{name}.conv_sc", n_out, n_in, 1, 1)
        if attention == i:
            at = f"blocks.{i}.1"
            half, eighth = n_out // 2, n_out // 8
            for part, shape in (("theta", (eighth, n_out)), ("phi", (eighth, n_out)),
                                ("g", (half, n_out)), ("o", (n_out, half))):  # fmt: skip
                weight(f"{at}.{part}", *shape, 1, 1, bias=False)
            state[f"{at}.gamma"] = torch.tensor(0.7)
    last = widths[-1][1]
    statistics("output_layer.0", last)
    state["output_layer.0.gain"], state["output_layer.0.bias"] = some(last), some(last)
    weight("output_layer.2", rgb, last, 3, 3)
    return state


def run_plain(state, z, label, *, deep, hier, doubles):
    """What BigGAN-PyTorch computes in eval mode, from its text."""

    def divided(name):
        weight = state[f"{name}.weight"]
        if f"{name}.u0" not in state:
            return weight
        matrix = weight.reshape(len(weight), -1)
        v = functional.normalize(state[f"{name}.u0"] @ matrix)
        u = functional.normalize(v @ matrix.T)
        return weight / (v @ matrix.T @ u.T)

    def convolve(x, name):
        weight = divided(name)
        return functional.conv2d(
            x, weight, state.get(f"{name}.bias"), padding=weight.shape[-1] // 2
        )

    def norm(x, name, y):
        if "shared.weight" in state:
            gain, bias = (y @ divided(f"{name}.{part}").T for part in ("gain", "bias"))
        else:
            gain, bias = (state[f"{name}.{part}.weight"][label] for part in ("gain", "bias"))
        x = functional.batch_norm(x, state[f"{name}.stored_mean"], state[f"{name}.stored_var"])
        return x * (1 + gain)[:, :, None, None] + bias[:, :, None, None]

    def doubled(x, yes):
        return functional.interpolate(x, scale_factor=2) if yes else x

    def attend(x, name):
        theta = convolve(x, f"{name}.theta").flatten(2)
        phi = functional.max_pool2d(convolve(x, f"{name}.phi"), 2).flatten(2)
        g = functional.max_pool2d(convolve(x, f"{name}.g"), 2).flatten(2)
        beta = functional.softmax(torch.bmm(theta.transpose(1, 2), phi), -1)
        o = torch.bmm(g, beta.transpose(1, 2)).view(len(x), -1, *x.shape[2:])
        return state[f"{name}.gamma"] * convolve(o, f"{name}.o") + x

    y = state["shared.weight"][label] if "shared.weight" in state else None
    ys = [y] * len(doubles)
    if deep:
        z = torch.cat([z, y], 1)
        ys = [z] * len(doubles)
    elif hier:
        z, *rest = z.split(z.shape[1] // (len(doubles) + 1), 1)
        ys = [torch.cat([y, part], 1) for part in rest]
    h = (z @ divided("linear").T + state["linear.bias"]).view(len(z), -1, 4, 4)
    for i, (double, y) in enumerate(zip(doubles, ys, strict=True)):
        name, x = f"blocks.{i}.0", h
        h = torch.relu(norm(h, f"{name}.bn1", y))
        if deep:
            h = torch.relu(norm(convolve(h, f"{name}.conv1"), f"{name}.bn2", y))
            h = convolve(doubled(h, double), f"{name}.conv2")
            h = convolve(torch.relu(norm(h, f"{name}.bn3", y)), f"{name}.conv3")
            h = convolve(torch.relu(norm(h, f"{name}.bn4", y)), f"{name}.conv4")
            h = h + doubled(x[:, : h.shape[1]], double)
        else:
            h = convolve(doubled(h, double), f"{name}.conv1")
            h = convolve(torch.relu(norm(h, f"{name}.bn2", y)), f"{name}.conv2")
            h = h + convolve(doubled(x, double), f"{name}.conv_sc")
        if f"blocks.{i}.1.gamma" in state:
            h = attend(h, f"blocks.{i}.1")
    last = "output_layer.0"
    h = functional.batch_norm(
        h, state[f"{last}.stored_mean"], state[f"{last}.stored_var"],
        state[f"{last}.gain"], state[f"{last}.bias"],
    )  # fmt: skip
    return torch.tanh(convolve(torch.relu(h), "output_layer.2")[:, :3])


CASES = {
    "whole z": ({}, [True, True]),
    "a chunk for each block": ({"hier": True, "shared": 5, "attention": 0}, [True, True]),
    "no shared embedding": ({"shared": 0, "rgb": 1, "spectral": False}, [True, True]),
    "deep": (
        {"deep": True, "widths": ((8, 8), (8, 8), (8, 8), (8, 4)), "rgb": 12, "attention": 1},
        [False, True, False, True],
    ),
    "deep, one block to a stage": (
        {"deep": True, "widths": ((16, 8), (8, 4), (4, 4)), "shared": 3},
        [True, True, True],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_files_of_biggan_pytorch_follow_its_arithmetic(tmp_path, check_laws, case):
    options, doubles = CASES[case]
    state = ajbrock_state(**options)
    torch.save({f"module.{name}": value for name, value in state.items()}, tmp_path / "G_ema.pth")
    generator = load_generator(tmp_path / "G_ema.pth")
    assert (generator.n_classes, generator.spaces["z"].shape) == (3, (6,))
    assert generator.image_size == 4 << sum(doubles)
    assert generator.channels == min(3, options.get("rgb", 3))
    assert ("blocks.1.1" in generator.layers) == (options.get("attention") == 1)
    latent = generator.sample(range(3), seed=0)
    expected = run_plain(
        state, latent.data, latent.label, doubles=doubles,
        deep=options.get("deep", False), hier=options.get("hier", False),
    )  # fmt: skip
    assert_same(generator.synthesize(latent), expected)
    check_laws(generator)


def test_statistics_of_other_batch_norms_are_found(tmp_path):
    state = ajbrock_state()
    torch.save(state, tmp_path / "a.pth")
    renamed = {
        name.replace(".stored_", ".bn.running_" if ".bn1." in name else ".bn.stored_"): value
        for name, value in state.items()
    }
    torch.save(renamed, tmp_path / "b.pth")
    first, second = (load_generator(tmp_path / f"{name}.pth") for name in "ab")
    assert first.fingerprint == second.fingerprint


def test_truncation_scales_z_where_there_is_one_set_of_statistics(tmp_path):
    torch.save(ajbrock_state(), tmp_path / "g.pth")
    generator = load_generator(tmp_path / "g.pth")
    latent = generator.sample([0], seed=0)
    assert torch.equal(generator.convert(latent, "z", truncation=0.5).data, latent.data / 2)


def test_what_does_not_fit_is_told_in_one_line(tmp_path):
    state = ajbrock_state()
    for changes, message in (
        ({"blocks.0.0.bn2.stored_var": None}, r"blocks\.0\.0\.bn2\.stored_var.*missing"),
        ({"blocks.1.0.conv1.weight": torch.ones(4, 9, 3, 3)}, r"for \d of its tensors: blocks\.1"),
        ({"blocks.1.0.conv1.weight": None}, r"blocks\.1\S* belongs to no block"),
        ({"blocks.0.0.conv3.weight": torch.ones(2)}, r"blocks\.0\.0\.conv3\S* belongs to no block"),
        ({"linear.weight": torch.ones(2)}, "do not fit together"),
    ):
        changed = {k: v for k, v in (state | changes).items() if v is not None}
        torch.save(changed, tmp_path / "g.pth")
        with pytest.raises(CheckpointError, match=message) as caught:
            load_generator(tmp_path / "g.pth")
        assert "\n" not in str(caught.value)
    torch.save(state, tmp_path / "g.pth")
    generator = load_generator(tmp_path / "g.pth")
    with pytest.raises(GeneratorError, match="without labels"):
        generator.synthesize(Latent("z", torch.zeros(1, 6)))
