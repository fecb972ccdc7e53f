"""EigenGAN against the program whose checkpoints it reads, and at sizes that have no file."""

import numpy as np
import pytest
import torch

from dissect import CheckpointError, GeneratorError, Latent, load_generator
from dissect.generators import eigengan
from dissect.generators.checkpoint import read
from dissect.generators.weights import find_parts
from tests.rounding import assert_same


def test_a_file_gives_the_images_its_own_program_gives(checkpoints):
    generator = load_generator(checkpoints / "eigengan_pytorch32.pt")
    expected = np.load(checkpoints / "eigengan_pytorch32.npz")
    parts = [torch.from_numpy(expected[name]).flatten(1) for name in ("es", "zs")]
    images = generator.synthesize(Latent("z", torch.cat(parts, dim=1)))
    assert_same(images, expected["img"])


def small_state(*, noise=5, n_basis=2, units=(6, 4, 3), rgb=3):
    """Random weights in the naming of eigengan-pytorch."""
    draw = torch.Generator().manual_seed(0)
    state = {}

    def put(name, *shape, bias):
        state[f"{name}.weight"] = 0.4 * torch.randn(shape, generator=draw)
        state[f"{name}.bias"] = 0.4 * torch.randn(bias, generator=draw)

    put("fc", 16 * units[0], noise, bias=16 * units[0])
    for i, (a, b) in enumerate(zip(units, units[1:], strict=False)):
        name = f"blocks.{i}"
        state[f"{name}.projection.U"] = torch.randn(n_basis, a * (4 << i) ** 2, generator=draw)
        state[f"{name}.projection.L"] = torch.randn(n_basis, generator=draw)
        state[f"{name}.projection.mu"] = torch.randn(a * (4 << i) ** 2, generator=draw)
        put(f"{name}.subspace_conv1.0", a, a, 1, 1, bias=a)
        put(f"{name}.subspace_conv2.0", a, b, 3, 3, bias=b)
        put(f"{name}.feature_conv1.1", a, b, 3, 3, bias=b)
        put(f"{name}.feature_conv2.1", b, b, 3, 3, bias=b)
    put("to_rgb.0.1", rgb, units[-1], 7, 7, bias=rgb)
    return state


@pytest.mark.parametrize(
    "options", [{}, {"units": (4, 3), "rgb": 1, "n_basis": 6}, {"units": (8, 8, 4, 2), "noise": 9}]
)
def test_other_sizes_are_found_and_keep_the_laws(tmp_path, check_laws, options):
    state = small_state(**options)
    torch.save({"g": {k: v + 1 for k, v in state.items()}, "g_ema": state}, tmp_path / "g.pt")
    generator = load_generator(tmp_path / "g.pt")
    units, n_basis = options.get("units", (6, 4, 3)), options.get("n_basis", 2)
    assert generator.image_size == 2 << len(units)
    assert generator.channels == options.get("rgb", 3)
    n_blocks = len(units) - 1
    assert generator.spaces["z"].shape == (options.get("noise", 5) + n_blocks * n_basis,)
    assert [x.units for x in generator.layers.values()] == [u for u in units[1:] for _ in (0, 1)]
    assert torch.equal(generator.module.fc.weight, state["fc.weight"])
    check_laws(generator)


def test_a_blocks_coordinates_move_its_features_and_no_earlier_ones(tmp_path):
    torch.save(small_state(), tmp_path / "g.pt")
    generator = load_generator(tmp_path / "g.pt")
    assert generator.subspace_slices == {"blocks.0": slice(5, 7), "blocks.1": slice(7, 9)}
    z = generator.sample([0], seed=0)
    moved = z.data.clone()
    moved[:, generator.subspace_slices["blocks.1"]] += 1
    seen = {}
    for i, block in enumerate(generator.module.blocks):
        block.register_forward_hook(lambda m, x, out, i=i: seen.setdefault(i, []).append(out))
    generator.synthesize(z)
    generator.synthesize(Latent("z", moved))
    assert torch.equal(*seen[0])
    assert not torch.equal(*seen[1])


def test_truncation_scales_all_of_z(tmp_path):
    torch.save(small_state(), tmp_path / "g.pt")
    generator = load_generator(tmp_path / "g.pt")
    z = generator.sample([0], seed=0)
    assert torch.equal(generator.convert(z, "z", truncation=0.5).data, z.data / 2)
    with pytest.raises(GeneratorError, match=r"has no w\+ space"):
        generator.convert(z, "z", cutoff=1)


def test_what_does_not_fit_is_told_in_one_line(tmp_path):
    for changes, message in (
        ({"to_rgb.0.1.weight": None}, r"to_rgb\.0\.1\.weight, which is missing"),
        ({"blocks.1.projection.mu": torch.ones(7)}, r"projection\.mu \(7,\) \(expected \(256,\)\)"),
    ):
        state = {k: v for k, v in (small_state() | changes).items() if v is not None}
        torch.save(state, tmp_path / "g.pt")
        assert eigengan.matches(find_parts(read(tmp_path / "g.pt"))[0])
        with pytest.raises(CheckpointError, match=message) as caught:
            load_generator(tmp_path / "g.pt")
        assert "\n" not in str(caught.value)
