"""The eleven basic colour terms, computed only from pixel values: exact, no weights.

A pixel gets the name of the nearest of eleven typical colours in OKLab, a space whose distances
follow human perception. The typical colours are those for which people used these names most often
in the xkcd survey.

References:
    Berlin and Kay, Basic Color Terms, 1969 (the eleven terms).
    Munroe, xkcd color survey results, 2010 (the typical colours; public domain).
    Ottosson, A perceptual color space for image processing, 2020 (OKLab).
"""

import hashlib

import torch
from jaxtyping import Float, Int
from torch import Tensor

from segmenters.images import check_images
from segmenters.notebook import ShownSegmenter
from segmenters.vocabulary import Vocabulary

TYPICAL = {
    "black": "#000000",
    "white": "#ffffff",
    "grey": "#929591",
    "red": "#e50000",
    "orange": "#f97306",
    "yellow": "#ffff14",
    "green": "#15b01a",
    "blue": "#0343df",
    "purple": "#7e1e9c",
    "pink": "#ff81c0",
    "brown": "#653700",
}
_TEMPERATURE = 0.01  # squared OKLab distance over which a score falls by e

_TO_CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_TO_LAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)


def oklab(images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch height width 3"]:
    """OKLab coordinates of sRGB images in [-1, 1]; values outside are clamped."""
    srgb = ((images + 1) / 2).clamp(0, 1).permute(0, 2, 3, 1)
    linear = torch.where(
        srgb <= 0.04045, srgb / 12.92, ((srgb.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4
    )
    cones = linear @ srgb.new_tensor(_TO_CONES).t()
    # The floor keeps the gradient finite at black; it changes no colour by more than 1e-3.
    return cones.clamp(min=1e-9) ** (1 / 3) @ srgb.new_tensor(_TO_LAB).t()


def _rgb(colour: str) -> list[float]:
    return [int(colour[i : i + 2], 16) / 127.5 - 1 for i in (1, 3, 5)]


class ColourSegmenter(ShownSegmenter):
    """Names the colour of every pixel; follows the Segmenter protocol."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.name = "colour"
        self.vocabulary = Vocabulary.build(
            [(name, "colour", "colour", colour) for name, colour in TYPICAL.items()]
        )
        self.fingerprint = hashlib.sha256(repr((TYPICAL, _TEMPERATURE)).encode()).hexdigest()
        self.device = torch.device(device)
        typical = torch.tensor([_rgb(colour) for colour in TYPICAL.values()]).t()[None, :, :, None]
        self._centres = oklab(typical)[0, :, 0].to(self.device)

    def _distances(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch height width concept"]:
        check_images(images, self.device, name=self.name)
        lab = oklab(images)
        squares = ((lab[..., None, i] - self._centres[:, i]) ** 2 for i in range(3))
        return sum(squares, start=lab.new_zeros(()))

    def segment(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Int[Tensor, "batch plane height width"]:
        return self._distances(images).argmin(dim=-1)[:, None] + 1

    def score(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch concept height width"]:
        return (-self._distances(images) / _TEMPERATURE).softmax(dim=-1).permute(0, 3, 1, 2)


def load(device: torch.device | str = "cpu") -> ColourSegmenter:
    """Load the segmenter on a device."""
    return ColourSegmenter(device)
