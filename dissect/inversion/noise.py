"""Noise maps of a generator, as values that an inversion can optimise too.

A StyleGAN adds to each layer a map of noise that is stored with its weights. Other maps change
only fine detail, so optimising them reduces the error further than any latent. Without a
constraint, the optimisation would paint the image into the noise. The **regulariser** keeps the
maps noise-like: for each map, at its own size and at halves of it down to 8 pixels, it minimises
the correlation with its neighbours,

    R = Σ over maps and sizes of (mean n(y, x) n(y − 1, x))² + (mean n(y, x) n(y, x − 1))²,

where a half is the mean of 2 × 2 pixels, times 2, which keeps the variance of noise. White noise on
N pixels has 2 / N of that on average, so R is divided by the sum of these: 1 for noise, for any
sizes. After every step each map is normalised to mean 0 and variance 1.

The published weight of 1e5 is for R itself, maps of up to 1024² pixels and a distance of features;
on maps of 64² pixels with a mean square, the image would have no influence. Here a weight of 1
makes the regulariser of white noise as large as the pixel term at the start.

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
_SMALLEST = 8  # least size in pixels


def stored_maps(generator: Generator) -> dict[str, Float[Tensor, "h w"]]:
    """Its noise maps, by the names of their buffers.

    Raises:
        GeneratorError: the generator has none.
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
    """Within it, images are generated with these maps, one set for every latent of a batch.

    Args:
        generator: Gets its own maps back after the ``with``, also after an exception.
        maps: By the names of ``stored_maps``; an empty mapping changes nothing.

    Raises:
        GeneratorError: the generator does not have a map, or it has another size.
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
    """The regulariser of each sample, about 1 for noise; see the module docstring."""
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
    """Normalise each map to mean 0 and variance 1, in place."""
    for noise in maps.values():
        noise.sub_(noise.mean(dim=(2, 3), keepdim=True))
        noise.mul_(noise.square().mean(dim=(2, 3), keepdim=True).rsqrt())
