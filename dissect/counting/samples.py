"""From sample indices to images and masks, with checks.

Blocks are aligned to the sample index: block b holds the samples b·size … (b+1)·size - 1, up to the
end of the run. Regenerating a whole block gives the same bits.
"""

import math
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dissect.config import RunConfig
from dissect.errors import DissectError, GeneratorError, SegmenterError, SettingError
from dissect.generators.base import Generator
from dissect.latents import Latent
from dissect.pictures import as_rgb
from segmenters.base import Segmenter
from segmenters.devices import find_device

_LARGEST_GRID = 128


def block_indices(number: int, config: RunConfig, n_samples: int | None = None) -> list[int]:
    """The samples of block ``number`` among the first ``n_samples`` (all of the run if None)."""
    last = config.n_samples if n_samples is None else n_samples
    return list(range(number * config.block, min((number + 1) * config.block, last)))


def n_blocks(config: RunConfig, n_samples: int | None = None) -> int:
    """Number of blocks with the first ``n_samples`` samples (all of the run if None)."""
    return -(-(config.n_samples if n_samples is None else n_samples) // config.block)


def mask_grid(generator: Generator, config: RunConfig) -> int:
    """Height and width of the mask grid."""
    if config.compat is not None:  # the original segments at half the image's size
        return max(1, generator.image_size // 2)
    if isinstance(config.grid, int):
        return config.grid
    return min(generator.image_size, _LARGEST_GRID)


def make_latent(generator: Generator, config: RunConfig, indices: list[int]) -> Latent:
    """The latent of some samples, truncated by the run's settings."""
    latent = generator.sample(indices, seed=config.seed, label=config.label)
    if config.truncation == 1:
        return latent
    # ψ applies in the space that has a mean: w+ if there is one, otherwise the first.
    space = "w+" if "w+" in generator.spaces else next(iter(generator.spaces))
    return generator.convert(latent, space, truncation=config.truncation)


@torch.no_grad()
def synthesize(
    generator: Generator, config: RunConfig, indices: list[int]
) -> Float[Tensor, "batch channels height width"]:
    """Generate samples without checking that their values are finite.

    Args:
        generator: The generator.
        config: Settings of the run.
        indices: Indices of one whole block, if the images must have the same bits as in the run.

    Raises:
        GeneratorError: images of the wrong shape.
    """
    images = generator.synthesize(make_latent(generator, config, indices))
    size = generator.image_size
    expected = (len(indices), generator.channels, size, size)
    if tuple(images.shape) != expected:
        raise GeneratorError(
            f"{generator.name} gave images of shape {tuple(images.shape)}; expected {expected}"
        )
    return images


def make_images(
    generator: Generator, config: RunConfig, indices: list[int]
) -> Float[Tensor, "batch channels height width"]:
    """Generate the images of samples.

    Args:
        generator: The generator.
        config: Settings of the run.
        indices: Indices of one whole block, if the images must have the same bits as in the run.

    Raises:
        GeneratorError: images that are not finite, or of the wrong shape.
    """
    images = synthesize(generator, config, indices)
    check_finite(generator, config, indices, {"images": images})
    return images


def finite_rows(values: Tensor) -> Bool[Tensor, " batch"]:
    """Which samples of a batch have only finite values."""
    # A sum costs a tenth of checking each value, and shows every value that is not finite.
    if math.isfinite(values.sum().item()):
        return torch.ones(len(values), dtype=torch.bool)
    return torch.isfinite(values).flatten(1).all(dim=1).cpu()


def check_finite(
    generator: Generator,
    config: RunConfig,
    indices: list[int],
    named: Mapping[str, Tensor],
    *,
    advice: str = "check the weights",
) -> None:
    """Check that values are finite.

    Args:
        generator: The generator that made them.
        config: Settings of the run.
        indices: The samples.
        named: Name of the values → values, a row per sample.
        advice: Advice for the message.

    Raises:
        GeneratorError: NaN or infinity.
    """
    for what, values in named.items():
        finite = finite_rows(values)
        if not finite.all():
            sample = indices[int((~finite).nonzero()[0])]
            raise GeneratorError(
                f"{generator.name} gave NaN or infinity in {what} of sample {sample} of seed "
                f"{config.seed}; expected finite numbers; {advice}"
            )


@torch.no_grad()
def label_block(
    segmenter: Segmenter, images: Float[Tensor, "batch channels h w"], grid: int
) -> Int[Tensor, "batch plane grid grid"]:
    """Segment images and resize the planes to the mask grid (the pixel at each cell's centre).

    Raises:
        SegmenterError: planes of the wrong type or shape, or ids outside of the vocabulary.
    """
    planes = segmenter.segment(as_rgb(images).to(segmenter.device)).cpu()
    vocabulary = segmenter.vocabulary
    expected = (len(images), len(vocabulary.planes), *images.shape[2:])
    if planes.is_floating_point() or tuple(planes.shape) != expected:
        raise SegmenterError(
            f"{segmenter.name} gave {planes.dtype} planes of shape {tuple(planes.shape)}; "
            f"expected whole numbers of shape {expected}"
        )
    low, high = planes.aminmax()
    known = low >= 0 and high <= len(vocabulary)
    for position, plane in enumerate(vocabulary.planes):
        allowed = {0, *(concept.id for concept in vocabulary.in_plane(plane))}
        marked = planes[:, position].flatten()
        # Counting needs no sorting, but non-negative numbers.
        numbers = torch.bincount(marked).nonzero() if known else torch.unique(marked)
        found = set(numbers.flatten().tolist())
        if not found <= allowed:
            raise SegmenterError(
                f"{segmenter.name} marked plane {plane!r} with id {min(found - allowed)}; expected "
                f"0 or an id of the vocabulary ({min(allowed - {0})} … {max(allowed)} here)"
            )
    return at_grid(planes, grid)


def at_grid(
    planes: Int[Tensor, "batch plane h w"], grid: int
) -> Int[Tensor, "batch plane grid grid"]:
    """Masks at the mask grid: the pixel at each cell's centre."""
    rows, columns = (_centres(size, grid) for size in planes.shape[2:])
    return planes[:, :, rows[:, None], columns]


def _centres(size: int, grid: int) -> Tensor:
    return torch.from_numpy(np.floor((np.arange(grid) + 0.5) * size / grid).astype(np.int64))


def check_device(device: str) -> None:
    """Check that torch has a device on this machine.

    Raises:
        ConfigError: no such device.
    """
    try:
        find_device(device)
    except DissectError as error:
        raise SettingError("device", str(error).removeprefix("device ")) from error
