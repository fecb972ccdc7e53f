"""numpy's ``.npy`` files: arrays of numbers, and the one object that ``numpy.save`` can write.

A dictionary is written as a header like any other and, behind it, a pickle of an array of objects.
numpy reads that with its own unpickler only if it is told that pickles may be run; here the machine
of this package carries it out, with inert values. Declared sizes are held against the bytes first.

References:
    NumPy, numpy/lib/format.py (the header); numpy/_core/src/multiarray/methods.c,
    ``array_reduce`` (the state: version, shape, type, order, list of objects).
"""

import io
import math

import numpy as np

from dissect.generators.reading.bounds import SAVE_WEIGHTS, Refusal, damaged
from dissect.generators.reading.machine import unpickle
from dissect.generators.reading.meanings import Reader
from dissect.generators.reading.names import Global
from dissect.generators.reading.streams import load_storage
from dissect.generators.reading.tensors import Array

_RECONSTRUCT = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")


class _ObjectType:
    """The numpy dtype of objects."""


class _ObjectArray(Array):
    """An array of numbers or, once its state said so, of objects."""

    objects: list[object] | None = None


class _ObjectReader(Reader):
    """Gives arrays of objects a meaning too."""

    def call(self, function: object, arguments: object, keywords: object) -> object:
        if isinstance(function, Global) and isinstance(arguments, tuple):
            if str(function) in _RECONSTRUCT:
                return _ObjectArray()
            code = arguments[0] if arguments else None
            if str(function) == "numpy.dtype" and isinstance(code, str) and code[:1] in "O|":
                return _ObjectType()
        return super().call(function, arguments, keywords)

    def build(self, target: object, state: object) -> None:
        if isinstance(target, _ObjectType):
            return  # its order of bytes, which objects have none of
        if (
            isinstance(target, _ObjectArray)
            and isinstance(state, tuple)
            and len(state) == 5
            and isinstance(state[2], _ObjectType)
        ):
            if not isinstance(state[4], list):
                raise damaged("an array of objects without a list of them")
            target.objects = state[4]
            return
        super().build(target, state)


def read_numbers(content: bytes) -> np.ndarray:
    """The array that a ``.npy`` holds; a view of its bytes.

    Raises:
        ValueError: a damaged file, or one of no numbers.
    """
    dtype, shape, fortran, start = _read_header(content)
    size = math.prod(shape)
    if dtype.kind not in "fiu" or not shape or size == 0:
        raise ValueError(f"it holds {dtype} of the shape {shape}, no numbers")
    if size * dtype.itemsize != len(content) - start:
        raise ValueError(f"its shape {shape} does not fit its {len(content):,} bytes")
    values = np.frombuffer(content, dtype, size, start)
    return values.reshape(shape, order="F" if fortran else "C")


def _read_header(content: bytes) -> tuple[np.dtype, tuple[int, ...], bool, int]:
    """Type, shape, whether columns come first, and where the values begin."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"its version is {version}")
    first = version == (1, 0)
    read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    return dtype, shape, fortran, file.tell()


def read_object(content: bytes) -> object:
    """The one object that a ``.npy`` holds: dictionaries, lists, text, numbers, arrays (``Array``).

    Raises:
        Refusal: a damaged file, several objects, or a pickle that asks for more than inert values.
        ValueError: a header that numpy does not know.
    """
    dtype, _, _, start = _read_header(content)
    if dtype != np.dtype(object):
        raise damaged("no array of objects")
    reader = _ObjectReader(len(content), load_storage)
    value, _ = unpickle(memoryview(content), start, reader)
    if not isinstance(value, _ObjectArray) or value.objects is None or len(value.objects) != 1:
        raise Refusal(f"holds no single object; {SAVE_WEIGHTS}")
    return value.objects[0]
