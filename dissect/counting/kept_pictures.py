"""Keeps the pictures for strips during counting, so that no image is generated twice.

    with KeptPictures(folder, image_size=64) as pictures:
        pictures.keep(block, tops)                # after each counted block
        tile = pictures.image(index)              # None: it has to be generated again
        maps = pictures.maps("b16.conv1", units, indices)

Each unit has slots for the maps of its top images, and every image that some unit shows has one
slot. Samples that leave the top free their slots, so the file does not grow with the number of
samples. The file has no name and disappears when the process ends, unless a name is given so that
another process can read it. Pictures that an earlier process counted are generated again.
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
"""Disk space for maps, at most a quarter of the free space; maps of further layers are generated
again."""
_COMPARED = 1 << 22  # pairs of samples compared at a time


@dataclass
class _LayerMaps:
    """Storage of a layer's maps.

    Attributes:
        held: int64 (unit, place): the sample of the map in each slot, -1 for none.
        start: Byte offset of the layer's slots.
        sides: Height and width of a kept map.
        resized: Whether it already has the size of tiles.
    """

    held: Int[np.ndarray, "unit place"]
    start: int
    sides: tuple[int, int]
    resized: bool

    @property
    def map_bytes(self) -> int:
        """Bytes of one map."""
        return 4 * self.sides[0] * self.sides[1]


class KeptPictures:
    """Images and maps of the samples on which units fire most so far.

    Args:
        folder: Folder of the file.
        image_size: Height and width of the generator's images.
        native: Resize maps to the nearest cell, not bilinearly.
        limit: Bytes that maps may take.
        name: Name of the file; None: no name, and it disappears with the process.

    Attributes:
        tile: Height and width of a kept image, and the largest size of a kept map.
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
        """Keep what units show of a counted block.

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
                image = block.images[block.indices.index(index)]
                self.add_image(index, to_tile(image, self.tile))
        except OSError:  # the disk is full: missing pictures are computed again
            self._images.clear()
            self._layers.clear()
            self._room = 0

    def _drop_images(self) -> None:
        """Free the slots of images that no unit shows any more."""
        held = [kept.held.ravel() for kept in self._layers.values()]
        shown = set(np.unique(np.concatenate(held)).tolist()) if held else set()
        for index in [one for one in self._images if one not in shown]:
            self._free.append(self._images.pop(index))

    def _layer(self, layer: str, n_places: tuple[int, ...], sides: tuple[int, int]) -> _LayerMaps:
        """The slots of a layer; none if there is not enough space."""
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
        """Store maps in the slots of samples that left the top; returns the new samples."""
        maps = block.maps[layer]
        kept = self._layer(layer, tops.shape, (maps.shape[2], maps.shape[3]))
        if not len(kept.held):
            return set()
        samples = np.array(block.indices, np.int64)
        new = (tops >= samples[0]) & (tops <= samples[-1])
        rows = np.flatnonzero(new.any(axis=1))
        step = max(1, _COMPARED // tops.shape[1] ** 2)
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            held, wanted, fresh = kept.held[some], tops[some], new[some]
            stays = (held[:, :, None] == wanted[:, None, :]).any(axis=2) & (held >= 0)
            # Free slots, in order, for new samples, in order.
            order = np.argsort(stays, axis=1, kind="stable")
            unit, rank = np.nonzero(fresh)
            places = order[unit, (np.cumsum(fresh, axis=1) - 1)[unit, rank]]
            units, indices = some[unit], wanted[unit, rank]
            row = np.searchsorted(samples, indices)
            chosen = maps[torch.from_numpy(row), torch.from_numpy(units)].float()
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
        """The picture of a sample; None if it is not kept. Safe for several threads."""
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
        """Which pairs of a unit and a sample have a map here."""
        kept = self._layers.get(layer)
        if kept is None or not len(kept.held):
            return np.zeros(0, np.int64)
        return np.flatnonzero((kept.held[units] == indices[:, None]).any(axis=1))

    def maps(
        self, layer: str, units: Int[np.ndarray, " pair"], indices: Int[np.ndarray, " pair"]
    ) -> Float[Tensor, "pair tile tile"]:
        """Kept maps of units in samples, resized to tiles.

        Args:
            layer: Layer of the units.
            units, indices: Pairs of unit and sample; ``holds`` must be true for them.
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

    def save_index(self) -> list[str]:
        """Write the index of a named file beside it, for ``reopen``; returns the names of both."""
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
        index = _index_of(self._path)
        np.savez(index, allow_pickle=False, **content)
        return [self._path.name, index.name]

    @classmethod
    def reopen(
        cls, folder: Path, name: str, *, image_size: int, native: bool = False
    ) -> "KeptPictures":
        """Open another process's file with its index; read-only.

        Raises:
            OSError, ValueError: the file or its index does not exist.
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
        """Size of the file, including holes."""
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
    """Source of the pictures for strips; see ``KeptPictures``."""

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
    """Pictures kept by several processes, and those that this one generates again.

    Args:
        own: Keeps pictures that are generated again.
        others: Pictures of other processes.
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
        """The picture of a sample; None if no process keeps it."""
        found = (one.image(index) for one in self._all)
        return next((tile for tile in found if tile is not None), None)

    def holds(
        self, layer: str, indices: Int[np.ndarray, "unit rank"]
    ) -> Bool[np.ndarray, "unit rank"]:
        """Whether some process keeps a map and an image for each sample."""
        return np.any([one.holds(layer, indices) for one in self._all], axis=0)

    def maps(
        self, layer: str, units: Int[np.ndarray, " pair"], indices: Int[np.ndarray, " pair"]
    ) -> Float[Tensor, "pair tile tile"]:
        """Kept maps of units in samples, resized to tiles; ``holds`` must be true for them."""
        found = torch.empty(len(units), self.tile, self.tile)
        for one in self._all:
            rows = one.pairs_held(layer, units, indices)
            if len(rows):
                found[torch.from_numpy(rows)] = one.maps(layer, units[rows], indices[rows])
        return found


def pictures_bytes(subject: Subject) -> int:
    """Largest disk space of kept pictures during a run."""
    tile = tile_size(subject.generator.image_size)
    n_shown = subject.config.top_images
    maps, n_units = 0, 0
    for layer in subject.config.layers:
        info = subject.shapes[layer]
        n_units += info.units
        size = 4 * info.units * n_shown * min(info.height * info.width, tile**2)
        maps += size if maps + size <= KEPT_DISK_BYTES else 0
    return maps + 3 * tile**2 * min(subject.config.n_samples, n_units * n_shown)
