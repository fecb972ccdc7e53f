"""Moving the generator itself towards an image, for as long as a ``with`` lasts.

    with tune(generator, inversion, image) as tuned:
        images = generator.synthesize(tuned.latent)     # the generator that knows this image

**Pivotal.** Adam on all weights from the latent of an inversion, the pivot, which stays.

**Progressive** (DGP). Five stages of equal length: the first frees the weights of the first fifth
of the layers, the last those of all, so that what the early layers know of the image's layout is
used before the late ones can paint over it. The latent moves along. Rates of weights and latent,
stage by stage, in parts of the tuning's rate: 1, 1, .4, .2, .2 and 40, 20, .4, .2, .2, as published
for BigGAN (5e-5 and 2e-3 at first).

The loss is the inversion's pixel term, plus the perceptual one where features are given (DGP takes
features of the discriminator, which few files have). Behind the ``with`` the generator is what it
was, to the bit: parameters, buffers, flags for gradients, train or eval mode; also after an
exception. Nothing of the tuned weights is kept.

References:
    Roich et al., Pivotal Tuning for Latent-based Editing of Real Images, 2021.
    Pan et al., Exploiting Deep Generative Prior for Versatile Image Restoration and Manipulation,
    ECCV 2020, section 3.2 (progressive reconstruction); rates and stages as its program has them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import takewhile

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dissect.errors import ConfigError
from dissect.generators.base import Generator, check_editable
from dissect.inversion.degradations import parse_degradation
from dissect.inversion.inversion import Inversion
from dissect.inversion.noise import noise_maps
from dissect.inversion.objective import Features, Objective
from dissect.inversion.settings import TuningSettings
from dissect.latents import Latent
from dissect.progress import ProgressBar

_STAGES = ((1.0, 40.0), (1.0, 20.0), (0.4, 0.4), (0.2, 0.2), (0.2, 0.2))
"""Rates of weights and of the latent in each stage, in parts of the tuning's rate."""


@contextmanager
def kept(module: nn.Module) -> Iterator[None]:
    """Give a network back as it was: parameters, buffers, gradient flags, mode."""
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    values = {name: tensor.detach().clone() for name, tensor in tensors.items()}
    flags = {name: tensor.requires_grad for name, tensor in tensors.items()}
    modes = {name: part.training for name, part in module.named_modules()}
    try:
        yield
    finally:
        with torch.no_grad():
            for name, tensor in tensors.items():
                tensor.requires_grad_(False)
                tensor.copy_(values[name])
                tensor.grad = None
                tensor.requires_grad_(flags[name])
        for name, part in module.named_modules():
            part.training = modes[name]


@dataclass(frozen=True, eq=False)
class Tuned:
    """What a tuning came to.

    Args:
        latent: That the tuned generator draws the image from: the pivot, or where it moved to.
        trace: The pixel term after each step.
    """

    latent: Latent
    trace: tuple[float, ...]


@contextmanager
def tune(
    generator: Generator,
    inversion: Inversion,
    image: Float[Tensor, "1 d i j"],
    settings: TuningSettings | None = None,
    *,
    features: Features | None = None,
    progress: bool = False,
) -> Iterator[Tuned]:
    """Move the weights, see the head of this module.

    Args:
        generator: The inversion's; changed inside the ``with``, with the inversion's noise maps.
        inversion: Where it starts; its degradation says what ``image`` shows.
        image: What was inverted.
        settings: Steps, rate, whether in stages, and the loss that is enough.
        features: A network's feature maps, for a perceptual term as large as the pixel term.
        progress: Show a bar.

    Yields:
        The latent and the way there.

    Raises:
        GeneratorError: another generator than the inversion's, or one that cannot be edited.
        ConfigError: an image of another shape than the inversion saw.
    """
    settings = settings or TuningSettings()
    check_editable(generator)
    inversion.check(generator)
    degradation = parse_degradation(inversion.degradation)
    image = image.to(generator.device)
    latent = inversion.latent.to(generator.device)
    with kept(generator.module), noise_maps(generator, inversion.noise):
        with torch.no_grad():
            expected = degradation.apply(generator.synthesize(latent)).shape
        if image.shape != expected:
            raise ConfigError(
                f"image has the shape {tuple(image.shape)}; expected {tuple(expected)}, what was "
                "inverted"
            )
        objective = Objective(degradation, image, features=features)
        tuned = _move(generator, latent, objective, settings, progress=progress)
        yield tuned


def _move(
    generator: Generator,
    latent: Latent,
    objective: Objective,
    settings: TuningSettings,
    *,
    progress: bool,
) -> Tuned:
    """Move the weights, and the latent in stages; the weights are free for gradients no more."""
    row = torch.zeros(1, dtype=torch.int64, device=generator.device)
    parameters = list(generator.module.parameters())
    depths = _depths(generator, latent) if settings.progressive else [0.0] * len(parameters)
    stages = _STAGES if settings.progressive else ((1.0, 0.0),)
    data = latent.data.detach().clone().requires_grad_(settings.progressive)
    groups = [{"params": [one], "lr": settings.tuning_rate} for one in [*parameters, data]]
    adam = torch.optim.Adam(groups, betas=(0.9, 0.999))
    trace: list[float] = []
    steps = ProgressBar(
        range(settings.tuning_steps), desc="tune", unit="step", disable=None if progress else True
    )
    for step in steps:
        stage = step * len(stages) // settings.tuning_steps
        of_weights, of_latent = stages[stage]
        for group, depth in zip(adam.param_groups, [*depths, 0.0], strict=True):
            (one,) = group["params"]
            rate = of_latent if one is data else of_weights
            one.requires_grad_(rate > 0 and depth * len(stages) < stage + 1)
            group["lr"] = settings.tuning_rate * rate
        with torch.enable_grad():
            drawn = generator.synthesize(replace(latent, data=data))
            terms = objective.terms(drawn, row)
            if step == 0:
                objective.calibrate(terms)
            loss = objective.total(terms).sum()
            adam.zero_grad(set_to_none=True)
            loss.backward()
        trace.append(terms["pixel"].item())
        if trace[-1] <= settings.tuning_enough:
            steps.close()
            break
        adam.step()
    for parameter in parameters:
        parameter.requires_grad_(False)
    return Tuned(replace(latent, data=data.detach()), tuple(trace))


@torch.no_grad()
def _depths(generator: Generator, latent: Latent) -> list[float]:
    """Of each parameter the share of the generator's layers that come before its own.

    A parameter belongs to the first of the layers with whose module it shares the longest part of
    its name, as the scales of a layer that are computed before all layers do; where names tell
    nothing, to the layer that is made next when its module runs.
    """
    network = generator.module
    modules = [info.module for info in generator.layers.values()]
    common = len(_shared(modules))
    made: list[str] = []
    first: dict[str, int] = {}

    def note(name: str) -> None:  # a hook that gives something would change what is computed
        first.setdefault(name, len(made))

    handles = [
        one.register_forward_pre_hook(lambda *_, name=name: note(name))
        for name, one in network.named_modules()
    ]
    handles += [
        network.get_submodule(name).register_forward_hook(lambda *_, name=name: made.append(name))
        for name in dict.fromkeys(modules)
    ]
    try:
        generator.synthesize(latent)
    finally:
        for handle in handles:
            handle.remove()
    depths = []
    for name, _ in network.named_parameters():
        shared = [len(_shared([name, module])) for module in modules]
        longest = max(shared, default=0)
        if longest > common:
            position = shared.index(longest)
        else:
            position = first.get(name.rpartition(".")[0], 0)
        depths.append(min(position, len(modules) - 1) / max(1, len(modules)))
    return depths


def _shared(names: Sequence[str]) -> list[str]:
    """The first parts of dotted names that all of them have."""
    parts = zip(*(name.split(".") for name in names), strict=False)
    return [own[0] for own in takewhile(lambda own: len({*own}) == 1, parts)]
