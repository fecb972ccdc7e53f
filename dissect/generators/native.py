"""The project's own file format: safetensors files that name their format and configuration.

Reading such a file needs no guess, and it cannot contain code.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from dissect.errors import CheckpointError, ConfigError
from dissect.generators.states import Network
from dissect.generators.weights import Part


def save_native(
    path: Path, *, format: str, config: Any, state: Mapping[str, Tensor], half: bool
) -> None:
    """Write tensors and the configuration of their network; atomic.

    Args:
        path: File to write; replaced when everything is written.
        format: Name of the format, which selects the reader.
        config: A dataclass of plain values.
        state: Tensors by name.
        half: Store float16, half the size; reading gives float32 again.
    """
    tensors = {
        name: value.detach().to("cpu", torch.float16 if half else value.dtype).contiguous()
        for name, value in state.items()
    }
    partial = path.with_name(path.name + ".partial")
    save_file(tensors, partial, metadata={"format": format, "config": json.dumps(asdict(config))})
    partial.replace(path)


def build_native(part: Part, make: Callable[[dict[str, Any]], Network]) -> Network:
    """The network that a native file describes, with its weights, frozen.

    Args:
        part: The file, read.
        make: Builds the network from its configuration.

    Raises:
        CheckpointError: a configuration that cannot be built, or tensors that do not fit it.
    """
    try:
        network = make(json.loads(part.attributes["config"]))
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        raise CheckpointError(
            f"{part.path} has a configuration that cannot be built ({error}); get the file again"
        ) from error
    tensors = {name: value.float() for name, value in part.tensors.items()}
    expected = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    if expected != {key: tuple(value.shape) for key, value in tensors.items()}:
        raise CheckpointError(
            f"the tensors in {part.path} do not fit its configuration; get the file again"
        )
    network.load_state_dict(tensors)
    return network.requires_grad_(False)
