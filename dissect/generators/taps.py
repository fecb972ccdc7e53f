"""Layers of modules that run several times for an image, each call with a name of its own.

A module that runs at every step of a sampler, or for every place of an image, has no one output.
What it puts out is handed through a tap, a module that passes it on: traces and edits hook there
and know nothing of steps. A tap without hooks costs nothing.
"""

from torch import Tensor, nn


class Tap(nn.Module):
    """Passes a layer's output on; below it are the taps of layers inside."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps

    @property
    def is_used(self) -> bool:
        """Whether anything hangs on it."""
        return bool(self._forward_hooks or self._forward_pre_hooks)


def grow(root: nn.Module, path: str) -> None:
    """Add taps at a dotted path below a module, where they are missing."""
    for name in path.split("."):
        if name not in root._modules:
            root.add_module(name, Tap())
        root = root.get_submodule(name)


def find_tap(root: nn.Module, path: str) -> Tap:
    """The tap at a dotted path.

    Raises:
        TypeError: another module.
    """
    found = root.get_submodule(path)
    if not isinstance(found, Tap):
        raise TypeError(f"{path} is a {type(found).__name__}; expected a tap")
    return found
