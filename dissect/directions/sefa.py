"""SeFa: directions in closed form, from the weights that read the latent.

A layer reads the latent as y = A z + b, so a step along n changes it by A n, for any z. The
directions of largest change are the right singular vectors of A, the eigenvectors of AᵀA.

Two definitions are in use and give different directions:

=============  ====================================================================================
normalisation  rows of A, one for each output channel
=============  ====================================================================================
``rows``       each scaled to length 1 (the paper's program)
``none``       unchanged (rosinality's ``closed_form_factorization``)
=============  ====================================================================================

A for each family:

- StyleGAN 1, 2, 3: the affine maps from w to the styles of the chosen layers of w+. Styles of
  ToRGB layers are read only at the last layer of w+, as in the paper's program.
- PGGAN, DCGAN: the first convolution, which maps z to the first map.
- BigGAN: the first matrix and the maps from z to scales and offsets of every norm, each for its
  part of z. The paper's program has no BigGAN; this definition is ours.
- Any other: no weight fits, so the Jacobian J of the image (averaged to at most 16 × 16 pixels)
  replaces A, over several latents: eigenvectors of the mean of JᵀJ.

References:
    Shen and Zhou, Closed-Form Factorization of Latent Semantics in GANs, CVPR 2021, section 3,
    equations 3 to 5.
    Ramesh, Choi and LeCun, A Spectral Regularizer for Unsupervised Disentanglement, 2018
    (singular vectors of the generator's Jacobian).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from dissect.errors import ConfigError
from dissect.generators.base import Generator
from dissect.generators.styled import GeneratorWithStyles, HasStyles
from dissect.generators.z_only import HasLatentWeight
from dissect.latents import Latent
from dissect.latents.sampling import PROBE_STREAMS, stream
from dissect.progress import ProgressBar

ROWS, NONE = NORMALISATIONS = ("rows", "none")
_PIXELS = 16  # side of the image for the Jacobian
_STEP = 0.05  # step of a finite difference, in units of the latent


@dataclass(frozen=True, eq=False)
class Factors:
    """Directions in descending order of strength.

    Attributes:
        vectors: Orthonormal; the largest coordinate of each is positive.
        values: ‖A n‖² of each, the eigenvalues.
        explained: ``values`` as shares of the sum over all directions.
        source: Kind of A: ``styles``, ``weight`` or ``jacobian``.
    """

    vectors: Float[np.ndarray, "k d"]
    values: Float[np.ndarray, " k"]
    explained: Float[np.ndarray, " k"]
    source: str


def factorize(
    weight: Float[np.ndarray, "row d"],
    *,
    n_directions: int,
    normalisation: str = ROWS,
    source: str = "weight",
) -> Factors:
    """The directions of largest change under a weight.

    Args:
        weight: A, one row per output channel.
        n_directions: Number of directions, from 1 to d.
        normalisation: ``rows`` or ``none``; see the module docstring.
        source: Stored with the result.

    Raises:
        ConfigError: an unknown normalisation, too many directions, a weight of zeros.

    Example:
        >>> factorize(np.diag([1.0, 3.0, 2.0]), n_directions=2, normalisation="none").vectors
        array([[0., 1., 0.],
               [0., 0., 1.]])
    """
    if normalisation not in NORMALISATIONS:
        raise ConfigError(
            f"normalisation is {normalisation!r}; expected {' or '.join(NORMALISATIONS)}"
        )
    matrix = np.asarray(weight, np.float64)
    if normalisation == ROWS:
        lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
        matrix = np.divide(matrix, lengths, out=np.zeros_like(matrix), where=lengths > 0)
    return _eigenvectors(matrix.T @ matrix, n_directions, source)


def _eigenvectors(gram: Float[np.ndarray, "d d"], n_directions: int, source: str) -> Factors:
    if not 1 <= n_directions <= len(gram):
        raise ConfigError(
            f"{n_directions} directions were requested; expected 1 to {len(gram)}, the size of the "
            "space"
        )
    values, columns = np.linalg.eigh(gram)
    total = float(values.clip(min=0).sum())
    if total == 0:
        raise ConfigError("the weight is zero everywhere; expected one that reads the latent")
    values = values[::-1][:n_directions].clip(min=0)
    vectors = columns.T[::-1][:n_directions].copy()
    largest = np.abs(vectors).argmax(axis=1)
    vectors *= np.sign(vectors[np.arange(len(vectors)), largest])[:, None]
    return Factors(vectors + 0.0, values, values / total, source)


def closed_form(
    generator: Generator,
    *,
    n_directions: int = 5,
    layers: Sequence[int] | None = None,
    normalisation: str = ROWS,
    samples: int = 16,
    seed: int = 0,
    progress: bool = False,
) -> tuple[str, Factors]:
    """Find the directions of a generator.

    Args:
        generator: Generator of any family.
        n_directions: Number of directions.
        layers: Layers of w+, from 0, for a generator with styles; None means all.
        normalisation: See ``factorize``; the Jacobian is never normalised.
        samples: Number of latents whose Jacobians are averaged, if no weight fits.
        seed: Seed of those latents.
        progress: Show a progress bar for the Jacobians.

    Returns:
        The space of the directions (``w`` or the generator's first one), and the directions, flat.

    Raises:
        ConfigError: layers for a generator that has none, or the errors of ``factorize``.
    """
    if isinstance(generator, HasStyles):
        weight = style_rows(generator, layers)
        factors = factorize(
            weight, n_directions=n_directions, normalisation=normalisation, source="styles"
        )
        return "w", factors
    space = next(iter(generator.spaces))
    if layers is not None:
        raise ConfigError(
            f"layers of w+ were given for {generator.name}, which has the spaces "
            f"{', '.join(generator.spaces)}; expected none; leave them out"
        )
    weight = generator.latent_weight() if isinstance(generator, HasLatentWeight) else None
    if weight is not None:
        factors = factorize(
            weight.detach().cpu().double().numpy(),
            n_directions=n_directions,
            normalisation=normalisation,
        )
        return space, factors
    gram = jacobian_gram(generator, samples=samples, seed=seed, progress=progress)
    return space, _eigenvectors(gram, n_directions, "jacobian")


def style_rows(
    generator: GeneratorWithStyles, layers: Sequence[int] | None = None
) -> Float[np.ndarray, "row w"]:
    """The rows of A of a generator with styles: every style of the chosen layers of w+.

    Raises:
        ConfigError: a layer that w+ does not have.
    """
    n_layers = generator.spaces["w+"].shape[0]
    chosen = range(n_layers) if layers is None else layers
    odd = [layer for layer in chosen if not 0 <= layer < n_layers]
    if odd or not chosen:
        raise ConfigError(
            f"layer {odd[0] if odd else None} is not in w+ of {generator.name}; expected some of "
            f"0 to {n_layers - 1}"
        )
    rows = [
        generator.style_weight(name).detach().cpu().double().numpy()
        for name, read in layers_read(generator).items()
        if set(read) & set(chosen) and (not _is_rgb(name) or max(read) == n_layers - 1)
    ]
    return np.concatenate(rows)


def _is_rgb(name: str) -> bool:
    return name.rpartition(".")[2].lower() in ("torgb", "to_rgb")


@torch.no_grad()
def layers_read(generator: GeneratorWithStyles) -> Mapping[str, tuple[int, ...]]:
    """Style layer → the layers of w+ that it reads, found by changing one after the other.

    Styles are affine in w+, so a random step in a layer that is read changes the style.
    """
    n_layers, size = generator.spaces["w+"].shape
    random = stream(0, PROBE_STREAMS).standard_normal((1, size))
    points = torch.zeros(n_layers + 1, n_layers, size, device=generator.device)
    for layer in range(n_layers):
        points[layer + 1, layer] = torch.from_numpy(random).to(points)
    styles = generator.convert(Latent("w+", points), "s").data
    return {
        name: tuple(
            layer
            for layer in range(n_layers)
            if not torch.equal(styles[layer + 1, part], styles[0, part])
        )
        for name, part in generator.style_slices.items()
    }


@torch.no_grad()
def jacobian_gram(
    generator: Generator, *, samples: int, seed: int, progress: bool = False
) -> Float[np.ndarray, "d d"]:
    """The mean over latents of JᵀJ, for the Jacobian J of the image at most 16 pixels wide.

    Central differences, (G(z + h e_i) − G(z − h e_i)) / 2h with h = 0.05, need no gradients, so
    this also works for generators that can only be read.

    Args:
        generator: Any generator.
        samples: Number of latents.
        seed: Seed of the latents.
        progress: Show a progress bar.
    """
    space = next(iter(generator.spaces.values()))
    size = int(np.prod(space.shape))
    gram = torch.zeros(size, size, dtype=torch.float64)
    bar = ProgressBar(
        total=samples * size, desc="jacobian", unit="direction", disable=None if progress else True
    )
    for index in range(samples):
        latent = generator.sample([index], seed=seed)
        columns = []
        for first in range(0, size, 32):
            steps = torch.eye(size, device=latent.data.device)[first : first + 32] * _STEP
            steps = steps.reshape(-1, *space.shape).to(latent.data.dtype)
            label = latent.label
            if label is not None:
                label = label.repeat(2 * len(steps), *[1] * (label.ndim - 1))
            points = torch.cat([latent.data + steps, latent.data - steps])
            images = _small(generator.synthesize(Latent(latent.space, points, label)))
            ahead, behind = images.flatten(1).double().chunk(2)
            columns.append((ahead - behind).cpu() / (2 * _STEP))
            bar.update(len(steps))
        jacobian = torch.cat(columns)
        gram += jacobian @ jacobian.T / samples
    bar.close()
    return gram.numpy()


def _small(images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
    if images.shape[-1] <= _PIXELS:
        return images
    return functional.adaptive_avg_pool2d(images, _PIXELS)
