"""Generators whose directions are known, for tests."""

import torch
from torch import nn

from dissect.generators.wrapping import wrap


class Painted(nn.Module):
    """Red is z₀, green z₁ + 0.5 z₂, blue z₂; z₃ … z₃₉ do nothing."""

    def __init__(self):
        super().__init__()
        mix = torch.zeros(3, 40)
        mix[0, 0] = mix[1, 1] = mix[2, 2] = 0.2
        mix[1, 2] = 0.1
        self.mix = nn.Parameter(mix)
        self.maps = nn.Identity()

    def forward(self, z):
        return self.maps((z @ self.mix.T)[:, :, None, None].expand(-1, -1, 8, 8))


class Channels:
    """Reads the mean of each channel."""

    name, attributes, fingerprint, device = "channels", ("red", "green", "blue"), "1", "cpu"

    def predict(self, images):
        return images.mean(dim=(2, 3))


def generator():
    return wrap(Painted(), sample=40, layers=["maps"], name="painted")


def predictor():
    return Channels()


def short():
    """A predictor that gives fewer values than it has attributes."""
    one = Channels()
    one.predict = lambda images: images.mean(dim=(2, 3))[:, :2]
    return one


def constant():
    """A predictor that says the same of all images."""
    one = Channels()
    one.predict = lambda images: torch.ones(len(images), 3)
    return one
