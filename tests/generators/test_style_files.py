"""StyleGAN2 and StyleGAN3 from the files of the programs that train them."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dissect import Latent, load_generator
from dissect.edits import Ablate, intervene
from dissect.errors import CheckpointError, GeneratorError
from dissect.generators.stylegan2 import StyleGAN2, StyleGAN2Config, StyleGAN2Network
from dissect.generators.stylegan3 import save_stylegan3
from dissect.tracing import trace
from tests.rounding import assert_same

FILES = {
    "sg2ada_uncond64.pkl": "StyleGAN2",
    "sg2ada_cond32.pkl": "StyleGAN2",
    "sg3t_uncond32.pkl": "StyleGAN3",
    "tf_stylegan2_32.pkl": "StyleGAN2",
    "rosinality_converted64.pt": "StyleGAN2",
    "rosinality_train16.pt": "StyleGAN2",
}


def rosinality_name(layer):
    """``b16.conv0`` is ``convs.2`` there."""
    block, part = layer.split(".")
    k = int(block[1:]).bit_length() - 3
    if k == 0:
        return {"conv1": "conv1", "torgb": "to_rgb1"}[part]
    return f"to_rgbs.{k - 1}" if part == "torgb" else f"convs.{2 * k - 2 + int(part[-1])}"


@pytest.fixture(scope="module", params=FILES)
def case(request, checkpoints):
    path = checkpoints / request.param
    expected = np.load(path.with_suffix(".npz"))
    generator = load_generator(path)
    label = None
    if generator.n_classes:
        label = torch.from_numpy(expected["c"])
    return request.param, generator, expected, Latent("z", torch.from_numpy(expected["z"]), label)


def test_images_are_those_of_the_program(case):
    name, generator, expected, z = case
    assert type(generator).__name__ == FILES[name]
    ws = generator.convert(z, "w+")
    w = expected["w"] if expected["w"].ndim == 3 else expected["w"][:, None].repeat(10, axis=1)
    assert_same(ws.data, w[:, : ws.data.shape[1]])
    assert_same(generator.synthesize(z), expected["img"])
    for key, settings, noise in (
        ("img_psi05", {"truncation": 0.5}, "const"),
        ("img_psi05_cut3", {"truncation": 0.5, "cutoff": 3}, "const"),
        ("img_noise_none", {}, "none"),
    ):
        if key not in expected or (name.startswith("rosinality_train") and settings):
            continue  # the training file holds no mean of w
        image = generator.synthesize(generator.convert(z, "w+", **settings), noise=noise)
        assert_same(image, expected[key], key)


def test_styles_and_layers_are_those_of_the_program(case):
    name, generator, expected, z = case
    styles = generator.convert(z, "s").data
    compared = 0
    maps_of = {key for key in expected if key != "feat.input"}  # the Fourier features are no layer
    with trace(generator, "all") as maps:
        generator.synthesize(z[:1])
    for layer, part in generator.style_slices.items():
        theirs = rosinality_name(layer) if name.startswith("rosinality") else layer
        for key in (f"S.{theirs}", f"S.{theirs}.style"):
            if key in expected:
                assert_same(styles[:, part], expected[key], key)
                compared += 1
        # Its later to_rgbs put out the sum with the image so far, which the image itself tells.
        if f"feat.{theirs}" in maps_of and not theirs.startswith("to_rgbs"):
            feature = torch.from_numpy(expected[f"feat.{theirs}"].astype(np.float32))
            margin = generator.layers[layer].margin
            inner = slice(margin, feature.shape[-1] - margin)
            inside = feature[..., inner, inner].numpy().astype(expected[f"feat.{theirs}"].dtype)
            assert_same(maps[layer], inside, layer)
            compared += 1
    assert compared == 0 if name.startswith("tf") else compared >= 12


def test_labels_may_be_indices_or_vectors(checkpoints):
    generator = load_generator(checkpoints / "sg2ada_cond32.pkl")
    z = torch.randn(2, 32, generator=torch.Generator().manual_seed(0))
    index = torch.tensor([1, 4])
    vectors = torch.nn.functional.one_hot(index, 5).float()
    images = [generator.synthesize(Latent("z", z, label)) for label in (index, vectors)]
    assert torch.equal(*images)
    with pytest.raises(GeneratorError, match="has 5 classes; expected a label"):
        generator.synthesize(Latent("z", z))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"architecture": "resnet"},
        {"architecture": "orig", "rgb_channels": 1},
        {"n_classes": 3, "mapping_depth": 5, "z_size": 12},
        {"use_noise": False},
    ],
)
def test_tensors_alone_say_what_the_network_is(tmp_path, settings):
    torch.manual_seed(0)
    config = StyleGAN2Config(16, (8, 6, 4), **({"z_size": 8, "w_size": 8} | settings))
    network = StyleGAN2Network(config).requires_grad_(False)
    network.mapping.w_avg.normal_()
    generator = StyleGAN2(network, name="made")
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    kept = {name: value for name, value in state.items() if not name.endswith("resample_filter")}
    for given in (state, kept):
        save_file(given, tmp_path / "weights.safetensors")
        loaded = load_generator(tmp_path / "weights.safetensors")
        assert loaded.module.config == config
        latent = loaded.sample(range(2), seed=0)
        assert torch.equal(loaded.synthesize(latent), generator.synthesize(latent))


def test_tensors_that_do_not_fit_are_named(tmp_path):
    network = StyleGAN2Network(StyleGAN2Config(8, (4, 4), z_size=8, w_size=8))
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    state["synthesis.b8.conv1.bias"] = torch.zeros(5)
    state["mapping.more"] = torch.zeros(1)
    save_file(state, tmp_path / "odd.safetensors")
    with pytest.raises(
        CheckpointError, match=r"except for 2 of its tensors: .*b8\.conv1\.bias"
    ) as told:
        load_generator(tmp_path / "odd.safetensors")
    assert "\n" not in str(told.value)


def test_a_stylegan3_without_attributes_is_told(checkpoints, tmp_path):
    generator = load_generator(checkpoints / "sg3t_uncond32.pkl")
    state = {name: value.contiguous() for name, value in generator.module.state_dict().items()}
    save_file(state, tmp_path / "bare.safetensors")
    with pytest.raises(CheckpointError, match="not its attribute img_resolution"):
        load_generator(tmp_path / "bare.safetensors")
    save_stylegan3(generator.module, tmp_path / "own.safetensors")
    again = load_generator(tmp_path / "own.safetensors")
    latent = again.sample(range(2), seed=0)
    assert torch.equal(again.synthesize(latent), generator.synthesize(latent))
    assert again.fingerprint == generator.fingerprint


def test_margins_are_cut_from_maps_and_edited_with_them(checkpoints):
    generator = load_generator(checkpoints / "sg3t_uncond32.pkl")
    info = generator.layers["L6_52_32"]
    assert (info.height, info.margin) == (32, 10)
    latent = generator.sample([0], seed=0)
    region = np.zeros((4, 4), np.float32)
    region[0] = 1
    whole = {}
    module = generator.module.get_submodule(info.module)
    with intervene(generator, [Ablate("L6_52_32", [3], region)]):
        handle = module.register_forward_hook(lambda m, i, out: whole.update(map=out))
        generator.synthesize(latent)
        handle.remove()
    rows = (whole["map"][0, 3] == 0).all(dim=1)
    # The upper quarter of the image's 32 rows, and the margin above it.
    assert rows[:18].all()
    assert not rows[18:].any()


def test_a_stylegan3_does_not_depend_on_its_batch(checkpoints):
    generator = load_generator(checkpoints / "sg3t_uncond32.pkl")
    latent = generator.sample(range(3), seed=0)
    together = generator.synthesize(latent)
    alone = torch.cat([generator.synthesize(latent[i : i + 1]) for i in range(3)])
    assert_same(together, alone)


def test_every_file_can_be_dissected(case, tmp_path, checkpoints):
    from dissect import dissect

    run = dissect(
        str(checkpoints / case[0]), "colour",
        out=tmp_path / "r", n_samples=32, progress=False,
        layers=list(case[1].layers)[:2],
    )  # fmt: skip
    assert run.summary()["layers"]
