"""ONNX programs: the description in a file, read without running any of it.

A file is one message in the encoding of protocol buffers. Only the needed fields are read, by
field number; values of tensors are not copied. External data is accepted only from files in the
same folder, under plain names.

References:
    Protocol Buffers, Encoding (wire types, varints, packed fields).
    ONNX, onnx.proto3 (numbers of the fields); docs/ExternalData.md.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dissect.generators.reading.bounds import Allowance, Refusal, damaged

_DEEPEST = 16  # graphs within graphs
_VISIT = 256  # bytes charged for a field
_MOST_DIMENSIONS = 32
TYPES = {
    1: torch.float32, 2: torch.uint8, 3: torch.int8, 4: torch.uint16, 5: torch.int16,
    6: torch.int32, 7: torch.int64, 9: torch.bool, 10: torch.float16, 11: torch.float64,
    12: torch.uint32, 13: torch.uint64, 16: torch.bfloat16,
}  # fmt: skip
"""``TensorProto.DataType`` → type of values."""
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5


@dataclass(frozen=True)
class Value:
    """An input or output: its type (a key of ``TYPES``) and shape, with None for a free size."""

    name: str
    kind: int
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class Node:
    """One operation, with the names of its inputs and outputs."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Stored:
    """A tensor of the file: its type, shape and bytes (in the file or in one beside it)."""

    kind: int
    shape: tuple[int, ...]
    raw: memoryview | None
    numbers: memoryview | None  # packed, in the field that belongs to its type


@dataclass
class Program:
    """The description of a program.

    Attributes:
        inputs, outputs: In the file's order; without inputs that have a value in the file.
        nodes: Nodes of the main graph, in the order of execution.
        kinds: Names of all operations, including those of inner graphs.
        tensors: Named tensors of the main graph.
        about: Version, producer and metadata.
        files: External files with values.
    """

    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)
    tensors: dict[str, Stored] = field(default_factory=dict)
    about: dict[str, object] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)


def read_program(data: memoryview, folder: Path) -> Program:
    """Read the description of an ONNX file.

    Args:
        data: Its bytes.
        folder: Its folder.

    Raises:
        Refusal: bytes that are no such file, or values in files elsewhere.
    """
    reader = _Reader(Program(), folder, Allowance(len(data)))
    for number, value in reader.fields(data):
        if number == 1 and isinstance(value, int):
            reader.program.about["ir_version"] = value
        elif number in (2, 3) and not isinstance(value, int):
            reader.program.about[("producer_name", "producer_version")[number - 2]] = _text(value)
        elif number == 7:
            reader.graph(value, depth=0)
        elif number == 14:
            key, text = reader.pair(value)
            reader.program.about[f"metadata/{key}"] = text
        elif number == 25:  # functions, whose nodes run like all others
            for part, inner in reader.fields(value):
                if part == 7:
                    reader.node(inner, depth=1)
    program = reader.program
    if not program.nodes or not program.outputs:
        raise damaged("an ONNX file without a graph")
    program.inputs = [value for value in program.inputs if value.name not in program.tensors]
    return program


def load_tensor(stored: Stored, allowance: Allowance) -> Tensor | None:
    """A tensor's values in newly allocated memory; None for text and types that torch lacks.

    Raises:
        Refusal: the number of values does not fit the shape.
    """
    dtype = TYPES.get(stored.kind)
    if dtype is None:
        return None
    n_values = math.prod(stored.shape)
    raw = stored.raw
    if raw is None and stored.kind in (1, 11):  # packed as they lie in memory
        raw = stored.numbers
    if raw is None:
        numbers = [] if stored.numbers is None else list(_varints(stored.numbers, allowance))
        if len(numbers) != n_values:
            raise damaged(f"a tensor of {n_values:,} values that holds {len(numbers):,}")
        if dtype in (torch.float16, torch.bfloat16):
            return torch.from_numpy(np.array(numbers, "<u2")).view(dtype).reshape(stored.shape)
        signed = [n - (1 << 64) if n >> 63 else n for n in numbers]
        return torch.tensor(signed, dtype=torch.int64).to(dtype).reshape(stored.shape)
    if len(raw) != n_values * dtype.itemsize:
        raise damaged(f"a tensor of {n_values:,} values in {len(raw):,} bytes")
    allowance.claim(len(raw))
    memory = torch.from_numpy(np.frombuffer(raw, np.uint8).copy())
    return memory.view(dtype).reshape(stored.shape)


class _Reader:
    def __init__(self, program: Program, folder: Path, allowance: Allowance) -> None:
        self.program, self.folder, self.allowance = program, folder, allowance

    def fields(self, data: memoryview | int) -> Iterator[tuple[int, int | memoryview]]:
        """Number and value of each field: an integer, or bytes."""
        if isinstance(data, int):
            raise damaged("an ONNX file with a number for a message")
        at, end = 0, len(data)
        while at < end:
            self.allowance.charge(_VISIT)
            tag, at = _varint(data, at)
            number, wire = tag >> 3, tag & 7
            if wire == _VARINT:
                value, at = _varint(data, at)
                yield number, value
                continue
            if wire == _BYTES:
                length, at = _varint(data, at)
            elif wire in (_FOUR, _EIGHT):
                length = 4 if wire == _FOUR else 8
            else:
                raise damaged("no ONNX file")
            if length > end - at:
                raise damaged("an ONNX file that is cut short")
            yield number, data[at : at + length]
            at += length

    def graph(self, data: memoryview | int, *, depth: int) -> None:
        """Read the main graph, or a graph inside a node (only its operations and files)."""
        if depth > _DEEPEST:
            raise Refusal(f"has graphs nested deeper than {_DEEPEST} levels; export it again")
        for number, value in self.fields(data):
            if number == 1:
                node = self.node(value, depth=depth)
                if depth == 0:
                    self.program.nodes.append(node)
            elif number == 5:
                name, stored = self.tensor(value)
                if depth == 0:
                    self.program.tensors[name] = stored
            elif number == 15:
                self.sparse(value)
            elif number in (11, 12) and depth == 0:
                kept = self.program.inputs if number == 11 else self.program.outputs
                kept.append(self.value(value))

    def node(self, data: memoryview | int, *, depth: int) -> Node:
        inputs, outputs, kind = [], [], ""
        for number, value in self.fields(data):
            if number in (1, 2):
                (inputs if number == 1 else outputs).append(_text(value))
            elif number == 4:
                kind = _text(value)
            elif number == 5:
                self.attribute(value, depth=depth)
        self.program.kinds.add(kind)
        return Node(kind, tuple(inputs), tuple(outputs))

    def attribute(self, data: memoryview | int, *, depth: int) -> None:
        for number, value in self.fields(data):
            if number in (5, 10):
                self.tensor(value)
            elif number in (6, 11):
                self.graph(value, depth=depth + 1)
            elif number in (22, 23):
                self.sparse(value)

    def sparse(self, data: memoryview | int) -> None:
        for number, value in self.fields(data):
            if number in (1, 2):
                self.tensor(value)

    def tensor(self, data: memoryview | int) -> tuple[str, Stored]:
        name, kind, shape, raw, numbers, places = "", 0, [], None, None, []
        for number, value in self.fields(data):
            if number == 1:
                shape += [value] if isinstance(value, int) else _varints(value, self.allowance)
                if len(shape) > _MOST_DIMENSIONS:
                    raise damaged("a tensor of more than 32 dimensions")
            elif number == 2 and isinstance(value, int):
                kind = value
            elif number in (4, 5, 7, 10, 11) and not isinstance(value, int):
                numbers = value
            elif number == 8:
                name = _text(value)
            elif number == 9 and not isinstance(value, int):
                raw = value
            elif number == 13:
                places.append(self.pair(value))
        if places:
            raw = self.elsewhere(places)
        return name, Stored(kind, tuple(shape), raw, numbers)

    def elsewhere(self, places: list[tuple[str, str]]) -> memoryview:
        """Bytes in an external file."""
        where = dict(places)
        name = where.get("location", "")
        path = self.folder / name
        plain = name not in ("", ".", "..") and not any(c in name for c in "/\\\0")
        if len(places) != len(where) or not plain or path.is_symlink():
            raise Refusal(
                f"takes values from {name[:80]!r}; expected the plain name of a file beside it; "
                "export it again with its data in one file"
            )
        if not path.is_file():
            raise Refusal(
                f"takes values from {name[:80]!r}, which is not beside it; get that file as well"
            )
        size = path.stat().st_size
        try:
            first = int(where.get("offset", 0))
            length = int(where.get("length", size - first))
        except ValueError as error:
            raise damaged("values at no place") from error
        if first < 0 or length < 0 or first + length > size:
            raise damaged(f"values beyond the end of {name[:80]!r}")
        if name not in self.program.files:
            self.program.files[name] = path
            self.allowance.tensors += size
        if not length:
            return memoryview(b"")
        return np.memmap(path, np.uint8, "r", first, (length,)).data

    def value(self, data: memoryview | int) -> Value:
        name, kind, shape = "", 0, None
        for number, value in self.fields(data):
            if number == 1:
                name = _text(value)
            for kind_of, tensor in self.fields(value) if number == 2 else ():
                for part, inner in self.fields(tensor) if kind_of == 1 else ():
                    if part == 1 and isinstance(inner, int):
                        kind = inner
                    elif part == 2:
                        shape = tuple(self.dimension(d) for n, d in self.fields(inner) if n == 1)
        return Value(name, kind, shape)

    def dimension(self, data: memoryview | int) -> int | None:
        found = [value for number, value in self.fields(data) if number == 1]
        return found[0] if found and isinstance(found[0], int) and found[0] < 1 << 31 else None

    def pair(self, data: memoryview | int) -> tuple[str, str]:
        found: Mapping[int, str] = {
            number: _text(value) for number, value in self.fields(data) if number in (1, 2)
        }
        return found.get(1, ""), found.get(2, "")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise damaged("an ONNX file that is cut short")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise damaged("no ONNX file")


def _varints(data: memoryview, allowance: Allowance) -> Iterator[int]:
    at = 0
    while at < len(data):
        allowance.charge(64)
        value, at = _varint(data, at)
        yield value


def _text(value: memoryview | int) -> str:
    if isinstance(value, int):
        raise damaged("no ONNX file")
    return str(value, "utf-8", "replace")
