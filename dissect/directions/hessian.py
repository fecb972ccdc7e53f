"""The Hessian penalty: how much the effect of one latent coordinate depends on another one.

With H the Hessian of one output in the latent, and v a vector of random signs,

    penalty = Var_v(vᵀHv) = 2 Σ_{i≠j} H_ij²,      vᵀHv ≈ (f(x + εv) − 2f(x) + f(x − εv)) / ε².

The tutorial's slide gives Σ_{i≠j} H_ij², half of that. With all 2^d vectors of signs the variance
is exact; with a few random ones it is unbiased.

**Discovery** in a fixed generator: learns n orthonormal directions Q that minimise the penalty of
G(z + ωQ) in ω. Each ω is 5u for one direction and 0 for the others, with u uniform on [−1, 1]. The
result is a set of directions that act independently of each other.

References:
    Peebles, Peebles, Zhu, Efros and Torralba, The Hessian Penalty, ECCV 2020, equations 4 and 5
    (the estimate), sections 3.3 (several outputs) and 5 (discovery).
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from dissect.errors import ConfigError
from dissect.generators.base import Generator, check_editable
from dissect.latents import Latent
from dissect.latents.sampling import DIRECTION_STREAMS, RESAMPLING_STREAMS, stream
from dissect.progress import ProgressBar

MAX, MEAN, NONE = REDUCTIONS = ("max", "mean", "none")
_MOST_EXACT = 12  # coordinates; 4096 vectors of signs
_REACH = 5.0  # largest ω


def all_signs(size: int) -> Float[Tensor, "sign size"]:
    """All 2^d vectors of signs.

    Raises:
        ConfigError: more coordinates than 12.

    Example:
        >>> all_signs(2).tolist()
        [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]
    """
    if not 1 <= size <= _MOST_EXACT:
        raise ConfigError(
            f"all signs of {size} coordinates were wanted; expected 1 to {_MOST_EXACT}; draw some"
        )
    return torch.tensor(list(itertools.product([-1.0, 1.0], repeat=size)))


def random_signs(size: int, *, n: int, seed: int) -> Float[Tensor, "sign size"]:
    """Vectors of independent random signs."""
    drawn = stream(seed, RESAMPLING_STREAMS - 3).integers(0, 2, (n, size))
    return torch.from_numpy(2.0 * drawn - 1).float()


def hessian_penalty(
    function: Callable[[Float[Tensor, "batch d"]], Float[Tensor, "batch *output"]],
    x: Float[Tensor, "batch d"],
    signs: Float[Tensor, "sign d"],
    *,
    epsilon: float = 0.1,
    exact: bool = False,
    reduction: str = MAX,
) -> Float[Tensor, "*result"]:
    """The penalty of a function, by central second differences; differentiable.

    Args:
        function: Row k of the result depends on row k only; must not use random numbers.
        x: Points at which the penalty is computed.
        signs: From ``all_signs`` or ``random_signs``, two or more.
        epsilon: ε. The rounding error grows as 1/ε⁴.
        exact: Whether ``signs`` are all of them, for the variance over them; else unbiased.
        reduction: ``max`` over samples and outputs together (the paper's), their ``mean``, or
            ``none``: one value for each sample and output.

    Raises:
        ConfigError: fewer than two vectors of signs, an ε that is not above 0, or an unknown
            reduction.

    Example:
        >>> product = lambda z: z[:, :1] * z[:, 1:]
        >>> hessian_penalty(product, torch.zeros(1, 2), all_signs(2), exact=True).round().item()
        4.0
    """
    if len(signs) < 2 or epsilon <= 0 or reduction not in REDUCTIONS:
        raise ConfigError(
            f"{len(signs)} vectors of signs, epsilon {epsilon:g} and reduction {reduction!r} were "
            f"given; expected at least 2, a number above 0 and one of {', '.join(REDUCTIONS)}"
        )
    middle = function(x)
    second = torch.stack(
        [
            (function(x + epsilon * v) - 2 * middle + function(x - epsilon * v)) / epsilon**2
            for v in signs.to(x)
        ]
    )
    penalty = second.var(dim=0, correction=0 if exact else 1)
    if reduction == NONE:
        return penalty
    return penalty.amax() if reduction == MAX else penalty.mean()


@dataclass(frozen=True, eq=False)
class Discovered:
    """Directions that act independently of each other.

    Attributes:
        space: Space of the directions.
        vectors: Orthonormal, flat.
        penalties: The penalty before each step of the search, and after the last one.
        effects: Mean absolute change of the image for one step along each direction.
    """

    space: str
    vectors: Float[np.ndarray, "k d"]
    penalties: Float[np.ndarray, " step"]
    effects: Float[np.ndarray, " k"]


def discover(
    generator: Generator,
    *,
    n_directions: int = 8,
    steps: int = 60,
    batch: int = 4,
    draws: int = 2,
    epsilon: float = 0.1,
    rate: float = 0.01,
    pixels: int = 16,
    seed: int = 0,
    progress: bool = False,
) -> Discovered:
    """Learn directions of the first space of a fixed generator; its weights do not change.

    Args:
        generator: Generator with gradients.
        n_directions: Number of directions, from 2 to the size of the space.
        steps: Steps of Adam. The paper uses many thousand with batches of 96.
        batch: Latents per step.
        draws: Vectors of signs per step.
        epsilon: ε.
        rate: Learning rate of Adam.
        pixels: Largest image size for the penalty.
        seed: Seed of the latents, the start and the signs.
        progress: Show a progress bar.

    Raises:
        GeneratorError: a generator without gradients.
        ConfigError: a number of directions or steps out of range.
    """
    check_editable(generator)
    space = next(iter(generator.spaces.values()))
    size = int(np.prod(space.shape))
    if not 2 <= n_directions <= size or steps < 1:
        raise ConfigError(
            f"{n_directions} directions in {steps} steps were wanted; expected 2 to {size} "
            "directions and at least one step"
        )
    start = stream(seed, DIRECTION_STREAMS - 2).standard_normal((n_directions, size))
    free = torch.from_numpy(start).float().to(generator.device).requires_grad_()
    adam = torch.optim.Adam([free], lr=rate)

    def images(latent: Latent, omega: Tensor, q: Tensor) -> Tensor:
        shift = (omega @ q).reshape(-1, *space.shape)
        made = generator.synthesize(Latent(latent.space, latent.data + shift, latent.label))
        return functional.adaptive_avg_pool2d(made, min(pixels, made.shape[-1]))

    def penalty(step: int) -> Tensor:
        random = stream(seed, DIRECTION_STREAMS - 3 - step)
        indices = range(step * batch, (step + 1) * batch)
        latent = generator.sample(list(indices), seed=seed)
        omega = torch.zeros(batch, n_directions, device=generator.device)
        chosen = random.integers(0, n_directions, batch)
        reach = torch.from_numpy(random.uniform(-_REACH, _REACH, batch)).to(omega)
        omega[range(batch), chosen.tolist()] = reach
        q = _orthonormal(free)
        signs = torch.from_numpy(2.0 * random.integers(0, 2, (draws, n_directions)) - 1)
        return hessian_penalty(
            lambda w: images(latent, w, q), omega, signs, epsilon=epsilon, reduction=MEAN
        )

    penalties = []
    for step in ProgressBar(
        range(steps), desc="hessian penalty", unit="step", disable=None if progress else True
    ):
        adam.zero_grad()
        loss = penalty(step)
        loss.backward()
        adam.step()
        penalties.append(float(loss.detach()))
    with torch.no_grad():
        penalties.append(float(penalty(steps)))
        q = _orthonormal(free)
        latent = generator.sample(list(range(8)), seed=seed)
        nothing = torch.zeros(8, n_directions, device=generator.device)
        plain = images(latent, nothing, q)
        effects = []
        for k in range(n_directions):
            omega = nothing.clone()
            omega[:, k] = 1
            effects.append(float((images(latent, omega, q) - plain).abs().mean()))
    order = np.argsort(-np.array(effects), kind="stable")
    vectors = q.detach().double().cpu().numpy()[order]
    return Discovered(space.name, vectors, np.array(penalties), np.array(effects)[order])


def _orthonormal(free: Float[Tensor, "k d"]) -> Float[Tensor, "k d"]:
    """Gram–Schmidt orthonormalisation of the rows, by QR with a positive diagonal."""
    q, r = torch.linalg.qr(free.T)
    return (q * r.diagonal().sign()).T
