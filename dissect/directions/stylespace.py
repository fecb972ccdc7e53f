"""StyleSpace: single channels of s that change one attribute.

Two searches, both over all channels except those of ToRGB layers:

- **Channels of an attribute.** Over the population a channel has mean μ and deviation σ. In m
  images that show the attribute, its normalised value is d = (s − μ) / σ, and
  θ = |mean d| / deviation of d measures how reliably it differs there. If the channel is
  independent of the attribute, √m · mean / deviation has Student's t distribution with m − 1
  degrees of freedom. So θ has a p-value, and q-values over all channels control the rate of false
  discoveries.
- **Channels that act locally.** The image's change along a channel, at 32 × 32 pixels, is compared
  with each concept's area. The score is the share of the pixels of largest change, as many as the
  concept has, that are inside it, over the square of its area share. The concept with the largest
  score takes the channel in that image. A channel is local if one concept takes it in more than
  half of the images, and the next one in a share smaller by more than a quarter.

References:
    Wu, Lischinski and Shechtman, StyleSpace Analysis, CVPR 2021, sections 4 (local channels)
    and 5 (channels of an attribute).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from scipy import stats
from torch.nn import functional

from dissect.directions.samples import WHOLE, Truncation, truncate
from dissect.errors import ConfigError, GeneratorError
from dissect.generators.base import Generator
from dissect.generators.styled import HasStyles
from dissect.latents import Latent
from dissect.pictures import as_rgb
from dissect.progress import ProgressBar
from dissect.statistics.certainty import q_values
from segmenters.base import Segmenter

GRID = 32
"""Side in pixels at which a channel's change is compared with concepts."""
MOST, GAP = 0.5, 0.25
"""Least share of images in which one concept takes a local channel, and its lead over the next."""
_BLOCK = 256  # latents, without images
_FORWARD = 64  # images per forward pass
_STEP = 1.0  # deviations of a channel, in both directions


@dataclass(frozen=True, eq=False)
class StyleStatistics:
    """Mean and deviation of each channel of s over random latents.

    Attributes:
        mean, deviation: Mean and deviation of each channel (n − 1).
        layers: Style layer → its slice of s.
    """

    mean: Float[np.ndarray, " channel"]
    deviation: Float[np.ndarray, " channel"]
    layers: Mapping[str, slice]

    def place(self, channel: int) -> tuple[str, int]:
        """The layer of a channel of s, and the channel's number in it."""
        for name, part in self.layers.items():
            if part.start <= channel < part.stop:
                return name, channel - part.start
        raise ConfigError(f"channel {channel} is not in s; expected 0 to {len(self.mean) - 1}")

    @property
    def is_rgb(self) -> Bool[np.ndarray, " channel"]:
        """Whether a channel belongs to a layer that outputs the image; both searches skip these."""
        found = np.zeros(len(self.mean), bool)
        for name, part in self.layers.items():
            found[part] = name.rpartition(".")[2].lower() in ("torgb", "to_rgb")
        return found


def style_statistics(
    generator: Generator,
    *,
    n_samples: int = 2000,
    seed: int = 0,
    truncation: Truncation = WHOLE,
    label: int | None = None,
) -> StyleStatistics:
    """Mean and deviation of every channel; generates no images.

    Args:
        generator: Generator with a space s.
        n_samples: Number of latents.
        seed: Seed of the latents.
        truncation: Truncation of the latents.
        label: Class of all of them; None: each draws its own.

    Raises:
        GeneratorError: a generator without styles.
    """
    styles = sample_styles(
        generator, n_samples=n_samples, seed=seed, truncation=truncation, label=label
    )
    assert isinstance(generator, HasStyles)  # sample_styles raised an error for all others
    return StyleStatistics(
        styles.mean(axis=0), styles.std(axis=0, ddof=1), dict(generator.style_slices)
    )


@torch.no_grad()
def sample_styles(
    generator: Generator,
    *,
    n_samples: int,
    seed: int,
    truncation: Truncation = WHOLE,
    label: int | None = None,
) -> Float[np.ndarray, "n channel"]:
    """The styles of random latents.

    Raises:
        GeneratorError: a generator without styles.
    """
    if not isinstance(generator, HasStyles):
        raise GeneratorError(
            f"{generator.name} has no styles (its spaces are {', '.join(generator.spaces)}); "
            "expected a generator with the space s, such as a StyleGAN"
        )
    blocks = []
    for first in range(0, n_samples, _BLOCK):
        indices = list(range(first, min(first + _BLOCK, n_samples)))
        latent = generator.sample(indices, seed=seed, label=label)
        latent = generator.convert(truncate(generator, latent, truncation), "s")
        blocks.append(latent.data.double().cpu().numpy())
    return np.concatenate(blocks)


def attribute_channels(
    examples: Float[np.ndarray, "m channel"], population: StyleStatistics
) -> pd.DataFrame:
    """Channels that differ reliably in images that show an attribute, most reliable first.

    Args:
        examples: Styles of images that show it, ten or more.
        population: Statistics of random images.

    Returns:
        ``channel``, ``layer``, ``unit``, ``theta`` (θ), ``difference`` (mean of d; its sign is that
        of the step towards the attribute), ``p`` (two-sided) and ``q``. Omits channels that do not
        vary.

    Raises:
        ConfigError: fewer than three examples, or examples of another space.
    """
    values = np.asarray(examples, np.float64)
    if values.ndim != 2 or len(values) < 3 or values.shape[1] != len(population.mean):
        raise ConfigError(
            f"examples have the shape {values.shape}; expected at least 3 rows of "
            f"{len(population.mean)} channels"
        )
    known = np.flatnonzero((population.deviation > 0) & ~population.is_rgb)
    d = (values[:, known] - population.mean[known]) / population.deviation[known]
    mean, deviation = d.mean(axis=0), d.std(axis=0, ddof=1)
    ratio = np.divide(mean, deviation, out=np.zeros_like(mean), where=deviation > 0)
    p = 2 * stats.t.sf(np.abs(ratio) * np.sqrt(len(values)), len(values) - 1)
    places = [population.place(int(channel)) for channel in known]
    table = pd.DataFrame(
        {
            "channel": known,
            "layer": [layer for layer, _ in places],
            "unit": [unit for _, unit in places],
            "theta": np.abs(ratio),
            "difference": mean,
            "p": p,
            "q": q_values(p),
        }
    )
    return table.sort_values("theta", ascending=False, kind="stable", ignore_index=True)


@torch.no_grad()
def local_channels(
    generator: Generator,
    segmenter: Segmenter,
    population: StyleStatistics,
    *,
    channels: Sequence[int] | None = None,
    n_samples: int = 8,
    seed: int = 0,
    progress: bool = False,
) -> pd.DataFrame:
    """The concept that each channel changes, and the share of images.

    The image's derivative is a central difference over ±σ of the channel.

    Args:
        generator: Generator with a space s.
        segmenter: Segmenter of the concepts.
        population: Statistics of the generator.
        channels: Channels of s; None means all except those of ToRGB layers.
        n_samples: Number of images; each takes two forward passes for every channel.
        seed: Seed of the images.
        progress: Show a progress bar.

    Returns:
        ``channel``, ``layer``, ``unit``, ``concept``, ``share`` (of images in which the concept
        takes it), ``second`` and ``second_share``, ``local``, and ``change`` (mean absolute change
        of the image for one σ). A channel without any effect has no concept.
    """
    if channels is None:
        chosen = np.flatnonzero((population.deviation > 0) & ~population.is_rgb).tolist()
    else:
        chosen = list(channels)
    names = segmenter.vocabulary.names
    taken = np.zeros((len(chosen), len(names) + 1))
    change = np.zeros(len(chosen))
    bar = ProgressBar(
        total=n_samples * len(chosen), desc="local channels", unit="channel",
        disable=None if progress else True,
    )  # fmt: skip
    deviation = torch.from_numpy(population.deviation)
    for index in range(n_samples):
        latent = generator.convert(generator.sample([index], seed=seed), "s")
        plain = as_rgb(generator.synthesize(latent))
        areas = _areas(segmenter, plain)
        for first in range(0, len(chosen), _FORWARD // 2):
            own = chosen[first : first + _FORWARD // 2]
            steps = torch.zeros(len(own), latent.data.shape[1]).to(latent.data)
            steps[range(len(own)), own] = deviation[own].to(latent.data) * _STEP
            points = torch.cat([latent.data + steps, latent.data - steps])
            ahead, behind = as_rgb(generator.synthesize(Latent("s", points))).chunk(2)
            moved = (ahead - behind).abs().mean(dim=1, keepdim=True) / 2
            maps = functional.adaptive_avg_pool2d(moved, GRID)[:, 0].double().cpu().numpy()
            change[first : first + len(own)] += maps.mean(axis=(1, 2)) / n_samples
            for row, one in enumerate(maps, start=first):
                taken[row, _best_concept(one, areas)] += 1 / n_samples
            bar.update(len(own))
    bar.close()
    order = np.argsort(-taken[:, :-1], axis=1, kind="stable")[:, :2]
    rows = np.arange(len(chosen))
    best, second = taken[rows, order[:, 0]], taken[rows, order[:, 1]]
    places = [population.place(channel) for channel in chosen]
    return pd.DataFrame(
        {
            "channel": chosen,
            "layer": [layer for layer, _ in places],
            "unit": [unit for _, unit in places],
            "concept": [
                names[k] if share else "" for k, share in zip(order[:, 0], best, strict=True)
            ],
            "share": best,
            "second": [
                names[k] if share else "" for k, share in zip(order[:, 1], second, strict=True)
            ],
            "second_share": second,
            "local": (best > MOST) & (best - second > GAP),
            "change": change,
        }
    )


def _areas(segmenter: Segmenter, image: torch.Tensor) -> Bool[np.ndarray, "concept grid grid"]:
    """Area of each concept on the grid: cells of which it fills at least half."""
    planes = segmenter.segment(image.to(segmenter.device))[0]
    ids = torch.arange(1, len(segmenter.vocabulary) + 1, device=planes.device)
    masks = (planes[None] == ids[:, None, None, None]).any(dim=1).float()
    return (functional.adaptive_avg_pool2d(masks, GRID) >= 0.5).cpu().numpy()


def _best_concept(
    change: Float[np.ndarray, "grid grid"], areas: Bool[np.ndarray, "concept grid grid"]
) -> int:
    """The concept that takes a channel in one image; −1 for none."""
    n_cells = areas.sum(axis=(1, 2))
    if not change.any() or not n_cells.any():
        return -1
    order = np.argsort(-change, axis=None, kind="stable")
    inside = areas.reshape(len(areas), -1)[:, order].cumsum(axis=1)
    share = n_cells / change.size
    rows = np.arange(len(areas))
    overlap = inside[rows, np.maximum(n_cells - 1, 0)] / change.size
    score = np.divide(overlap, share**2, out=np.full(len(areas), -1.0), where=n_cells > 0)
    # At the level of chance, overlap / share² is 1; then no concept takes the channel.
    return int(score.argmax()) if score.max() > 1 else -1
