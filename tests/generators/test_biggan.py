"""BigGAN against the programs that wrote its files.

Of BigGAN-PyTorch's shallow BigGAN there is no output to compare with; its sizes and laws are held.
"""

import json
import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from dissect import CheckpointError, GeneratorError, Latent, load_generator, trace
from dissect.generators import biggan, biggan_files
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
        assert biggan_files._listed_doubles(attributes) == [False, True]
    assert biggan_files._listed_doubles({}) == []


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
def test_files_of_biggan_pytorch_have_their_sizes_and_keep_the_laws(tmp_path, check_laws, case):
    options, doubles = CASES[case]
    state = ajbrock_state(**options)
    torch.save({f"module.{name}": value for name, value in state.items()}, tmp_path / "G_ema.pth")
    generator = load_generator(tmp_path / "G_ema.pth")
    assert (generator.n_classes, generator.spaces["z"].shape) == (3, (6,))
    assert generator.image_size == 4 << sum(doubles)
    assert generator.channels == min(3, options.get("rgb", 3))
    assert ("blocks.1.1" in generator.layers) == (options.get("attention") == 1)
    check_laws(generator)


def test_a_deep_file_gives_the_images_that_its_own_program_gives(cases):
    folder = cases / "biggan_deep_order"
    generator = load_generator(folder / "G_ema.pth")
    expected = torch.load(folder / "expected.pt", weights_only=True)
    image = generator.synthesize(Latent("z", expected["z"], expected["label"]))
    torch.testing.assert_close(image, expected["expected_image"], atol=1e-5, rtol=0)


def as_biggan_pytorch(state, z):
    """A file of Hugging Face's program with one truncation as BigGAN-PyTorch has it.

    It joins (class, z) instead of (z, class), stores the first map unit by unit, and no v.
    """
    found = {"shared.weight": state["embeddings.weight"].t()}

    def move(target, source, *, bias=True, swap=False, rows=None):
        weight = state[f"{source}.weight_orig"]
        weight = torch.cat([weight[:, z:], weight[:, :z]], dim=1) if swap else weight
        u = state[f"{source}.weight_u"]
        if rows is not None:
            weight, u = weight[rows], u[rows]
        found[f"{target}.weight"], found[f"{target}.u0"] = weight, u[None]
        if bias:
            value = state[f"{source}.bias"]
            found[f"{target}.bias"] = value if rows is None else value[rows]

    rows = torch.arange(len(state["generator.gen_z.bias"])).reshape(4, 4, -1)
    move("linear", "generator.gen_z", swap=True, rows=rows.permute(2, 0, 1).flatten())
    paths = dict.fromkeys(".".join(n.split(".")[:3]) for n in state if ".layers." in n)
    for i, path in enumerate(paths):
        for k in range(4):
            move(f"blocks.{i}.0.conv{k + 1}", f"{path}.conv_{k}")
            norm = f"blocks.{i}.0.bn{k + 1}"
            for part, own in (("gain", "scale"), ("bias", "offset")):
                move(f"{norm}.{part}", f"{path}.bn_{k}.{own}", bias=False, swap=True)
            for part, own in (("mean", "running_means"), ("var", "running_vars")):
                found[f"{norm}.stored_{part}"] = state[f"{path}.bn_{k}.{own}"][0]
    for part, own in (("gain", "weight"), ("bias", "bias")):
        found[f"output_layer.0.{part}"] = state[f"generator.bn.{own}"]
    for part, own in (("mean", "running_means"), ("var", "running_vars")):
        found[f"output_layer.0.stored_{part}"] = state[f"generator.bn.{own}"][0]
    move("output_layer.2", "generator.conv_to_rgb")
    return found


@pytest.mark.parametrize(
    ("stages", "depth"),
    [
        (((1, 1), (1, 1), (1, 1)), 1),
        (((1, 1), (1, 1), (1, 1)), 2),
        (((1, 1), (1, 1), (1, 1)), 3),
        (((1, 1), (1, 1), (1, 1)), 4),
        (((8, 8), (8, 4), (4, 2), (2, 1)), 2),
        (((8, 8), (8, 4), (4, 2), (2, 1)), 3),
    ],
)
def test_deep_files_of_any_depth_are_the_same_network_as_in_the_other_program(
    tmp_path, stages, depth
):
    blocks = [
        (first, last if k == depth - 1 else first) for first, last in stages for k in range(depth)
    ]
    doubles = [(k + 1) % depth == 0 for k in range(len(blocks))]
    state = hugging_face_state(width=4, stats=1, blocks=blocks)
    (tmp_path / "hf").mkdir()
    torch.save(state, tmp_path / "hf" / "pytorch_model.bin")
    layers = [[double, 8, 8] for double in doubles]
    (tmp_path / "hf" / "config.json").write_text(json.dumps({"layers": layers, "eps": 1e-5}))
    torch.save(as_biggan_pytorch(state, 6), tmp_path / "G_ema.pth")
    expected, generator = load_generator(tmp_path / "hf"), load_generator(tmp_path / "G_ema.pth")
    assert generator.image_size == 4 << len(stages)
    assert f"{depth} blocks to a size" in generator.source.assumed["depth"]
    latent = generator.sample(range(3), seed=0)
    images = expected.synthesize(latent)
    assert_same(generator.synthesize(latent), images)


@pytest.mark.parametrize("conditional", [True, False])
def test_norms_of_a_cross_replica_training_add_their_gain(conditional):
    torch.manual_seed(0)
    norm = biggan.Norm(4, 1, 1e-5, 3 if conditional else None, adds=True)
    norm.means.normal_(), norm.variances.uniform_(0.5, 2)
    x, y = torch.randn(2, 4, 5, 5), torch.randn(2, 3)
    gain, bias = norm.scale, norm.offset
    if conditional:
        gain, bias = (1 + y @ gain.weight.T)[..., None, None], (y @ bias.weight.T)[..., None, None]
    else:
        gain, bias = gain[:, None, None], bias[:, None, None]
    plain = functional.batch_norm(x, norm.means[0], norm.variances[0])
    torch.testing.assert_close(norm(x, y, 1.0), plain + gain + bias)


def test_a_cross_replica_file_is_told_by_its_names(tmp_path):
    state = ajbrock_state()
    torch.save(state, tmp_path / "a.pth")
    for file, end in (("synchronised", "running_"), ("own", "stored_")):
        renamed = {name.replace(".stored_", f".bn.{end}"): value for name, value in state.items()}
        torch.save(renamed, tmp_path / f"{file}.pth")
    plain, added, own = (
        load_generator(tmp_path / f"{name}.pth") for name in ("a", "synchronised", "own")
    )
    assert plain.fingerprint == own.fingerprint != added.fingerprint
    assert "cross_replica" in added.source.obeyed
    assert not plain.source.obeyed
    latent = plain.sample([0], seed=0)
    assert not torch.allclose(plain.synthesize(latent), added.synthesize(latent), atol=1e-2)


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
