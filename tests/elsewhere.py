"""A device that is not the processor, for machines without one.

``elsewhere`` holds its tensors in the processor's memory, but torch takes it for a device of its
own: what mixes its tensors with those of the processor fails, and so does ``numpy()``. So code that
runs with ``device="elsewhere"`` moves what it has to move, and ``LEFT`` tells what that was.
"""

import torch
from torch.utils import backend_registration

NAME = "elsewhere"
_CPU_INDICES = (torch.ops.aten.index.Tensor, torch.ops.aten.index_put_.default)


LEFT: list[torch.Tensor] = []
"""Tensors that were copied to the processor, in order, as tensors without values."""


class Elsewhere(torch.Tensor):
    """A tensor of the device."""

    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), storage_offset=inner.storage_offset(),
            dtype=inner.dtype, device=torch.device(NAME, 0),
        )  # fmt: skip

    def __init__(self, inner):
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        leaves = False
        if kwargs.get("device") is not None:
            leaves = torch.device(kwargs["device"]).type == "cpu"
            kwargs["device"] = "cpu"
        if function is torch.ops.aten.copy_.default:
            return cls._copy(*args[:2])

        def inner(value):
            if isinstance(value, cls):
                return value.inner
            if isinstance(value, torch.Tensor) and value.ndim and function not in _CPU_INDICES:
                raise RuntimeError(f"{function} was given a tensor on the cpu among some elsewhere")
            return value

        own = torch.utils._pytree.tree_map(inner, args)
        found = function(*own, **torch.utils._pytree.tree_map(inner, kwargs))
        if leaves:
            LEFT.append(found.to("meta"))
            return found
        if args and isinstance(args[0], cls) and found is own[0]:  # in place
            return args[0]
        return torch.utils._pytree.tree_map(
            lambda value: cls(value) if isinstance(value, torch.Tensor) else value, found
        )

    @classmethod
    def _copy(cls, to, source):
        if not isinstance(to, cls):
            LEFT.append(source.inner.to("meta"))
        values = source.inner if isinstance(source, cls) else source
        (to.inner if isinstance(to, cls) else to).copy_(values)
        return to


def _empty(size, dtype=None, **_others):
    return Elsewhere(torch.empty(size, dtype=dtype))


def _empty_strided(size, stride, dtype=None, **_others):
    return Elsewhere(torch.empty_strided(size, stride, dtype=dtype))


def _copy_from(source, to, non_blocking=False):
    return Elsewhere._copy(to, source)


def register():
    """Make the device known to torch, once for a process; None where this torch cannot.

    Returns:
        The registration, which has to be kept.
    """
    if not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"):
        return None
    backend_registration._setup_privateuseone_for_python_backend(NAME)
    library = torch.library.Library("aten", "IMPL")
    library.impl("empty.memory_format", _empty, "PrivateUse1")
    library.impl("empty_strided", _empty_strided, "PrivateUse1")
    library.impl("_copy_from", _copy_from, "PrivateUse1")
    return library
