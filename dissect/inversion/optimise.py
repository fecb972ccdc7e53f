"""Inversion by gradient descent: many starts in one batch, the best of each image is kept.

Adam with betas (0.9, 0.999). With t from 0 to 1 over the steps, the rate rises over the first 5 %
and falls over the last 25 % as a cosine, and values (but those of z) are jittered with a normal
noise of σ = 0.05 (1 − t / 0.75)²₊ spreads, so that early steps don't settle in the nearest hollow.
After a fifth of the steps only the better half of an image's starts goes on, and after two fifths
only the best: most of the time is spent on one. In w+ and p+ all layers begin alike.

The latent that is kept is the one of smallest loss that was seen, not the last one.

References:
    Karras et al., Analyzing and Improving the Image Quality of StyleGAN, CVPR 2020, appendix D.
    Abdal et al., Image2StyleGAN, ICCV 2019 (w+).
    Kingma and Ba, Adam, ICLR 2015.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dissect.errors import ConfigError, GeneratorError
from dissect.generators.base import Generator, check_editable
from dissect.inversion.coordinates import Coordinates, coordinates
from dissect.inversion.degradations import Degradation, parse_degradation
from dissect.inversion.inversion import Inversion
from dissect.inversion.objective import (
    Features,
    Objective,
    feature_distance,
    unit_features,
)
from dissect.inversion.quality import mean_squared_error, psnr, ssim
from dissect.inversion.settings import InversionSettings
from dissect.latents import Latent, stream
from dissect.progress import ProgressBar

_RISE, _FALL = 0.05, 0.25
_JITTER, _JITTER_END = 0.05, 0.75
_HALVE_AT = (0.2, 0.4)  # after these parts of the steps starts are given up
_SMALLEST_FOR_SSIM = 11


@dataclass
class _Search:
    """The rows of a batch that are searched at once: image × start."""

    values: Tensor
    rows: Tensor  # which image each row belongs to
    best: Tensor  # loss of each row
    kept: Tensor  # values that gave it


def invert(
    generator: Generator,
    images: Float[Tensor, "image d i j"],
    settings: InversionSettings | None = None,
    *,
    degradation: Degradation | None = None,
    features: Features | None = None,
    label: int | None = None,
    progress: bool = False,
    watch: Callable[[int, Float[Tensor, "image c h w"]], None] | None = None,
) -> list[Inversion]:
    """Find latents whose images look like these.

    Args:
        generator: Whose latents are sought; its weights stay as they are.
        images: RGB in [-1, 1] at the generator's size; with a degradation, its observations.
        settings: Space, steps, starts, weights.
        degradation: What of the images was seen; None: all.
        features: A network's feature maps, for the perceptual term.
        label: Class of the images, for a generator with classes.
        progress: Show a bar.
        watch: Called after some steps with their number and the best images so far.

    Returns:
        One inversion for each image.

    Raises:
        ConfigError: images of another size than the generator's, or a perceptual weight without
            features.
        GeneratorError: a space that it lacks, or a generator without gradients.
    """
    settings = settings or InversionSettings()
    degradation = degradation or parse_degradation("none")
    _check(generator, images, settings, degradation, features)
    space = coordinates(generator, settings.space, label=label)
    images = images.to(generator.device)
    objective = Objective(
        degradation, images, features=features, perceptual=settings.perceptual,
        prior=settings.prior,
    )  # fmt: skip
    search = _begin(space, len(images), settings)
    traces: list[list[float]] = [[] for _ in range(len(images))]
    steps = ProgressBar(
        range(settings.n_steps), desc="invert", unit="step", disable=None if progress else True
    )
    drop = {math.ceil(part * settings.n_steps) for part in _HALVE_AT}
    adam = _adam(search)
    for step in steps:
        if step in drop and step:
            search, adam = _give_up(search, adam, len(images), last=step == max(drop))
        fraction = step / settings.n_steps
        for group in adam.param_groups:
            group["lr"] = settings.rate * _schedule(fraction)
        losses = _step(generator, space, objective, search, adam, step, settings)
        for image in range(len(images)):
            traces[image].append(losses[search.rows == image].min().item())
        if watch is not None and (step + 1) % max(1, settings.n_steps // 20) == 0:
            with torch.no_grad():
                watch(step + 1, generator.synthesize(space.decode(_best(search, len(images)))))
    values = _best(search, len(images))
    with torch.no_grad():
        latent = space.decode(values)
        drawn = generator.synthesize(latent)
    return [
        Inversion(
            latent=Latent(
                latent.space,
                latent.data[k : k + 1].detach(),
                None if latent.label is None else latent.label[k : k + 1],
            ),
            space=settings.space,
            degradation=degradation.spec,
            errors=errors(drawn[k : k + 1], images[k : k + 1], degradation, features),
            trace=tuple(traces[k]),
            settings=asdict(settings),
            generator=generator.fingerprint,
        )
        for k in range(len(images))
    ]


def _check(
    generator: Generator,
    images: Tensor,
    settings: InversionSettings,
    degradation: Degradation,
    features: Features | None,
) -> None:
    check_editable(generator)
    size, channels = generator.image_size, generator.channels
    with torch.no_grad():
        expected = degradation.apply(torch.zeros(1, channels, size, size)).shape[1:]
    if images.ndim != 4 or tuple(images.shape[1:]) != tuple(expected):
        raise ConfigError(
            f"images have the shape {tuple(images.shape)}; expected (image, "
            f"{', '.join(map(str, expected))}), what {generator.name} draws"
            + ("" if degradation.spec == "none" else f" seen through {degradation.spec}")
        )
    if settings.perceptual and features is None:
        raise ConfigError(
            "perceptual is above 0 but no features were given; expected a network such as "
            "segmenters.predictors.vgg16, or perceptual 0"
        )


def _begin(space: Coordinates, n_images: int, settings: InversionSettings) -> _Search:
    starts = space.starts(settings.n_starts, settings.seed)
    values = starts.repeat(n_images, *[1] * (starts.ndim - 1))
    rows = torch.arange(n_images, device=values.device).repeat_interleave(settings.n_starts)
    best = torch.full((len(values),), torch.inf, device=values.device)
    return _Search(values.detach().requires_grad_(), rows, best, values.detach().clone())


def _adam(search: _Search) -> torch.optim.Adam:
    return torch.optim.Adam([search.values], betas=(0.9, 0.999))


def _schedule(fraction: float) -> float:
    fall = min(1.0, (1 - fraction) / _FALL)
    return (0.5 - 0.5 * math.cos(math.pi * fall)) * min(1.0, (fraction + 1e-2) / _RISE)


def _step(
    generator: Generator,
    space: Coordinates,
    objective: Objective,
    search: _Search,
    adam: torch.optim.Adam,
    step: int,
    settings: InversionSettings,
) -> Float[Tensor, " row"]:
    """One step of all rows; their losses before it."""
    fraction = step / settings.n_steps
    jitter = _JITTER * max(0.0, 1 - fraction / _JITTER_END) ** 2 if space.space != "z" else 0.0
    with torch.enable_grad():
        values = search.values
        if jitter:
            noise = stream(settings.seed, step).standard_normal(tuple(values.shape))
            values = values + jitter * torch.from_numpy(noise).to(values)
        drawn = generator.synthesize(space.decode(values))
        terms = objective.terms(drawn, search.rows, lambda: space.prior(values))
        if step == 0:
            objective.calibrate(terms)
        losses = objective.total(terms)
        adam.zero_grad(set_to_none=True)
        losses.sum().backward()
    if not torch.isfinite(losses).any():
        raise GeneratorError(
            f"{generator.name} drew images that are not finite; expected numbers; try a smaller "
            "rate"
        )
    found = losses.detach()
    better = found < search.best
    search.best = torch.where(better, found, search.best)
    search.kept[better] = values.detach()[better]
    adam.step()
    return found


def _give_up(
    search: _Search, adam: torch.optim.Adam, n_images: int, *, last: bool
) -> tuple[_Search, torch.optim.Adam]:
    """Keep the better half of each image's starts, or the best one; Adam's state goes with them."""
    kept: list[int] = []
    for image in range(n_images):
        rows = (search.rows == image).nonzero().flatten()
        n = 1 if last else max(1, len(rows) // 2)
        kept += rows[search.best[rows].argsort()[:n]].sort().values.tolist()
    chosen = torch.tensor(kept, device=search.rows.device)
    state = adam.state[search.values]
    fresh = _Search(
        search.values.detach()[chosen].requires_grad_(),
        search.rows[chosen],
        search.best[chosen],
        search.kept[chosen],
    )
    moved = _adam(fresh)
    moved.state[fresh.values] = {
        name: value[chosen] if value.ndim else value for name, value in state.items()
    }
    return fresh, moved


def _best(search: _Search, n_images: int) -> Tensor:
    chosen = []
    for image in range(n_images):
        rows = (search.rows == image).nonzero().flatten()
        chosen.append(int(rows[search.best[rows].argmin()]))
    return search.kept[chosen]


@torch.no_grad()
def errors(
    drawn: Float[Tensor, "1 c h w"],
    target: Float[Tensor, "1 d i j"],
    degradation: Degradation,
    features: Features | None,
) -> dict[str, float]:
    """How near an image is to what was seen; see ``Inversion.errors``."""
    seen = degradation.apply(drawn)
    weight = degradation.weight(drawn.shape[-1])
    if weight is not None:
        weight = weight.to(drawn.device)
        seen, target = seen * weight, target * weight
    mse = mean_squared_error(seen, target)
    decibels = psnr(seen, target)
    if weight is not None:
        share = float(weight.mean())
        mse, decibels = mse / share, decibels + 10 * math.log10(share)
    found = {"mse": mse.item(), "psnr": min(decibels.item(), 200.0)}
    if min(seen.shape[-2:]) >= _SMALLEST_FOR_SSIM:
        found["ssim"] = ssim(seen, target).item()
    if features is not None:
        pair = unit_features(features, seen), unit_features(features, target)
        found["perceptual"] = feature_distance(*pair).item()
    return found
