"""Measures the effect of each channel of s on the image's CLIP vector: StyleCLIP's table F.

    d_ci = E(G(s_i with s_c = μ_c + k σ_c)) - E(G(s_i with s_c = μ_c - k σ_c))
    F_c  = mean over images i of d_ci / |d_ci|

(k = 5; 0 for a channel without effect.) The original uses 100 images and every channel: 1.2 million
images at 1024 pixels, 4 to 24 hours. Three things make it faster here:

- **Screening.** One backward pass of v·E(G(s)) gives v·∂E/∂s_c for all channels at once (a product
  with the Jacobian). Over random normal v the mean of its square is the squared length of ∂E/∂s_c;
  times σ_c, it gives the order of the channels. Only the first ``keep`` are measured; rows of the
  others are 0. The estimate sees only small steps, so it can miss channels that act at large ones.
- **A cached prefix.** A channel of a layer changes nothing before that layer, so the outputs of
  earlier layers are computed once per image.
- **20 images** instead of 100.

The file is written after each layer: an interrupted measurement continues where it stopped.

References:
    Patashnik et al., StyleCLIP, ICCV 2021, section 6, equations 3 and 4.
    Hutchinson, 1990 (the squared length from random vectors).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from dissect.directions.samples import WHOLE, Truncation, truncate
from dissect.directions.stylespace import StyleStatistics, style_statistics
from dissect.errors import ConfigError
from dissect.generators.base import Generator, check_editable
from dissect.generators.styled import GeneratorWithStyles, HasStyles
from dissect.latents import Latent
from dissect.latents.sampling import DIRECTION_STREAMS, stream
from dissect.progress import ProgressBar
from dissect.record_file import RecordFile
from dissect.text.scorer import TextScorer

_FILE = RecordFile(
    "gan-dissection/channel-effects",
    holds="effects of channels",
    expected="a file that dissect text directions wrote, or another name",
    advice="delete it, or give another file",
)
_FORWARD = 32  # images of one forward pass
_NOTHING = 1e-5  # length of a difference of unit vectors that counts as rounding
_PROBES = 8  # random vectors per image


@dataclass(frozen=True, eq=False)
class ChannelEffects:
    """The table F; see the module docstring.

    Args:
        table: A row per channel of s; zeros if it was not measured or has no effect.
        measured: Mask of the measured channels.
        statistics: Mean and deviation of the channels.
        settings: Fingerprints and options of the measurement.
    """

    table: Float[np.ndarray, "channel embedding"]
    measured: Bool[np.ndarray, " channel"]
    statistics: StyleStatistics
    settings: Mapping[str, Any]


def measure_effects(
    generator: Generator,
    scorer: TextScorer,
    *,
    n_images: int = 20,
    step: float = 5.0,
    keep: float = 0.25,
    seed: int = 0,
    truncation: Truncation = WHOLE,
    out: str | Path | None = None,
    progress: bool = False,
) -> ChannelEffects:
    """Measure F, or continue a measurement from its file.

    Args:
        generator: A generator with styles and gradients.
        scorer: Its image tower is used.
        n_images: Number of images, samples 0, 1, … of the seed.
        step: k, in standard deviations of the channel.
        keep: Share of the channels to measure, those with the largest estimated effect; 1
            measures all, without an estimate. Channels of ToRGB are left out, as in the original.
        seed: Seed of the images and the estimate.
        truncation: Truncation of the images.
        out: File for the result, ``NAME.safetensors``.
        progress: Show a progress bar.

    Raises:
        ConfigError: numbers out of range, or a file with other settings.
        GeneratorError: a generator without styles or gradients.
    """
    check_editable(generator)
    _check(n_images=(n_images, 1, 10_000), step=(step, 1e-3, 1e3), keep=(keep, 1e-6, 1))
    statistics = style_statistics(generator, seed=seed, truncation=truncation)
    assert isinstance(generator, HasStyles)  # style_statistics raised an error for all others
    settings = {
        "generator": generator.fingerprint, "towers": scorer.fingerprint, "n_images": n_images,
        "step": float(step), "keep": float(keep), "seed": seed,
        "truncation": [truncation.psi, truncation.cutoff],
    }  # fmt: skip
    latent = truncate(generator, generator.sample(range(n_images), seed=seed), truncation)
    styles = generator.convert(latent, "s").data
    done: list[str] = []
    table = None
    if out is not None and Path(out).exists():
        table, chosen, done = _read(Path(out), settings)
    else:
        chosen = ~statistics.is_rgb & (statistics.deviation > 0)
        if keep < 1:
            sizes = estimate_sizes(generator, scorer, styles, seed=seed)
            sizes = np.where(chosen, sizes * statistics.deviation, -1.0)
            n_kept = max(1, round(keep * int(chosen.sum())))
            chosen &= sizes >= np.sort(sizes)[-n_kept]
    bar = ProgressBar(total=int(chosen.sum()), desc="channels", disable=not progress)
    for name, part in statistics.layers.items():
        channels = np.arange(part.start, part.stop)[chosen[part]]
        bar.update(len(channels) if name in done else 0)
        if name in done or not len(channels):
            continue
        rows = _layer_effects(generator, scorer, styles, statistics, name, channels, step, bar)
        if table is None:
            table = np.zeros((len(chosen), rows.shape[1]), np.float32)
        table[channels] = rows
        done.append(name)
        if out is not None:
            _write(Path(out), table, chosen, done, settings)
    bar.close()
    assert table is not None  # at least one channel is measured
    return ChannelEffects(table, chosen, statistics, settings)


def estimate_sizes(
    generator: GeneratorWithStyles,
    scorer: TextScorer,
    styles: Float[Tensor, "image channel"],
    *,
    seed: int,
    n_images: int = 4,
) -> Float[np.ndarray, " channel"]:
    """The length of ∂E(G(s))/∂s_c for each channel, estimated: root of the mean over images and
    random vectors v of (v·∂E/∂s_c)².

    Args:
        generator, scorer: See ``measure_effects``.
        styles: Points; the first ``n_images`` are used.
        seed: Seed of the random vectors.
        n_images: Number of images.
    """
    total = np.zeros(styles.shape[1])
    few = styles[:n_images]
    for row in range(len(few)):
        point = few[row : row + 1].detach().clone().requires_grad_()
        vector = scorer.encode_images(generator.synthesize(Latent("s", point)))[0]
        draws = stream(seed, DIRECTION_STREAMS - 100 - row)
        probes = draws.standard_normal((_PROBES, len(vector)), dtype=np.float32)
        for probe in torch.from_numpy(probes).to(vector.device):
            (slope,) = torch.autograd.grad(vector @ probe, point, retain_graph=True)
            total += slope[0].double().square().cpu().numpy()
    return np.sqrt(total / (len(few) * _PROBES))


@torch.no_grad()
def _layer_effects(
    generator: GeneratorWithStyles,
    scorer: TextScorer,
    styles: Tensor,
    statistics: StyleStatistics,
    layer: str,
    channels: np.ndarray,
    step: float,
    bar: ProgressBar,
) -> Float[np.ndarray, "chosen embedding"]:
    """Rows of F of one layer's channels."""
    total: Tensor | None = None
    low_high = np.stack(
        [statistics.mean + sign * step * statistics.deviation for sign in (-1, 1)]
    ).astype(np.float32)
    ends = torch.from_numpy(low_high).to(styles)
    for row in range(len(styles)):
        with prefix(generator, styles[row : row + 1], layer):
            found = []
            for first in range(0, len(channels), _FORWARD // 2):
                some = torch.from_numpy(channels[first : first + _FORWARD // 2]).to(styles.device)
                moved = styles[row].repeat(2, len(some), 1)
                places = torch.arange(len(some), device=styles.device)
                moved[:, places, some] = ends[:, some]
                images = generator.synthesize(Latent("s", moved.flatten(0, 1)))
                low, high = scorer.encode_images(images).unflatten(0, (2, len(some)))
                change = high - low
                kept = change.norm(dim=1, keepdim=True) > _NOTHING
                found.append(torch.where(kept, functional.normalize(change, dim=1), 0))
                bar.update(len(some) / len(styles))
        rows = torch.cat(found).double()
        total = rows if total is None else total + rows
    assert total is not None
    return (total / len(styles)).float().cpu().numpy()


@contextmanager
def prefix(
    generator: GeneratorWithStyles, styles: Float[Tensor, "1 channel"], layer: str
) -> Iterator[None]:
    """Within it, layers before one with a style return cached outputs for these styles.

    Args:
        generator: Within it, its images are only correct for styles that differ from the given ones
            only in the channels of ``layer`` and later ones.
        styles: Styles of one image.
        layer: A style layer. If the generator lists layers under other names, nothing is cached.
    """
    names = list(generator.layers)
    before = names[: names.index(layer)] if layer in names else []
    # The meaning of a layer without its own style is not known.
    modules = [
        generator.module.get_submodule(generator.layers[name].module)
        for name in before
        if name in generator.style_slices
    ]
    kept: list[tuple[Any, Tensor]] = []

    def keep(module: Any, inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            kept.append((module, output))

    handles = [module.register_forward_hook(keep) for module in modules]
    try:
        generator.synthesize(Latent("s", styles))
    finally:
        for handle in handles:
            handle.remove()
    try:
        for module, output in kept:
            module.forward = _Repeat(output)
        yield
    finally:
        for module, _ in kept:
            del module.forward


class _Repeat:
    """A layer's forward that repeats one image's output for each given style."""

    def __init__(self, output: Tensor) -> None:
        self.output = output

    def __call__(self, *given: Any, **named: Any) -> Tensor:
        n_images = max(
            value.shape[0] for value in (*given, *named.values()) if isinstance(value, Tensor)
        )
        return self.output.expand(n_images, *self.output.shape[1:])


def _check(**given: tuple[float, float, float]) -> None:
    for name, (value, low, high) in given.items():
        if not low <= value <= high:
            raise ConfigError(f"{name} is {value}; expected a number from {low:g} to {high:g}")


def _write(
    path: Path, table: np.ndarray, chosen: np.ndarray, done: list[str], settings: Mapping[str, Any]
) -> None:
    arrays = {"table": table, "chosen": chosen.astype(np.uint8)}
    _FILE.write(path, arrays, {"done": done, "settings": dict(settings)})


def _read(path: Path, settings: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    record, arrays = _FILE.read(path, names={"table", "chosen"}.__eq__)
    with _FILE.reading(path):
        table, chosen = arrays["table"], arrays["chosen"].astype(bool)
        found, done = dict(record["settings"]), list(record["done"])
    differing = [name for name in settings if found.get(name) != settings[name]]
    if differing:
        name = differing[0]
        raise ConfigError(
            f"{path} was measured with {name} {str(found.get(name))[:20]}, not "
            f"{str(settings[name])[:20]}; expected the same question; give another file"
        )
    return table, chosen, done
