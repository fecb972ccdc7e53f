"""Own implementations of the few names that weight files use.

Each is a function from arguments to an inert value. Any other name becomes a ``Record``.
"""

from collections.abc import Callable

from torch import Tensor

from dissect.generators.reading.bounds import SAVE_WEIGHTS, Allowance, Refusal, damaged
from dissect.generators.reading.names import Global, Record, make_global
from dissect.generators.reading.plain import as_key
from dissect.generators.reading.tensors import (
    DTYPES,
    Array,
    ArrayType,
    Storage,
    as_number,
    as_tensor,
    view,
)

_TENSOR_BYTES = 1024  # size of a tensor without its values


class Reader:
    """The values of names while one file is read, and the remaining budget.

    Args:
        size: Size of the file in bytes.
        load_storage: Reads a storage from bytes that contain a nested file.

    Attributes:
        allowance: Remaining memory budget.
        globals: Every name in order of its first appearance.
    """

    def __init__(self, size: int, load_storage: Callable[["Reader", object], object]) -> None:
        self.allowance = Allowance(size)
        self.globals: dict[str, None] = {}
        self.depth = 0
        self._load_storage = load_storage

    def name(self, module: object, name: object) -> Global:
        """The inert value of a name; see ``make_global``."""
        found = make_global(module, name)
        self.globals[str(found)] = None
        return found

    def call(self, function: object, arguments: object, keywords: object) -> object:
        """The value of a call: that of a known function, or a record of the call.

        Raises:
            Refusal: not a name, invalid arguments, or an unsupported kind of tensor.
        """
        if not isinstance(function, Global):
            raise Refusal(f"calls something that is not a name; {SAVE_WEIGHTS}")
        if not isinstance(arguments, tuple) or not isinstance(keywords, dict):
            raise damaged("a call without arguments")
        self.allowance.charge(16 * len(arguments))
        name = str(function).replace("numpy.core.", "numpy._core.")
        if name in ("copyreg.__newobj__", "copyreg.__newobj_ex__"):
            inner, *rest = arguments
            if name == "copyreg.__newobj__":
                return self.call(inner, tuple(rest), {})
            return self.call(inner, *rest)
        if name == "torch.storage._load_from_bytes":
            (data,) = arguments
            return self._load_storage(self, data)
        if name in _MEANINGS:
            return _MEANINGS[name](self, *arguments, **keywords)
        if name in _SEQUENCES:
            return self._plain(_SEQUENCES[name], *arguments)
        if name.startswith(("torch._utils._rebuild", "torch._tensor._rebuild")):
            kind = function.name.removeprefix("_rebuild_")
            raise Refusal(f"holds a tensor of a kind that is not read ({kind}); {SAVE_WEIGHTS}")
        extra = (keywords,) if keywords else ()
        return Record(name, arguments + extra)

    def build(self, target: object, state: object) -> None:
        """Set the state of a placeholder. Drops attributes of a dictionary, such as ``_metadata``.

        Raises:
            Refusal: an object without state, or a state that only the class's own code can use.
        """
        if isinstance(target, Array):
            target.set_state(state, self.allowance)
        elif isinstance(target, ArrayType):
            target.set_state(state)
        elif isinstance(target, Record):
            # Classes with slots have two: attributes, then slots.
            parts = state if isinstance(state, tuple) and len(state) == 2 else (state,)
            for part in parts:
                if part is not None and not isinstance(part, dict):
                    raise Refusal(
                        f"gives {target.name} a state that only its own code can read; "
                        f"{SAVE_WEIGHTS}"
                    )
                self.allowance.charge(128 * len(part or ()))
                target.state.update(part or {})
        elif not (isinstance(target, dict) and isinstance(state, dict)):
            raise Refusal(
                f"sets the state of a {type(target).__name__}, which has none; {SAVE_WEIGHTS}"
            )

    def _plain(self, kind: type, values: object = (), *rest: object) -> object:
        """A list, set, dictionary, … of values; further arguments do not affect the contents."""
        if not isinstance(values, list | tuple | set | frozenset | dict):
            raise damaged(f"a {kind.__name__} of a {type(values).__name__}")
        self.allowance.charge(256 * len(values))
        if kind in (list, tuple):
            return kind(values)
        if kind is dict:
            pairs = values.items() if isinstance(values, dict) else values
            return {as_key(key, self.allowance): value for key, value in pairs}
        return kind(as_key(value, self.allowance) for value in values)


def _dictionary(reader: Reader, *arguments: object) -> object:
    # A defaultdict gets its factory first; nothing here reads a missing key.
    if arguments and isinstance(arguments[0], Global | None):
        arguments = arguments[1:]
    return reader._plain(dict, *arguments)


def _bytes(reader: Reader, value: object = b"", encoding: str = "latin1") -> bytes:
    """``bytes`` and ``bytearray``, and ``_codecs.encode``: bytes stored as text by protocol 2."""
    if isinstance(value, str) and encoding in ("latin1", "latin-1"):
        reader.allowance.charge(len(value))
        return value.encode("latin-1")
    if not isinstance(value, bytes | memoryview) or encoding != "latin1":
        raise damaged("bytes of something else")
    reader.allowance.charge(len(value))
    return bytes(value)


def _complex(real: object = 0.0, imaginary: object = 0.0) -> complex:
    if not isinstance(real, int | float) or not isinstance(imaginary, int | float):
        raise damaged("a complex number without numbers")
    return complex(real, imaginary)


def _reconstruct(reader: Reader, kind: object, base: object, state: object) -> object:
    if base != Global("builtins", "object") or state is not None:
        raise Refusal(f"makes an object of a class from one of another; {SAVE_WEIGHTS}")
    return reader.call(kind, (), {})


def _persistent(reader: Reader, meta: dict[str, object]) -> Record:
    """A class whose source text is in the file. The text is dropped."""
    name = meta.get("class_name") if isinstance(meta, dict) else None
    if not isinstance(name, str):
        raise damaged("a persistent object without a class")
    record = Record(f"torch_utils.persistence.{name[:200]}")
    reader.build(record, meta.get("state"))
    return record


def _tensor(
    reader: Reader,
    storage: object,
    offset: object,
    size: object,
    stride: object,
    requires_grad: object = False,
    hooks: object = None,
    metadata: object = None,
) -> Tensor:
    if not (metadata is None or (isinstance(metadata, dict) and not metadata)):
        raise Refusal(f"holds a conjugate or negative view of a tensor; {SAVE_WEIGHTS}")
    reader.allowance.charge(_TENSOR_BYTES)
    return view(storage, offset, size, stride)


def _tensor_of_dtype(
    reader: Reader,
    storage: object,
    offset: object,
    size: object,
    stride: object,
    requires_grad: object,
    hooks: object,
    dtype: object,
    metadata: object = None,
) -> Tensor:
    if not isinstance(storage, Storage) or not isinstance(dtype, Global):
        raise damaged("a tensor without a type")
    if dtype.name not in DTYPES:
        raise Refusal(f"holds a tensor of {dtype}, which is not read; {SAVE_WEIGHTS}")
    typed = Storage(storage.memory, DTYPES[dtype.name])
    return _tensor(reader, typed, offset, size, stride, metadata=metadata)


def _parameter(reader: Reader, data: object, *rest: object) -> Tensor:
    if not isinstance(data, Tensor):
        raise damaged("a parameter that is not a tensor")
    return data


def _subclass(
    reader: Reader, function: object, kind: object, arguments: object, state: object
) -> Tensor:
    return _parameter(reader, reader.call(function, arguments, {}))


def _number(reader: Reader, dtype: object, data: object) -> object:
    if not isinstance(data, str | bytes | memoryview):
        raise damaged("a number without bytes")
    reader.allowance.charge(4 * len(data))
    return as_number(dtype, data)


def _array(reader: Reader, *arguments: object) -> Array:
    return Array()


def _array_of_buffer(
    reader: Reader, data: object, dtype: object, shape: object, order: object
) -> Array:
    return Array(as_tensor(data, dtype, shape, "F" if order == "F" else "C", reader.allowance))


_SEQUENCES: dict[str, type] = {
    "builtins.set": set,
    "builtins.frozenset": frozenset,
    "builtins.list": list,
    "builtins.tuple": tuple,
    "collections.deque": list,
    "torch.Size": tuple,
}
_MEANINGS: dict[str, Callable[..., object]] = {
    "builtins.dict": _dictionary,
    "collections.OrderedDict": _dictionary,
    "collections.defaultdict": _dictionary,
    "collections.Counter": _dictionary,
    "dnnlib.util.EasyDict": _dictionary,
    "builtins.bytes": _bytes,
    "builtins.bytearray": _bytes,
    "_codecs.encode": _bytes,
    "builtins.complex": lambda reader, *parts: _complex(*parts),
    "copyreg._reconstructor": _reconstruct,
    "torch_utils.persistence._reconstruct_persistent_obj": _persistent,
    "torch.device": lambda reader, kind, index=None: kind,
    "torch.serialization._get_layout": lambda reader, name: name,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_of_dtype,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._tensor._rebuild_from_type_v2": _subclass,
    "numpy._core.multiarray._reconstruct": _array,
    "numpy._core.numeric._frombuffer": _array_of_buffer,
    "numpy._core.multiarray.scalar": _number,
    "numpy.dtype": lambda reader, code, *rest: ArrayType(code),
}
