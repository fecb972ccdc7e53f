"""Tensors from the bytes of a file. Every size is first compared with the available bytes."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from dissect.generators.reading.bounds import SAVE_WEIGHTS, Allowance, Refusal, damaged

DTYPES: dict[str, torch.dtype] = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.float16, torch.bfloat16, torch.float32, torch.float64,
        torch.complex64, torch.complex128, torch.uint8, torch.uint16, torch.uint32, torch.uint64,
        torch.int8, torch.int16, torch.int32, torch.int64, torch.bool, torch.float8_e4m3fn,
        torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz,
    )
}  # fmt: skip
"""By the name after ``torch.``."""

STORAGES: dict[str, torch.dtype] = {
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "ShortStorage": torch.int16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "BoolStorage": torch.bool,
    "UntypedStorage": torch.uint8,
}
"""Type of the values in torch's storage classes."""

_ARRAYS = frozenset("f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 b1 c8 c16".split())  # noqa: SIM905
_MOST_DIMENSIONS = 32
_LONGEST = 1 << 40


@dataclass(frozen=True, eq=False)
class Storage:
    """Memory that tensors share, and the type of its values.

    Args:
        memory: Bytes.
        dtype: Type of the values.
    """

    memory: Tensor
    dtype: torch.dtype

    def __len__(self) -> int:
        return len(self.memory) // self.dtype.itemsize


def reserve(n_bytes: int, allowance: Allowance) -> Tensor:
    """Newly allocated, aligned memory for a storage, not yet filled.

    Raises:
        Refusal: more bytes than the file holds.
    """
    allowance.claim(n_bytes)
    return torch.empty(n_bytes, dtype=torch.uint8)


def fill(memory: Tensor, data: memoryview | bytes) -> None:
    """Copy a storage's bytes once."""
    memory.numpy()[:] = np.frombuffer(data, np.uint8) if len(data) else 0


def view(storage: object, offset: object, size: object, stride: object) -> Tensor:
    """A tensor that views a storage.

    Raises:
        Refusal: a view that exceeds its storage, or repeats its values.
    """
    if not isinstance(storage, Storage):
        raise damaged("a tensor without a storage")
    size, stride = _lengths(size), _lengths(stride)
    (offset,) = _lengths((offset,))
    if len(size) != len(stride):
        raise damaged("a tensor with other strides than sizes")
    n_values, held = math.prod(size), len(storage)
    if math.prod(max(n, 1) for n in size) > max(held, _LONGEST):
        raise damaged(f"a tensor of shape {size}")
    if n_values > held:
        raise Refusal(
            f"has a tensor of shape {size} on {held:,} stored values: an expanded view, which "
            "would fill memory with copies; save tensor.contiguous() instead"
        )
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if offset > held or (n_values and last >= held):
        raise damaged(f"a tensor of shape {size} that reaches beyond its {held:,} stored values")
    first = storage.memory.storage_offset() // storage.dtype.itemsize
    empty = torch.empty(0, dtype=storage.dtype)
    return empty.set_(storage.memory.untyped_storage(), first + offset, size, stride)


def _lengths(values: object) -> tuple[int, ...]:
    if not isinstance(values, tuple | list) or len(values) > _MOST_DIMENSIONS:
        raise damaged("a tensor whose sizes are not numbers")
    for value in values:
        if type(value) is not int or not 0 <= value <= _LONGEST:
            raise damaged("a tensor with sizes or strides out of range")
    return tuple(values)


class ArrayType:
    """A numpy dtype of plain numbers.

    Args:
        code: A code such as ``f4``.
    """

    def __init__(self, code: object) -> None:
        code = code[:20].lstrip("<>=|") if isinstance(code, str) else code
        if not isinstance(code, str) or not (code in _ARRAYS or code[:1] in ("S", "U")):
            kind = code[:20] if isinstance(code, str) else type(code).__name__
            raise Refusal(
                f"holds a numpy array of {kind!r}, which are not plain numbers and may "
                f"hide code; {SAVE_WEIGHTS}"
            )
        self.code, self.order = code, "<"

    @property
    def itemsize(self) -> int:
        if self.code[0] in "SU":
            return int(self.code[1:] or 0) * (4 if self.code[0] == "U" else 1)
        return int(self.code[1:])

    def set_state(self, state: object) -> None:
        """Set the state that numpy pickles: version, byte order, then fields of records only."""
        if not isinstance(state, tuple) or len(state) < 5 or state[2:5] != (None, None, None):
            raise Refusal(f"holds a numpy array of records; {SAVE_WEIGHTS}")
        self.order = ">" if state[1] == ">" else "<"

    def values(self, data: object, n_values: int) -> np.ndarray:
        """Values from bytes; a view, not a copy."""
        if isinstance(data, str):  # written by Python 2
            data = data.encode("latin-1")
        if not isinstance(data, bytes | memoryview) or len(data) != n_values * self.itemsize:
            raise damaged(f"an array of {n_values:,} values with other bytes than these")
        if not data:
            return np.empty(0, self.code)
        return np.frombuffer(data, self.order + self.code)


@dataclass(eq=False)
class Array:
    """A numpy array; becomes a tensor once its state is known."""

    tensor: Tensor | None = None

    def set_state(self, state: object, allowance: Allowance) -> None:
        """Set the state that numpy pickles: an optional version, then shape, type, order, bytes."""
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise damaged("an array without shape, type and bytes")
        shape, dtype, fortran, data = state[-4:]
        self.tensor = as_tensor(data, dtype, shape, "F" if fortran is True else "C", allowance)


def as_tensor(
    data: object, dtype: object, shape: object, order: Literal["C", "F"], allowance: Allowance
) -> Tensor:
    """A tensor with a copy of an array's values.

    Raises:
        Refusal: not an array of numbers, or one that does not fit its bytes.
    """
    if not isinstance(dtype, ArrayType) or dtype.code not in _ARRAYS:
        raise Refusal(f"holds a numpy array that is not of plain numbers; {SAVE_WEIGHTS}")
    size = _lengths(shape)
    if math.prod(max(n, 1) for n in size) > _LONGEST:
        raise damaged(f"an array of shape {size}")
    n_values = math.prod(size)
    allowance.claim(n_values * dtype.itemsize)
    values = dtype.values(data, n_values).reshape(size, order=order)
    return torch.from_numpy(np.array(values, dtype=dtype.code, order="C"))


def as_number(dtype: object, data: object) -> object:
    """Convert a numpy scalar to a plain value.

    Raises:
        Refusal: neither a number nor text.
    """
    if not isinstance(dtype, ArrayType):
        raise damaged("a scalar without a type")
    return dtype.values(data, 1)[0].item()
