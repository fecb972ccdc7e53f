"""Layers of modules that run several times for an image, each call with a name of its own.

A module that runs at every step of a sampler, or for every place of an image, has no one output.
What it puts out is handed through a tap, a module that passes it on: traces and edits hook there
and know nothing of steps. A tap without hooks costs nothing.
"""

import torch
from jaxtyping import Float
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


def exchange(part: object, old: Tensor, new: Tensor) -> object:
    """A tuple with an edited tensor in place of the old one; anything else as it is."""
    if isinstance(part, tuple):
        return tuple(new if value is old else value for value in part)
    return part


def attention_factors(
    words: Float[Tensor, "batch word place"],
    edited: Float[Tensor, "batch word place"],
    member: Float[Tensor, "batch position word"],
) -> Float[Tensor, "batch place position"]:
    """How much more attention each position of a text gets, when attention to words is edited.

    A position gets edited/words of its own word. A word that no attention goes to stays so.

    Args:
        words: Shares of attention to each word, summed over its positions.
        edited: What an edit made of them, in float32.
        member: Which word stands at which position.
    """
    # An unedited value may have gone through float32 and back.
    is_same = (edited == words.float()) | (words == 0)
    ratio = torch.where(is_same, 1.0, edited.to(words.dtype) / words.masked_fill(is_same, 1.0))
    return 1 + torch.einsum("bjw,bwp->bpj", member, ratio - 1)
