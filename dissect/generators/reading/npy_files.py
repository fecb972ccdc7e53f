"""numpy's ``.npy`` files: arrays of numbers, or the single object that ``numpy.save`` can write.

A dictionary is stored as a normal header followed by a pickle of an array of objects. numpy reads
that with its own unpickler, only if the user allows pickles. Here the machine of this package
executes it, with inert values. Declared sizes are first compared with the available bytes.

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
    """An array of numbers or, after its state was set, of objects."""

    objects: list[object] | None = None


class _ObjectReader(Reader):
    """A reader that also supports arrays of objects."""

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
            return  # its byte order, which objects do not have
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
    """The array of a ``.npy`` file; a view of its bytes.

    Raises:
        ValueError: a damaged file, or an array that is not numeric.
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
    """Type, shape, whether columns come first, and the offset of the values."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"its version is {version}")
    first = version == (1, 0)
    read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    return dtype, shape, fortran, file.tell()


def read_object(content: bytes) -> object:
    """The single object of a ``.npy``: dictionaries, lists, text, numbers, arrays (``Array``).

    Raises:
        Refusal: a damaged file, several objects, or a pickle that needs more than inert values.
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
