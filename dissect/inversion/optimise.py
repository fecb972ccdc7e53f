"""Inversion by gradient descent: many starts in one batch, the best one of each image is kept.

Adam with betas (0.9, 0.999). With t from 0 to 1 over the steps, the rate rises over the first 5 %
and falls over the last 25 % as a cosine. Values (except in z) are jittered with normal
noise of σ = 0.05 (1 − t / 0.75)²₊ spreads, so that early steps do not stop in the nearest local
minimum. With ``noise``, a StyleGAN's noise maps are optimised too: each start begins with the
generator's own maps, and the choice of the start ignores their regulariser. With an ``encoder``, an
image has one start, the encoder's answer, without jitter; w can be kept where the encoder
finds it again: mean (w − E(G(w)))², in spreads of w (in-domain).
After a fifth of the steps only the better half of an image's starts continues, and after two fifths
only the best: most of the time is spent on one. In w+ and p+ all layers start with equal values.

The result is the latent with the smallest loss of all steps, not the last one.

References:
    Karras et al., Analyzing and Improving the Image Quality of StyleGAN, CVPR 2020, appendix D.
    Abdal et al., Image2StyleGAN, ICCV 2019 (w+).
    Zhu et al., In-Domain GAN Inversion for Real Image Editing, ECCV 2020, section 3.2 (hybrid).
    Kingma and Ba, Adam, ICLR 2015.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from dissect.errors import ConfigError, GeneratorError
from dissect.generators.base import Generator, check_editable
from dissect.inversion.coordinates import Coordinates, coordinates
from dissect.inversion.degradations import Degradation, parse_degradation
from dissect.inversion.encoder import Encoder
from dissect.inversion.inversion import Inversion
from dissect.inversion.noise import noise_maps, regularity, standardise, stored_maps
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
_HALVE_AT = (0.2, 0.4)  # after these shares of the steps, starts are dropped
_SMALLEST_FOR_SSIM = 11


@dataclass
class _Search:
    """The rows that are optimised at the same time: image × start."""

    values: Tensor
    rows: Tensor  # index of each row's image
    best: Tensor  # loss of each row
    kept: Tensor  # values with this loss
    noise: dict[str, Tensor] = field(default_factory=dict)  # maps of each row, if optimised
    kept_noise: dict[str, Tensor] = field(default_factory=dict)
    noise_unit: float = 0.0  # the pixel term at the start

    @property
    def leaves(self) -> list[Tensor]:
        return [self.values, *self.noise.values()]


class Inverter:
    """Finds the latents of some images, step by step; ``invert`` runs all steps.

    Args:
        generator: The generator; its weights do not change.
        images: RGB in [-1, 1] at the generator's size; with a degradation, its observations.
        settings: Space, steps, starts, weights.
        degradation: The observed part of the images; None: all.
        features: A network's feature maps, for the perceptual term.
        encoder: Encoder of the generator: its answer is the only start.
        within: Precomputed coordinates of the settings' space (they take 10,000 latents).
        label: Class of the images, for a generator with classes.

    Raises:
        ConfigError: images of another size than the generator's, a perceptual weight without
            features, or an encoder for another space or with a degradation.
        GeneratorError: the generator does not have the space or gradients, or it does not have the
            noise maps to optimise.

    Attributes:
        n_done: Number of steps so far.
    """

    def __init__(
        self,
        generator: Generator,
        images: Float[Tensor, "image d i j"],
        settings: InversionSettings | None = None,
        *,
        degradation: Degradation | None = None,
        features: Features | None = None,
        encoder: Encoder | None = None,
        within: Coordinates | None = None,
        label: int | None = None,
    ) -> None:
        self._settings = settings = settings or InversionSettings()
        self._degradation = degradation or parse_degradation("none")
        self._generator, self._features, self._encoder = generator, features, encoder
        _check(generator, images, settings, self._degradation, features)
        _check_encoder(generator, encoder, settings, self._degradation)
        self._space = within or coordinates(generator, settings.space, label=label)
        self._images = images.to(generator.device)
        self._objective = Objective(
            self._degradation, self._images, features=features, perceptual=settings.perceptual,
            prior=settings.prior,
        )  # fmt: skip
        self._search = _begin(generator, self._space, self._images, settings, encoder)
        self._adam = _adam(self._search)
        self._drop = {math.ceil(part * settings.n_steps) for part in _HALVE_AT}
        self._traces: list[list[float]] = [[] for _ in range(len(images))]
        self.n_done = 0

    @property
    def done(self) -> bool:
        """Whether all steps are done."""
        return self.n_done >= self._settings.n_steps

    def advance(self) -> None:
        """Take one step."""
        step, n_images, settings = self.n_done, len(self._images), self._settings
        if step in self._drop and step:
            self._search, self._adam = _give_up(
                self._search, self._adam, n_images, last=step == max(self._drop)
            )
        for group in self._adam.param_groups:
            group["lr"] = settings.rate * _schedule(step / settings.n_steps)
        losses = _step(
            self._generator, self._space, self._objective, self._search, self._adam, step,
            settings, self._encoder,
        )  # fmt: skip
        for image in range(n_images):
            self._traces[image].append(losses[self._search.rows == image].min().item())
        self.n_done += 1

    @torch.no_grad()
    def draw(self) -> Float[Tensor, "image c h w"]:
        """The best images so far."""
        values, noise = _best(self._search, len(self._images))
        with noise_maps(self._generator, noise):
            return self._generator.synthesize(self._space.decode(values))

    @torch.no_grad()
    def found(self) -> list[Inversion]:
        """The best result so far of each image."""
        values, noise = _best(self._search, len(self._images))
        latent, drawn = self._space.decode(values), self.draw()
        return [
            Inversion(
                latent=Latent(
                    latent.space,
                    latent.data[k : k + 1].detach(),
                    None if latent.label is None else latent.label[k : k + 1],
                ),
                space=self._settings.space,
                degradation=self._degradation.spec,
                errors=errors(
                    drawn[k : k + 1], self._images[k : k + 1], self._degradation, self._features
                ),
                trace=tuple(self._traces[k]),
                settings=recorded_settings(self._settings, self._encoder),
                generator=self._generator.fingerprint,
                noise={name: one[k : k + 1].detach() for name, one in noise.items()},
            )
            for k in range(len(self._images))
        ]


def invert(
    generator: Generator,
    images: Float[Tensor, "image d i j"],
    settings: InversionSettings | None = None,
    *,
    degradation: Degradation | None = None,
    features: Features | None = None,
    encoder: Encoder | None = None,
    within: Coordinates | None = None,
    label: int | None = None,
    progress: bool = False,
    watch: Callable[[int, Float[Tensor, "image c h w"]], None] | None = None,
) -> list[Inversion]:
    """Find latents whose images are similar to the given ones.

    Args:
        generator, images, settings, degradation, features, encoder, within, label: See
            ``Inverter``.
        progress: Show a progress bar.
        watch: Called after some steps with their number and the best images so far.

    Returns:
        One inversion for each image.

    Raises:
        ConfigError, GeneratorError: the errors of ``Inverter``.
    """
    settings = settings or InversionSettings()
    search = Inverter(
        generator, images, settings, degradation=degradation, features=features, encoder=encoder,
        within=within, label=label,
    )  # fmt: skip
    for step in ProgressBar(
        range(settings.n_steps), desc="invert", unit="step", disable=None if progress else True
    ):
        search.advance()
        if watch is not None and (step + 1) % max(1, settings.n_steps // 20) == 0:
            watch(step + 1, search.draw())
    return search.found()


def recorded_settings(settings: InversionSettings, encoder: Encoder | None) -> dict[str, object]:
    """The settings that an inversion stores."""
    said: dict[str, object] = asdict(settings)
    return said if encoder is None else {**said, "encoder": encoder.fingerprint}


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


def _check_encoder(
    generator: Generator,
    encoder: Encoder | None,
    settings: InversionSettings,
    degradation: Degradation,
) -> None:
    if encoder is None:
        if settings.domain:
            raise ConfigError(
                "domain is above 0 but no encoder was given; expected one, or domain 0"
            )
        return
    encoder.check(generator)
    if settings.space != encoder.space or degradation.spec != "none":
        raise ConfigError(
            f"an encoder was given for the space {settings.space} and images seen through "
            f"{degradation.spec}; expected {encoder.space}, which it predicts, and whole images; "
            "leave the encoder out"
        )


def _begin(
    generator: Generator,
    space: Coordinates,
    images: Float[Tensor, "image c h w"],
    settings: InversionSettings,
    encoder: Encoder | None,
) -> _Search:
    n_images, n_starts = len(images), settings.n_starts
    if encoder is None or space.encode is None:
        starts = space.starts(n_starts, settings.seed)
        values = starts.repeat(n_images, *[1] * (starts.ndim - 1))
    else:
        n_starts = 1
        with torch.no_grad():
            values = space.encode(encoder.encode(images).data)
    rows = torch.arange(n_images, device=values.device).repeat_interleave(n_starts)
    best = torch.full((len(values),), torch.inf, device=values.device)
    noise: dict[str, Tensor] = {}
    if settings.noise:
        for name, one in stored_maps(generator).items():
            noise[name] = one.detach().repeat(len(values), 1, 1, 1)
        standardise(noise)
    return _Search(
        values.detach().requires_grad_(),
        rows,
        best,
        values.detach().clone(),
        {name: one.requires_grad_() for name, one in noise.items()},
        {name: one.detach().clone() for name, one in noise.items()},
    )


def _adam(search: _Search) -> torch.optim.Adam:
    return torch.optim.Adam(search.leaves, betas=(0.9, 0.999))


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
    encoder: Encoder | None,
) -> Float[Tensor, " row"]:
    """One step of all rows; returns their losses before it."""
    fraction = step / settings.n_steps
    jitter = _JITTER * max(0.0, 1 - fraction / _JITTER_END) ** 2
    if space.space == "z" or encoder is not None:
        jitter = 0.0
    with torch.enable_grad():
        values = search.values
        if jitter:
            noise = stream(settings.seed, step).standard_normal(tuple(values.shape))
            values = values + jitter * torch.from_numpy(noise).to(values)
        with noise_maps(generator, search.noise):
            drawn = generator.synthesize(space.decode(values))
            terms = objective.terms(drawn, search.rows, lambda: space.prior(values))
            if step == 0:
                objective.calibrate(terms)
            losses = objective.total(terms)
            if encoder is not None and space.encode is not None and settings.domain:
                again = space.encode(encoder.encode(drawn).data)
                losses = losses + settings.domain * (values - again).square().flatten(1).mean(dim=1)
            whole = losses
            if search.noise:
                if step == 0:
                    search.noise_unit = float(terms["pixel"].detach().mean())
                weight = settings.noise_weight * search.noise_unit
                whole = losses + weight * regularity(search.noise)
            adam.zero_grad(set_to_none=True)
            whole.sum().backward()
    if not torch.isfinite(losses).any():
        raise GeneratorError(
            f"{generator.name} drew images that are not finite; expected numbers; try a smaller "
            "rate"
        )
    found = losses.detach()
    better = found < search.best
    search.best = torch.where(better, found, search.best)
    search.kept[better] = values.detach()[better]
    for name, one in search.noise.items():
        search.kept_noise[name][better] = one.detach()[better]
    adam.step()
    standardise(search.noise)
    return found


def _give_up(
    search: _Search, adam: torch.optim.Adam, n_images: int, *, last: bool
) -> tuple[_Search, torch.optim.Adam]:
    """Keep the better half of each image's starts, or the best one, with their Adam state."""
    kept: list[int] = []
    for image in range(n_images):
        rows = (search.rows == image).nonzero().flatten()
        n = 1 if last else max(1, len(rows) // 2)
        kept += rows[search.best[rows].argsort()[:n]].sort().values.tolist()
    chosen = torch.tensor(kept, device=search.rows.device)
    fresh = _Search(
        search.values.detach()[chosen].requires_grad_(),
        search.rows[chosen],
        search.best[chosen],
        search.kept[chosen],
        {name: one.detach()[chosen].requires_grad_() for name, one in search.noise.items()},
        {name: one[chosen] for name, one in search.kept_noise.items()},
        search.noise_unit,
    )
    moved = _adam(fresh)
    for before, after in zip(search.leaves, fresh.leaves, strict=True):
        moved.state[after] = {
            name: value[chosen] if value.ndim else value
            for name, value in adam.state[before].items()
        }
    return fresh, moved


def _best(search: _Search, n_images: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Values and noise maps of each image's best row."""
    chosen = []
    for image in range(n_images):
        rows = (search.rows == image).nonzero().flatten()
        chosen.append(int(rows[search.best[rows].argmin()]))
    return search.kept[chosen], {name: one[chosen] for name, one in search.kept_noise.items()}


@torch.no_grad()
def errors(
    drawn: Float[Tensor, "1 c h w"],
    target: Float[Tensor, "1 d i j"],
    degradation: Degradation,
    features: Features | None,
) -> dict[str, float]:
    """Errors of an image against the observation; see ``Inversion.errors``."""
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
