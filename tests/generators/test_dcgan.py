import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dissect import CheckpointError, GeneratorError, Latent, load_generator, trace
from dissect.generators import dcgan
from dissect.generators.base import Generator
from dissect.generators.checkpoint import read
from dissect.generators.weights import find_parts
from tests.rounding import assert_same


def assert_equals_expected(generator, path):
    """Images and layer outputs against what the program that wrote the file computed."""
    expected = np.load(path)
    latent = Latent("z", torch.from_numpy(expected["z"]))
    with torch.no_grad(), trace(generator, "all") as maps:
        images = generator.synthesize(latent)
    assert_same(images, expected["img"])
    for layer in generator.layers:
        name = f"feat.{layer}"
        assert_same(maps[layer][:1], expected[name])


@pytest.mark.parametrize(
    "file",
    [
        "dcgan_small64.pth",
        "dcgan_small64.safetensors",
        "dcgan_small64_dataparallel.pth",
        "dcgan_small64_whole_module.pth",
    ],
)
def test_a_file_gives_the_images_and_maps_its_own_program_gives(checkpoints, file):
    generator = load_generator(checkpoints / file)
    assert_equals_expected(generator, checkpoints / "dcgan_small64.npz")


def test_the_trained_faces_equal_their_expected_output(checkpoints, faces_dcgan):
    assert_equals_expected(faces_dcgan, checkpoints / "dcgan_real_gan_face_generate_1.1.1.npz")


def small_state(*, channels=3, prefix="main.", norm=True, bias=False):
    """A DCGAN of 16 px as the PyTorch tutorial lays it out, with random weights."""
    draw = torch.Generator().manual_seed(0)
    widths = [10, 8, 6, channels]
    state = {}
    for i, (a, b) in enumerate(zip(widths, widths[1:], strict=False)):
        state[f"{prefix}{3 * i}.weight"] = torch.randn(a, b, 4, 4, generator=draw)
        if bias:
            state[f"{prefix}{3 * i}.bias"] = torch.randn(b, generator=draw)
        if norm and b != channels:
            for name, value in (
                ("weight", 1.0),
                ("bias", 0.0),
                ("running_mean", 0.1),
                ("running_var", 2.0),
            ):
                state[f"{prefix}{3 * i + 1}.{name}"] = torch.full((b,), value)
    return state


@pytest.mark.parametrize(
    ("prefix", "norm", "bias", "layers"),
    [
        ("main.", True, False, ["main.1", "main.4"]),
        ("module.main.", True, False, ["main.1", "main.4"]),
        ("model.", True, True, ["model.1", "model.4"]),
        ("net.", False, True, ["net.0", "net.3"]),
        ("", True, False, ["1", "4"]),
    ],
)
def test_sizes_and_names_come_from_the_state_dict(tmp_path, prefix, norm, bias, layers):
    save_file(small_state(prefix=prefix, norm=norm, bias=bias), tmp_path / "g.safetensors")
    generator = load_generator(tmp_path / "g.safetensors")
    assert isinstance(generator, Generator)
    assert generator.name == "g"
    assert generator.image_size == 16
    assert generator.spaces["z"].shape == (10,)
    assert list(generator.layers) == layers
    assert [(i.units, i.height) for i in generator.layers.values()] == [(8, 4), (6, 8)]


def test_it_computes_what_a_plain_sequential_computes(tmp_path):
    state = small_state(prefix="", bias=True)
    plain = torch.nn.Sequential(
        torch.nn.ConvTranspose2d(10, 8, 4, 1, 0), torch.nn.BatchNorm2d(8), torch.nn.ReLU(),
        torch.nn.ConvTranspose2d(8, 6, 4, 2, 1), torch.nn.BatchNorm2d(6), torch.nn.ReLU(),
        torch.nn.ConvTranspose2d(6, 3, 4, 2, 1), torch.nn.Tanh(),
    )  # fmt: skip
    plain.load_state_dict(state, strict=False)
    save_file(state, tmp_path / "g.safetensors")
    generator = load_generator(tmp_path / "g.safetensors")
    z = torch.randn(3, 10, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = plain.eval()(z[:, :, None, None])
        torch.testing.assert_close(generator.synthesize(Latent("z", z)), expected)


def test_a_wrapped_grey_file_of_torch_loads(tmp_path):
    torch.save({"netG_state_dict": small_state(channels=1), "epoch": 3}, tmp_path / "g.tar")
    generator = load_generator(tmp_path / "g.tar")
    assert generator.channels == 1
    with torch.no_grad():
        images = generator.synthesize(generator.sample(range(2), seed=0))
    assert images.shape == (2, 1, 16, 16)


def test_a_latent_may_be_written_as_a_map_of_one_pixel(tmp_path):
    save_file(small_state(), tmp_path / "g.safetensors")
    generator = load_generator(tmp_path / "g.safetensors")
    z = torch.ones(2, 10)
    with torch.no_grad():
        flat = generator.synthesize(Latent("z", z))
        tall = generator.synthesize(Latent("z", z[:, :, None, None]))
    assert torch.equal(flat, tall)


def test_truncation_scales_z(tmp_path):
    save_file(small_state(), tmp_path / "g.safetensors")
    generator = load_generator(tmp_path / "g.safetensors")
    latent = generator.sample([0], seed=0)
    half = generator.convert(latent, "z", truncation=0.5)
    torch.testing.assert_close(half.data, latent.data / 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: g.convert(g.sample([0], seed=0), "w"), "space 'w' is not one of"),
        (lambda g: g.convert(g.sample([0], seed=0), "z", cutoff=2), "has no w\\+ space"),
        (lambda g: g.sample([0], seed=0, label=3), "label 3 was given for g; expected none"),
        (lambda g: g.synthesize(Latent("z", torch.zeros(1, 9))), r"shape \(9,\).*expected \(10,\)"),
    ],
)
def test_a_mistake_in_the_latent_is_told_in_one_line(tmp_path, call, message):
    save_file(small_state(), tmp_path / "g.safetensors")
    with pytest.raises(GeneratorError, match=message) as caught:
        call(load_generator(tmp_path / "g.safetensors"))
    assert "\n" not in str(caught.value)


def test_a_chain_with_foreign_parts_is_refused_by_their_name(tmp_path):
    save_file(small_state() | {"extra.scale": torch.ones(2)}, tmp_path / "g.safetensors")
    with pytest.raises(CheckpointError, match=r"a DCGAN except for extra\.scale"):
        load_generator(tmp_path / "g.safetensors")


def test_a_discriminator_is_no_generator(tmp_path):
    save_file({"main.0.weight": torch.randn(8, 3, 4, 4)}, tmp_path / "d.safetensors")
    assert not any(map(dcgan.matches, find_parts(read(tmp_path / "d.safetensors"))))
    with pytest.raises(CheckpointError, match="no family known here"):
        load_generator(tmp_path / "d.safetensors")


@pytest.mark.parametrize("name", ["g.safetensors", "g.pth"])
@pytest.mark.parametrize("content", [b"", b"nonsense" * 20, b"PK\x03\x04 cut"])
def test_a_damaged_file_is_told_in_one_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        load_generator(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)
