"""Masks of blocks, segmented once: for every pass over the samples, and for later runs by a cache.

The name of a folder is a digest of everything that determines the masks; a file in it holds one
block. A file is used only if its digest matches, so counts with a cache are the same integers as
without. A damaged file is reported in one line and replaced. zlib compresses masks to a few
kilobytes per image. A cache may be deleted at any time.

    <folder>/<what the masks follow from>/<first sample>-<samples>.planes
        16 bytes  magic number and version
        32 bytes  SHA-256 of the file's name, folder and packed masks
        the rest  zlib: labels (batch plane grid grid), uint8, or uint16 for many concepts
"""

import hashlib
import json
import os
import sys
import zlib
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from platformdirs import user_cache_path
from torch import Tensor

from dissect.counting.samples import at_grid, label_block
from dissect.counting.subject import Subject
from dissect.errors import ConfigError
from dissect.progress import ProgressBar
from dissect.runs.replacing import replace_file
from segmenters.fetching import CACHE_VARIABLE

_MAGIC = b"gan-dissection\x00\x01"
_HEAD = len(_MAGIC) + hashlib.sha256().digest_size
_LEVEL = 1  # zlib level: higher ones take several times as long for a tenth less
USERS_OWN = "user"
"""Value for the user's cache instead of a folder."""


def planes_key(subject: Subject) -> str:
    """Digest of everything that determines masks, except the samples themselves.

    Includes the kind of device, the version of torch, the processor's instructions and the number
    of threads, because they can change the rounding of convolutions.
    """
    generator, segmenter, config = subject.generator, subject.segmenter, subject.config
    content = [
        generator.fingerprint,
        segmenter.fingerprint,
        config.seed,
        config.label,
        config.truncation,
        config.block,
        subject.grid,
        generator.device.type,
        segmenter.device.type,
        torch.__version__,
        torch.backends.cpu.get_cpu_capability(),
        torch.get_num_threads(),
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


class PlaneStore:
    """Labels blocks, and caches the masks if a folder is given.

    Args:
        subject: Subject whose samples are segmented; its layers do not matter.
        folder: Folder of the cache; None: no cache.

    Attributes:
        n_read: Blocks that were read from the cache instead of segmented.

    Raises:
        ConfigError: a folder that cannot be written.
    """

    def __init__(self, subject: Subject, folder: Path | None = None) -> None:
        self.segmenter = subject.segmenter
        self.grid = subject.grid
        self.n_read = 0
        self._type = np.dtype("u1" if subject.n_concepts < 256 else "<u2")
        self._folder: Path | None = None
        if folder is not None:
            self._folder = folder / planes_key(subject)
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                writable = os.access(self._folder, os.W_OK)
            except OSError:
                writable = False
            if not writable:
                raise ConfigError(
                    f"cache {str(folder)!r} cannot be written; expected a folder of one's own; "
                    "choose another, or leave it out"
                )

    def label(
        self, images: Float[Tensor, "batch channels height width"], indices: list[int]
    ) -> Int[Tensor, "batch plane grid grid"]:
        """Masks of a block on the mask grid, from the cache or by segmentation.

        Args:
            images: Images of the block.
            indices: Its samples.

        Raises:
            SegmenterError: the errors of ``label_block``.
        """
        path = self._path(indices)
        if path is None:
            return label_block(self.segmenter, images, self.grid)
        planes = self._read(path, len(indices))
        if planes is None:
            planes = label_block(self.segmenter, images, self.grid)
            self._write(path, planes)
        return planes

    def label_whole(
        self, images: Float[Tensor, "batch channels height width"], indices: list[int]
    ) -> Int[Tensor, "batch plane height width"]:
        """Masks of a block at the size of its images; caches those on the mask grid.

        Args:
            images: Images of the block.
            indices: Its samples.

        Raises:
            SegmenterError: the errors of ``label_block``.
        """
        whole = label_block(self.segmenter, images, images.shape[-1])
        path = self._path(indices)
        if path is not None and not path.exists():
            self._write(path, at_grid(whole, self.grid))
        return whole

    def _path(self, indices: list[int]) -> Path | None:
        if self._folder is None:
            return None
        return self._folder / f"{indices[0]:09d}-{len(indices)}.planes"

    def _read(self, path: Path, batch: int) -> Int[Tensor, "batch plane grid grid"] | None:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            _warn(f"{path} cannot be read ({error.strerror}); its masks are made again")
            return None
        shape = (batch, len(self.segmenter.vocabulary.planes), self.grid, self.grid)
        size = int(np.prod(shape)) * self._type.itemsize
        packed = content[_HEAD:]
        fits = content[:_HEAD] == _MAGIC + self._digest(path, packed)
        try:
            # Never unpacks more than the expected size, for any content of a file.
            labels = zlib.decompressobj().decompress(packed, size) if fits else b""
        except zlib.error:
            labels = b""
        if len(labels) != size:
            _warn(f"{path} is damaged; its masks are made again")
            return None
        self.n_read += 1
        found = np.frombuffer(labels, self._type).reshape(shape).astype(np.int64)
        return torch.from_numpy(found)

    def _write(self, path: Path, planes: Int[Tensor, "batch plane grid grid"]) -> None:
        packed = zlib.compress(planes.numpy().astype(self._type).tobytes(), _LEVEL)
        # Two processes may share a cache.
        try:
            replace_file(path, _MAGIC + self._digest(path, packed) + packed)
        except OSError as error:
            self._folder = None
            _warn(f"cannot write {path} ({error.strerror}); going on without keeping masks")

    @staticmethod
    def _digest(path: Path, packed: bytes) -> bytes:
        return hashlib.sha256(f"{path.parent.name}/{path.name}|".encode() + packed).digest()


def cache_folder(given: str | Path | None) -> Path | None:
    """The folder of a cache setting; ``"user"`` means the user's cache."""
    if given is None:
        return None
    if str(given) == USERS_OWN:
        root = os.environ.get(CACHE_VARIABLE) or user_cache_path("gan-dissection")
        return Path(root) / "planes"
    return Path(given)


def _warn(line: str) -> None:
    ProgressBar.write(f"dissect: {line}", file=sys.stderr)  # which leaves progress bars whole
