"""Generators and segmenters that break their protocol, for ``tests.broken:factory``."""

import torch

from dissect.worlds.planted import PlantedGenerator
from segmenters.colour import ColourSegmenter


class _Spoilt(PlantedGenerator):
    def __init__(self, spoil):
        super().__init__()
        self._spoil = spoil

    def synthesize(self, latent, *, noise="const"):
        return self._spoil(super().synthesize(latent))


def nan_images():
    return _Spoilt(lambda images: images * torch.nan)


def small_images():
    return _Spoilt(lambda images: images[:, :, ::2, ::2])


def nan_maps():
    generator = PlantedGenerator()
    generator.module.units.register_forward_hook(lambda *parts: parts[2] / 0)
    generator.synthesize = lambda latent, noise="const": torch.nan_to_num(
        generator.module(latent.data)
    )
    return generator


class _OddSegmenter(ColourSegmenter):
    def __init__(self, spoil):
        super().__init__()
        self.name = "odd"
        self._spoil = spoil

    def segment(self, images):
        return self._spoil(super().segment(images))


def ids_out_of_vocabulary():
    return _OddSegmenter(lambda planes: planes + 40)


def negative_ids():
    return _OddSegmenter(lambda planes: planes - 12)


def float_planes():
    return _OddSegmenter(lambda planes: planes.float())


def missing_plane():
    return _OddSegmenter(lambda planes: planes[:, 0])
