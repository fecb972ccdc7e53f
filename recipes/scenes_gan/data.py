"""The training set: scenes rendered once, kept as bytes, shrunk to the size of each stage."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from dissect.worlds import render_scenes

SEED = 20_000  # seeds from here on belong to training; evaluation takes others
_BLOCK = 2048


def prepare(folder: Path, *, n_images: int, size: int, seed: int = SEED) -> np.ndarray:
    """Render the set unless it is there, and open it read-only.

    Args:
        folder: Where it is kept.
        n_images: How many scenes, the first of the seed.
        size: Height and width in pixels.
        seed: Of the scenes.

    Returns:
        Bytes of shape image × 3 × size × size, mapped from the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"scenes-{seed}-{n_images}-{size}.npy"
    if not path.exists():
        partial = path.with_suffix(".partial")
        images = np.lib.format.open_memmap(
            partial, mode="w+", dtype=np.uint8, shape=(n_images, 3, size, size)
        )
        for start in range(0, n_images, _BLOCK):
            stop = min(start + _BLOCK, n_images)
            scenes = render_scenes(range(start, stop), seed=seed, size=size)
            images[start:stop] = to_bytes(scenes.images).numpy()
        images.flush()
        partial.replace(path)
    return np.load(path, mmap_mode="r")


def to_bytes(images: Tensor) -> UInt8[Tensor, "batch 3 height width"]:
    """RGB in [-1, 1] to 256 levels."""
    return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def shrink(images: np.ndarray, size: int) -> np.ndarray:
    """The same images at a smaller size, each pixel the mean of those it covers."""
    factor = images.shape[-1] // size
    if factor == 1:
        return images
    small = np.empty((len(images), 3, size, size), dtype=np.uint8)
    for start in range(0, len(images), _BLOCK):
        block = images[start : start + _BLOCK].astype(np.float32)
        block = block.reshape(len(block), 3, size, factor, size, factor).mean(axis=(3, 5))
        small[start : start + _BLOCK] = np.round(block)
    return small
