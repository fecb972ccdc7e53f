"""Insertion values from gradient descent: the activations at which a concept appears.

The mean activation where a concept is (``insertion_values``) is often too weak, and it averages
over all parts of an object: crown and trunk, or pane and frame. Here the values v of the given
units are parameters. With P the edited pixels, s_c the segmenter's score of concept c, x
the unedited and x(v) the edited image, the loss is

    −E[mean over P of log(s_c(x(v)) + ε)]  +  λ E[mean outside P of |x(v) − x|]

over samples, ε = 10⁻⁴. The second term, 0 where everything is edited, keeps the rest of the image.
Adam takes steps of a tenth of each unit's standard deviation, so the scale of a unit does not
matter.

Learned values can exploit the segmenter. So compare with random sets that have their own values,
learned in the same way, on samples that are not measured; and read the images with a second
segmenter.

References:
    Bau et al., GAN Dissection, ICLR 2019, section 3.2 learns how much each unit is edited (see
        ``optimise``) and keeps the values; here the values are learned. No paper is followed.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dissect.counting.samples import make_latent
from dissect.edits.applying import intervene
from dissect.edits.regions import Region, pool
from dissect.errors import ConfigError
from dissect.pictures import as_rgb
from dissect.progress import ProgressBar
from dissect.studies.optimise import PartialEdit, check_differentiable
from dissect.studies.originals import Originals
from dissect.tracing import trace

N_STEPS = 100
LEAK_WEIGHT = 5.0  # λ; images are in [-1, 1]
_RATE = 0.1  # multiple of each unit's standard deviation
_BATCH = 8
_LEAST_SCORE = 1e-4  # ε


def learn_values(
    originals: Originals,
    layer: str,
    units: Sequence[int],
    concept: str,
    start: Sequence[float] | Float[np.ndarray, " chosen"],
    *,
    region: Region | None = None,
    rows: Sequence[int] | None = None,
    n_steps: int = N_STEPS,
    progress: bool = False,
) -> Float[np.ndarray, " chosen"]:
    """Values at which units draw a concept best; see the module docstring.

    Args:
        originals: Samples to learn on, which should not be measured later.
        layer: ``layer`` or ``layer@basis`` with its basis among the originals' own.
        units: Units to learn values of; other units are unchanged.
        concept: A concept of the vocabulary.
        start: One value for each of ``units``, such as the mean where the concept is.
        region: Where the units are set; None means everywhere.
        rows: Rows of the originals to learn on, in batches of 8; None takes all.
        n_steps: Steps of Adam; 0 returns ``start``.
        progress: Show a progress bar.

    Returns:
        One value for each of ``units``, in their order and scale.

    Raises:
        ConfigError: no units, or a segmenter whose scores have no gradient.
        SegmenterError: a concept that is not in the vocabulary.
    """
    if len(units) == 0:
        raise ConfigError("no units were given to learn values of; expected at least one")
    column = originals.vocabulary[concept].id - 1
    generator, segmenter = originals.generator, originals.segmenter
    size = generator.image_size
    places = pool(region, (size, size))
    inside = torch.tensor(places, device=segmenter.device)
    outside = 1 - inside
    samples = [
        originals.sample_of_row(row)
        for row in (range(originals.n_samples) if rows is None else rows)
    ]
    batches = [samples[a : a + _BATCH] for a in range(0, len(samples), _BATCH)]
    first = torch.tensor(np.asarray(start), dtype=torch.float32, device=generator.device)
    scale = _deviations(originals, layer, units, batches[0]).to(first)
    moved = torch.zeros_like(first).requires_grad_()  # from the start, in standard deviations
    whole = torch.ones_like(first)  # every unit is held at its value
    adam = torch.optim.Adam([moved], lr=_RATE)
    unedited: dict[int, Tensor] = {}
    steps = ProgressBar(
        range(n_steps), desc="learn values", unit="step", disable=None if progress else True
    )
    for step in steps:
        number = step % len(batches)
        latent = make_latent(generator, originals.config, batches[number])
        if number not in unedited:
            with torch.no_grad():
                unedited[number] = as_rgb(generator.synthesize(latent)).to(inside.device)
        with torch.enable_grad():
            edit = PartialEdit(layer, units, whole, first + moved * scale, region)
            with intervene(generator, [edit], bases=originals.bases):
                images = as_rgb(generator.synthesize(latent)).to(inside.device)
            scores = torch.log(segmenter.score(images)[:, column] + _LEAST_SCORE)
            check_differentiable(scores, originals, layer, what="the value learned", instead="mean")
            loss = -(scores * inside).sum() / (inside.sum() * len(images))
            leak = (images - unedited[number]).abs().mean(dim=1) * outside
            loss = loss + LEAK_WEIGHT * leak.sum() / (outside.sum().clamp(min=1) * len(images))
            (moved.grad,) = torch.autograd.grad(loss, moved)
        adam.step()
    return (first + moved.detach() * scale).cpu().double().numpy()


@torch.no_grad()
def _deviations(
    originals: Originals, layer: str, units: Sequence[int], samples: Sequence[int]
) -> Float[Tensor, " chosen"]:
    """Standard deviation of each unit over pixels of some samples; 1 for a constant unit."""
    generator = originals.generator
    with trace(generator, layer, bases=originals.bases) as recorded:
        generator.synthesize(make_latent(generator, originals.config, list(samples)))
    maps = recorded[layer][:, list(units)].float()
    found = maps.std(dim=(0, 2, 3))
    return torch.where(found > 0, found, torch.ones_like(found))
