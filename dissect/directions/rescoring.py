"""Rescoring: effects of a direction, measured by predictors on the edited images.

With F an attribute's predictor, x a latent, n the direction and λ the strength,

    d = F(G(x + λn)) − F(G(x)),    Δ = mean d,    Δ₊ = mean max(d, 0).

HiGAN published Δ₊; as it is cut at 0, noise alone makes it positive. So both are given here, each
beside the **noise floor**: the largest |Δ| of random directions of equal length. Values are in
standard deviations of the attribute over unedited images, so that attributes with different units
are comparable. Intervals are over images (bootstrap, 95 %).

**Equal length.** All directions in one table move the latent by the same length, λ times σ̄, where
σ̄ is the population's root mean square deviation along a random direction of the space: 1 in z. In
w+ that is the length in each layer.

**Truncated layers.** Where ψ pulls layers of w+ towards the mean, distances shrink by ψ, so a step
of λ would have more weight than elsewhere. In truncated layers the step is ψλ; otherwise ranks of
layers would be biased.

References:
    Yang, Shen and Zhou, Semantic Hierarchy Emerges in Deep Generative Representations for Scene
    Synthesis, IJCV 2020, section 3.3, equation 4 (Δ₊) and section 4.1 (layer by layer); the
    strength under truncation follows its program).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from dissect.directions.direction import Direction
from dissect.directions.effects import Effects, measure_effects
from dissect.directions.samples import (
    FRESH,
    WHOLE,
    AttributeReader,
    Truncation,
    check_steered,
    latent_blocks,
    read_edited,
)
from dissect.edits.moves import ADD, Move
from dissect.errors import ConfigError
from dissect.generators.base import Generator
from dissect.latents.sampling import DIRECTION_STREAMS, stream

STRENGTH = 2.0
"""λ, as published."""
_LENGTH_SAMPLES = 1000


def rescore(
    generator: Generator,
    reader: AttributeReader,
    directions: Sequence[Direction],
    *,
    strength: float = STRENGTH,
    n_samples: int = 200,
    draws: int = 10,
    seed: int = 0,
    truncation: Truncation = WHOLE,
    label: int | None = None,
    progress: bool = False,
) -> Effects:
    """The matrix directions × attributes, on fresh samples.

    Args:
        generator: Generator of the directions.
        reader: Reader of attributes.
        directions: Directions of one space.
        strength: λ.
        n_samples: Number of fresh images.
        draws: Number of random directions.
        seed: Seed of samples and draws.
        truncation: Truncation of the samples.
        label: Class of all samples; None: each draws its own.
        progress: Show progress bars.

    Raises:
        ConfigError: directions of several spaces, of another generator, or in z while samples are
            truncated in w+.
    """
    _check(generator, directions, truncation)
    length = strength * step_length(generator, directions[0], seed=seed)
    latents = list(
        latent_blocks(
            generator, n_samples=n_samples, seed=seed, first=FRESH,
            progress=progress, truncation=truncation, label=label,
        )
    )  # fmt: skip
    noise = [random_direction(directions[0], draw, seed=seed) for draw in range(draws)]
    recipes = [
        equal_moves(generator, one, length, truncation=truncation) for one in [*directions, *noise]
    ]
    values = read_edited(
        generator, reader, latents, [[], *recipes], progress=progress, stage="rescoring"
    )
    n = len(directions)
    return measure_effects(
        values[0], values[1 : n + 1], values[n + 1 :],
        names=[one.name for one in directions], attributes=reader.attributes,
        strength=strength, length=length, seed=seed,
    )  # fmt: skip


def rescore_layers(
    generator: Generator,
    reader: AttributeReader,
    direction: Direction,
    *,
    groups: Sequence[Sequence[int]] | None = None,
    strength: float = STRENGTH,
    n_samples: int = 100,
    draws: int = 3,
    seed: int = 0,
    truncation: Truncation = WHOLE,
    label: int | None = None,
    progress: bool = False,
) -> Effects:
    """Effects of a direction of w in each layer of w+ separately.

    The floor of each layer comes from random directions in that layer alone.

    Args:
        direction: A direction in w, or in w+ with one vector for all layers.
        groups: Groups of layers of w+ that move together; None takes single layers.
        draws: Number of random directions in each group.
        generator, reader, strength, n_samples, seed, truncation, label, progress: See ``rescore``.

    Returns:
        Effects whose names are the groups: ``0``, ``1``, … or ``0-3``.

    Raises:
        ConfigError: a direction of another space, layers that w+ does not have.
    """
    _check(generator, [direction], truncation)
    size = generator.spaces["w+"].shape if "w+" in generator.spaces else None
    if size is None or np.shape(direction.vector) != size[1:]:
        raise ConfigError(
            f"direction {direction.name!r} in {direction.space!r} has no vector for a layer of "
            "w+; expected a direction of w"
        )
    chosen = [[layer] for layer in range(size[0])] if groups is None else [list(g) for g in groups]
    length = strength * step_length(generator, direction, seed=seed)
    latents = list(
        latent_blocks(
            generator, n_samples=n_samples, seed=seed, first=FRESH, truncation=truncation,
            label=label,
        )
    )  # fmt: skip
    noise = [random_direction(direction, draw, seed=seed) for draw in range(draws)]
    recipes = [
        equal_moves(generator, one, length, layers=layers, truncation=truncation)
        for one in [direction, *noise]
        for layers in chosen
    ]
    values = read_edited(
        generator, reader, latents, [[], *recipes], progress=progress, stage="layer by layer"
    )
    n = len(chosen)
    random = values[n + 1 :].reshape(draws, n, *values.shape[1:])
    return measure_effects(
        values[0], values[1 : n + 1], random,
        names=[_span(layers) for layers in chosen], attributes=reader.attributes,
        strength=strength, length=length, seed=seed,
    )  # fmt: skip


def equal_moves(
    generator: Generator,
    direction: Direction,
    length: float,
    *,
    layers: Sequence[int] | None = None,
    truncation: Truncation = WHOLE,
) -> list[Move]:
    """The moves that add a length along a direction, times ψ in truncated layers.

    Args:
        generator: Generator with the layers of w+.
        direction: The direction; ignores its own unit, origin and mode.
        length: In units of the space; in w+, of each layer.
        layers: Layers of w+, instead of the direction's own.
        truncation: Truncation of the samples.
    """
    plain = replace(direction, unit="1", sigma=None, origin=None, mode=ADD)
    size = vector_length(plain)
    if plain.space == "w" and (layers is not None or truncation != WHOLE):
        plain = replace(plain, space="w+")
    if plain.space != "w+":
        return plain.moves(length / size)
    n_layers = generator.spaces["w+"].shape[0]
    own = range(n_layers) if plain.layers is None else plain.layers
    chosen = list(own if layers is None else layers)
    last = n_layers if truncation.cutoff is None else truncation.cutoff
    if truncation.psi == 1.0:
        return plain.moves(length / size, layers=chosen)
    near, far = [k for k in chosen if k < last], [k for k in chosen if k >= last]
    moves: list[Move] = []
    for part, factor in ((near, truncation.psi), (far, 1.0)):
        if part and factor:
            moves += plain.moves(factor * length / size, layers=part)
    return moves


def random_direction(direction: Direction, draw: int, *, seed: int) -> Direction:
    """A random direction of the same space, shape, layers and length."""
    shape = np.shape(direction.vector)
    drawn = stream(seed, DIRECTION_STREAMS + 10_000_000 + draw).standard_normal(shape)
    drawn *= np.linalg.norm(direction.vector) / np.linalg.norm(drawn)
    return replace(
        direction, name=f"random {draw + 1}", vector=drawn.astype(np.float32), origin=None,
        unit="1", sigma=None, mode=ADD,
    )  # fmt: skip


def vector_length(direction: Direction) -> float:
    """The length of its vector; with one vector per layer of w+ or per step, their root mean
    square."""
    vector = np.asarray(direction.vector, np.float64)
    several = direction.space == "w+" and vector.ndim == 2
    several |= direction.steps is not None and vector.ndim % 2 == 0
    return float(np.linalg.norm(vector) / (np.sqrt(len(vector)) if several else 1))


@torch.no_grad()
def step_length(generator: Generator, direction: Direction, *, seed: int) -> float:
    """σ̄: the root mean square deviation of the population along a random direction of a space.

    1 in z by definition. In w, w+ and s it is measured on 1,000 latents, without images. In a
    layer it is measured on the layer's outputs for 32 images.
    """
    space = direction.space
    first = next(iter(generator.spaces))
    if space == first:
        return 1.0
    if space in generator.spaces:
        at = "w" if space == "w+" else space
        latent = generator.sample(range(_LENGTH_SAMPLES), seed=seed)
        points = generator.convert(latent, at).data.double().cpu().numpy()
        return float(np.sqrt(points.var(axis=0, ddof=1).mean()))
    from dissect.tracing import trace  # noqa: PLC0415 - for this branch only

    layers = [move.space for move in direction.moves(1.0)]
    with trace(generator, layers) as maps:
        generator.synthesize(generator.sample(range(32), seed=seed))
    variances = [maps[layer].double().var(dim=0).mean().item() for layer in layers]
    # A vector of units applies at every pixel; its length counts once.
    return float(np.sqrt(np.mean(variances)))


def _check(generator: Generator, directions: Sequence[Direction], truncation: Truncation) -> None:
    if not directions:
        raise ConfigError("no directions were given to score; expected at least one")
    spaces = {(one.space, np.shape(one.vector), one.layers, one.steps) for one in directions}
    if len(spaces) > 1:
        found = ", ".join(sorted({one.space for one in directions}))
        raise ConfigError(
            f"directions of different spaces, shapes or layers ({found}) were to stand in one "
            "table; expected those of one, as steps of equal length mean nothing else; score them "
            "one after the other"
        )
    for one in directions:
        one.check(generator)
        check_steered(generator, one.space, truncation)


def _span(layers: Sequence[int]) -> str:
    """``3``, ``0-3`` or ``0,2``."""
    if len(layers) > 1 and list(layers) == list(range(layers[0], layers[-1] + 1)):
        return f"{layers[0]}-{layers[-1]}"
    return ",".join(map(str, layers))
