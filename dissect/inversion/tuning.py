"""Tuning: changes the generator's weights to reproduce an image, within a ``with``.

    with tune(generator, inversion, image) as tuned:
        images = generator.synthesize(tuned.latent)     # the generator fits this image

**Pivotal.** Adam on all weights. The latent of the inversion, the pivot, is fixed.

**Progressive** (DGP). Five stages of equal length: the first trains the weights of the first fifth
of the layers, the last those of all layers. So the early layers' information on the image's layout
is used before the late layers can paint over it. The latent is optimised too. The rates of weights
and latent, by stage, are multiples of the tuning's rate: 1, 1, .4, .2, .2 and 40, 20, .4, .2, .2,
as published for BigGAN (5e-5 and 2e-3 at first).

The loss is the inversion's pixel term, plus the perceptual one with features (DGP uses
features of the discriminator, which few files contain). After the ``with`` the generator is
restored bit by bit: parameters, buffers, gradient flags, train or eval mode; also after an
exception. The tuned weights are not stored.

References:
    Roich et al., Pivotal Tuning for Latent-based Editing of Real Images, 2021.
    Pan et al., Exploiting Deep Generative Prior for Versatile Image Restoration and Manipulation,
        ECCV 2020, section 3.2 (progressive reconstruction); rates and stages from its program.
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
"""Rates of weights and of the latent in each stage, as multiples of the tuning's rate."""


@contextmanager
def kept(module: nn.Module) -> Iterator[None]:
    """Restore a network at the end: parameters, buffers, gradient flags, mode."""
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
    """Result of a tuning.

    Args:
        latent: Latent of the image for the tuned generator: the pivot, or the optimised one.
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
    """Change the weights; see the module docstring.

    Args:
        generator: The inversion's; changed inside the ``with``, with the inversion's noise maps.
        inversion: The start; its degradation defines what ``image`` shows.
        image: The inverted image.
        settings: Steps, rate, whether in stages, and the loss at which to stop.
        features: A network's feature maps, for a perceptual term as large as the pixel term.
        progress: Show a progress bar.

    Yields:
        The latent and the losses.

    Raises:
        GeneratorError: another generator than the inversion's, or one that cannot be edited.
        ConfigError: an image of another shape than the inverted one.
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
    """Optimise the weights, and the latent if in stages; freezes the weights at the end."""
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
    """For each parameter, the share of the generator's layers before its own.

    A parameter belongs to the first of the layers with whose module its name shares the longest
    prefix, such as the affine maps of a layer that run before all layers. If names give no
    result, it belongs to the layer that is computed next when its module runs.
    """
    network = generator.module
    modules = [info.module for info in generator.layers.values()]
    common = len(_shared(modules))
    made: list[str] = []
    first: dict[str, int] = {}

    def note(name: str) -> None:  # a hook with a result would change the output
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
    """The first parts that all dotted names share."""
    parts = zip(*(name.split(".") for name in names), strict=False)
    return [own[0] for own in takewhile(lambda own: len({*own}) == 1, parts)]
