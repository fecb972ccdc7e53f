"""Keeps what strips are drawn from while samples are counted, so that no image is made twice.

    with KeptPictures(folder, image_size=64) as pictures:
        pictures.keep(block, tops)                # after each block that was counted
        tile = pictures.image(index)              # None: it has to be made again
        maps = pictures.maps("b16.conv1", units, indices)

Each unit has places for the maps of its top images, and every image that some unit shows has one.
What falls out of the top makes room, so the file does not grow with the number of samples. It has
no name and is gone when the process ends, unless it is given one, so that another process can read
it. What an earlier process counted is made again.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self, cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from dissect.counting.subject import Block, Subject
from dissect.pictures import to_tile
from dissect.runs.strips import tile_size
from dissect.statistics.resize import resize
from dissect.statistics.units.top_images import TopImages

KEPT_DISK_BYTES = 4 * 1024**3
"""Disk that maps may take, at most a quarter of what is free; maps of further layers are made
again."""
_COMPARED = 1 << 22  # pairs of samples that are compared at once


@dataclass
class _LayerMaps:
    """Where the maps of a layer lie.

    Attributes:
        held: int64 (unit, place): the sample whose map lies there, -1 for none.
        start: Byte at which the layer's places begin.
        sides: Height and width of a kept map.
        resized: Whether it has the size of tiles already.
    """

    held: Int[np.ndarray, "unit place"]
    start: int
    sides: tuple[int, int]
    resized: bool

    @property
    def map_bytes(self) -> int:
        """Of one map."""
        return 4 * self.sides[0] * self.sides[1]


class KeptPictures:
    """Images and maps of the samples on which units fire most so far.

    Args:
        folder: In which the file lies.
        image_size: Height and width of the generator's images.
        native: Maps are resized to the nearest cell, not bilinearly.
        limit: Bytes that maps may take.
        name: Of the file; it has none, and is gone with the process, if None.

    Attributes:
        tile: Height and width of a kept image, and the most that a kept map has.
    """

    def __init__(
        self,
        folder: Path,
        *,
        image_size: int,
        native: bool = False,
        limit: int = KEPT_DISK_BYTES,
        name: str | None = None,
    ) -> None:
        self.tile = tile_size(image_size)
        self._native = native
        self._path = None if name is None else folder / name
        self._file = (
            cast("BinaryIO", tempfile.TemporaryFile(dir=folder))  # noqa: SIM115, closed on leaving
            if self._path is None
            else self._path.open("w+b")
        )
        self._room = min(limit, shutil.disk_usage(folder).free // 4)
        self._end = 0
        self._images: dict[int, int] = {}
        self._free: list[int] = []
        self._layers: dict[str, _LayerMaps] = {}

    def keep(self, block: Block, tops: Mapping[str, TopImages]) -> None:
        """Take what units show of a block that was counted.

        Args:
            block: Its samples.
            tops: Layer → its top images so far.
        """
        fresh: set[int] = set()
        try:
            for layer, top in tops.items():
                fresh |= self._keep_maps(block, layer, top.indices)
            self._drop_images()
            for index in sorted(fresh):
                self.add_image(index, to_tile(block.images[index - block.indices[0]], self.tile))
        except OSError:  # no room after all: what is missing is made again
            self._images.clear()
            self._layers.clear()
            self._room = 0

    def _drop_images(self) -> None:
        """Make room where no unit shows an image any more."""
        held = [kept.held.ravel() for kept in self._layers.values()]
        shown = set(np.unique(np.concatenate(held)).tolist()) if held else set()
        for index in [one for one in self._images if one not in shown]:
            self._free.append(self._images.pop(index))

    def _layer(self, layer: str, n_places: tuple[int, ...], sides: tuple[int, int]) -> _LayerMaps:
        """The places of a layer; none where there is no room for it."""
        if layer not in self._layers:
            resized = sides[0] * sides[1] > self.tile**2
            found = _LayerMaps(
                np.full(n_places, -1, np.int64), self._end,
                (self.tile, self.tile) if resized else sides, resized,
            )  # fmt: skip
            size = found.held.size * found.map_bytes
            if size > self._room:
                found.held = found.held[:0]
            else:
                self._room -= size
                self._end += size
            self._layers[layer] = found
        return self._layers[layer]

    def _keep_maps(self, block: Block, layer: str, tops: Int[np.ndarray, "unit rank"]) -> set[int]:
        """Put maps in the places of those that fell out of the top; returns their samples."""
        maps = block.maps[layer]
        kept = self._layer(layer, tops.shape, (maps.shape[2], maps.shape[3]))
        if not len(kept.held):
            return set()
        first, last = block.indices[0], block.indices[-1]
        new = (tops >= first) & (tops <= last)
        rows = np.flatnonzero(new.any(axis=1))
        step = max(1, _COMPARED // tops.shape[1] ** 2)
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            held, wanted, fresh = kept.held[some], tops[some], new[some]
            stays = (held[:, :, None] == wanted[:, None, :]).any(axis=2) & (held >= 0)
            # Free places, in their order, for new samples, in theirs.
            order = np.argsort(stays, axis=1, kind="stable")
            unit, rank = np.nonzero(fresh)
            places = order[unit, (np.cumsum(fresh, axis=1) - 1)[unit, rank]]
            units, indices = some[unit], wanted[unit, rank]
            chosen = maps[torch.from_numpy(indices - first), torch.from_numpy(units)].float()
            contents = (self._resize(chosen) if kept.resized else chosen).cpu().numpy()
            kept.held[units, places] = indices
            numbers = (units * tops.shape[1] + places).tolist()
            for number, content in zip(numbers, contents, strict=True):
                place = kept.start + number * kept.map_bytes
                os.pwrite(self._file.fileno(), content.tobytes(), place)
        return set(np.unique(tops[new]).tolist())

    def add_image(self, index: int, tile: UInt8[np.ndarray, "tile tile 3"]) -> None:
        """Keep the picture of a sample."""
        if index in self._images:
            return
        place = self._free.pop() if self._free else self._end
        os.pwrite(self._file.fileno(), tile.tobytes(), place)
        self._end = max(self._end, place + tile.nbytes)
        self._images[index] = place

    def image(self, index: int) -> UInt8[np.ndarray, "tile tile 3"] | None:
        """The picture of a sample; None where it is not kept. Threads may ask at the same time."""
        place = self._images.get(index)
        if place is None:
            return None
        content = os.pread(self._file.fileno(), 3 * self.tile**2, place)
        return np.frombuffer(content, np.uint8).reshape(self.tile, self.tile, 3)

    def holds(
        self, layer: str, indices: Int[np.ndarray, "unit rank"]
    ) -> Bool[np.ndarray, "unit rank"]:
        """Whether a map and an image are kept for each sample that a unit of a layer shows."""
        kept = self._layers.get(layer)
        if kept is None or not len(kept.held):
            return np.zeros(indices.shape, bool)
        found = [(kept.held == column[:, None]).any(axis=1) for column in indices.T]
        pictured = np.isin(indices, np.fromiter(self._images, np.int64, len(self._images)))
        return np.stack(found, axis=1) & (indices >= 0) & pictured

    def pairs_held(
        self, layer: str, units: Int[np.ndarray, " pair"], indices: Int[np.ndarray, " pair"]
    ) -> Int[np.ndarray, " row"]:
        """Which of some pairs of a unit and a sample have a map here."""
        kept = self._layers.get(layer)
        if kept is None or not len(kept.held):
            return np.zeros(0, np.int64)
        return np.flatnonzero((kept.held[units] == indices[:, None]).any(axis=1))

    def maps(
        self, layer: str, units: Int[np.ndarray, " pair"], indices: Int[np.ndarray, " pair"]
    ) -> Float[Tensor, "pair tile tile"]:
        """Kept maps of units in samples, resized to tiles.

        Args:
            layer: Of the units.
            units, indices: Which units in which samples; ``holds`` says that they are kept.
        """
        kept = self._layers[layer]
        places = (kept.held[units] == indices[:, None]).argmax(axis=1)
        found = np.empty((len(units), *kept.sides), np.float32)
        for row, number in enumerate((units * kept.held.shape[1] + places).tolist()):
            content = os.pread(
                self._file.fileno(), kept.map_bytes, kept.start + number * kept.map_bytes
            )
            found[row] = np.frombuffer(content, np.float32).reshape(kept.sides)
        values = torch.from_numpy(found)
        return values if kept.resized else self._resize(values)

    def _resize(self, maps: Float[Tensor, "pair h w"]) -> Float[Tensor, "pair tile tile"]:
        return resize(maps[:, None], (self.tile, self.tile), nearest=self._native)[:, 0]

    def save_index(self) -> None:
        """Write beside a file that has a name what lies where in it, for ``reopen``."""
        assert self._path is not None
        layers = list(self._layers)
        content = {
            "images": np.array(list(self._images.items()), np.int64).reshape(-1, 2),
            "layers": np.array(layers),
            **{f"{n}.held": self._layers[layer].held for n, layer in enumerate(layers)},
            **{
                f"{n}.place": np.array([own.start, *own.sides, own.resized], np.int64)
                for n, own in enumerate(self._layers.values())
            },
        }
        np.savez(_index_of(self._path), allow_pickle=False, **content)

    @classmethod
    def reopen(
        cls, folder: Path, name: str, *, image_size: int, native: bool = False
    ) -> "KeptPictures":
        """What another process kept and wrote the index of; it cannot be added to.

        Raises:
            OSError, ValueError: there is no such file, or no index of it.
        """
        found = cls.__new__(cls)
        found.tile, found._native = tile_size(image_size), native
        path = folder / name
        with np.load(_index_of(path), allow_pickle=False) as index:
            found._images = dict(index["images"].tolist())
            found._layers = {}
            for number, layer in enumerate(index["layers"].tolist()):
                start, height, width, resized = index[f"{number}.place"].tolist()
                held = index[f"{number}.held"]
                found._layers[layer] = _LayerMaps(held, start, (height, width), bool(resized))
        found._path, found._file = path, path.open("rb")
        found._end, found._room, found._free = path.stat().st_size, 0, []
        return found

    @property
    def n_bytes(self) -> int:
        """Size of the file, holes in it included."""
        return self._end

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


def _index_of(path: Path) -> Path:
    return path.with_name(path.name + ".npz")


class Pictures(Protocol):
    """Where strips find what they are drawn from; see ``KeptPictures``."""

    @property
    def tile(self) -> int: ...
    def add_image(self, index: int, tile: UInt8[np.ndarray, "tile tile 3"]) -> None: ...
    def image(self, index: int) -> UInt8[np.ndarray, "tile tile 3"] | None: ...
    def holds(
        self, layer: str, indices: Int[np.ndarray, "unit rank"]
    ) -> Bool[np.ndarray, "unit rank"]: ...
    def maps(
        self, layer: str, units: Int[np.ndarray, " pair"], indices: Int[np.ndarray, " pair"]
    ) -> Float[Tensor, "pair tile tile"]: ...


class PicturesOfMany:
    """What several processes kept, and what this one makes again.

    Args:
        own: Takes what is made again.
        others: Of other processes.
    """

    def __init__(self, own: KeptPictures, others: Sequence[KeptPictures]) -> None:
        self._own, self._all = own, [own, *others]

    @property
    def tile(self) -> int:
        """Height and width of a kept image."""
        return self._own.tile

    def add_image(self, index: int, tile: UInt8[np.ndarray, "tile tile 3"]) -> None:
        """Keep the picture of a sample."""
        if self.image(index) is None:
            self._own.add_image(index, tile)

    def image(self, index: int) -> UInt8[np.ndarray, "tile tile 3"] | None:
        """The picture of a sample; None where nobody keeps it."""
        found = (one.image(index) for one in self._all)
        return next((tile for tile in found if tile is not None), None)

    def holds(
        self, layer: str, indices: Int[np.ndarray, "unit rank"]
    ) -> Bool[np.ndarray, "unit rank"]:
        """Whether somebody keeps a map and an image for each sample."""
        return np.any([one.holds(layer, indices) for one in self._all], axis=0)

    def maps(
        self, layer: str, units: Int[np.ndarray, " pair"], indices: Int[np.ndarray, " pair"]
    ) -> Float[Tensor, "pair tile tile"]:
        """Kept maps of units in samples, resized to tiles; ``holds`` says that they are kept."""
        found = torch.empty(len(units), self.tile, self.tile)
        for one in self._all:
            rows = one.pairs_held(layer, units, indices)
            if len(rows):
                found[torch.from_numpy(rows)] = one.maps(layer, units[rows], indices[rows])
        return found


def pictures_bytes(subject: Subject) -> int:
    """The most bytes of disk that kept pictures take while a run is made."""
    tile = tile_size(subject.generator.image_size)
    n_shown = subject.config.top_images
    maps, n_units = 0, 0
    for layer in subject.config.layers:
        info = subject.shapes[layer]
        n_units += info.units
        size = 4 * info.units * n_shown * min(info.height * info.width, tile**2)
        maps += size if maps + size <= KEPT_DISK_BYTES else 0
    return maps + 3 * tile**2 * min(subject.config.n_samples, n_units * n_shown)
