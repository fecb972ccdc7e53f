"""Loading of a file's tensors into the network that they belong to.

A network is first built without memory (``torch.device("meta")``), so that a file's tensors are
compared with the needed ones before anything is allocated.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from dissect.errors import CheckpointError

Network = TypeVar("Network", bound=nn.Module)
Layout = TypeVar("Layout")
Part = TypeVar("Part", bound=nn.Module)


def lay_out(make: Callable[[], Layout], path: Path, *, family: str) -> Layout:
    """Result of ``make``, with tensors that take no memory.

    Raises:
        CheckpointError: the file lacks a tensor that ``make`` reads (KeyError).
    """
    try:
        with torch.device("meta"):
            return make()
    except KeyError as error:
        raise CheckpointError(
            f"{path} is a {family} except for {error.args[0]}, which is missing: the file "
            "is damaged, or of a program that changed the network"
        ) from error


def submodule(root: nn.Module, path: str, *kinds: type[Part]) -> Part:
    """The module at a dotted path, which must be of one of these classes.

    Raises:
        TypeError: a module of another class.
    """
    found = root.get_submodule(path)
    if not isinstance(found, kinds):
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"{path} is a {type(found).__name__}; expected a {expected}")
    return found


def build(
    make: Callable[[], Network], state: Mapping[str, Tensor], path: Path, *, family: str
) -> Network:
    """A network with a file's tensors as float32, frozen and in eval mode.

    Args:
        make: Builds the network; called where tensors take no memory.
        state: Tensors of the file; copied, so that the file can be closed.
        path, family: For messages.

    Raises:
        CheckpointError: tensors that are missing, too many or of another shape, by name.
    """
    network = lay_out(make, path, family=family)
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in state.items()}
    if given != expected:
        odd = [n for n in expected | given if expected.get(n) != given.get(n)]
        shown = ", ".join(
            f"{name} {given.get(name, 'missing')} (expected {expected.get(name, 'nothing')})"
            for name in odd[:3]
        )
        raise CheckpointError(
            f"{path} is a {family} except for {len(odd)} of its tensors: {shown}; "
            "wrap the generator as package.module:factory instead"
        )
    copies = {
        name: value.detach().float().clone(memory_format=torch.contiguous_format)
        for name, value in state.items()
    }
    network.load_state_dict(copies, assign=True)
    return network.eval().requires_grad_(False)
