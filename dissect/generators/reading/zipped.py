"""Files of ``torch.save``: a zip file that holds a pickle and each storage as a member.

Members must be stored uncompressed, with unique names, and together be no larger than the file. A
storage must be as large as its values, and have the checksum in the list of members (0 if the
writer was set to store none). This module reads the list of members itself, because Python's own
zip reader uses ten times the memory of that list, for any contents.

References:
    PKWARE, .ZIP File Format Specification, sections 4.3.7, 4.3.12, 4.3.14 to 4.3.16.
    PyTorch, torch/serialization.py, ``_save``.
"""

import struct
import zlib
from typing import NamedTuple

from torch import Tensor

from dissect.generators.reading.bounds import SAVE_WEIGHTS, Refusal, damaged
from dissect.generators.reading.machine import unpickle
from dissect.generators.reading.meanings import Reader
from dissect.generators.reading.streams import check_identity, load_storage, storage_dtype
from dissect.generators.reading.tensors import Storage, fill, reserve

_PIECE = 1 << 20  # bytes copied at a time, then checked while still in the cache
_MOST_MEMBERS = 200_000
_END = b"PK\x05\x06"
_NOT_TORCH = {
    ".npy": "numpy's arrays; save them with safetensors instead",
    ".h5": "a model of Keras; convert its weights to safetensors first",
    "keras_metadata.pb": "a model of Keras; convert its weights to safetensors first",
    "[Content_Types].xml": "an office document; give the file of weights",
}


class _Member(NamedTuple):
    """The bytes of a member, not copied, and their CRC-32."""

    data: memoryview
    checksum: int


def read_zip(data: memoryview) -> tuple[object, Reader]:
    """Read a file written by ``torch.save``.

    Returns:
        The value, and the reader, which holds every name.

    Raises:
        Refusal: another kind of zip file, or one that is damaged or rejected.
    """
    reader = Reader(len(data), load_storage)
    members = _members(data, reader)
    content = _find_content(members)
    folder = content.removesuffix("data.pkl")
    order = members.get(f"{folder}byteorder")
    if order is not None and bytes(order.data) != b"little":
        raise Refusal(f"was written on a machine with the other order of bytes; {SAVE_WEIGHTS}")
    memories = {}

    def persistent(identity: object) -> Storage:
        kind, key, n_values, part = check_identity(identity)
        dtype = storage_dtype(kind)
        name = f"{folder}data/{key}"
        if part is not None or name not in members:
            raise damaged(f"there is no storage {key[:40]!r}")
        stored = members[name]
        if len(stored.data) != n_values * dtype.itemsize:
            raise damaged(f"storage {key[:40]!r} is of another size than its {n_values:,} values")
        if name not in memories:
            memories[name] = reserve(len(stored.data), reader.allowance)
            _fill(memories[name], stored, name)
        return Storage(memories[name], dtype)

    stored = members[content]
    _check(content, stored, zlib.crc32(stored.data))
    value, _ = unpickle(stored.data, 0, reader, persistent)
    return value, reader


def _fill(memory: Tensor, stored: _Member, name: str) -> None:
    """Copy a storage's bytes and verify their checksum."""
    checksum = 0
    for start in range(0, len(memory), _PIECE):
        piece = memory[start : start + _PIECE]
        fill(piece, stored.data[start : start + _PIECE])
        if stored.checksum:
            checksum = zlib.crc32(piece.numpy().data, checksum)
    _check(name, stored, checksum)


def _check(name: str, stored: _Member, checksum: int) -> None:
    if stored.checksum not in (0, checksum):
        raise damaged(f"a zip file whose member {name[:80]!r} has another checksum than it states")


def _find_content(members: dict[str, _Member]) -> str:
    found = [name for name in members if name == "data.pkl" or name.endswith("/data.pkl")]
    names = {name.rpartition("/")[2] for name in members}
    if "constants.pkl" in names or any("/code/" in name for name in members):
        raise Refusal(
            "is a TorchScript program, which can only be read by running it; "
            "save the state_dict() of the original model instead"
        )
    if {"archive_format", "serialized_exported_program.json"} & names:
        raise Refusal(
            "is a program of torch.export (.pt2); save the state_dict() of the original model "
            "instead"
        )
    if len(found) == 1:
        return found[0]
    for ending, kind in _NOT_TORCH.items():
        if any(name.endswith(ending) for name in names):
            raise Refusal(f"is a zip file of {kind}")
    raise Refusal(
        f"is a zip file with {len(found)} members data.pkl; expected exactly one, as torch.save "
        "writes it; give the file of weights, unpacked if this is an archive of several"
    )


def _members(data: memoryview, reader: Reader) -> dict[str, _Member]:
    """All members by name."""
    try:
        count, position = _find_directory(data)
        members: dict[str, _Member] = {}
        reader.allowance.charge(512 * count)
        total = 0
        for _ in range(count):
            name, found, position = _read_entry(data, position)
            total += len(found.data)
            if name in members:
                raise damaged(f"a zip file with two members {name[:80]!r}")
            members[name] = found
    except struct.error as error:
        raise damaged("a zip file that is cut short") from error
    if total > len(data):
        raise damaged("a zip file whose members are larger together than the file")
    return members


def _find_directory(data: memoryview) -> tuple[int, int]:
    """Number of members and offset of their list."""
    tail = bytes(data[max(0, len(data) - 65_557) :])
    at = tail.rfind(_END)
    if at < 0:
        raise damaged("a zip file that is cut short")
    end = len(data) - len(tail) + at
    count, _, start = struct.unpack_from("<HII", data, end + 10)
    locator = end - 20
    if locator >= 0 and bytes(data[locator : locator + 4]) == b"PK\x06\x07":
        (end64,) = struct.unpack_from("<Q", data, locator + 8)
        if end64 > len(data) or bytes(data[end64 : end64 + 4]) != b"PK\x06\x06":
            raise damaged("a zip file with a broken end")
        count, _, start = struct.unpack_from("<QQQ", data, end64 + 32)
    if count > _MOST_MEMBERS or start > len(data):
        raise damaged("a zip file with a broken list of members")
    return count, start


def _read_entry(data: memoryview, position: int) -> tuple[str, _Member, int]:
    """One entry of the list: the member's name, the member, and the offset of the next entry."""
    (
        signature, flags, method, checksum, packed, size, n_name, n_extra, n_comment, local,
    ) = struct.unpack_from("<4s4xHH4xIIIHHH8xI", data, position)  # fmt: skip
    if signature != b"PK\x01\x02":
        raise damaged("a zip file with a broken list of members")
    start = position + 46
    name = str(data[start : start + n_name], "utf-8", "replace")
    extra = data[start + n_name : start + n_name + n_extra]
    size, packed, local = _widen(extra, size, packed, local)
    if flags & 1 or method != 0 or packed != size:
        raise Refusal(
            f"is a zip file whose member {name[:80]!r} is compressed or encrypted, which "
            "torch.save never does; unpack it, or get the file again"
        )
    if local > len(data) or bytes(data[local : local + 4]) != b"PK\x03\x04":
        raise damaged("a zip file with a broken member")
    n_name_again, n_extra_again = struct.unpack_from("<HH", data, local + 26)
    first = local + 30 + n_name_again + n_extra_again
    if first + size > len(data):
        raise damaged(f"a zip file whose member {name[:80]!r} is cut short")
    found = _Member(data[first : first + size], checksum)
    return name, found, start + n_name + n_extra + n_comment


def _widen(extra: memoryview, *values: int) -> list[int]:
    """Sizes and offsets beyond 32 bits, stored in an extra field in this order."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            wide, found = at + 4, []
            for value in values:
                if value == 0xFFFFFFFF:
                    found.append(struct.unpack_from("<Q", extra, wide)[0])
                    wide += 8
                else:
                    found.append(value)
            return found
        at += 4 + length
    return list(values)
