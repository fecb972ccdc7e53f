"""StyleCLIP by optimisation: moves a latent until its image matches a text.

    minimise over x   distance(G(x), t) + λ · Σ (x - x₀)²

by Adam. The rate rises over the first 5 % and falls (cosine) over the last 25 %. The original
reads images without the normalisation from CLIP's training; here they are normalised.

References:
    Patashnik et al., StyleCLIP, ICCV 2021, section 4, equation 1 (without its identity loss).
"""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from dissect.errors import ConfigError
from dissect.generators.base import Generator, check_editable
from dissect.latents import Latent
from dissect.progress import ProgressBar
from dissect.text.scorer import TextScorer

_RAMP_UP, _RAMP_DOWN = 0.05, 0.25


@dataclass(frozen=True, eq=False)
class TextEdit:
    """Result of an optimisation.

    Args:
        latent: Latent of the edited images.
        distances: Distances to the text: before, then after each step, for each image.
    """

    latent: Latent
    distances: Float[Tensor, "step image"]


def optimise(
    generator: Generator,
    scorer: TextScorer,
    latent: Latent,
    text: str,
    *,
    n_steps: int = 100,
    rate: float = 0.1,
    keep: float = 0.008,
    progress: bool = False,
) -> TextEdit:
    """Move latents towards a text, each image separately.

    Args:
        generator: A generator with gradients.
        scorer: Scorer of its images.
        latent: The start, x₀; in the space to optimise, w+ if there is one.
        text: The text; an empty text is the empty edit, which changes nothing.
        n_steps: Steps of Adam; 0 changes nothing.
        rate: Adam's rate, in units of the space.
        keep: λ; larger values stay closer to x₀.
        progress: Show a progress bar.

    Raises:
        ConfigError: a negative number of steps, rate or λ.
        GeneratorError: a generator without gradients.
    """
    check_editable(generator)
    for name, value in (("n_steps", n_steps), ("rate", rate), ("keep", keep)):
        if not (math.isfinite(value) and value >= 0):
            raise ConfigError(f"{name} is {value}; expected a number from 0")
    start = latent.data.detach()
    if not text.strip():
        return TextEdit(latent, start.new_zeros(0, len(latent)))
    target = scorer.encode_texts([text])[0].detach()
    moved = start.clone().requires_grad_()
    adam = torch.optim.Adam([moved], lr=rate)
    distances = []
    for step in ProgressBar(range(n_steps), desc=text, disable=not progress):
        for group in adam.param_groups:
            group["lr"] = rate * _schedule((step + 1) / n_steps)
        found = scorer.distance(
            generator.synthesize(replace(latent, data=moved)), target, step=step
        )
        distances.append(found.detach())
        away = (moved - start).square().flatten(1).sum(dim=1)
        adam.zero_grad(set_to_none=True)
        (found + keep * away).sum().backward()
        adam.step()
    done = replace(latent, data=moved.detach())
    with torch.no_grad():
        distances.append(scorer.distance(generator.synthesize(done), target, step=n_steps))
    return TextEdit(done, torch.stack(distances))


def _schedule(done: float) -> float:
    """The share of the rate: rising, constant, then falling along a cosine."""
    down = min(1.0, (1 - done) / _RAMP_DOWN)
    return min(1.0, done / _RAMP_UP) * (0.5 - 0.5 * math.cos(math.pi * down))
