"""Moving the generator itself towards an image, for as long as a ``with`` lasts.

    with tune(generator, inversion, image):
        images = generator.synthesize(edited)     # the generator that knows this image

Adam on all weights from the latent of an inversion, the pivot, which stays: the loss is the
inversion's pixel term, plus the perceptual one where features are given. Behind the ``with`` the
generator is what it was, to the bit: parameters, buffers, flags for gradients, train or eval mode;
also after an exception. Nothing of the tuned weights is kept.

References:
    Roich et al., Pivotal Tuning for Latent-based Editing of Real Images, 2021.
    Pan et al., Exploiting Deep Generative Prior …, ECCV 2020 (progressive tuning).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dissect.errors import ConfigError
from dissect.generators.base import Generator, check_editable
from dissect.inversion.degradations import parse_degradation
from dissect.inversion.inversion import Inversion
from dissect.inversion.objective import Features, Objective
from dissect.inversion.settings import TuningSettings
from dissect.progress import ProgressBar


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


@contextmanager
def tune(
    generator: Generator,
    inversion: Inversion,
    image: Float[Tensor, "1 d i j"],
    settings: TuningSettings | None = None,
    *,
    features: Features | None = None,
    progress: bool = False,
) -> Iterator[list[float]]:
    """Move the weights, see the head of this module.

    Args:
        generator: The inversion's; changed inside the ``with``.
        inversion: Its latent is the pivot, its degradation says what ``image`` shows.
        image: What was inverted.
        settings: Steps, rate, and the loss that is enough.
        features: A network's feature maps, for a perceptual term as large as the pixel term.
        progress: Show a bar.

    Yields:
        The pixel term after each step.

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
    with torch.no_grad():
        expected = degradation.apply(generator.synthesize(latent)).shape
    if image.shape != expected:
        raise ConfigError(
            f"image has the shape {tuple(image.shape)}; expected {tuple(expected)}, what was "
            "inverted"
        )
    objective = Objective(degradation, image, features=features)
    row = torch.zeros(1, dtype=torch.int64, device=generator.device)
    trace: list[float] = []
    with kept(generator.module):
        parameters = list(generator.module.parameters())
        for parameter in parameters:
            parameter.requires_grad_(True)
        adam = torch.optim.Adam(parameters, lr=settings.tuning_rate, betas=(0.9, 0.999))
        steps = ProgressBar(
            range(settings.tuning_steps),
            desc="tune",
            unit="step",
            disable=None if progress else True,
        )
        for step in steps:
            with torch.enable_grad():
                drawn = generator.synthesize(latent)
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
        yield trace
