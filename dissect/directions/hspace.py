"""h-space: the bottleneck of a diffusion model's U-Net as a space, edited at each step.

A diffusion model lists its layers step by step, so its bottleneck is one layer for each step:
``t800/mid_block``, ``t600/mid_block``, … A direction of h-space has one vector for each of some
steps. It is found like other directions: principal components of h at each step, or the boundary
of an attribute of the finished image.

**The asymmetric step.** With P_t the image that step t predicts and D_t the direction pointing to
x_t, x_s = √ᾱ_s P_t + D_t. If both use the shifted h, the two changes mostly cancel. So P_t uses the
shifted h, and D_t the original one; each edited step calls the U-Net twice.

References:
    Kwon, Jeong and Uh, Diffusion Models Already Have a Semantic Latent Space, ICLR 2023, sections
    3.1, 3.2 (the asymmetric step), 3.3 (h-space), 4 (the editing interval).
"""

from collections.abc import Callable, Sequence
from typing import TypeGuard

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from dissect.directions.boundary import Boundary, fit_boundary
from dissect.directions.ganspace import Components, principal_components
from dissect.errors import GeneratorError
from dissect.generators.base import Generator
from dissect.generators.diffusers_unets import DiffusionGenerator
from dissect.generators.labels import class_vectors
from dissect.latents import Latent
from dissect.progress import ProgressBar
from dissect.tracing import trace

BOTTLENECK = "mid_block"
_BLOCK = 16


def has_bottleneck(generator: Generator) -> TypeGuard[DiffusionGenerator]:
    """Whether a generator is a diffusion model whose U-Net has a middle block."""
    return isinstance(generator, DiffusionGenerator) and bool(bottleneck_steps(generator))


def bottleneck_steps(generator: Generator) -> tuple[int, ...]:
    """The steps at which the bottleneck is a layer, from noise to image."""
    ends = f"/{BOTTLENECK}"
    names = [name.removesuffix(ends) for name in generator.layers if name.endswith(ends)]
    return tuple(int(name[1:]) for name in names if name[:1] == "t" and name[1:].isdigit())


def _check(generator: Generator, steps: Sequence[int] | None) -> tuple[int, ...]:
    known = bottleneck_steps(generator)
    if not has_bottleneck(generator):
        raise GeneratorError(
            f"{generator.name} has no h-space; expected a diffusion model whose U-Net has a "
            f"{BOTTLENECK}"
        )
    chosen = known if steps is None else tuple(steps)
    odd = [step for step in chosen if step not in known]
    if odd or not chosen:
        raise GeneratorError(
            f"{generator.name} has no step {odd[0] if odd else None}; expected some of "
            f"{', '.join(map(str, known))}"
        )
    return chosen


@torch.no_grad()
def sample_bottlenecks(
    generator: Generator,
    *,
    n_samples: int,
    seed: int = 0,
    steps: Sequence[int] | None = None,
    label: int | None = None,
    progress: bool = False,
) -> tuple[tuple[int, ...], Float[np.ndarray, "sample step channel height width"]]:
    """Outputs of the bottleneck at each step, for unedited images.

    Args:
        generator: A diffusion model.
        n_samples: Number of images.
        seed: Seed of their noise.
        steps: Steps of the model; None means all.
        label: Class of all images; None: each draws its own.
        progress: Show a progress bar.

    Returns:
        The steps, and the outputs.

    Raises:
        GeneratorError: another generator, or a step that it does not have.
    """
    chosen = _check(generator, steps)
    layers = [f"t{step}/{BOTTLENECK}" for step in chosen]
    blocks = []
    for first in ProgressBar(
        range(0, n_samples, _BLOCK), desc="bottleneck", unit="block",
        disable=None if progress else True,
    ):  # fmt: skip
        indices = list(range(first, min(first + _BLOCK, n_samples)))
        with trace(generator, layers) as maps:
            generator.synthesize(generator.sample(indices, seed=seed, label=label))
        blocks.append(torch.stack([maps[layer] for layer in layers], dim=1).cpu().numpy())
    return chosen, np.concatenate(blocks)


def step_components(
    bottlenecks: Float[np.ndarray, "sample step channel height width"], *, n_components: int
) -> list[Components]:
    """Principal components of the bottleneck, separately for each step."""
    n = len(bottlenecks)
    return [
        principal_components([bottlenecks[:, step].reshape(n, -1)], n_components=n_components)
        for step in range(bottlenecks.shape[1])
    ]


def step_boundaries(
    bottlenecks: Float[np.ndarray, "sample step channel height width"],
    scores: Float[np.ndarray, " sample"],
    *,
    share: float = 0.25,
    seed: int = 0,
) -> list[Boundary]:
    """The boundary of an attribute of the finished image, separately for each step.

    Raises:
        ConfigError: the errors of ``fit_boundary``.
    """
    return [
        fit_boundary(bottlenecks[:, step], scores, share=share, seed=seed)
        for step in range(bottlenecks.shape[1])
    ]


@torch.no_grad()
def synthesize_asymmetric(
    generator: Generator,
    latent: Latent,
    shifts: Float[np.ndarray, "step channel height width"] | Float[Tensor, "step c h w"],
    steps: Sequence[int],
) -> Float[Tensor, "batch channels height width"]:
    """Images whose predictions P_t use the shifted h, and whose D_t use the original one.

    Args:
        generator: A diffusion model.
        latent: Noise.
        shifts: Shift of h for each of ``steps``.
        steps: Steps of the editing interval.

    Raises:
        GeneratorError: another generator, a step that it does not have, or shifts of another shape.
    """
    chosen = _check(generator, steps)
    assert has_bottleneck(generator)  # checked in the line above
    info = generator.layers[f"t{chosen[0]}/{BOTTLENECK}"]
    values = torch.as_tensor(np.asarray(shifts), dtype=torch.float32).to(generator.device)
    expected = (len(chosen), info.units, info.height, info.width)
    if tuple(values.shape) != expected:
        raise GeneratorError(
            f"shifts of h have the shape {tuple(values.shape)}; expected {expected}, the steps and "
            "the bottleneck"
        )
    of_step = dict(zip(chosen, values, strict=True))
    latent = latent.to(generator.device)
    classes = class_vectors(latent, n_classes=generator.n_classes, name=generator.name)
    network, sample = generator.module, latent.data.reshape(-1, *generator.spaces["z"].shape)
    bottleneck = network.unet.get_submodule(BOTTLENECK)
    for t in network.timesteps:
        plain = network.predict(t, sample, classes)
        ahead, image = network.advance(t, sample, plain)
        if t in of_step:
            handle = bottleneck.register_forward_hook(_add(of_step[t]))
            try:
                edited = network.predict(t, sample, classes)
            finally:
                handle.remove()
            _, edited_image = network.advance(t, sample, edited)
            ahead = ahead + network.image_share(t) * (edited_image - image)
        sample = ahead
    return sample


def _add(shift: Tensor) -> Callable[[nn.Module, tuple[object, ...], Tensor], Tensor]:
    def hook(module: nn.Module, inputs: tuple[object, ...], h: Tensor) -> Tensor:
        return h + shift

    return hook
