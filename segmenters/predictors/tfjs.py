"""Reads weights of TensorFlow.js: a manifest in JSON, and one file of bytes.

The manifest lists name, shape and type of each tensor in the order of their bytes. A tensor may be
quantised: u with 8 or 16 bits means x = scale · u + min.

References:
    TensorFlow.js, tfjs-core/src/io/types.ts (``WeightsManifestEntry``).
"""

import math
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor, from_numpy

from segmenters.received import parse_json

_TYPES = {"float32": "<f4", "uint8": "u1", "uint16": "<u2", "int32": "<i4"}
_QUANTISED = ("uint8", "uint16")


def read_tensors(manifest: bytes, data: bytes) -> dict[str, Float[np.ndarray, "..."]]:
    """The tensors of a manifest as float32, by name.

    Args:
        manifest: JSON: one group of weights in a list, or the group itself.
        data: The bytes of all tensors in sequence.

    Raises:
        ValueError, KeyError, TypeError: an invalid manifest, or bytes that do not fit it.
    """
    content: Any = parse_json(manifest)
    (group,) = content if isinstance(content, list) else [content]
    found: dict[str, Float[np.ndarray, "..."]] = {}
    position = 0
    for entry in group["weights"]:
        quantised = entry.get("quantization")
        kind = entry["dtype"] if quantised is None else quantised["dtype"]
        if kind not in (_QUANTISED if quantised else ("float32",)) or entry["dtype"] != "float32":
            raise ValueError(f"{entry['name']} is of type {kind}")
        shape = tuple(int(side) for side in entry["shape"])
        size = math.prod(shape)
        dtype = np.dtype(_TYPES[kind])
        if min(shape, default=1) < 1 or position + size * dtype.itemsize > len(data):
            raise ValueError(f"{entry['name']} goes beyond the {len(data):,} bytes")
        values = np.frombuffer(data, dtype, size, position).reshape(shape)
        position += size * dtype.itemsize
        if quantised is not None:
            # In double precision, like JavaScript's numbers, then rounded once.
            values = values.astype(np.float64) * quantised["scale"] + quantised["min"]
        found[entry["name"]] = values.astype(np.float32)
    if position != len(data):
        raise ValueError(f"{len(data) - position:,} bytes are left over")
    return found


# Last word of a name → its name in a module, and the order of its dimensions there.
_LEAVES: dict[str, tuple[str, tuple[int, ...]]] = {
    "filters": ("weight", (3, 2, 0, 1)),  # height, width, in, out
    "depthwise_filter": ("depthwise.weight", (2, 3, 0, 1)),  # height, width, in, 1
    "pointwise_filter": ("pointwise.weight", (3, 2, 0, 1)),
    "bias": ("bias", (0,)),
}


def as_state(tensors: dict[str, Float[np.ndarray, "..."]]) -> dict[str, Tensor]:
    """Tensors with the names and layouts of PyTorch's modules.

    ``a/b/filters`` becomes ``a.b.weight``, with the output's channels first; the bias of a
    separable convolution belongs to its pointwise part; matrices are transposed.
    """
    state: dict[str, Tensor] = {}
    for name, values in tensors.items():
        path, _, leaf = name.rpartition("/")
        if leaf in _LEAVES and values.ndim == len(_LEAVES[leaf][1]):
            own, order = _LEAVES[leaf]
            if leaf == "bias" and f"{path}/pointwise_filter" in tensors:
                own = "pointwise.bias"
            laid = values.transpose(order)
        elif leaf in ("weights", "biases") and path.endswith("/scale"):
            own, laid = leaf, values
        elif values.ndim == 2:  # in, out
            own, laid = ("weight" if leaf == "weights" else f"{leaf}.weight"), values.T
        else:
            raise ValueError(f"{name} of the shape {values.shape} has no meaning")
        key = f"{path}/{own}".strip("/").replace("/", ".")
        state[key] = from_numpy(np.ascontiguousarray(laid))
    return state
