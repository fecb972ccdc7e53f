"""Reads a run's arrays and table, after a check that run.json implies their shapes and types.

A small chunk can unpack to gigabytes, and metadata can name types and codecs that run code (zarr's
second format unpickles objects). So before zarr opens a group, its metadata are read here. They
must have format 3, plain numbers, the codecs that this program writes, shapes that follow from the
run's layers and concepts, and chunks that unpack to no more than their shape needs. A table must
have a row for each unit and concept, in that order.

References:
    Zarr core specification, version 3.1: array metadata; sharding_indexed (ZEP 2).
    Collet and Kucherawy, RFC 8878, section 3.1.1 (the header of a zstd frame).
"""

# pyarrow has no stubs: its classes are unknown, and pyarrow.compute creates functions at import.
# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xarray as xr
import zarr

from dissect.errors import RunError
from dissect.generators.shapes import LayerInfo
from dissect.runs import schema
from dissect.runs.record import ADVICE
from dissect.statistics.columns import IS_LABEL
from dissect.statistics.registry import all_columns
from segmenters.received import read_json, reading
from segmenters.vocabulary import Vocabulary

_FLOOR = 128 << 20  # bytes in memory that any array may take
_PACKED = 200  # limit for a larger one, as a multiple of its bytes on disk
_LEAST_ROWS = 1_000_000  # rows that any table may have
_ROWS_PER_BYTE = 64
_TYPES = frozenset(
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64".split()  # noqa: SIM905
)
_TEXT = ("layer", "concept", "category")
_PAGES = ("SNAPPY", "UNCOMPRESSED")  # the others unpack to thousands of times their size
_ZSTD = b"\x28\xb5\x2f\xfd"
_NO_CHUNK = (1 << 64) - 1


def open_group(run: Path, key: str, expected: Mapping[str, int | Sequence[str]]) -> zarr.Group:
    """Open a group of a run's arrays for reading.

    Args:
        run: The folder.
        key: Key of the group: ``schema.layer_key`` of a layer, or ``schema.CONCEPTS``.
        expected: Dimension → its length or its labels, as run.json implies them. Labels of
            ``row`` may be missing, except the first.

    Raises:
        RunError: metadata or chunks of other arrays; the message names the folder.
    """
    store = run / schema.ARRAYS
    folder = store / key
    with reading(folder, RunError, ADVICE):
        for place in (store, folder):
            about = _read_metadata(place)
            if about["node_type"] != "group":
                raise ValueError(f"{place.name} is not a group")
        labels, lengths = about["attributes"], {}
        for name, wanted in expected.items():
            lengths[name] = wanted if isinstance(wanted, int) else len(wanted)
            if not isinstance(wanted, int) and name in labels:
                lengths[name] = _check_labels(name, labels[name], wanted)
        for child in sorted(folder.iterdir()):
            if child.is_dir():
                _check_array(child, lengths)
        if "edge" in lengths and lengths.setdefault("bin", lengths["edge"] + 1) != (
            lengths["edge"] + 1
        ):
            raise ValueError("it has other bins than between its edges")
        found = zarr.open_group(store, mode="r", zarr_format=3)[key]
        if not isinstance(found, zarr.Group):
            raise ValueError(f"{key} is not a group")
        return found


def read_array(group: zarr.Group, name: str) -> xr.DataArray:
    """An array of a group, with the names and labels of its dimensions.

    Raises:
        ValueError: no array of that name.
    """
    stored, labels = group[name], group.attrs.asdict()
    if not isinstance(stored, zarr.Array):
        raise ValueError(f"{name} is not an array")
    # None for a scalar
    dimensions: Any = getattr(stored.metadata, "dimension_names", None) or ()
    places: dict[str, Any] = {key: labels[key] for key in dimensions if key in labels}
    return xr.DataArray(stored[...], dims=dimensions, coords=places, name=name)


def _check_labels(name: str, given: Any, wanted: Sequence[str]) -> int:
    """Compare the labels of a dimension with the known ones; returns their number."""
    if name == "row":
        kept = set(given) if isinstance(given, list) else set()
        wanted = [one for one in wanted if one in kept or one == wanted[0]]
    if given != list(wanted):
        raise ValueError(f"the places of {name!r} are named otherwise than in run.json")
    return len(given)


def _read_metadata(folder: Path) -> dict[str, Any]:
    about = read_json(folder / "zarr.json", RunError, ADVICE)
    if not isinstance(about, dict) or about.get("zarr_format") != 3:
        raise ValueError(f"{folder.name} is not of zarr's third format")
    if not isinstance(about.setdefault("attributes", {}), dict):
        raise ValueError(f"{folder.name} has no attributes")
    return about


def _check_array(folder: Path, lengths: dict[str, int]) -> None:
    """Check an array's metadata and chunks; adds its dimensions to ``lengths``, in place."""
    about = _read_metadata(folder)
    shape, kind, grid = about["shape"], about["data_type"], about["chunk_grid"]
    chunk = grid["configuration"]["chunk_shape"]
    if about["node_type"] != "array" or kind not in _TYPES or grid["name"] != "regular":
        raise ValueError(f"{folder.name} is not an array of numbers")
    keys = about["chunk_key_encoding"]["name"]
    if about.get("storage_transformers") or len(chunk) != len(shape) or keys != "default":
        raise ValueError(f"{folder.name} is stored in another way than runs are")
    names = about.get("dimension_names") or ()  # None for what a basis holds
    known = schema.array_dimensions()
    if folder.name in known and tuple(names) != known[folder.name]:
        raise ValueError(f"{folder.name} has the dimensions {names}")
    for name, length in zip(names, shape, strict=bool(names)):
        if lengths.setdefault(name, length) != length:
            raise ValueError(
                f"{folder.name} has {length} places of {name!r}; expected {lengths[name]}"
            )
    files = [
        Path(place) / file
        for place, _, files in os.walk(folder)
        for file in files
        if file != "zarr.json"
    ]
    itemsize, on_disk = np.dtype(kind).itemsize, sum(file.stat().st_size for file in files)
    most = max(_FLOOR, _PACKED * on_disk)
    for values, least in ((shape, 0), (chunk, 1)):
        if not all(type(n) is int and n >= least for n in values) or (
            math.prod(values) * itemsize > most
        ):
            raise ValueError(f"{folder.name} claims a shape of {values} in {on_disk:,} bytes")
    inner, count, packed = _packing(folder.name, about["codecs"], chunk)
    n_bytes = math.prod(inner) * itemsize
    for path in files if packed else ():
        with path.open("rb") as file:
            for start in _inner_chunks(file, count):
                file.seek(start)
                if _frame_size(file.read(18)) != n_bytes:
                    raise ValueError(f"a chunk of {folder.name} unpacks to another size")


def _packing(
    array: str, codecs: list[dict[str, Any]], chunk: list[int]
) -> tuple[list[int], int, bool]:
    """Shape packed at once, number of these per file (0: only one), and whether it is compressed.

    Raises:
        ValueError: codecs that this program does not write.
    """
    names, inner, count = [codec["name"] for codec in codecs], chunk, 0
    if names == ["sharding_indexed"]:
        shard = codecs[0]["configuration"]
        inner = shard["chunk_shape"]
        index = [codec["name"] for codec in shard["index_codecs"]]
        whole = len(inner) == len(chunk) and all(type(n) is int and n > 0 for n in inner)
        if not whole or any(n % m for n, m in zip(chunk, inner, strict=True)):
            raise ValueError(f"{array} has shards of no whole number of chunks")
        if index != ["bytes", "crc32c"] or shard["index_location"] != "end":
            raise ValueError(f"{array} is stored in another way than runs are")
        count = math.prod(n // m for n, m in zip(chunk, inner, strict=True))
        names = [codec["name"] for codec in shard["codecs"]]
    if names not in (["bytes"], ["bytes", "zstd"]):
        raise ValueError(f"{array} is packed in another way than runs are")
    return inner, count, names[-1] == "zstd"


def _inner_chunks(file: BinaryIO, count: int) -> Iterator[int]:
    """Offsets of chunks: 0, or those in the index at the end of a shard."""
    if not count:
        yield 0
        return
    size, length = file.seek(0, os.SEEK_END), 16 * count + 4
    if size < length:
        raise ValueError("a shard is cut short")
    file.seek(size - length)
    for start, _ in np.frombuffer(file.read(length - 4), "<u8").reshape(count, 2).tolist():
        if start != _NO_CHUNK:
            yield start


def _frame_size(head: bytes) -> int:
    """The uncompressed size that a zstd frame declares."""
    if not head.startswith(_ZSTD) or len(head) < 6:
        raise ValueError("a chunk is not a zstd frame")
    descriptor = head[4]
    single = descriptor >> 5 & 1
    at = 5 + (1 - single) + (0, 1, 2, 4)[descriptor & 3]
    width = (single, 2, 4, 8)[descriptor >> 6]
    if not width or len(head) < at + width:
        raise ValueError("a chunk does not say what it unpacks to")
    return int.from_bytes(head[at : at + width], "little") + (256 if width == 2 else 0)


def read_table(
    run: Path, layers: Mapping[str, LayerInfo], vocabulary: Vocabulary, columns: list[str]
) -> pd.DataFrame:
    """The table of all pairs.

    Args:
        run: The folder.
        layers: Layers of the run, in order.
        vocabulary: Its concepts.
        columns: Columns that the table must have.

    Raises:
        RunError: a table that is damaged, lacks columns, does not have exactly one row per unit
            and concept in order, or does not have exactly one label per unit.
    """
    file = run / schema.TABLE
    check_table(run, layers, vocabulary)
    with reading(file, RunError, ADVICE):
        table = pd.read_parquet(file)
        missing = [name for name in columns if name not in table]
        if missing:
            raise ValueError(f"it has no column {missing[0]!r}")
        flags = {IS_LABEL.name, *(one.name for one in all_columns() if one.is_flag)}
        for name in table.columns.difference([*_TEXT, "unit"]):
            wanted = "b" if name in flags else "f"
            if table[name].dtype.kind != wanted:
                raise ValueError(f"its column {name!r} holds {table[name].dtype}")
        labels = table.is_label.to_numpy().reshape(-1, len(vocabulary)).sum(axis=1)
        if (labels != 1).any():
            raise ValueError("it has a unit without a label, or with several")
        return table


def read_any_table(file: Path, advice: str) -> pd.DataFrame:
    """A table of measurements, with any columns.

    Args:
        file: Parquet file.
        advice: Advice for a damaged one.

    Raises:
        RunError: a table that is damaged, or unpacks to far more than its size justifies.
    """
    with reading(file, RunError, advice):
        stored = pq.ParquetFile(file)
        about = stored.metadata
        _check_packing(file, about)
        text = [
            field.name for field in stored.schema_arrow if not pa.types.is_primitive(field.type)
        ]
        odd = [name for name in text if not _is_text(stored.schema_arrow.field(name).type)]
        if odd:
            raise ValueError(f"its column {odd[0]!r} is not a column of numbers or text")
        for name in text:
            column = pq.ParquetFile(file, read_dictionary=[name]).read([name])[name]
            longest = max((_longest(chunk) for chunk in column.chunks), default=0)
            if longest * about.num_rows > _FLOOR:
                raise ValueError(f"its column {name!r} holds text of {longest:,} bytes")
        return pd.read_parquet(file)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _longest(chunk: pa.Array) -> int:
    """Length in bytes of the longest value of a dictionary-encoded text column."""
    if not isinstance(chunk, pa.DictionaryArray):
        raise ValueError("a column of names holds something else")
    return pc.max(pc.binary_length(chunk.dictionary)).as_py() or 0


def _check_packing(file: Path, about: pq.FileMetaData) -> None:
    """Raise an error for a table with more rows or tighter compression than this program writes."""
    size = file.stat().st_size
    if about.num_rows > max(_LEAST_ROWS, _ROWS_PER_BYTE * size):
        raise ValueError(f"it claims {about.num_rows:,} rows in {size:,} bytes")
    for group in range(about.num_row_groups):
        for column in range(about.num_columns):
            if about.row_group(group).column(column).compression not in _PAGES:
                raise ValueError("it is packed in another way than runs are")


def check_table(run: Path, layers: Mapping[str, LayerInfo], vocabulary: Vocabulary) -> None:
    """Compare the rows of the table of all pairs with the run's layers, units and concepts.

    Raises:
        RunError: a table that is damaged, or has other rows; see ``read_table``.
    """
    with reading(run / schema.TABLE, RunError, ADVICE):
        _check_rows(run / schema.TABLE, layers, vocabulary)


def _check_rows(file: Path, layers: Mapping[str, LayerInfo], vocabulary: Vocabulary) -> None:
    n_concepts = len(vocabulary)
    n_units = [info.units for info in layers.values()]
    n_rows = sum(n_units) * n_concepts
    stored = pq.ParquetFile(file, read_dictionary=list(_TEXT))
    about = stored.metadata
    if about.num_rows != n_rows:
        raise ValueError(f"it has {about.num_rows:,} rows; expected {n_rows:,}")
    _check_packing(file, about)
    read = stored.read([*_TEXT, "unit"])
    counted = np.array(n_units) * n_concepts
    codes = {
        "layer": np.repeat(np.arange(len(n_units), dtype=np.int32), counted),
        "concept": np.tile(np.arange(n_concepts, dtype=np.int32), sum(n_units)),
    }
    known = {"layer": list(layers), "concept": list(vocabulary.names)}
    for name, expected in codes.items():
        if not np.array_equal(_codes(read[name], known[name]), expected):
            raise ValueError(f"its column {name!r} is not what run.json implies")
    units = np.concatenate([np.repeat(np.arange(n), n_concepts) for n in n_units])
    if not np.array_equal(read["unit"].to_numpy(), units):
        raise ValueError("its column 'unit' is not what run.json implies")
    categories = list(dict.fromkeys(concept.category for concept in vocabulary))
    of_concept = np.array([categories.index(concept.category) for concept in vocabulary])
    if not np.array_equal(_codes(read["category"], categories), of_concept[codes["concept"]]):
        raise ValueError("its column 'category' is not what run.json implies")


def _codes(column: pa.ChunkedArray, names: list[str]) -> np.ndarray:
    """The index of each value in ``names``; -1 for an unknown value."""
    place = {name: number for number, name in enumerate(names)}
    found = []
    for chunk in column.chunks:
        if _longest(chunk) > 4 * max(map(len, names)) or chunk.null_count:  # bytes of a character
            return np.array([-1])
        places = np.array(
            [place.get(value, -1) for value in chunk.dictionary.to_pylist()], np.int32
        )
        found.append(places[chunk.indices.to_numpy()])
    return np.concatenate(found) if found else np.zeros(0, np.int32)
