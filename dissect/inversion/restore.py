"""Restoring images with a generator as prior: colour, resolution, holes, noise.

| task | observation |
|---|---|
| ``colorize`` | ``grey`` |
| ``upscale:K`` | ``down:K`` |
| ``inpaint:MASK`` | ``mask:FILE``, or ``hole:T,L,B,R`` |
| ``denoise`` | the image itself; the prior of the latent removes noise |
| ``deblur:SIGMA`` | ``blur:SIGMA`` |

The answer is G(x) of the latent whose degraded image is closest to the observation. A second answer
is made consistent, if the degradation allows it: it contains exactly the observation.

``baseline`` is an answer without a prior, which a restoration should beat.

    colorize   grey; upscale: bicubic; inpaint: harmonic, Σ over neighbours equal (Laplace's
    equation in the hole); denoise, deblur: total variation, argmin ½‖x − y‖² + λ TV(x) with
    λ = σ, the image's own noise, estimated from its finest wavelet as median |d| / .6745

References:
    Pan et al., Exploiting Deep Generative Prior …, ECCV 2020 (tasks).
    Chambolle, An Algorithm for Total Variation Minimization and Applications, 2004.
    Donoho and Johnstone, Ideal Spatial Adaptation by Wavelet Shrinkage, 1994 (σ).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from dissect.errors import ConfigError
from dissect.generators.base import Generator
from dissect.inversion.coordinates import Coordinates
from dissect.inversion.degradations import Degradation, Down, Grey, Hole, parse_degradation
from dissect.inversion.inversion import Inversion
from dissect.inversion.noise import noise_maps
from dissect.inversion.objective import Features
from dissect.inversion.optimise import invert
from dissect.inversion.settings import InversionSettings
from segmenters.nearest import did_you_mean

TASKS = {
    "colorize": "grey",
    "upscale": "down",
    "inpaint": "mask",
    "denoise": "none",
    "deblur": "blur",
}
_TV_STEPS, _LEAST_NOISE = 200, 1e-3  # σ of images in [-1, 1]
_MEDIAN_OF_NORMAL = 0.6745  # median of |x| for σ = 1
_LAPLACE_STEPS = 2000


@dataclass(frozen=True, eq=False)
class Restored:
    """One restored image.

    Args:
        image: G(x) of the found latent.
        consistent: The same, made consistent with the observation; ``image`` if that is impossible.
        inversion: The latent and its error on the observation.
    """

    image: Float[Tensor, "1 c h w"]
    consistent: Float[Tensor, "1 c h w"]
    inversion: Inversion


def parse_task(task: str) -> Degradation:
    """The degradation that a task undoes.

    Raises:
        ConfigError: an unknown task, or a missing or invalid value.

    Example:
        >>> parse_task("upscale:4").spec
        'down:4'
    """
    name, colon, value = task.partition(":")
    if name not in TASKS:
        near = did_you_mean(name, TASKS)
        raise ConfigError(f"task {task!r} is not known; {near}expected {', '.join(TASKS)}")
    kind = TASKS[name]
    if kind == "mask" and value.startswith("hole:"):
        return parse_degradation(value)
    if kind == "mask" and not value:
        raise ConfigError(
            "task inpaint needs a mask; expected inpaint:MASK.png, white where it shall be filled, "
            "or inpaint:hole:TOP,LEFT,BOTTOM,RIGHT"
        )
    return parse_degradation(f"{kind}{colon}{value}")


def restore(
    generator: Generator,
    observed: Float[Tensor, "image d i j"],
    degradation: Degradation,
    settings: InversionSettings,
    *,
    features: Features | None = None,
    within: Coordinates | None = None,
    label: int | None = None,
    progress: bool = False,
) -> list[Restored]:
    """Invert observations and make the answers consistent with them.

    Args:
        generator: The prior.
        observed: Observation of each image.
        degradation: The degradation of the images.
        settings, features, within, label, progress: See ``invert``.

    Raises:
        ConfigError, GeneratorError: the errors of ``invert``.
    """
    found = invert(
        generator, observed, settings, degradation=degradation, features=features, within=within,
        label=label, progress=progress,
    )  # fmt: skip
    answers = []
    for one, seen in zip(found, observed.to(generator.device).split(1), strict=True):
        with torch.no_grad(), noise_maps(generator, one.noise):
            image = generator.synthesize(one.latent)
        answers.append(Restored(image, degradation.consistent(image, seen), one))
    return answers


def baseline(
    observed: Float[Tensor, "image d i j"], degradation: Degradation, size: int, channels: int
) -> Float[Tensor, "image c h w"]:
    """The plain answer for each kind of degradation; see the module docstring."""
    if isinstance(degradation, Grey):
        return observed.expand(-1, channels, -1, -1)
    if isinstance(degradation, Down):
        return functional.interpolate(observed, size=size, mode="bicubic", align_corners=False)
    if isinstance(degradation, Hole):
        return _harmonic(observed, degradation.weight(size).to(observed.device))
    return total_variation(observed, noise_of(observed).clamp(min=_LEAST_NOISE))


def _harmonic(
    images: Float[Tensor, "image c h w"], seen: Float[Tensor, "h w"]
) -> Float[Tensor, "image c h w"]:
    mean = (images * seen).sum(dim=(2, 3), keepdim=True) / seen.sum()
    x = torch.where(seen > 0, images, mean)
    for _ in range(_LAPLACE_STEPS):
        wide = functional.pad(x, (1, 1, 1, 1), mode="replicate")
        mean = (
            wide[..., :-2, 1:-1] + wide[..., 2:, 1:-1] + wide[..., 1:-1, :-2] + wide[..., 1:-1, 2:]
        ) / 4
        x = torch.where(seen > 0, images, mean)
    return x


def _gradient(x: Tensor) -> Tensor:
    down = functional.pad(x[..., 1:, :] - x[..., :-1, :], (0, 0, 0, 1))
    right = functional.pad(x[..., :, 1:] - x[..., :, :-1], (0, 1))
    return torch.stack([down, right])


def _divergence(p: Tensor) -> Tensor:
    down, right = p
    first = down - functional.pad(down[..., :-1, :], (0, 0, 1, 0))
    return first + right - functional.pad(right[..., :, :-1], (1, 0))


def noise_of(images: Float[Tensor, "image c h w"]) -> Float[Tensor, " image"]:
    """σ of each image's noise: the median size of its finest diagonal Haar details over .6745."""
    even = images[..., : images.shape[-2] // 2 * 2, : images.shape[-1] // 2 * 2]
    rows = even[..., ::2, :] - even[..., 1::2, :]
    details = (rows[..., ::2] - rows[..., 1::2]) / 2
    return details.abs().flatten(1).median(dim=1).values / _MEDIAN_OF_NORMAL


def total_variation(
    y: Float[Tensor, "image c h w"], weight: Float[Tensor, " image"]
) -> Float[Tensor, "image c h w"]:
    """argmin ½‖x − y‖² + λ TV(x) of each channel, by Chambolle's dual ascent, step ¼.

    Args:
        y: Noisy images.
        weight: λ of each.
    """
    scale = weight[:, None, None, None]
    p = torch.zeros(2, *y.shape, device=y.device)
    for _ in range(_TV_STEPS):
        ascent = _gradient(_divergence(p) - y / scale)
        p = (p + ascent / 4) / (1 + ascent.square().sum(dim=0).sqrt() / 4)
    return y - scale * _divergence(p)
