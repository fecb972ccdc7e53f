"""Real images at a generator's size, with which its own images are compared.

``dissect.photographs`` reads the images of a folder.
"""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dissect.errors import ConfigError, SettingError
from dissect.generators.base import Generator
from dissect.photographs import KINDS, image_files, read_image
from dissect.progress import ProgressBar
from dissect.studies.repair.frechet import Moments
from dissect.worlds import render_scenes

SCENES = "scenes"
"""Name of this package's drawn scenes as a data source."""
FEWEST = 32
"""Least number of images in a folder."""
_N_SCENES = 2000
_SCENES_SEED = 50_000  # used for no training set and no card
_BATCH = 32


def read_data(
    source: str | Path,
    generator: Generator,
    features: Callable[[Tensor], np.ndarray],
    *,
    progress: bool = False,
) -> tuple[Moments, dict[str, object]]:
    """Mean and covariance of the features of real images.

    Args:
        source: A folder of PNG, JPEG or WebP images, read by name, or ``scenes`` for 2,000 drawn
            scenes of a seed that no generator was trained on.
        generator: Generator with the size and channels.
        features: Images in [-1, 1] (batch, channels, height, width) → a row for each.
        progress: Show a progress bar.

    Returns:
        The moments, and the origin of the images: ``source``, ``images`` (their number) and the
        ``sha256`` of their bytes at the generator's size.

    Raises:
        ConfigError: no such folder, too few images in it, or one that cannot be read.
    """
    size, grey = generator.image_size, generator.channels == 1
    if str(source) == SCENES:
        n_images, batches = _N_SCENES, _drawn(size, grey=grey)
    else:
        files = _image_files(Path(source))
        n_images, batches = len(files), _read(files, size, grey=grey)
    digest = hashlib.sha256()
    moments: Moments | None = None
    with ProgressBar(
        total=n_images, desc="data", unit="image", disable=None if progress else True
    ) as bar:
        for batch in batches:
            digest.update(batch.tobytes())
            images = torch.from_numpy(batch).float().permute(0, 3, 1, 2) / 127.5 - 1
            own = Moments.of(features(images.contiguous()))
            moments = own if moments is None else moments.merge(own)
            bar.update(len(batch))
    if moments is None:
        raise ConfigError(f"data is {str(source)!r}, which holds no image; expected some")
    about: dict[str, object] = {
        "source": str(source),
        "images": n_images,
        "sha256": digest.hexdigest(),
    }
    return moments, about


def _image_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise SettingError(
            "data",
            f"is {str(folder)!r}, which is not a folder; expected one with images, or {SCENES!r}",
        )
    files = image_files(folder)
    if len(files) < FEWEST:
        raise ConfigError(
            f"{folder} holds {len(files)} {KINDS} images; expected at least {FEWEST} "
            "right in it (some hundreds are better); add more, or give another --data"
        )
    return files


def _read(files: list[Path], size: int, *, grey: bool) -> Iterator[np.ndarray]:
    for start in range(0, len(files), _BATCH):
        batch = files[start : start + _BATCH]
        yield np.stack([read_image(path, size, grey=grey) for path in batch])


def _drawn(size: int, *, grey: bool) -> Iterator[np.ndarray]:
    if grey:
        raise SettingError(
            "data",
            f"is {SCENES!r}, which has colours, for a generator of grey images; expected a "
            "folder; give --data FOLDER",
        )
    for start in range(0, _N_SCENES, _BATCH):
        indices = range(start, min(start + _BATCH, _N_SCENES))
        images = render_scenes(indices, seed=_SCENES_SEED, size=size).images
        yield ((images + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
