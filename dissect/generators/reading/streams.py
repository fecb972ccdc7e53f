"""Files of consecutive pickles: plain ones, and torch's format before zip files.

A legacy torch file has five pickles (a magic number, a version, facts about the machine, the
content, the keys of its storages), then for each storage the number of its values as eight bytes
and the values. Files of NVIDIA's programs are one pickle that contains such a file, as bytes, for
each storage.

References:
    PyTorch, torch/serialization.py, ``_legacy_save``.
"""

from dataclasses import dataclass, field

import torch

from dissect.generators.reading.bounds import SAVE_WEIGHTS, Refusal, damaged
from dissect.generators.reading.machine import unpickle
from dissect.generators.reading.meanings import Reader
from dissect.generators.reading.names import Global
from dissect.generators.reading.tensors import STORAGES, Storage, fill, reserve

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_LONGEST_KEY = 1000
_DEEPEST = 2  # files within files


def read_stream(data: memoryview) -> tuple[object, str, Reader]:
    """Read a plain pickle or a legacy file of torch.

    Returns:
        The value, ``pickle`` or ``torch legacy``, and the reader, which holds every name.

    Raises:
        Refusal: a file of another kind, or one that is damaged or rejected.
    """
    reader = Reader(len(data), load_storage)
    first, end = unpickle(data, 0, reader)
    if type(first) is int and first == _MAGIC:
        return _read_legacy(reader, data, end), "torch legacy", reader
    if end != len(data):
        raise damaged(f"{len(data) - end:,} bytes after the end of its pickle")
    return first, "pickle", reader


def load_storage(reader: Reader, data: object) -> Storage:
    """Read bytes that contain one storage as a nested legacy file.

    Raises:
        Refusal: bytes with other contents, or files nested too deeply.
    """
    if isinstance(data, str):
        data = data.encode("latin-1")
    if not isinstance(data, bytes | memoryview):
        raise damaged("a storage that is not bytes")
    if reader.depth >= _DEEPEST:
        raise Refusal(f"holds files within files within files; {SAVE_WEIGHTS}")
    reader.depth += 1
    data = memoryview(data)
    magic, end = unpickle(data, 0, reader)
    if type(magic) is not int or magic != _MAGIC:
        raise Refusal(f"holds a file within the file that is not a storage; {SAVE_WEIGHTS}")
    value = _read_legacy(reader, data, end)
    reader.depth -= 1
    if not isinstance(value, Storage):
        raise Refusal(f"holds a file within the file that is not a storage; {SAVE_WEIGHTS}")
    return value


@dataclass
class _Storages:
    """The storages of a legacy file by persistent id; their bytes come after the pickle."""

    reader: Reader
    found: dict[str, Storage] = field(default_factory=dict)

    def __call__(self, identity: object) -> object:
        if isinstance(identity, tuple) and len(identity) == 4 and identity[0] == "module":
            return identity[1]  # a class with its source text, which is not needed
        kind, key, n_values, part = check_identity(identity)
        dtype = storage_dtype(kind)
        if key not in self.found:
            memory = reserve(n_values * dtype.itemsize, self.reader.allowance)
            self.found[key] = Storage(memory, dtype)
        whole = self.found[key]
        if whole.dtype != dtype or len(whole) != n_values:
            raise damaged(f"storage {key[:40]!r} is declared twice and differently")
        if part is None:
            return whole
        offset, n_part = part[1:] if isinstance(part, tuple) and len(part) == 3 else (None, None)
        if type(offset) is not int or type(n_part) is not int:
            raise damaged(f"a part of storage {key[:40]!r} without offset and size")
        if not 0 <= offset <= offset + n_part <= len(whole):
            raise damaged(f"a part beyond storage {key[:40]!r}")
        self.reader.allowance.charge(1024)
        first = offset * dtype.itemsize
        return Storage(whole.memory[first : first + n_part * dtype.itemsize], dtype)


def check_identity(identity: object) -> tuple[object, str, int, object]:
    """The parts of a persistent id: type, key, number of values, and the view, if any."""
    if (
        not isinstance(identity, tuple)
        or len(identity) not in (5, 6)
        or identity[:1] != ("storage",)
    ):
        raise damaged("a reference to something that is not a storage")
    _, kind, key, _, n_values, *part = identity
    if (
        not isinstance(key, str)
        or len(key) > _LONGEST_KEY
        or type(n_values) is not int
        or n_values < 0
    ):
        raise damaged("a storage without key or size")
    return kind, key, n_values, part[0] if part else None


def storage_dtype(kind: object) -> torch.dtype:
    """Type of the values of a storage class.

    Raises:
        Refusal: not a storage class of plain numbers.
    """
    if not isinstance(kind, Global) or kind.name not in STORAGES:
        found = str(kind) if isinstance(kind, Global) else type(kind).__name__
        raise Refusal(f"holds a storage of a kind that is not read ({found}); {SAVE_WEIGHTS}")
    return STORAGES[kind.name]


def _read_legacy(reader: Reader, data: memoryview, position: int) -> object:
    version, position = unpickle(data, position, reader)
    machine, position = unpickle(data, position, reader)
    if type(version) is not int or version != _VERSION or not isinstance(machine, dict):
        raise damaged("another version of torch's old format")
    if machine.get("little_endian") is not True:
        raise Refusal(f"was written on a machine with the other order of bytes; {SAVE_WEIGHTS}")
    storages = _Storages(reader)
    content, position = unpickle(data, position, reader, storages)
    keys, position = unpickle(data, position, reader)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise damaged("storages without keys")
    if sorted(keys) != sorted(storages.found):
        raise damaged("other storages than its content refers to")
    for key in keys:
        storage = storages.found[key]
        start = position + 8
        position = start + len(storage.memory)
        count = int.from_bytes(data[start - 8 : start], "little")
        if position > len(data) or count != len(storage):
            raise damaged(f"storage {key[:40]!r} is cut short or of another size")
        fill(storage.memory, data[start:position])
    return content
