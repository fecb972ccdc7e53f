"""Reads a file of weights without running anything that is in it.

Two containers are read: safetensors, which holds no code, and what ``torch.save`` wrote, through
torch's own restricted reader (``weights_only=True``). Nested dictionaries are flattened, so that
``{"netG_state_dict": {"main.0.weight": …}}`` gives the key ``netG_state_dict/main.0.weight``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dissect.errors import CheckpointError


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    Attributes:
        path: The file.
        container: ``safetensors`` or ``torch``.
        tensors: On the CPU, under flat names.
        attributes: What a safetensors file says about itself.
    """

    path: Path
    container: str
    tensors: Mapping[str, Tensor]
    attributes: Mapping[str, str] = field(default_factory=dict)

    def groups(self) -> dict[str, dict[str, Tensor]]:
        """The tensors of each dictionary in the file: name of the dictionary → its state."""
        found: dict[str, dict[str, Tensor]] = {}
        for name, tensor in self.tensors.items():
            group, _, key = name.rpartition("/")
            found.setdefault(group, {})[key] = tensor
        return found


def read(path: str | Path) -> Checkpoint:
    """Read a checkpoint.

    Args:
        path: A ``.safetensors`` file, or one that ``torch.save`` wrote, whatever its suffix.

    Raises:
        CheckpointError: no such file, a damaged one, or one that would have to run code to be read.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path} is not a file; expected a checkpoint; check the path")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    return Checkpoint(path, "torch", _read_torch(path))


def _read_safetensors(path: Path) -> Checkpoint:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return Checkpoint(path, "safetensors", tensors, file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is not a whole safetensors file ({_first_line(error)}); get it again"
        ) from error


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise CheckpointError(
            f"{path} holds more than tensors and plain values, and reading it would run its code; "
            "expected a state dict; save model.state_dict() instead of the model"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{path} cannot be read as a torch file ({_first_line(error)}); get it again"
        ) from error
    tensors = dict(_flatten(content, ""))
    if not tensors:
        raise CheckpointError(f"{path} holds no tensors; expected a generator's state dict")
    return tensors


def _flatten(value: object, prefix: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield prefix, value.detach()
    elif isinstance(value, Mapping):
        for key, child in value.items():
            yield from _flatten(child, f"{prefix}/{key}" if prefix else str(key))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
