"""R3GAN against the output of its own program, and what its files vary in."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from dissect import CheckpointError, Latent, load_generator, trace
from dissect.testing import check_generator
from tests.rounding import assert_same

STAGE = "Model.MainLayers"


def test_a_file_gives_the_images_and_maps_that_its_own_program_gives(checkpoints):
    generator = load_generator(checkpoints / "r3gan_uncond32.pkl")
    expected = np.load(checkpoints / "r3gan_uncond32.npz")
    assert generator.family == "R3GAN"
    assert (generator.source.group, generator.source.averaged) == ("G_ema", True)
    with torch.no_grad(), trace(generator, "all") as maps:
        images = generator.synthesize(Latent("z", torch.from_numpy(expected["z"])))
    assert_same(images, expected["img"])
    for k in range(4):
        last = [name for name in generator.layers if name.startswith(f"{STAGE}.{k}.")][-1]
        assert_same(maps[last][:1], expected[f"feat.{STAGE}.{k}"][None], last)


def make_state(*, widths=(12, 8, 8), classes=0, z=6, blocks=2, group=4):
    """Random weights in the naming of the program; stages of one width have no 1 × 1."""
    draw = torch.Generator().manual_seed(0)

    def some(*shape):
        return 0.2 * torch.randn(shape, generator=draw)

    embedded = 5 if classes else 0
    state = {"Model.EmbeddingLayer.weight": some(embedded, classes)} if classes else {}
    line = torch.tensor([1.0, 3.0, 3.0, 1.0])
    n_in = widths[0]
    for k, width in enumerate(widths):
        path = f"{STAGE}.{k}.Layers"
        if k == 0:
            state[f"{path}.0.Basis"] = some(width, 4, 4)
            state[f"{path}.0.LinearLayer.weight"] = some(width, z + embedded)
        else:
            state[f"{path}.0.Resampler.Kernel"] = line[:, None] * line / 64
            if width != n_in:
                state[f"{path}.0.LinearLayer.Layer.weight"] = some(width, n_in, 1, 1)
        n_in = width
        for j in range(1, blocks + 1):
            shapes = ((2 * width, width, 1, 1), (2 * width, group, 3, 3), (width, 2 * width, 1, 1))
            for i, shape in enumerate(shapes, start=1):
                state[f"{path}.{j}.LinearLayer{i}.Layer.weight"] = some(*shape)
            for i in (1, 2):
                state[f"{path}.{j}.NonLinearity{i}.Bias"] = some(2 * width)
    state["Model.AggregationLayer.Layer.weight"] = some(3, n_in, 1, 1)
    return state


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"classes": 3},
        {"blocks": 1, "group": 8},
        {"widths": (8, 8, 8, 8)},
        {"classes": 4, "z": 9},
    ],
)
def test_every_size_is_read_and_the_laws_hold(tmp_path, settings):
    state = make_state(**settings)
    torch.save({"G": {n: v + 1 for n, v in state.items()}, "G_ema": state}, tmp_path / "g.pt")
    generator = load_generator(tmp_path / "g.pt")
    widths = settings.get("widths", (12, 8, 8))
    assert generator.image_size == 4 << (len(widths) - 1)
    assert generator.n_classes == settings.get("classes", 0)
    assert generator.spaces["z"].shape == (settings.get("z", 6),)
    assert len(generator.layers) == len(widths) * (settings.get("blocks", 2) + 1)
    check_generator(generator)


def test_a_class_is_joined_behind_z(tmp_path):
    """The first map by hand: the basis of each unit times what the matrix makes of (z, class)."""
    state = make_state(classes=3)
    torch.save(state, tmp_path / "g.pt")
    generator = load_generator(tmp_path / "g.pt")
    latent = generator.sample([0, 1], seed=0, label=2)
    with torch.no_grad(), trace(generator, [f"{STAGE}.0.Layers.0"]) as maps:
        generator.synthesize(latent)
    row = state["Model.EmbeddingLayer.weight"][:, 2].expand(2, -1)
    weights = (
        torch.cat([latent.data, row], dim=1) @ state[f"{STAGE}.0.Layers.0.LinearLayer.weight"].T
    )
    expected = weights[:, :, None, None] * state[f"{STAGE}.0.Layers.0.Basis"]
    torch.testing.assert_close(maps[f"{STAGE}.0.Layers.0"], expected)


def test_the_filter_makes_twice_the_size_of_a_constant_map(tmp_path):
    """A law of upsampling: what is constant stays so, but for the border."""
    torch.save(make_state(), tmp_path / "g.pt")
    transition = load_generator(tmp_path / "g.pt").module.Model.MainLayers[2].Layers[0]
    x = torch.ones(1, 8, 8, 8)
    torch.testing.assert_close(transition(x)[..., 2:-2, 2:-2], torch.ones(1, 8, 12, 12))
    ramp = functional.pad(torch.arange(8.0).expand(1, 8, 8, 8), (0, 0))
    steps = transition(ramp)[..., 3:-3, 3:-3].diff(dim=-1)
    torch.testing.assert_close(steps, torch.full_like(steps, 0.5))


@pytest.mark.parametrize(
    "lost", ["Model.MainLayers.1.Layers.0.Resampler.Kernel", "Model.MainLayers.0.Layers.1.NonLinearity1.Bias"]
)  # fmt: skip
def test_what_is_missing_is_named(tmp_path, lost):
    state = make_state()
    del state[lost]
    torch.save(state, tmp_path / "g.pt")
    with pytest.raises(CheckpointError, match=lost.replace(".", r"\.")) as told:
        load_generator(tmp_path / "g.pt")
    assert "\n" not in str(told.value)
