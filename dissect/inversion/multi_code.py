"""Several codes for one image, blended inside the generator.

    image = G₂(Σₙ αₙ ⊙ G₁(zₙ))

G₁ is the generator up to a layer, G₂ the rest, αₙ one weight for each channel of that layer. Codes
start as samples and weights as 1/N, and Adam optimises both. One code with weights 1 is the
generator itself. (The authors' code divides the sum by N once more; here it is divided once.)

It requires that layers after the blend read only the map: plain chains such as DCGAN and PGGAN. The
result is not a latent, so it cannot be edited.

References:
    Gu et al., Image Processing Using Multi-Code GAN Prior, CVPR 2020, section 3.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dissect.errors import GeneratorError
from dissect.generators.base import Generator, check_editable
from dissect.inversion.degradations import Degradation, parse_degradation
from dissect.inversion.objective import Objective
from dissect.inversion.optimise import errors
from dissect.inversion.settings import MultiCodeSettings
from dissect.latents import Latent
from dissect.progress import ProgressBar
from dissect.tracing import resolve_layers


@dataclass(frozen=True, eq=False)
class MultiCode:
    """Result for one image.

    Args:
        codes: Points of z.
        weights: α of each code and channel.
        layer: Layer of the blend.
        image: G₂ of the blend.
        errors: Same as in ``Inversion.errors``.
        trace: Loss after each step.
    """

    codes: Float[Tensor, "code *z"]
    weights: Float[Tensor, "code channel"]
    layer: str
    image: Float[Tensor, "1 c h w"]
    errors: dict[str, float]
    trace: tuple[float, ...]


@contextmanager
def _blended(
    generator: Generator, layer: str, weights: Float[Tensor, "image code channel"]
) -> Iterator[None]:
    """Within it, the layer outputs one map per image instead of one per code."""

    def blend(module: nn.Module, given: object, found: Tensor) -> Tensor:
        del module, given
        maps = found.reshape(*weights.shape, *found.shape[2:])
        return (maps * weights[..., None, None]).sum(dim=1)

    module = generator.module.get_submodule(generator.layers[layer].module)
    handle = module.register_forward_hook(blend)
    try:
        yield
    finally:
        handle.remove()


def blend_codes(
    generator: Generator,
    codes: Float[Tensor, "image code *z"],
    weights: Float[Tensor, "image code channel"],
    layer: str,
) -> Float[Tensor, "image c h w"]:
    """G₂(Σₙ αₙ ⊙ G₁(zₙ)), differentiable in both."""
    with _blended(generator, layer, weights):
        return generator.synthesize(Latent("z", codes.flatten(0, 1)))


def multi_code(
    generator: Generator,
    images: Float[Tensor, "image d i j"],
    layer: str,
    settings: MultiCodeSettings | None = None,
    *,
    degradation: Degradation | None = None,
    progress: bool = False,
) -> list[MultiCode]:
    """Find codes and weights for each image.

    Args:
        generator: A plain chain from z.
        images: RGB in [-1, 1] at its size, or observations of a degradation.
        layer: Layer of the blend.
        settings: Number of codes, steps and rate.
        degradation: The observed part of the images; None: all.
        progress: Show a progress bar.

    Raises:
        LayerError: a layer that the generator does not have.
        GeneratorError: a generator with a mapping or with classes, or whose later layers read the
            latent too.
    """
    settings = settings or MultiCodeSettings()
    check_editable(generator)
    (spec,) = resolve_layers(generator, [layer])
    _check_chain(generator, spec.layer)
    degradation = degradation or parse_degradation("none")
    images = images.to(generator.device)
    n_images, n_codes = len(images), settings.n_codes
    channels = generator.layers[spec.layer].units
    z = generator.sample(range(n_images * n_codes), seed=settings.seed).data
    codes = z.reshape(n_images, n_codes, *z.shape[1:]).clone().requires_grad_()
    weights = torch.full((n_images, n_codes, channels), 1 / n_codes, device=generator.device)
    weights.requires_grad_(n_codes > 1)
    adam = torch.optim.Adam([codes, *([weights] if n_codes > 1 else [])], lr=settings.rate)
    objective = Objective(degradation, images)
    rows = torch.arange(n_images, device=generator.device)
    traces: list[list[float]] = [[] for _ in range(n_images)]
    best = torch.full((n_images,), torch.inf, device=generator.device)
    kept = codes.detach().clone(), weights.detach().clone()
    steps = ProgressBar(
        range(settings.n_steps), desc="codes", unit="step", disable=None if progress else True
    )
    for _ in steps:
        with torch.enable_grad():
            drawn = blend_codes(generator, codes, weights, spec.layer)
            terms = objective.terms(drawn, rows)
            losses = objective.total(terms)
            adam.zero_grad(set_to_none=True)
            losses.sum().backward()
        for image, loss in enumerate(losses.tolist()):
            traces[image].append(loss)
        better = losses.detach() < best
        best = torch.where(better, losses.detach(), best)
        kept[0][better], kept[1][better] = codes.detach()[better], weights.detach()[better]
        adam.step()
    with torch.no_grad():
        drawn = blend_codes(generator, *kept, spec.layer)
    return [
        MultiCode(
            codes=kept[0][k],
            weights=kept[1][k],
            layer=spec.layer,
            image=drawn[k : k + 1],
            errors=errors(drawn[k : k + 1], images[k : k + 1], degradation, None),
            trace=tuple(traces[k]),
        )
        for k in range(n_images)
    ]


def _check_chain(generator: Generator, layer: str) -> None:
    """Reject a generator whose layers after the blend need more than the map."""
    if list(generator.spaces) != ["z"] or generator.n_classes:
        raise GeneratorError(
            f"{generator.name} has the spaces {', '.join(generator.spaces)} and "
            f"{generator.n_classes} classes; expected a plain chain from z, such as DCGAN or "
            "PGGAN; invert it in w+ instead"
        )
    two = generator.sample(range(2), seed=0).data[None]
    weights = torch.full((1, 2, generator.layers[layer].units), 0.5, device=generator.device)
    try:
        with torch.no_grad():
            drawn = blend_codes(generator, two, weights, layer)
    except RuntimeError:
        drawn = torch.empty(0)
    if len(drawn) != 1:
        raise GeneratorError(
            f"layers of {generator.name} behind {layer!r} read more than its map; expected a chain"
        )
