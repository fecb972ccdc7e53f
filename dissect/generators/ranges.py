"""The value range of images: found from four samples; an error if it is not [-1, 1]."""

from dataclasses import replace

import torch
from torch import Tensor

from dissect.errors import DissectError
from dissect.generators.base import Generator

N_SAMPLES = 4
_ENDS = {"TanhBackward0": (-1.0, 1.0), "SigmoidBackward0": (0.0, 1.0)}
_MOVES = (
    "Permute", "Transpose", "Slice", "Select", "View", "Reshape", "Unsqueeze", "Squeeze", "Clone",
    "Alias", "Index", "Expand", "Contiguous",
)  # fmt: skip
_MOST = 4.0  # far beyond [-1, 1]; published generators overshoot by less
_SLACK = 1e-3
_RANGES = {
    (-1.0, 1.0): "[-1, 1]",
    (0.0, 1.0): "[0, 1]",
    (0.0, 255.0): "[0, 255]",
}


def find_range(images: Tensor) -> tuple[float, float] | None:
    """Find which of the usual ranges the images are in; None if in none.

    [0, 1] if no value is negative and none above 1; [0, 255] if none is negative and one is
    above 2; [-1, 1] if no value is beyond ±4 (an overshoot is usual).
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
    """Scale images of a range to [-1, 1]."""
    low, high = image_range
    return (images - low) * (2 / (high - low)) - 1


def _range_of_end(generator: Generator) -> tuple[float, float] | None:
    """The range that the last operation on an image gives: tanh or sigmoid; None for others.

    It is read from the autograd graph; operations that only move values are skipped.
    """
    latent = generator.sample([0], seed=0)
    if not latent.data.is_floating_point():
        return None
    data = latent.data.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        node = generator.synthesize(replace(latent, data=data)).grad_fn
    while node is not None and node.name().startswith(_MOVES):
        node = node.next_functions[0][0] if node.next_functions else None
    return _ENDS.get("" if node is None else node.name())


def check_range(generator: Generator, error: type[DissectError]) -> None:
    """Raise an error if the generator's images are not in [-1, 1].

    A final tanh or sigmoid decides; otherwise four samples do.

    Raises:
        DissectError: of the class ``error``, with the range that was found.
    """
    with torch.no_grad():
        images = generator.synthesize(generator.sample(range(N_SAMPLES), seed=0))
    found = find_range(images)
    if found is not None:
        found = _range_of_end(generator) or found
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
