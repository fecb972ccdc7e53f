import json

import pytest
import torch
from safetensors.torch import save_file

from dissect import CheckpointError, GeneratorError, Latent, load_generator
from dissect.generators.lightweight_gan import LightweightNetwork
from dissect.testing import check_generator
from tests.rounding import assert_same

N_LAYERS, UNITS, INNER = 5, 8, 512


def shapes(version, attention=(2,), channels=3, frequencies=False):
    """Names and shapes of a generator of 128 px as a version of the program writes them."""
    own, noisy, shuffle = version >= (0, 21, 2), version >= (0, 21), version >= (1,)
    found = {"initial_conv.0.weight": (UNITS, 2 * UNITS, 4, 4), "initial_conv.0.bias": (2 * UNITS,)}
    norm = dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (2 * UNITS,))
    found |= {f"initial_conv.1.{name}": shape for name, shape in norm.items()}
    for i in range(N_LAYERS):
        up = f"layers.{i}.0"
        if shuffle:
            found |= {
                f"{up}.0.net.0.weight": (4 * UNITS, UNITS, 1, 1),
                f"{up}.0.net.0.bias": (4 * UNITS,),
            }
        found[f"{up}.1.f"] = (3,)
        convolution, taps = (f"{up}.2.1", 4) if shuffle else (f"{up}.2", 3)
        found |= {
            f"{convolution}.weight": (2 * UNITS, UNITS, taps, taps),
            f"{convolution}.bias": (2 * UNITS,),
        }
        if noisy:
            found[f"{up}.3.weight"] = (1,)
        found |= {f"{up}.{4 if noisy else 3}.{name}": shape for name, shape in norm.items()}
        if i == 1:
            key = f"layers.{i}.1"
            if frequencies:
                found[f"{key}.dct_weights"] = (1, UNITS, 16, 16)
            else:
                found |= {f"{key}.to_k.weight": (1, UNITS, 1, 1), f"{key}.to_k.bias": (1,)}
            found |= {f"{key}.net.0.weight": (4, UNITS, 1, 1), f"{key}.net.0.bias": (4,)}
            found |= {f"{key}.net.2.weight": (UNITS, 4, 1, 1), f"{key}.net.2.bias": (UNITS,)}
        if i in attention:
            key = f"layers.{i}.2"
            found |= {f"{key}.norm.g": (1, UNITS, 1, 1), f"{key}.norm.b": (1, UNITS, 1, 1)}
            found[f"{key}.fn.to_q.weight"] = (INNER, UNITS, 1, 1)
            deep = f"{key}.fn.to_kv"
            if own:
                found[f"{deep}.weight"] = (2 * INNER, UNITS, 1, 1)
                found[f"{key}.fn.to_lin_q.weight"] = (INNER, UNITS, 1, 1)
                deep = f"{key}.fn.to_lin_kv"
            found |= {
                f"{deep}.net.0.weight": (UNITS, 1, 3, 3),
                f"{deep}.net.1.weight": (2 * INNER, UNITS, 1, 1),
            }
            found[f"{key}.fn.to_out.weight"] = (UNITS, INNER * (1 + own), 1, 1)
            found[f"{key}.fn.to_out.bias"] = (UNITS,)
    return found | {"out_conv.weight": (channels, UNITS, 3, 3), "out_conv.bias": (channels,)}  # fmt: skip


def make_state(version, **settings):
    """Its tensors, always the same."""
    draw = torch.Generator().manual_seed(0)
    state = {}
    for name, shape in shapes(version, **settings).items():
        values = torch.randn(shape, generator=draw)
        if len(shape) == 4 and shape[0] != 1:
            values = values / values[0].numel() ** 0.5
        if name.endswith("running_var"):
            values = values.abs() + 0.5
        state[name] = torch.tensor([1.0, 2.0, 1.0]) if name.endswith(".f") else values
    return state


def written(folder, version, *, stated=True, prefix="GE.", **settings):
    state = make_state(version, **settings)
    content = {"GAN": {f"{prefix}{name}": value for name, value in state.items()}}
    if prefix == "GE.":
        content["GAN"] |= {f"G.{name}": value * 0 for name, value in state.items()}
    if stated:
        content["version"] = ".".join(map(str, version))
    torch.save(content, folder / "model_3.pt")
    return folder / "model_3.pt"


VERSIONS = {
    # What the program itself (lightweight-gan of PyPI) computed of these tensors, without noise:
    # six pixels of the image of z = 1, -1, 1, -1, …
    (0, 20, 4): [2.742413, 1.426511, -2.58673, -1.677718, -0.683781, 0.740109],
    (0, 21, 0): [-0.257309, -1.89442, -1.822718, -0.88941, -0.552372, 0.167433],
    (0, 21, 1): [-0.136946, -0.911792, -1.848658, -0.652852, -0.643407, 0.452045],
    (0, 21, 2): [-1.972866, -2.19311, -0.158318, -0.473867, -0.73512, -0.509361],
    (1, 0, 0): [-2.536201, -2.640293, -5.244237, -4.792333, -1.804076, -1.475993],
    (1, 2, 1): [-2.536201, -2.640293, -5.244237, -4.792333, -1.804076, -1.475993],
}


def alternating():
    return Latent("z", torch.tensor([[1.0, -1.0] * (UNITS // 2)]))


@pytest.mark.parametrize(("version", "expected"), VERSIONS.items())
def test_images_equal_those_of_the_program(tmp_path, version, expected):
    generator = load_generator(written(tmp_path, version))
    with torch.no_grad():
        image = generator.synthesize(alternating(), noise="none")
    pixels = image[0, :, [0, 70], [5, 100]].flatten()
    assert_same(pixels, torch.tensor(expected))


def test_it_keeps_all_laws(tmp_path):
    generator = load_generator(written(tmp_path, (0, 21, 1)))
    assert generator.family == "lightweight-gan"
    assert len(check_generator(generator)) == 11


def test_the_latest_version_keeps_the_laws_of_families(tmp_path, check_laws):
    check_laws(load_generator(written(tmp_path, (1, 2, 1), attention=())))


def test_a_folder_of_hugging_face_a_grey_and_a_transparent_one_are_read(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"anything": 1}))
    for channels in (1, 4):
        state = make_state((1, 2, 1), channels=channels, frequencies=True)
        save_file(
            {f"G.{name}": value for name, value in state.items()}, tmp_path / "model.safetensors"
        )
        generator = load_generator(tmp_path)
        assert generator.channels == min(channels, 3)
        assert generator.image_size == 128
        assert list(generator.layers) == ["initial_conv", *(f"layers.{i}.0" for i in range(5))]


def test_where_no_version_is_stated_the_tensors_tell(tmp_path):
    for version in ((0, 20, 4), (0, 21, 1), (0, 21, 2), (1, 2, 1)):
        stated = load_generator(written(tmp_path, version))
        silent = load_generator(written(tmp_path, version, stated=False))
        assert stated.fingerprint == silent.fingerprint
    other = load_generator(written(tmp_path, (0, 21, 0)))
    assert other.fingerprint != load_generator(written(tmp_path, (0, 21, 1))).fingerprint


def test_noise_is_fixed_left_out_or_new(tmp_path):
    generator = load_generator(written(tmp_path, (1, 2, 1)))
    latent = generator.sample([0], seed=0)
    images = {kind: generator.synthesize(latent, noise=kind) for kind in ("const", "none")}
    assert not torch.equal(images["const"], images["none"])
    again = [generator.synthesize(latent, noise="random") for _ in range(2)]
    assert not torch.equal(*again)
    assert torch.equal(generator.synthesize(latent), images["const"])
    with pytest.raises(GeneratorError, match="expected const, none, random"):
        generator.synthesize(latent, noise="loud")


def test_missing_tensors_are_named(tmp_path):
    state = make_state((1, 2, 1))
    del state["layers.3.0.2.1.bias"]
    save_file(state, tmp_path / "g.safetensors")
    with pytest.raises(
        CheckpointError, match=r"lightweight-gan except for .*layers\.3\.0\.2\.1\.bias"
    ):
        load_generator(tmp_path / "g.safetensors")


def test_the_network_has_the_names_of_the_file():
    for version in VERSIONS:
        state = make_state(version)
        names = set(LightweightNetwork(state, version).state_dict())
        assert {n for n in names if not n.endswith("num_batches_tracked")} == set(state)
