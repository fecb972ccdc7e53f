"""Noise maps of a generator, as values that an inversion may search too.

A StyleGAN adds to each layer a map of noise that is stored with its weights. Another map changes
fine detail alone, so searching them brings an image nearer where no latent can. Left to itself the
search would paint the image into the noise; the **regulariser** keeps the maps noise-like: of each
map, at its own size and at halves of it down to 8 pixels, the correlation with its neighbours is
pressed to 0,

    R = Σ over maps and sizes of (mean n(y, x) n(y − 1, x))² + (mean n(y, x) n(y, x − 1))²,

where a half is the mean of 2 × 2 pixels, times 2, which keeps the variance of noise. White noise on
N pixels has 2 / N of that on average, so R is told over the sum of these: 1 for noise, whatever the
sizes. After every step each map is brought back to mean 0 and variance 1.

The published weight of 1e5 is for R itself, maps of up to 1024² pixels and a distance of features;
on maps of 64² pixels beside a mean square the image has no say. Here a weight of 1 makes noise
as dear as the pixel term at the start.

References:
    Karras et al., Analyzing and Improving the Image Quality of StyleGAN, CVPR 2020, appendix D.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from dissect.errors import GeneratorError
from dissect.generators.base import Generator

_NAMES = ("noise", "noise_const")  # buffers of StyleGAN1's and StyleGAN2's layers
_SMALLEST = 8  # pixels of the last half


def stored_maps(generator: Generator) -> dict[str, Float[Tensor, "h w"]]:
    """Its noise maps, by the names of their buffers.

    Raises:
        GeneratorError: a generator that has none.
    """
    found = {
        name: buffer.reshape(buffer.shape[-2:])
        for name, buffer in generator.module.named_buffers()
        if name.rpartition(".")[2] in _NAMES and min(buffer.shape[-2:]) > 1
    }
    if not found:
        raise GeneratorError(
            f"{generator.name} has no noise maps that could be searched; expected a StyleGAN with "
            "noise in its layers; leave --noise out"
        )
    return found


@contextmanager
def noise_maps(
    generator: Generator, maps: Mapping[str, Float[Tensor, "batch 1 h w"]]
) -> Iterator[None]:
    """While it lasts, images are made with these maps, one of each for every latent of a batch.

    Args:
        generator: Its own maps are back behind the ``with``, also after an exception.
        maps: By the names of ``stored_maps``; none at all changes nothing.

    Raises:
        GeneratorError: maps that the generator does not have, or of another size.
    """
    stored = stored_maps(generator) if maps else {}
    odd = [n for n, m in maps.items() if n not in stored or m.shape[-2:] != stored[n].shape]
    if odd:
        raise GeneratorError(
            f"noise map {odd[0]!r} is not one of {generator.name}'s; expected those of the "
            "generator that they were found for"
        )
    owners = {name: generator.module.get_submodule(name.rpartition(".")[0]) for name in maps}
    own = {name: getattr(owner, name.rpartition(".")[2]) for name, owner in owners.items()}
    try:
        for name, owner in owners.items():
            setattr(owner, name.rpartition(".")[2], maps[name].to(generator.device))
        yield
    finally:
        for name, owner in owners.items():
            setattr(owner, name.rpartition(".")[2], own[name])


def regularity(maps: Mapping[str, Float[Tensor, "batch 1 h w"]]) -> Float[Tensor, " batch"]:
    """The regulariser of each sample, about 1 for noise; see the head of this module."""
    total, expected = torch.zeros(()), 0.0
    for one in maps.values():
        noise = one
        while True:
            for axis in (2, 3):
                shifted = noise.roll(1, dims=axis)
                total = total + (noise * shifted).mean(dim=(1, 2, 3)).square()
                expected += 1 / (noise.shape[-2] * noise.shape[-1])
            if noise.shape[-1] <= _SMALLEST:
                break
            noise = 2 * functional.avg_pool2d(noise, 2)
    return total / expected


@torch.no_grad()
def standardise(maps: Mapping[str, Float[Tensor, "batch 1 h w"]]) -> None:
    """Bring each map to mean 0 and variance 1, in place."""
    for noise in maps.values():
        noise.sub_(noise.mean(dim=(2, 3), keepdim=True))
        noise.mul_(noise.square().mean(dim=(2, 3), keepdim=True).rsqrt())
