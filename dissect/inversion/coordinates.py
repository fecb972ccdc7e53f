"""The spaces for inversion, each with a start, a conversion to a latent and a prior.

| space | values | start |
|---|---|---|
| z | z | samples, the first of the seed |
| w, w+ | offset from w̄ in units of σ_w, one for all coordinates | 0, then half way to samples |
| p, p+ | whitened p | as w |
| s | offset from s(w̄) over the spread of each style value | as w |

The prior is the mean square of the values; in z, where it is 1 for samples, (mean z² − 1)².

In p (see ``dissect.generators.styled``) samples are nearly normal, so p is written as
μ + Σ_k σ_k v_k c_k with the principal components of 10,000 samples, and values v are white.

References:
    Zhu et al., Improved StyleGAN Embedding: Where are the Good Latents?, 2020 (P, P_N).
    Karras et al., Analyzing and Improving the Image Quality of StyleGAN, CVPR 2020, appendix D.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dissect.errors import GeneratorError
from dissect.generators.base import Generator
from dissect.inversion.settings import SPACES
from dissect.latents import Latent

_N_SAMPLES, _SEED, _BLOCK = 10_000, 123, 1000
_FEWEST_SPREAD = 1e-6  # spread of a style value that never varies


@dataclass(frozen=True)
class Coordinates:
    """Values to optimise, and their meaning.

    Args:
        space: One of ``SPACES``.
        shape: Shape of one sample's values.
        starts: (number, seed) → values at the start.
        decode: Values → latent, differentiable.
        prior: Values → distance from the generator's training distribution, per sample.
        encode: Points of the space → their values, in w, w+ and s; None in other spaces.
    """

    space: str
    shape: tuple[int, ...]
    starts: Callable[[int, int], Float[Tensor, "start *shape"]]
    decode: Callable[[Float[Tensor, "batch *shape"]], Latent]
    prior: Callable[[Float[Tensor, "batch *shape"]], Float[Tensor, " batch"]]
    encode: Callable[[Float[Tensor, "batch *shape"]], Float[Tensor, "batch *shape"]] | None = None


def _mean_square(values: Float[Tensor, "batch *shape"]) -> Float[Tensor, " batch"]:
    return values.flatten(1).square().mean(dim=1)


def coordinates(generator: Generator, space: str, *, label: int | None = None) -> Coordinates:
    """The coordinates of a space of a generator.

    Args:
        generator: Any generator.
        space: One of ``SPACES``.
        label: Class of the image, for a generator with classes.

    Raises:
        GeneratorError: the generator does not have the space (p requires a mapping that ends in a
            leaky ReLU), or it has classes and there is no label.
    """
    known = [name for name in SPACES if name in generator.spaces]
    if space not in known:
        end = ""
        if space.startswith("p") and "w" in known:
            end = "; p needs a mapping that ends in a leaky ReLU"
        raise GeneratorError(
            f"space {space!r} is not one that images can be inverted into with {generator.name}; "
            f"expected {', '.join(known)}{end}"
        )
    if generator.n_classes and label is None:
        raise GeneratorError(
            f"no label was given for {generator.name}, which has {generator.n_classes} classes; "
            "expected the class of the image"
        )
    if space == "z":
        return _of_z(generator, label)
    w = _population(generator, label)
    if space.startswith("w"):
        spread = (w - w.mean(dim=0)).square().mean().sqrt()
        return _of_w(generator, space, w.mean(dim=0), spread)
    return _of_p(generator, space, w) if space.startswith("p") else _of_s(generator, w)


def _labels(generator: Generator, label: int | None, n: int) -> Tensor | None:
    return None if label is None else torch.full((n,), label, device=generator.device)


@torch.no_grad()
def _population(generator: Generator, label: int | None) -> Float[Tensor, "sample w"]:
    blocks = [
        generator.convert(
            generator.sample(range(first, first + _BLOCK), seed=_SEED, label=label), "w"
        ).data
        for first in range(0, _N_SAMPLES, _BLOCK)
    ]
    return torch.cat(blocks)


def _of_z(generator: Generator, label: int | None) -> Coordinates:
    shape = generator.spaces["z"].shape

    def starts(n: int, seed: int) -> Tensor:
        return generator.sample(range(n), seed=seed, label=label).data.clone()

    def decode(values: Tensor) -> Latent:
        return Latent("z", values, _labels(generator, label, len(values)))

    return Coordinates("z", shape, starts, decode, lambda z: (_mean_square(z) - 1).square())


def _sampled_starts(
    generator: Generator, n: int, seed: int, encode: Callable[[Tensor], Tensor]
) -> Tensor:
    """The mean first, then points half way from it to samples."""
    label = 0 if generator.n_classes else None
    w = generator.convert(generator.sample(range(max(n - 1, 1)), seed=seed, label=label), "w").data
    values = encode(w)[: n - 1] / 2
    return torch.cat([torch.zeros_like(encode(w)[:1]), values])


def _layered(generator: Generator, space: str) -> int | None:
    """Number of layers of w+; None for other spaces."""
    return generator.spaces["w+"].shape[0] if space.endswith("+") else None


def _repeat(values: Tensor, layers: int | None) -> Tensor:
    return values if layers is None else values[:, None].repeat(1, layers, 1)


def _of_w(generator: Generator, space: str, mean: Tensor, spread: Tensor) -> Coordinates:
    layers = _layered(generator, space)

    def starts(n: int, seed: int) -> Tensor:
        return _repeat(_sampled_starts(generator, n, seed, lambda w: (w - mean) / spread), layers)

    return Coordinates(
        space,
        (*([layers] if layers else []), len(mean)),
        starts,
        lambda values: Latent(space, mean + spread * values),
        _mean_square,
        lambda w: (w - mean) / spread,
    )


def _of_p(generator: Generator, space: str, w: Float[Tensor, "sample w"]) -> Coordinates:
    layers = _layered(generator, space)
    p = generator.convert(Latent("w", w), "p").data
    mean = p.mean(dim=0)
    variances, axes = torch.linalg.eigh(torch.cov(p.double().T))
    spread = variances.clamp(min=0).sqrt().float()
    axes = axes.float()
    kept = spread > 1e-4 * spread.max()  # components that hardly vary cannot be whitened
    spread, axes = spread[kept], axes[:, kept]

    def encode(w: Tensor) -> Tensor:
        return (generator.convert(Latent("w", w), "p").data - mean) @ axes / spread

    def decode(values: Tensor) -> Latent:
        p = Latent(space, mean + (values * spread) @ axes.T)
        return generator.convert(p, "w+" if layers else "w")

    return Coordinates(
        space,
        (*([layers] if layers else []), len(spread)),
        lambda n, seed: _repeat(_sampled_starts(generator, n, seed, encode), layers),
        decode,
        _mean_square,
    )


def _of_s(generator: Generator, w: Float[Tensor, "sample w"]) -> Coordinates:
    with torch.no_grad():
        s = generator.convert(Latent("w", w[:2000]), "s").data
        mean = generator.convert(Latent("w", w.mean(dim=0)[None]), "s").data[0]
    spread = s.std(dim=0).clamp(min=_FEWEST_SPREAD)

    def encode(s: Tensor) -> Tensor:
        return (s - mean) / spread

    def of_w(w: Tensor) -> Tensor:
        return encode(generator.convert(Latent("w", w), "s").data)

    return Coordinates(
        "s",
        tuple(mean.shape),
        lambda n, seed: _sampled_starts(generator, n, seed, of_w),
        lambda values: Latent("s", mean + spread * values),
        _mean_square,
        encode,
    )
