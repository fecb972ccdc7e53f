"""A generator with styles and towers whose truth is known: each word's vector follows one channel."""

import torch

from dissect.generators.stylegan2 import StyleGAN2, StyleGAN2Config, StyleGAN2Network
from dissect.latents import Latent

N_WORDS = 4


def tiny_stylegan2():
    """A random StyleGAN2 of 16 pixels."""
    torch.manual_seed(5)
    config = StyleGAN2Config(image_size=16, channels=(8, 8, 6), z_size=8, w_size=8, mapping_depth=2)
    return StyleGAN2(StyleGAN2Network(config).eval().requires_grad_(False), name="tiny")


class FollowsOneChannel:
    """Image vectors that are linear in one channel of s, whatever the picture shows.

    The vector of an image is normalised((cos a, sin a, 0, …)) with a = slope · (s_c - μ_c), where c
    is the planted channel: it is read from the styles that the generator was last given.
    """

    name, fingerprint = "planted", "planted"

    def __init__(self, generator, channel, *, slope=0.05):
        self.generator, self.channel, self.slope = generator, channel, slope
        self._convert = generator.convert
        self.styles = None
        generator.convert = self._keep

    def _keep(self, latent, space, **given):
        done = self._convert(latent, space, **given)
        if space == "s":
            self.styles = done.data
        return done

    def encode_images(self, images):
        angle = self.slope * self.styles[:, self.channel]
        angle = angle + 0 * images.sum()  # it is computed from the images as well
        rest = torch.zeros(len(angle), N_WORDS - 2)
        return torch.cat([angle.cos()[:, None], angle.sin()[:, None], rest], dim=1)

    def encode_texts(self, texts, *, templates=("{}",)):
        table = {
            "still": [1.0, 0.0, 0.0, 0.0],
            "moved": [0.8, 0.6, 0.0, 0.0],
            "elsewhere": [0.8, 0.0, 0.6, 0.0],
        }
        return torch.tensor([table[text] for text in texts])


class Brightness:
    """Image vectors on a circle: the mean of red decides the angle. Differentiable."""

    name, fingerprint = "brightness", "brightness"

    def encode_images(self, images):
        angle = images[:, 0].mean(dim=(1, 2))
        return torch.stack([angle.cos(), angle.sin()], dim=1)

    def encode_texts(self, texts, *, templates=("{}",)):
        table = {"dark": -1.0, "grey": 0.0, "red": 1.0}
        angles = torch.tensor([table[text] for text in texts])
        return torch.stack([angles.cos(), angles.sin()], dim=1)


def w_plus(generator, n, *, seed=0):
    latent = generator.sample(range(n), seed=seed)
    found = generator.convert(latent, "w+")
    return Latent("w+", found.data.clone())
