"""The range of images: found from four samples, and refused where it is not [-1, 1]."""

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


def _range_of_end(generator: Generator) -> tuple[float, float] | None:
    """The range that the last operation on an image gives: tanh or sigmoid; None for others.

    It is read off the graph that a gradient would follow; what only moves values is skipped.
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
    """Refuse a generator whose images are in another range than [-1, 1].

    The last operation tells it where it is a tanh or a sigmoid, else four samples do.

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
