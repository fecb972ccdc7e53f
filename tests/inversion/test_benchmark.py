"""What the benchmark of inversion is made of: rows that are kept, patches that are found again."""

import json

import numpy as np
import pytest
import torch

from benchmarks.inversion import Edit, Rows, found_again, half_width
from dissect.generators.stylegan2 import StyleGAN2, StyleGAN2Config, StyleGAN2Network
from dissect.latents import Latent


def test_a_row_is_measured_once_for_the_same_weights_and_budget(tmp_path):
    file, calls = tmp_path / "rows.json", []

    def measure():
        calls.append(1)
        return {"mse": len(calls)}

    assert Rows(file).get("w", {"images": 2}, measure) == {"mse": 1}
    assert Rows(file).get("w", {"images": 2}, measure) == {"mse": 1}
    assert Rows(file).get("w", {"images": 3}, measure) == {"mse": 2}
    assert json.loads(file.read_text())["w"] == {"about": {"images": 3}, "found": {"mse": 2}}
    assert Rows(None).get("w", {"images": 3}, measure) == {"mse": 3}


def test_a_patch_is_found_where_it_was_moved_to_under_another_light():
    image = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
    moved = 0.5 * image.roll((5, -7), dims=(1, 2)) + 0.2
    assert found_again(image, moved, np.array([30.2, 31.8])).tolist() == [35, 25]
    assert found_again(image, moved, np.array([2.0, 30.0])) is None


def test_the_interval_of_a_mean_is_students():
    """t of two degrees of freedom at 97.5 % is 4.3027, from any table."""
    assert half_width(np.array([1.0, 2.0, 3.0])) == pytest.approx(4.3027 / np.sqrt(3), rel=1e-4)


def test_the_same_edit_is_the_same_in_every_space():
    torch.manual_seed(0)
    config = StyleGAN2Config(
        image_size=16, channels=(16, 16, 8), z_size=8, w_size=8, mapping_depth=2
    )
    generator = StyleGAN2(StyleGAN2Network(config).requires_grad_(False), name="tiny")
    edit, z = Edit(generator), generator.sample([7], seed=0)
    with torch.no_grad():
        drawn = [edit.draw(generator.convert(z, space)) for space in ("z", "w", "w+", "s")]
        plain = generator.synthesize(z)
        two = generator.convert(generator.sample(range(2), seed=60_002), "w").data
        expected = generator.synthesize(
            Latent("w", generator.convert(z, "w").data + (two[1] - two[0]) / 2)
        )
    assert (expected - plain).abs().max() > 0.1
    for one in drawn:
        assert torch.allclose(one, expected, atol=1e-4)
