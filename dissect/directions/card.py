"""The evaluation card of an edit: the same measurements for every method.

A direction is moved until its target attribute has changed by the same amount, by default 1
standard deviation σ of the population. Only then can methods be compared, because a shorter move
has fewer side effects. At that strength:

=================  =================================================================================
effect             mean change of the target, with its interval (near 1 σ by construction)
strength           length of the step, in deviations σ̄ of the space
side effects       mean change of every other attribute, with intervals and the floor
dependency         attribute dependency, the mean over other attributes and images of |Δ| / σ
monotone           share of images whose target rises at each of four steps from −1 to +1
identity           mean distance of an identity predictor between before and after
distance           Mahalanobis distance of moved latents from the population, over that of unmoved
                   ones: 1 means that the latents stay in the population
random             the target's largest |Δ|, and the dependency, of random directions as long
=================  =================================================================================

Values that cannot be computed are None: without an identity predictor, or in a space without a
population of latents. A target that does not change by that amount within 8 σ̄ is *not reached*,
and is measured at 8 σ̄.

References:
    Wu, Lischinski and Shechtman, StyleSpace Analysis, CVPR 2021, section 6 (attribute dependency at
    equal change of the target; they publish no program, so this follows their definition).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from dissect.directions.direction import Direction
from dissect.directions.effects import bootstrap_interval, measure_effects
from dissect.directions.rescoring import equal_moves, random_direction, step_length
from dissect.directions.samples import (
    FRESH,
    WHOLE,
    AttributeReader,
    Truncation,
    check_steered,
    latent_blocks,
    read_edited,
)
from dissect.edits.applying import intervene
from dissect.edits.moves import Move
from dissect.errors import ConfigError
from dissect.generators.base import Generator
from dissect.latents import Latent
from dissect.pictures import as_rgb
from dissect.studies.repair.frechet import Moments
from segmenters.base import Predictor
from segmenters.nearest import did_you_mean

SHIFT = 1.0
"""Target change in standard deviations."""
GRID = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Steps at which the response is measured, in deviations of the space."""
_POPULATION = 2000


def measure_card(
    generator: Generator,
    reader: AttributeReader,
    direction: Direction,
    target: str,
    *,
    shift: float = SHIFT,
    n_samples: int = 64,
    draws: int = 5,
    identity: Predictor | None = None,
    seed: int = 0,
    truncation: Truncation = WHOLE,
    label: int | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """The card of a direction, as plain values; see the module docstring.

    Args:
        generator: Generator of the direction.
        reader: Reader of attributes, including the target.
        direction: The direction to evaluate.
        target: The attribute that it should change.
        shift: Target change in deviations, above 0.
        n_samples: Number of fresh images.
        draws: Number of random directions.
        identity: Embeds images; distances of embeddings distinguish persons.
        seed: Seed of samples and draws.
        truncation: Truncation of the samples.
        label: Class of all samples; None: each draws its own.
        progress: Show progress bars.

    Raises:
        ConfigError: a target that is not read or does not vary, a shift that is not above 0, or a
            direction of another generator.
    """
    if target not in reader.attributes:
        raise ConfigError(
            f"target {target!r} is not read; {did_you_mean(target, reader.attributes)}expected "
            f"one of {', '.join(reader.attributes)}"
        )
    if not shift > 0:
        raise ConfigError(f"shift is {shift}; expected a number of deviations above 0")
    direction.check(generator)
    check_steered(generator, direction.space, truncation)
    column = reader.attributes.index(target)
    unit = step_length(generator, direction, seed=seed)
    latents = list(
        latent_blocks(
            generator, n_samples=n_samples, seed=seed, first=FRESH, truncation=truncation,
            label=label,
        )
    )  # fmt: skip

    def moves(step: float, one: Direction = direction) -> list[Move]:
        return equal_moves(generator, one, step * unit, truncation=truncation) if step else []

    def read(steps: Sequence[float], one: Direction = direction, stage: str = "response") -> Any:
        recipes = [moves(step, one) for step in steps]
        return read_edited(generator, reader, latents, recipes, progress=progress, stage=stage)

    values = read([0.0, *GRID])
    plain = values[0]
    sigma = plain.std(axis=0, ddof=1)
    if sigma[column] == 0:
        raise ConfigError(
            f"target {target!r} is the same in all {n_samples} samples; expected one that varies"
        )
    response = (values[:, :, column] - plain[:, column]).mean(axis=1) / sigma[column]
    if response[np.abs(response).argmax()] < 0:  # the direction lowers the target
        values = np.concatenate([plain[None], read([-step for step in GRID])])
        response = (values[:, :, column] - plain[:, column]).mean(axis=1) / sigma[column]
        sign = -1.0
    else:
        sign = 1.0
    strength, reached = solve_strength(response, (0.0, *GRID), shift)
    inner = read([sign * strength * part for part in (-1, -0.5, 0.5, 1)], stage="card")
    noise = [
        read([strength], random_direction(direction, draw, seed=seed), stage="random")[0]
        for draw in range(draws)
    ]
    random = np.stack(noise) if noise else plain[:0].reshape(0, *plain.shape)
    effects = measure_effects(
        plain, inner[3:], random, names=[direction.name], attributes=reader.attributes, seed=seed
    )
    others = [k for k in range(len(reader.attributes)) if k != column and sigma[k] > 0]
    of_image = dependency(plain, inner[3], sigma, others)
    low, high = bootstrap_interval(of_image[None, :, None], seed=seed)
    way = np.stack([inner[0], inner[1], plain, inner[2], inner[3]])[:, :, column]
    recipe = moves(sign * strength)
    return {
        "direction": direction.name,
        "method": direction.provenance.method,
        "target": target,
        "shift": shift,
        "n_samples": n_samples,
        "reached": reached,
        "strength": sign * strength,
        "length": strength * unit,
        "effect": _triple(effects, column),
        "side_effects": {
            reader.attributes[k]: _triple(effects, k) | {"beyond": bool(effects.beyond[0, k])}
            for k in others
        },
        "dependency": {
            "value": _number(of_image.mean()) if others else None,
            "low": _number(low[0, 0]),
            "high": _number(high[0, 0]),
        },
        "monotone": float((np.diff(way, axis=0) > 0).all(axis=0).mean()),
        "identity": (None if identity is None else _identity(generator, identity, latents, recipe)),
        "distance": (
            _distance(generator, direction, latents, sign * strength * unit, seed=seed)
            if truncation == WHOLE
            else None  # the population is not truncated
        ),
        "random": {
            "draws": draws,
            "effect": _number(effects.floor[0, column]),
            "dependency": (
                _number(np.mean([dependency(plain, one, sigma, others).mean() for one in noise]))
                if noise and others
                else None
            ),
        },
    }


def solve_strength(
    response: Sequence[float] | Float[np.ndarray, " step"], steps: Sequence[float], shift: float
) -> tuple[float, bool]:
    """The smallest step at which a response reaches a shift, with linear interpolation.

    Returns:
        The step, and whether the shift is reached; the last step if it is not.

    Example:
        >>> solve_strength([0.0, 0.5, 2.0], [0, 1, 2], 1.25)
        (1.5, True)
    """
    for k in range(1, len(steps)):
        below, above = response[k - 1], response[k]
        if above >= shift:
            share = (shift - below) / (above - below)
            return float(steps[k - 1] + share * (steps[k] - steps[k - 1])), True
    return float(steps[-1]), False


def dependency(
    plain: Float[np.ndarray, "n attribute"],
    edited: Float[np.ndarray, "n attribute"],
    sigma: Float[np.ndarray, " attribute"],
    others: Sequence[int],
) -> Float[np.ndarray, " n"]:
    """Attribute dependency of each image: the mean of |Δ| / σ over the other attributes."""
    if not others:
        return np.zeros(len(plain))
    columns = list(others)
    return (np.abs(edited - plain)[:, columns] / sigma[columns]).mean(axis=1)


@torch.no_grad()
def _identity(
    generator: Generator, identity: Predictor, latents: Sequence[Latent], recipe: Sequence[Any]
) -> float:
    distances = []
    for latent in latents:
        before = identity.predict(as_rgb(generator.synthesize(latent)))
        with intervene(generator, recipe):
            after = identity.predict(as_rgb(generator.synthesize(latent)))
        distances.append((after - before).norm(dim=1).cpu())
    return float(torch.cat(distances).mean())


@torch.no_grad()
def _distance(
    generator: Generator,
    direction: Direction,
    latents: Sequence[Latent],
    length: float,
    *,
    seed: int,
) -> float | None:
    """Ratio of the distances of moved and unmoved latents from the population, in z or w."""
    space = {"w+": "w"}.get(direction.space, direction.space)
    flat = np.asarray(direction.vector).size == int(
        np.prod(generator.spaces[space].shape) if space in generator.spaces else 0
    )
    if space not in ("z", "w") or not flat or direction.layers is not None:
        return None
    drawn = generator.convert(generator.sample(range(_POPULATION), seed=seed), space)
    population = Moments.of(drawn.data.flatten(1).cpu().numpy())
    own = torch.cat([generator.convert(latent, space).data.flatten(1) for latent in latents])
    points = own.double().cpu().numpy()
    vector = np.asarray(direction.vector, np.float64).ravel()
    moved = points + length * vector / np.linalg.norm(vector)
    return float(population.distances(moved).mean() / population.distances(points).mean())


def _triple(effects: Any, column: int) -> dict[str, float | None]:
    return {
        "value": _number(effects.signed[0, column]),
        "low": _number(effects.low[0, column]),
        "high": _number(effects.high[0, column]),
        "floor": _number(effects.floor[0, column]),
    }


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def describe_card(card: Mapping[str, Any]) -> str:
    """A card for the terminal."""

    def number(value: float | None, digits: int = 2) -> str:
        return "–" if value is None else f"{value:.{digits}f}"

    def signed(one: Mapping[str, float | None]) -> str:
        if one["value"] is None:
            return "–"
        return f"{one['value']:+.2f} [{number(one['low'])}, {number(one['high'])}]"

    reached = "" if card["reached"] else "  (the shift is not reached within 8 deviations)"
    ad, random = card["dependency"], card["random"]
    sides = [
        f"    {name:<16}{signed(one)}  floor {number(one['floor'])}"
        + ("  certain" if one["beyond"] else "")
        for name, one in card["side_effects"].items()
    ]
    return "\n".join(
        [
            f"{card['direction']} ({card['method']}): {card['target']} moved by "
            f"{card['shift']:g} deviations, {card['n_samples']} images",
            f"  effect            {signed(card['effect'])}; random: {number(random['effect'])}"
            f"{reached}",
            f"  strength          {card['strength']:+.2f} deviations of the space",
            f"  dependency        {number(ad['value'])} [{number(ad['low'])}, "
            f"{number(ad['high'])}]; random: {number(random['dependency'])}",
            f"  monotone          {card['monotone']:.0%} of the images",
            f"  identity          {number(card['identity'])}",
            f"  distance          {number(card['distance'])} times that of unmoved latents",
            "  side effects",
            *sides,
        ]
    )
