"""Paint by Word: a region of an image is generated anew, until it matches a text.

    minimise over w   distance(crop of C(G(w)), t) + λ · mean ((w - w₀) / σ)²

**Masked modulation.** Each styled layer is evaluated with two styles, those of the original w₀ and
those of w, and its outputs are blended by the region m, averaged to the layer's size:

    y = (1 - m) · layer(x, s₀) + m · layer(x, s)

So a place outside the region has the original's styles; only x can carry a change across the
border, by convolutions and filters. **C** composites: outside the region are the original's bits,
and what would have leaked there is measured (``Leak``). The crop is the square around the region,
with a margin, so the text describes the region and its surroundings are the image's own.

The words may be far from the image's own w. So some random samples are tried in the region first;
the search in w, without gradients (CMA-ES), starts at the best of them or at w₀; then Adam refines
one w per layer.

In the original, modulation is masked before the convolution, the strength of output channels is
not, nothing is composited, and changes outside are penalised instead.

References:
    Bau et al., Paint by Word, 2021, sections 3.2 (masked modulation) and 3.3 (CMA-ES).
    Hansen, The CMA Evolution Strategy: A Tutorial, 2016.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from dissect.edits.regions import Region, check_region, pool
from dissect.errors import ConfigError, GeneratorError
from dissect.generators.base import Generator, LayerInfo, check_editable
from dissect.generators.styled import GeneratorWithStyles, HasStyles
from dissect.latents import Latent
from dissect.latents.sampling import DIRECTION_STREAMS, stream
from dissect.pictures import as_rgb
from dissect.progress import ProgressBar
from dissect.text.scorer import TextScorer
from dissect.text.settings import PaintSettings

MARGIN = 0.1
"""Width of the surroundings in the crop, as a fraction of the region's longer side."""
_SPREAD_SAMPLES = 256  # samples for the deviation of w
_DRAWS_FROM = 2**40  # index of the first sample that is tried, far from those that people edit
_AT_ONCE = 16  # samples that are tried in one batch


@dataclass(frozen=True)
class Leak:
    """Changes outside the region, in steps of 1/255 of a colour; zeros after compositing.

    Args:
        mean: Mean over pixels and colours.
        largest: The largest one.
    """

    mean: float
    largest: float

    @classmethod
    def between(cls, image: Tensor, original: Tensor, region: Region) -> "Leak":
        """The change of an image outside a region."""
        outside = torch.tensor(region == 0, device=image.device)
        if not bool(outside.any()):
            return cls(0.0, 0.0)
        change = (image.clamp(-1, 1) - original.clamp(-1, 1)).abs()[..., outside] * 127.5
        return cls(float(change.mean()), float(change.max()))


@dataclass(frozen=True, eq=False)
class Painted:
    """A painted image.

    Args:
        image: The composite, in [-1, 1] as far as the generator's is: outside the region the
            original's bits.
        original: The image before.
        raw: The generator's own image with masked modulation, not composited.
        latent: In w+, of the styles inside the region.
        distances: To the text: of the original, after the search in w, after the refinement.
        leak: Of ``raw``.
        unmasked: Leak without a mask: the same latent for the whole image.
    """

    image: Float[Tensor, "1 channels height width"]
    original: Float[Tensor, "1 channels height width"]
    raw: Float[Tensor, "1 channels height width"]
    latent: Latent
    distances: tuple[float, float, float]
    leak: Leak
    unmasked: Leak


def paint(
    generator: Generator,
    scorer: TextScorer,
    latent: Latent,
    region: Region,
    text: str,
    settings: PaintSettings | None = None,
    *,
    seed: int = 0,
    progress: bool = False,
) -> Painted:
    """Generate a region anew until it matches a text.

    Args:
        generator: A generator with styles and gradients.
        scorer: Scorer of its images.
        latent: The original's, one, before s.
        region: Mask of the image's size; see ``regions``.
        text: Text for the region.
        settings: The search; None: the defaults.
        seed: Seed of the search.
        progress: Show a progress bar.

    Raises:
        ConfigError: several latents, a text without a letter, a region of another size.
        GeneratorError: a generator without styles or gradients, or a latent in s.
    """
    settings = settings or PaintSettings()
    if not isinstance(generator, HasStyles) or "w+" not in generator.spaces:
        raise GeneratorError(
            f"{generator.name} has no styles to be masked; expected a StyleGAN; the dashboard's "
            "page Paint paints with the units of any generator"
        )
    region = _check(generator, latent, region)
    target = scorer.encode_texts([text])[0].detach()
    start = generator.convert(latent, "w+").data.detach()
    styles = generator.convert(Latent("w+", start), "s").data
    deviation = _deviation(generator)
    with torch.no_grad():
        original = generator.synthesize(Latent("w+", start))
    area = _crop(region)

    def distances(ws: Tensor, step: int) -> Tensor:
        with masked_styles(generator, styles, region, smallest=settings.smallest):
            images = generator.synthesize(Latent("w+", ws))
        seen = as_rgb(composite(images, original, region)[(..., *area)])
        return scorer.distance(seen, target, step=step)

    def loss(ws: Tensor, step: int) -> Tensor:
        away = ((ws - start) / deviation).square().flatten(1).mean(dim=1)
        return distances(ws, step) + settings.near * away

    bar = ProgressBar(
        total=settings.draws + settings.generations + settings.refine, desc=text,
        disable=not progress,
    )  # fmt: skip
    drawn = _draw(generator, latent, start, loss, settings, seed=seed, bar=bar)
    found = _search(drawn, deviation, loss, settings, seed=seed, bar=bar)
    refined = _refine(found, deviation, loss, settings, bar=bar)
    bar.close()
    with torch.no_grad():
        near = [float(distances(ws, 0)) for ws in (start, found, refined)]
        with masked_styles(generator, styles, region, smallest=settings.smallest):
            raw = generator.synthesize(Latent("w+", refined))
        whole = generator.synthesize(Latent("w+", refined))
    return Painted(
        composite(raw, original, region), original, raw, Latent("w+", refined, latent.label),
        (near[0], near[1], near[2]), Leak.between(raw, original, region),
        Leak.between(whole, original, region),
    )  # fmt: skip


def composite(
    images: Float[Tensor, "batch channels height width"],
    original: Float[Tensor, "1 channels height width"],
    region: Region,
) -> Float[Tensor, "batch channels height width"]:
    """Images inside a region, the original's bits outside; a mixture where it is fractional."""
    mask = torch.tensor(region).to(images)
    mixed = torch.where(mask < 1, torch.lerp(original.expand_as(images), images, mask), images)
    return torch.where(mask > 0, mixed, original)


@contextmanager
def masked_styles(
    generator: GeneratorWithStyles,
    styles: Float[Tensor, "1 channel"],
    region: Region,
    *,
    smallest: int = 1,
) -> Iterator[None]:
    """Within it, images have the given styles outside a region, and their own ones inside.

    Args:
        generator: Any number of images is generated; see the module docstring for the formula.
        styles: The original's, in s.
        region: Mask of the image.
        smallest: Layers of fewer pixels a side have the given styles everywhere.

    Raises:
        GeneratorError: a styled layer that cannot be masked.
    """
    replaced = []
    for name, part in generator.style_slices.items():
        info = generator.layers.get(name)
        if info is None:
            raise GeneratorError(
                f"styles of layer {name!r} of {generator.name} cannot be masked, since it is not "
                "among its layers; expected a layer with its own output"
            )
        mask = _mask(region, info).to(styles)
        if info.height < smallest:
            mask = torch.zeros_like(mask)
        module = generator.module.get_submodule(info.module)
        replaced.append((module, _Masked(module.forward, styles[:, part], mask, name)))
    try:
        for module, forward in replaced:
            module.forward = forward
        yield
    finally:
        for module, _ in replaced:
            vars(module).pop("forward", None)


class _Masked:
    """A styled layer's forward, with other styles outside a mask."""

    def __init__(
        self,
        forward: Callable[..., Tensor],
        style: Float[Tensor, "1 part"],
        mask: Float[Tensor, "height width"],
        layer: str,
    ) -> None:
        self.forward, self.style, self.mask, self.layer = forward, style, mask, layer

    def __call__(self, *given: Any, **named: Any) -> Tensor:
        outside = self.forward(
            *map(self._replace, given), **{k: self._replace(v) for k, v in named.items()}
        )
        if not bool(self.mask.any()):
            return outside
        inside = self.forward(*given, **named)
        if inside.shape[-2:] != self.mask.shape:
            raise GeneratorError(
                f"layer {self.layer!r} has an output of the shape {tuple(inside.shape)}; expected "
                f"a map of {tuple(self.mask.shape)} pixels, which can be masked"
            )
        return torch.lerp(outside, inside, self.mask)

    def _replace(self, value: Any) -> Any:
        """The original's style in place of a style, the only argument with two dimensions."""
        if isinstance(value, Tensor) and value.shape[1:] == self.style.shape[1:]:
            return self.style.expand(len(value), -1)
        return value


def _mask(region: Region, info: LayerInfo) -> Float[Tensor, "height width"]:
    """The region on a layer's map; at the image's border it extends into the layer's margin."""
    mask = torch.from_numpy(pool(region, (info.height, info.width)))
    return functional.pad(mask[None, None], [info.margin] * 4, mode="replicate")[0, 0]


def _check(generator: Generator, latent: Latent, region: Region) -> Region:
    check_editable(generator)
    if latent.space == "s":
        raise GeneratorError("a latent in 's' was to be painted; expected z, w or w+")
    if len(latent) != 1:
        raise ConfigError(f"{len(latent)} latents were to be painted; expected one")
    region = check_region(region)
    size = (generator.image_size, generator.image_size)
    if region.shape != size:
        raise ConfigError(
            f"the mask has {region.shape[0]} × {region.shape[1]} pixels; expected the image's "
            f"{size[0]} × {size[1]}"
        )
    return region


def _crop(region: Region) -> tuple[slice, slice]:
    """Rows and columns of the square around a region, with its margin, inside the image."""
    size = region.shape[0]
    spans = [np.flatnonzero(region.any(axis=axis)) for axis in (1, 0)]
    longest = max(int(span[-1] - span[0] + 1) for span in spans)
    side = min(size, round(longest * (1 + 2 * MARGIN)))
    starts = [min(max(0, int(span[0] + span[-1] + 1 - side) // 2), size - side) for span in spans]
    return slice(starts[0], starts[0] + side), slice(starts[1], starts[1] + side)


@torch.no_grad()
def _deviation(generator: Generator) -> Float[Tensor, " w"]:
    """Deviation of each coordinate of w."""
    samples = generator.sample(range(_SPREAD_SAMPLES), seed=0)
    return generator.convert(samples, "w").data.std(dim=0).clamp_min(1e-6)


@torch.no_grad()
def _draw(
    generator: Generator,
    latent: Latent,
    start: Float[Tensor, "1 layer w"],
    loss: Callable[[Tensor, int], Tensor],
    settings: PaintSettings,
    *,
    seed: int,
    bar: ProgressBar,
) -> Float[Tensor, "1 layer w"]:
    """The best of the start and of random samples, each moved to all layers of the start."""
    best, lowest = start, float(loss(start, 0))
    for first in range(0, settings.draws, _AT_ONCE):
        indices = range(_DRAWS_FROM + first, _DRAWS_FROM + min(first + _AT_ONCE, settings.draws))
        samples = generator.sample(indices, seed=seed)
        if latent.label is not None:
            label = latent.label.expand(len(indices), *latent.label.shape[1:])
            samples = replace(samples, label=label)
        ws = generator.convert(samples, "w").data.to(start)
        # A start with other differences between its layers keeps them.
        ws = start + (ws[:, None] - start.mean(dim=1, keepdim=True))
        values = loss(ws, 0)
        k = int(values.argmin())
        if float(values[k]) < lowest:
            best, lowest = ws[k : k + 1].clone(), float(values[k])
        bar.update(len(indices))
    return best


@torch.no_grad()
def _search(
    start: Float[Tensor, "1 layer w"],
    deviation: Float[Tensor, " w"],
    loss: Callable[[Tensor, int], Tensor],
    settings: PaintSettings,
    *,
    seed: int,
    bar: ProgressBar,
) -> Float[Tensor, "1 layer w"]:
    """CMA-ES over one offset of w for all layers; the best point of all, which may be the start."""
    if not settings.generations:
        return start
    cma = _library()
    draws = stream(seed, DIRECTION_STREAMS - 200)
    search = cma.CMAEvolutionStrategy(
        np.zeros(start.shape[-1]), settings.spread,
        # nan: it leaves numpy's global seed alone and takes numbers from ``randn`` only.
        {
            "popsize": settings.population, "seed": np.nan, "verbose": -9,
            "randn": lambda *shape: draws.standard_normal(shape),
        },
    )  # fmt: skip
    best, lowest = start, float(loss(start, 0))
    for _ in range(settings.generations):
        points = search.ask()
        offsets = torch.from_numpy(np.stack(points)).to(start) * deviation
        ws = start + offsets[:, None]
        values = loss(ws, 0)  # the same crops for all, so that values can be compared
        search.tell(points, values.double().cpu().tolist())
        first = int(values.argmin())
        if float(values[first]) < lowest:
            best, lowest = ws[first : first + 1].clone(), float(values[first])
        bar.update(1)
    return best


def _refine(
    found: Float[Tensor, "1 layer w"],
    deviation: Float[Tensor, " w"],
    loss: Callable[[Tensor, int], Tensor],
    settings: PaintSettings,
    *,
    bar: ProgressBar,
) -> Float[Tensor, "1 layer w"]:
    """Adam over w+, in deviations of w, with a falling rate; the start if it was better."""
    offset = torch.zeros_like(found, requires_grad=True)
    adam = torch.optim.Adam([offset], lr=settings.refine_rate)
    for step in range(settings.refine):
        adam.param_groups[0]["lr"] = settings.refine_rate * (1 - step / settings.refine)
        adam.zero_grad(set_to_none=True)
        loss(found + offset * deviation, step).sum().backward()
        adam.step()
        bar.update(1)
    refined = (found + offset * deviation).detach()
    with torch.no_grad():
        return min(found, refined, key=lambda ws: float(loss(ws, 0)))


def _library() -> Any:
    try:
        import cma  # noqa: PLC0415, takes a second
    except ImportError as cause:
        raise ConfigError(
            "the search in w needs cma, which is not installed; run: "
            "pip install 'gan-dissection[text]'; or give --generations 0"
        ) from cause
    return cma
