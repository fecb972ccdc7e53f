"""Images of the generator with the teacher's labels, stored in shards.

A shard holds 500 samples in one file, written atomically, so that an interrupted run can continue.
The folder's name is a digest of everything that its contents depend on.
"""

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from dissect.generators import Generator
from recipes.face_parts.teacher import VERSION, Teacher

SHARD_SIZE = 500


@dataclass(frozen=True)
class Labelled:
    """Images with the teacher's labels; only those in which it found a face.

    Args:
        images: RGB bytes.
        planes: Concept ids; object plane, part plane.
        n_asked: Number of images shown to the teacher.
    """

    images: UInt8[Tensor, "sample 3 height width"]
    planes: UInt8[Tensor, "sample 2 height width"]
    n_asked: int

    def __len__(self) -> int:
        return len(self.images)


def label_samples(
    generator: Generator, teacher: Teacher, *, seed: int, n_samples: int, work: Path
) -> Labelled:
    """Samples 0 … n − 1 of a seed with labels; reuses the cache in ``work``."""
    folder = work / f"labels-v{VERSION}-{generator.fingerprint[:12]}-seed{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    starts = range(0, n_samples, SHARD_SIZE)
    shards = []
    for start in tqdm(starts, desc=f"labels of seed {seed}", unit="shard"):
        stop = min(start + SHARD_SIZE, n_samples)
        shards.append(_load_or_make(folder, generator, teacher, seed, range(start, stop)))
    images, planes, found = (np.concatenate(arrays) for arrays in zip(*shards, strict=True))
    return Labelled(
        images=torch.from_numpy(images[found]).permute(0, 3, 1, 2).contiguous(),
        planes=torch.from_numpy(planes[found]),
        n_asked=n_samples,
    )


def draw(generator: Generator, indices: range, *, seed: int) -> NDArray[np.uint8]:
    """Images of samples as RGB bytes, ``batch height width 3``."""
    with torch.no_grad():
        images = generator.synthesize(generator.sample(indices, seed=seed))
    return to_bytes(images).permute(0, 2, 3, 1).cpu().numpy()


def to_bytes(images: Tensor) -> UInt8[Tensor, "batch 3 height width"]:
    """Convert floats in [-1, 1] to bytes; clamps values outside."""
    return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def to_floats(images: UInt8[Tensor, "batch 3 height width"]) -> Tensor:
    """Bytes to floats in [-1, 1]."""
    return images.float() / 127.5 - 1


def _load_or_make(
    folder: Path, generator: Generator, teacher: Teacher, seed: int, indices: range
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]:
    path = folder / f"{indices.start:06d}-{indices.stop:06d}.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            return file["images"], file["planes"], file["found"]
    except (FileNotFoundError, zipfile.BadZipFile, KeyError):
        pass
    images = draw(generator, indices, seed=seed)
    labels = [teacher.label(image) for image in images]
    found = np.array([label is not None for label in labels])
    planes = np.stack(
        [np.zeros((2, *images.shape[1:3]), np.uint8) if x is None else x for x in labels]
    )
    partial = path.with_suffix(f".{os.getpid()}.partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, images=images, planes=planes, found=found)
    partial.replace(path)
    return images, planes, found
