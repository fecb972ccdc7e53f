"""The range of images: told from four samples, and refused where it is not [-1, 1]."""

import torch
from torch import Tensor

from dissect.errors import DissectError
from dissect.generators.base import Generator

N_SAMPLES = 4
_MOST = 4.0  # far beyond [-1, 1]: overshoot of published generators stays below
_SLACK = 1e-3
_RANGES = {
    (-1.0, 1.0): "[-1, 1]",
    (0.0, 1.0): "[0, 1]",
    (0.0, 255.0): "[0, 255]",
}


def find_range(images: Tensor) -> tuple[float, float] | None:
    """Which of the usual ranges images are in; None if they are in none.

    [0, 1] where no value is negative and none above 1; [0, 255] where none is negative and one is
    above 2; [-1, 1] where none is far beyond (overshoot up to ±4 is usual).
    """
    low, high = float(images.min()), float(images.max())
    if low >= -_SLACK and high <= 1 + _SLACK:
        return (0.0, 1.0)
    if low >= -_SLACK and 2 < high <= 255 + _SLACK:
        return (0.0, 255.0)
    if low >= -_MOST and high <= _MOST:
        return (-1.0, 1.0)
    return None


def scale_images(images: Tensor, image_range: tuple[float, float]) -> Tensor:
    """Images of a range brought to [-1, 1]."""
    low, high = image_range
    return (images - low) * (2 / (high - low)) - 1


@torch.no_grad()
def check_range(generator: Generator, error: type[DissectError]) -> None:
    """Refuse a generator whose images are in another range than [-1, 1], by four samples.

    Raises:
        DissectError: of the class ``error``, with the range that was found.
    """
    images = generator.synthesize(generator.sample(range(N_SAMPLES), seed=0))
    found = find_range(images)
    if found == (-1.0, 1.0):
        return
    low, high = float(images.min()), float(images.max())
    if not bool(images.isfinite().all()):
        raise error(
            f"{generator.name} gives NaN or infinity in {N_SAMPLES} samples; expected finite "
            "numbers in [-1, 1]; check its weights"
        )
    way = "image_range=(LOW, HIGH)" if found is None else f"image_range={_as_pair(found)}"
    looks = "far beyond it" if found is None else f"as of images in {_RANGES[found]}"
    raise error(
        f"{generator.name} gives values from {low:.3g} to {high:.3g} in {N_SAMPLES} samples, "
        f"{looks}; expected [-1, 1]; give dissect.wrap(module, …, {way}), or "
        "image_range=(-1, 1) if that is what they mean"
    )


def _as_pair(found: tuple[float, float]) -> str:
    return f"({found[0]:g}, {found[1]:g})"
