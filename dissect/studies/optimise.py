"""Finds the units that draw a concept jointly: gradient descent learns how far to edit each unit.

Every unit u of a layer has a weight α_u in [0, 1] and is edited by that weight, at the places P of
the treatment (its region, or everywhere):

    ablated:   x_u becomes (1 − α_u) x_u
    inserted:  x_u becomes (1 − α_u) x_u + α_u k_u

With s_c the segmenter's score of concept c, averaged over P and over samples, the loss is

    ablation:   E[s_c(ablated)] / E[s_c]  +  λ ‖α‖₂
    insertion:  (E[s_c(ablated)] − E[s_c(inserted)]) / E[s_c]  +  λ ‖α‖₂

where E[s_c], the usual share of pixels with c, makes λ comparable between rare and common concepts.
α starts at each unit's IoU with the concept, takes steps of Adam, and is clamped to [0, 1]. The
second loss is the paper's; an ablation omits the term of the inserted units.

References:
    Bau et al., GAN Dissection, ICLR 2019, section 3.2 (δ_α and its objective).
    Kingma and Ba, Adam, ICLR 2015.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dissect.counting.samples import make_latent
from dissect.edits.applying import intervene
from dissect.edits.regions import Region, pool
from dissect.edits.unit_edits import UnitEdit
from dissect.errors import ConfigError
from dissect.pictures import as_rgb
from dissect.progress import ProgressBar
from dissect.studies.originals import Originals
from dissect.studies.pixels import Treatment, check_present

N_STEPS = 100
PENALTY = 0.02  # λ: to be one of k full weights, a unit must remove about λ / √k of the concept
_RATE = 0.05
_BATCH = 16


@dataclass(frozen=True, eq=False)
class PartialEdit(UnitEdit):
    """Edits every unit in proportion to its weight; differentiable in the weights."""

    layer: str
    units: Sequence[int]
    weights: Float[Tensor, " unit"]
    values: Float[Tensor, " unit"] | None
    region: Region | None

    def apply(
        self,
        maps: Float[Tensor, "batch edited height width"],
        mask: Float[Tensor, "height width"],
    ) -> Float[Tensor, "batch edited height width"]:
        """See ``UnitEdit.apply``."""
        share = self.weights[:, None, None] * mask
        kept = maps * (1 - share)
        return kept if self.values is None else kept + share * self.values[:, None, None]


def check_differentiable(
    scores: Tensor, originals: Originals, layer: str, *, what: str, instead: str
) -> None:
    """Check that scores of edited images have a gradient.

    Args:
        scores: The scores, or a loss that depends on nothing else.
        originals: Their segmenter is named in the message.
        layer: Layer of the edited units.
        what: What needs the gradient.
        instead: What needs none.

    Raises:
        ConfigError: they have no gradient.
    """
    if not scores.requires_grad:
        raise ConfigError(
            f"scores of {originals.segmenter.name} have no gradient to units of {layer}; expected "
            f"differentiable ones for {what}; take {instead}"
        )


def optimise(
    originals: Originals,
    treatment: Treatment,
    concept: str,
    start: Float[np.ndarray, " unit"],
    *,
    n_steps: int = N_STEPS,
    penalty: float = PENALTY,
    progress: bool = False,
) -> Float[np.ndarray, " unit"]:
    """Learn how far to edit each unit of a layer; see the module docstring.

    Args:
        originals: Samples for learning, in batches of 16.
        treatment: The edit of the units.
        concept: Concept whose pixels should disappear, or appear.
        start: Initial weights, such as IoU; NaN counts as 0.
        n_steps: Steps of Adam.
        penalty: λ, at least 0; a larger one selects fewer units.
        progress: Show a progress bar.

    Returns:
        α in [0, 1].

    Raises:
        ConfigError: a concept that is in none of the images, or a segmenter whose scores have no
            gradient.
    """
    check_present(originals, concept)
    generator, device = originals.generator, originals.generator.device
    column = originals.vocabulary[concept].id - 1
    size = generator.image_size
    usual = originals.pixels()[:, column].mean() / size**2
    region = treatment.region
    places = pool(region, (size, size))
    places = torch.tensor(places / places.sum(), device=originals.segmenter.device)
    values = None if treatment.values is None else _tensor(treatment.values, device)
    kinds = [None] if values is None else [None, values]
    batches = [
        indices[a : a + _BATCH]
        for indices in map(originals.indices, originals.numbers)
        for a in range(0, len(indices), _BATCH)
    ]
    alpha = _tensor(np.nan_to_num(start).clip(0, 1), device).requires_grad_()
    adam = torch.optim.Adam([alpha], lr=_RATE)
    steps = ProgressBar(
        range(n_steps), desc="optimise", unit="step", disable=None if progress else True
    )
    with torch.enable_grad():
        for step in steps:
            latent = make_latent(generator, originals.config, batches[step % len(batches)])
            loss = torch.zeros((), device=device)
            for inserted in kinds:
                edit = PartialEdit(treatment.layer, range(len(alpha)), alpha, inserted, region)
                with intervene(generator, [edit], bases=originals.bases):
                    images = as_rgb(generator.synthesize(latent)).to(places.device)
                shown = (originals.segmenter.score(images)[:, column] * places).sum() / len(images)
                loss = loss + (shown if inserted is None else -shown).to(device) / usual
            check_differentiable(
                loss, originals, treatment.layer, what="the order optimise", instead="greedy"
            )
            (alpha.grad,) = torch.autograd.grad(loss + penalty * alpha.norm(), alpha)
            adam.step()
            with torch.no_grad():
                alpha.clamp_(0, 1)
    return alpha.detach().cpu().numpy()


def rank_by_weight(
    weights: Float[np.ndarray, " unit"], start: Float[np.ndarray, " unit"]
) -> list[int]:
    """Units in descending order of weight; equal weights by the larger start."""
    return np.lexsort((-np.nan_to_num(start), -weights)).tolist()


def _tensor(values: Sequence[float] | np.ndarray, device: torch.device) -> Tensor:
    return torch.tensor(np.asarray(values), dtype=torch.float32, device=device)
