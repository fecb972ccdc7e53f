"""GANSpace: principal directions of the generator's response to random latents.

In w the components of w itself are the directions. Without a w (or by choice) the components are
those of an early layer's output a, flattened. Least squares maps their coordinates back to the
latent: with x the latents and c = (a − mean) · axes / deviation, the direction of component k is
row k of U, the solution of min ‖c U − x‖.

References:
    Härkönen, Hertzmann, Lehtinen and Paris, GANSpace: Discovering Interpretable GAN Controls,
    NeurIPS 2020, section 2.1 (components), 2.2 (regression back to the latent).
    Ross, Lim, Lin and Yang, Incremental Learning for Robust Visual Tracking, IJCV 2008 (the
    incremental components, as implemented in scikit-learn).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from sklearn.decomposition import IncrementalPCA

from dissect.errors import ConfigError, LayerError
from dissect.generators.base import Generator
from dissect.latents.sampling import DIRECTION_STREAMS, stream
from dissect.progress import ProgressBar
from dissect.tracing import trace

_BLOCK = 32


@dataclass(frozen=True, eq=False)
class Components:
    """Principal components, in descending order of variance.

    Attributes:
        axes: Orthonormal; the largest coordinate of each is positive.
        mean: Mean of the points.
        deviations: Standard deviation of the points along each axis (n − 1).
        explained: Share of the variance along each axis.
        random_deviations: The same along random axes, as the baseline.
    """

    axes: Float[np.ndarray, "k d"]
    mean: Float[np.ndarray, " d"]
    deviations: Float[np.ndarray, " k"]
    explained: Float[np.ndarray, " k"]
    random_deviations: Float[np.ndarray, " k"]


@dataclass(frozen=True, eq=False)
class PrincipalDirections:
    """Directions of a latent space.

    Attributes:
        space: ``w`` or the generator's first space.
        vectors: Flat vectors of unit length.
        mean: Mean of the latents, flat.
        deviations: Deviation of the latents along each direction.
        components: The components behind the directions, in w or in the layer.
    """

    space: str
    vectors: Float[np.ndarray, "k d"]
    mean: Float[np.ndarray, " d"]
    deviations: Float[np.ndarray, " k"]
    components: Components


def principal_components(
    blocks: Iterable[Float[np.ndarray, "_ d"]], *, n_components: int, seed: int = 0
) -> Components:
    """Components of points that come in blocks; keeps only a few blocks in memory.

    Args:
        blocks: Points; gathered until there are max(2000, 3 · ``n_components``) of them. With
            more points, the components are those of all points up to a small error.
        n_components: From 1 to d.
        seed: Seed of the random axes for the baseline.

    Raises:
        ConfigError: fewer points than components, or more components than dimensions.

    Example:
        >>> points = np.random.default_rng(0).standard_normal((500, 3)) * [1, 5, 2]
        >>> np.abs(principal_components([points], n_components=1).axes).argmax(axis=1)
        array([1])
    """
    machine = IncrementalPCA(n_components=n_components)
    least = max(2000, 3 * n_components)
    waiting: list[np.ndarray] = []
    random: Any = None
    along: list[np.ndarray] = []
    for block in blocks:
        points = np.asarray(block, np.float64)
        if n_components > points.shape[1] or n_components < 1:
            raise ConfigError(
                f"{n_components} components were wanted of points with {points.shape[1]} "
                f"coordinates; expected 1 to {points.shape[1]}"
            )
        if random is None:  # the first block
            drawn = stream(seed, DIRECTION_STREAMS - 1).standard_normal(
                (points.shape[1], n_components)
            )
            random = drawn / np.linalg.norm(drawn, axis=0)
        along.append(np.asarray(points @ random))
        waiting.append(points)
        if sum(map(len, waiting)) >= 2 * least:  # so that the rest is a full batch too
            ready = np.concatenate(waiting)
            machine.partial_fit(ready[:-least])
            waiting = [ready[-least:]]
    rest = np.concatenate(waiting) if waiting else np.empty((0, 1))
    if len(rest) <= n_components:
        raise ConfigError(
            f"{n_components} components were wanted of {len(rest)} points; expected more points "
            "than components; take more samples"
        )
    machine.partial_fit(rest)
    axes = np.asarray(machine.components_)
    largest = np.abs(axes).argmax(axis=1)
    axes = axes * np.sign(axes[np.arange(len(axes)), largest])[:, None]
    return Components(
        axes,
        np.asarray(machine.mean_),
        np.sqrt(np.asarray(machine.explained_variance_)),
        np.asarray(machine.explained_variance_ratio_),
        np.concatenate(along).std(axis=0, ddof=1),
    )


def regress(
    coordinates: Float[np.ndarray, "n k"], latents: Float[np.ndarray, "n d"]
) -> Float[np.ndarray, "k d"]:
    """Directions of the latent along which coordinates grow: rows of unit length.

    Args:
        coordinates: Coordinates of components, in standard deviations.
        latents: The latents that gave them.

    Raises:
        ConfigError: fewer samples than components.
    """
    n, k = coordinates.shape
    if n < k:
        raise ConfigError(
            f"{k} components were to be brought back to the latent from {n} samples; expected at "
            "least as many samples"
        )
    found = np.linalg.lstsq(coordinates, latents, rcond=None)[0]
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


@torch.no_grad()
def principal_directions(
    generator: Generator,
    *,
    n_components: int = 10,
    n_samples: int = 2000,
    layer: str | None = None,
    seed: int = 0,
    label: int | None = None,
    progress: bool = False,
) -> PrincipalDirections:
    """The principal directions of a generator; in w no image is made.

    Args:
        generator: Generator of any family.
        n_components: Number of directions.
        n_samples: Number of latents.
        layer: Layer whose output is analysed; None means w, which the generator must have.
        seed: Seed of the latents.
        label: Class of all samples; None: each draws its own.
        progress: Show a progress bar.

    Raises:
        ConfigError: no layer for a generator without w, or the errors of ``principal_components``.
        LayerError: an unknown layer.
    """
    if layer is None and "w" not in generator.spaces:
        raise ConfigError(
            f"{generator.name} has no w, and the components of its z are those of a ball; expected "
            "a layer; give one of "
            f"{', '.join(list(generator.layers)[:4])}, …"
        )
    if layer is not None and layer not in generator.layers:
        raise LayerError(
            f"layer {layer!r} is not in {generator.name}; dissect inspect GENERATOR lists them"
        )
    space = "w" if layer is None else next(iter(generator.spaces))

    def blocks(stage: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Latents, and the points for the components."""
        bar = ProgressBar(
            range(0, n_samples, _BLOCK), desc=stage, unit="block",
            disable=None if progress else True,
        )  # fmt: skip
        for first in bar:
            indices = list(range(first, min(first + _BLOCK, n_samples)))
            latent = generator.sample(indices, seed=seed, label=label)
            at = generator.convert(latent, space).data.flatten(1).double().cpu().numpy()
            if layer is None:
                yield at, at
                continue
            with trace(generator, layer) as maps:
                generator.synthesize(latent)
            yield at, maps[layer].flatten(1).double().cpu().numpy()

    found = principal_components(
        (points for _, points in blocks("components")), n_components=n_components, seed=seed
    )
    latents: list[np.ndarray] = []
    coordinates: list[np.ndarray] = []
    for at, points in blocks("regression"):
        latents.append(at)
        coordinates.append((points - found.mean) @ found.axes.T / found.deviations)
    x = np.concatenate(latents)
    vectors = found.axes if layer is None else regress(np.concatenate(coordinates), x)
    along = (x @ vectors.T).std(axis=0, ddof=1)
    return PrincipalDirections(space, vectors, x.mean(axis=0), along, found)
