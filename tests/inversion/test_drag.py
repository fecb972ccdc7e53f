"""Dragging: a planted blob goes where it is dragged, and mistakes are one line."""

import numpy as np
import pytest
import torch
from torch import nn

import dissect
from dissect.errors import ConfigError
from dissect.inversion.drag import default_layer, drag
from dissect.inversion.settings import DragSettings
from dissect.latents import Latent

SIZE = 64


class Blobs(nn.Module):
    """Two blobs, of a feature of their own each, at the places that z says."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Identity()
        self.scale = nn.Parameter(torch.tensor(8.0), requires_grad=False)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        line = torch.arange(SIZE, dtype=torch.float32)
        maps = []
        for k in range(2):
            row = SIZE / 2 + self.scale * z[:, 2 * k, None, None]
            column = SIZE / 2 + self.scale * z[:, 2 * k + 1, None, None]
            distance = (line[:, None] - row).square() + (line[None] - column).square()
            # A height and two slopes: a feature that differs from place to place.
            blob = torch.exp(-distance / (2 * 6.0**2))
            maps += [blob, blob * (line[:, None] - row) / 6, blob * (line[None] - column) / 6]
        found = self.features(torch.stack(maps, dim=1))
        return 2 * (found[:, [0, 3, 0]] + found[:, [3, 3, 0]]).clamp(0, 1) - 1


@pytest.fixture(scope="module")
def blobs():
    return dissect.wrap(Blobs(), sample=(4,), layers=["features"], name="blobs")


def place(latent: Latent, blob: int) -> np.ndarray:
    return (SIZE / 2 + 8 * latent.data[0, 2 * blob : 2 * blob + 2]).numpy()


def test_a_planted_feature_is_dragged_within_a_pixel(blobs):
    latent = Latent("z", torch.tensor([[-1.0, -1.0, 1.0, 1.0]]))
    start = place(latent, 0)
    target = start + np.array([0.0, 9.0])
    done = drag(
        blobs, latent, [tuple(start)], [tuple(target)], DragSettings(n_steps=150, rate=0.05)
    )
    assert np.hypot(*(place(done.latent, 0) - target)) < 1.5
    assert done.distances[0] <= 1
    assert len(done.paths[0]) == done.n_steps + 1
    # The tracked point is where the blob is, within a pixel.
    assert np.hypot(*(np.array(done.paths[0][-1]) - place(done.latent, 0))) < 1


def test_what_is_outside_the_mask_stays(blobs):
    latent = Latent("z", torch.tensor([[-1.5, -1.5, 1.5, 1.5]]))
    start = place(latent, 0)
    mask = np.zeros((SIZE, SIZE))
    mask[:40, :44] = 1
    settings = DragSettings(n_steps=100, rate=0.05)
    done = drag(blobs, latent, [tuple(start)], [(start[0], start[1] + 8)], settings, mask=mask)
    assert np.hypot(*(place(done.latent, 1) - place(latent, 1))) < 0.5
    assert done.distances[0] <= 1


def test_no_move_is_no_change(blobs):
    latent = Latent("z", torch.tensor([[0.5, 0.0, 1.0, 1.0]]))
    start = tuple(place(latent, 0))
    done = drag(blobs, latent, [start], [start])
    assert torch.equal(done.latent.data, latent.data)
    assert done.n_steps == 0


def test_mistakes_are_one_line(blobs):
    latent = Latent("z", torch.zeros(1, 4))
    with pytest.raises(ConfigError, match="1 points and 2 targets"):
        drag(blobs, latent, [(1, 1)], [(2, 2), (3, 3)])
    with pytest.raises(ConfigError, match=r"target \(64, 2\) is not in the image"):
        drag(blobs, latent, [(1, 1)], [(64, 2)])
    with pytest.raises(ConfigError, match="holds 2 images"):
        drag(blobs, Latent("z", torch.zeros(2, 4)), [(1, 1)], [(2, 2)])


def test_the_default_layer_is_a_quarter():
    assert default_layer(dissect.load_generator("scenes-stylegan2")) == "b16.conv1"
