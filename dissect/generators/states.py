"""State dicts as people's files hold them: the averaged one first, wrappers taken off the names."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from dissect.errors import CheckpointError
from dissect.generators.checkpoint import Checkpoint

# What programs call the running average of the weights, which is what one looks at.
_AVERAGED = ("generator_smooth", "generator_ema", "g_ema", "ema", "avgg", "netg_ema", "gs")
_WRAPPER = "module."  # what torch.nn.DataParallel puts before every name


def find_states(checkpoint: Checkpoint) -> list[dict[str, Tensor]]:
    """The state dicts of a file, averaged ones first, otherwise in the file's order."""
    groups = checkpoint.groups()
    order = sorted(groups, key=lambda group: group.rpartition("/")[2].lower() not in _AVERAGED)
    return [_unwrap(groups[group]) for group in order]


def _unwrap(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    wrapped = bool(state) and all(name.startswith(_WRAPPER) for name in state)
    return {name[len(_WRAPPER) if wrapped else 0 :]: value for name, value in state.items()}


def load_state(network: nn.Module, state: Mapping[str, Tensor], path: Path, *, family: str) -> None:
    """Put tensors into a network, as float32, and freeze it.

    Raises:
        CheckpointError: tensors that are missing, too many or of another shape, by name.
    """
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
    network.load_state_dict({name: value.float() for name, value in state.items()})
    network.eval().requires_grad_(False)
