"""Limits on the cost of building a network that a file describes and of listing its layers.

A small file can describe a network of a hundred thousand layers, or one whose maps fill the memory.
So while a generator is built from a file, the modules and values that it registers are counted and
compared with the tensors of the file. The memory of the process is limited too, and so is the time
of forward passes that only list layers.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks

from dissect.errors import CheckpointError
from dissect.generators.base import Generator
from dissect.memory import bounded_memory

_MEMORY, _MEMORY_PER_BYTE = 320 << 20, 64  # bytes, plus this many per byte of tensors
_PARTS, _PARTS_PER_TENSOR = 2000, 4  # modules and tensors of a network
_MOST_PARTS = 200_000
_SECONDS, _BYTES_PER_SECOND = 15.0, 20 << 20
_MAP, _MAP_PER_VALUE = 8 << 20, 100  # values of one sample's map, plus these per value
_LARGEST_SIDE = 1 << 14  # pixels


class _TooMuchError(Exception):
    """A limit of this module was reached."""


@contextmanager
def bounded_by_file(tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """Limit the parts, memory and time of the ``with`` block by the size of a file's contents.

    Raises:
        ValueError: a limit was reached.
    """
    n_bytes = sum(tensor.nbytes for tensor in tensors.values())
    most_parts = min(_MOST_PARTS, _PARTS + _PARTS_PER_TENSOR * len(tensors))
    most_bytes = _MEMORY + _MEMORY_PER_BYTE * n_bytes
    end = time.thread_time() + _SECONDS + n_bytes / _BYTES_PER_SECOND
    mine, parts = threading.get_ident(), 0

    def look(*given: object) -> None:
        nonlocal parts
        if threading.get_ident() != mine:
            return
        if len(given) == 3:  # module, name, what is registered under it
            parts += 1
        if parts > most_parts:
            raise _TooMuchError(
                f"it describes more than {most_parts:,} parts, but holds {len(tensors):,} tensors"
            )
        if time.thread_time() > end:
            raise _TooMuchError("laying it out and listing its layers takes too long")

    handles = [
        hooks.register_module_module_registration_hook(look),
        hooks.register_module_parameter_registration_hook(look),
        hooks.register_module_buffer_registration_hook(look),
        hooks.register_module_forward_pre_hook(lambda module, inputs: look()),
    ]
    try:
        with bounded_memory(most_bytes):
            yield
    except _TooMuchError as error:
        raise ValueError(str(error)) from error
    finally:
        for handle in handles:
            handle.remove()


def check_sizes(generator: Generator, tensors: Mapping[str, Tensor]) -> None:
    """Raise an error if the generator's maps are far too large for its weights.

    Raises:
        ValueError: such a map.
    """
    most = _MAP + _MAP_PER_VALUE * sum(tensor.numel() for tensor in tensors.values())
    side = generator.image_size
    sizes = {"its images": (generator.channels, side, side)} | {
        f"layer {name[:80]}": (info.units, info.height, info.width)
        for name, info in generator.layers.items()
    }
    for what, (units, height, width) in sizes.items():
        if max(height, width) > _LARGEST_SIDE or units * height * width > most:
            raise ValueError(
                f"{what} would have {units:,} × {height:,} × {width:,} values, out of all "
                "proportion to its weights"
            )


@contextmanager
def one_image(generator: Generator, *, of_file: bool) -> Iterator[None]:
    """Limit memory and time of one forward pass of a generator that was read from a file.

    Raises:
        CheckpointError: an image that cannot be made.
    """
    if not of_file or not isinstance(generator.module, nn.Module):
        yield
        return
    try:
        with bounded_by_file(dict(generator.module.state_dict())), torch.no_grad():
            yield
    except (MemoryError, RuntimeError, ValueError, ArithmeticError, LookupError) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise CheckpointError(
            f"{generator.name} cannot make an image ({reason}); get its file again"
        ) from error
