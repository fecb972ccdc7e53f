"""State dicts as people's files hold them: which one counts, and into the network with it.

A network is laid out without memory first (``torch.device("meta")``), so that a file's tensors are
compared with what would be needed before anything is allocated.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from dissect.errors import CheckpointError
from dissect.generators.checkpoint import Checkpoint

# What programs call the running average of the weights, which is what one looks at.
_AVERAGED = ("generator_smooth", "generator_ema", "g_ema", "ema", "avgg", "netg_ema", "gs")
Network = TypeVar("Network", bound=nn.Module)
_WRAPPER = "module."  # what torch.nn.DataParallel puts before every name


def find_groups(checkpoint: Checkpoint) -> dict[str, dict[str, Tensor]]:
    """The state dicts of a file by name, averaged ones first, otherwise in the file's order."""
    groups = checkpoint.groups()
    order = sorted(groups, key=lambda group: group.rpartition("/")[2].lower() not in _AVERAGED)
    return {group: _unwrap(groups[group]) for group in order}


def find_states(checkpoint: Checkpoint) -> list[dict[str, Tensor]]:
    """The values of ``find_groups``."""
    return list(find_groups(checkpoint).values())


def _unwrap(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    wrapped = bool(state) and all(name.startswith(_WRAPPER) for name in state)
    return {name[len(_WRAPPER) if wrapped else 0 :]: value for name, value in state.items()}


def build(
    make: Callable[[], Network], state: Mapping[str, Tensor], path: Path, *, family: str
) -> Network:
    """A network with a file's tensors as float32, frozen and in eval mode.

    Args:
        make: Lays the network out; called where tensors take no memory.
        state: Copied, so that nothing of the file has to stay open.
        path, family: For messages.

    Raises:
        CheckpointError: tensors that are missing, too many or of another shape, by name.
    """
    try:
        with torch.device("meta"):
            network = make()
    except KeyError as error:
        raise CheckpointError(
            f"{path} is a {family} but for {error.args[0]}, which is missing; get the file again"
        ) from error
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in state.items()}
    if given != expected:
        odd = [n for n in expected | given if expected.get(n) != given.get(n)]
        shown = ", ".join(
            f"{name} {given.get(name, 'missing')} (expected {expected.get(name, 'nothing')})"
            for name in odd[:3]
        )
        raise CheckpointError(
            f"{path} is a {family} but for {len(odd)} of its tensors: {shown}; "
            "wrap the generator as package.module:factory instead"
        )
    copies = {
        name: value.detach().float().clone(memory_format=torch.contiguous_format)
        for name, value in state.items()
    }
    network.load_state_dict(copies, assign=True)
    return network.eval().requires_grad_(False)
