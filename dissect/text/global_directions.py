"""StyleCLIP's global directions: one direction in s for a pair of texts, for every image.

    r = F Δt;   channels of |r_c| < β are left out;   v_c = r_c / max|r| · σ_c;   s' = s + α v

F is the table of ``channel_effects``, Δt the normalised difference of the texts' vectors. α is the
strength: 1 moves the most relevant channel by its own deviation σ_c. Equal texts have
no difference, and their edit is the identity (the original divides by zero).

References:
    Patashnik et al., StyleCLIP, ICCV 2021, section 6, equations 4 and 5.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dissect.directions.direction import Direction, Provenance
from dissect.directions.question import RELEVANCE
from dissect.edits.applying import move_latent
from dissect.errors import ConfigError
from dissect.generators.base import Generator
from dissect.latents import Latent
from dissect.text.channel_effects import ChannelEffects
from dissect.text.scorer import TextScorer
from segmenters.plain_text import one_line


@dataclass(frozen=True, eq=False)
class GlobalEdit:
    """The edit of a pair of texts.

    Args:
        direction: Direction in s; None for texts without a difference, whose edit is the identity.
        relevance: r of every channel.
        passed: Channels with |r| ≥ β, most relevant first.
    """

    direction: Direction | None
    relevance: Float[np.ndarray, " channel"]
    passed: tuple[int, ...]

    def apply(self, generator: Generator, latent: Latent, strength: float) -> Latent:
        """Latents moved by α = ``strength``; the same latent for 0 or for the empty edit."""
        if self.direction is None or strength == 0:
            return latent
        return move_latent(generator, latent, self.direction.moves(strength))


def global_edit(
    effects: ChannelEffects,
    scorer: TextScorer,
    target: str,
    neutral: str,
    *,
    threshold: float = RELEVANCE,
) -> GlobalEdit:
    """The edit from a neutral text to a target.

    Args:
        effects: Channel effects of the generator, measured with the same towers.
        scorer: Scorer of the texts.
        target: Target text, such as ``a house at night``.
        neutral: Neutral text, such as ``a house``.
        threshold: β, at least 0.

    Raises:
        ConfigError: effects of other towers, a negative β, or one that no channel passes.
    """
    if effects.settings.get("towers") != scorer.fingerprint:
        raise ConfigError(
            "the effects of channels were measured with other towers than these; expected the "
            "same; measure them again"
        )
    if not threshold >= 0:
        raise ConfigError(f"threshold is {threshold}; expected β, a number from 0")
    n_channels = len(effects.table)
    delta = scorer.difference(target, neutral)
    if delta is None:
        return GlobalEdit(None, np.zeros(n_channels), ())
    relevance = effects.table.astype(np.float64) @ delta.detach().double().cpu().numpy()
    passed = np.flatnonzero((np.abs(relevance) >= threshold) & (relevance != 0))
    if not len(passed):
        raise ConfigError(
            f"no channel passes β = {threshold:g} for {target!r} from {neutral!r}; the largest "
            f"relevance is {np.abs(relevance).max():.3f}; expected a lower β"
        )
    passed = passed[np.argsort(-np.abs(relevance[passed]), kind="stable")]
    vector = np.zeros(n_channels)
    vector[passed] = (
        relevance[passed] / np.abs(relevance[passed[0]]) * effects.statistics.deviation[passed]
    )
    settings = {
        "target": one_line(target)[:200], "neutral": one_line(neutral)[:200],
        "threshold": float(threshold), "channels": len(passed),
        "n_images": effects.settings["n_images"], "keep": effects.settings["keep"],
    }  # fmt: skip
    prints = {
        "generator": str(effects.settings["generator"]), "towers": scorer.fingerprint,
    }  # fmt: skip
    direction = Direction(
        one_line(target)[:120], "s", vector,
        provenance=Provenance("text:global", settings, prints),
    )  # fmt: skip
    return GlobalEdit(direction, relevance, tuple(int(c) for c in passed))
