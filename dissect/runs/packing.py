"""Counts on disk: in the smallest type that holds them, without empty rows.

Most rows of a histogram belong to concepts that never occur. They are dropped when it is written,
with a list of the remaining rows, and restored as zeros when it is read.
"""

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Int

from dissect.statistics import LayerCounts

_ROWS = ".rows"
_HISTOGRAM = "histogram"


def narrow(counts: Int[np.ndarray, "..."]) -> Int[np.ndarray, "..."]:
    """The same integers as int32, or unchanged if one of them does not fit."""
    limits = np.iinfo(np.int32)
    if counts.size and (counts.min() < limits.min or counts.max() > limits.max):
        return counts
    return counts.astype(np.int32)


def kept_rows(histogram: Int[np.ndarray, "set row unit bin"]) -> Int[np.ndarray, " kept"]:
    """Rows that are not empty, and row 0, which counts all pixels."""
    # Every pixel of a row falls into some bin of every unit, so one unit is enough.
    occurs = np.asarray(histogram[:, :, :1].any(axis=(0, 2, 3)))
    occurs[0] = True
    return np.flatnonzero(occurs)


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as an npz; only one packed copy is in memory at a time."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in arrays.items():
            if name.endswith(_HISTOGRAM):
                rows = kept_rows(array)
                shape = np.array(array.shape)
                _write(archive, name + _ROWS, np.concatenate([shape, rows]))
                array = array[:, rows]  # noqa: PLW2901
            _write(archive, name, narrow(array) if array.dtype == np.int64 else array)


def _write(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
        np.lib.format.write_array(file, array, allow_pickle=False)


def load_arrays(path: Path, prefix: str = "") -> dict[str, np.ndarray]:
    """Read a file of ``save_arrays``, with counts as int64 again.

    Args:
        path: The file.
        prefix: Read only arrays whose name starts with it.

    Raises:
        Exception: for a damaged file, the errors of numpy and zipfile.
    """
    found = {}
    with np.load(path, allow_pickle=False) as file:
        names = [name for name in file.files if name.startswith(prefix)]
        for name in names:
            if name.endswith(_ROWS):
                continue
            array = file[name]
            if array.dtype == np.int32:
                array = array.astype(np.int64)
            if name + _ROWS in file.files:
                n_dimensions = array.ndim
                note = file[name + _ROWS].astype(np.int64)
                if len(note) != n_dimensions + array.shape[1]:
                    raise ValueError(f"{name} has other rows than it names")
                whole = np.zeros(note[:n_dimensions], np.int64)
                whole[:, note[n_dimensions:]] = array
                array = whole
            found[name] = array
    return found


class SavedCounts(Mapping[str, LayerCounts]):
    """Counts of finished passes, one layer in memory at a time."""

    def __init__(self, places: dict[str, tuple[Path, str]]) -> None:
        self._places = places

    def __getitem__(self, layer: str) -> LayerCounts:
        path, prefix = self._places[layer]
        arrays = load_arrays(path, prefix)
        return LayerCounts.from_arrays({k.removeprefix(prefix): v for k, v in arrays.items()})

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
