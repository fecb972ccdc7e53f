"""Shared parts of all diffusers networks: the library, its configuration, current tensor names."""

import re
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from torch import Tensor

from dissect.errors import CheckpointError
from dissect.generators.weights import Part

# Attentions had other names until the library's version 0.14; it renames them when it loads a file.
_OLD_ATTENTION = re.compile(r"(attentions\.\d+)\.(query|key|value|proj_attn)\.(weight|bias)$")
_NEW_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def open_library(part: Part, title: str) -> ModuleType:
    """Import the library, which is an optional extra.

    Args:
        part, title: The part to load and its class, for the message.

    Raises:
        CheckpointError: it is not installed.
    """
    try:
        import diffusers  # noqa: PLC0415
    except ImportError as error:
        raise CheckpointError(
            f"{part.path} is a {title} of diffusers, which is not installed; "
            "pip install 'gan-dissection[diffusers]'"
        ) from error
    return diffusers


def own_config(part: Part) -> dict[str, Any]:
    """The network's configuration, without the other entries of the folder."""
    return {key: value for key, value in part.attributes.items() if "/" not in key}


def rename_attentions(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under the names that the library uses now.

    Example:
        >>> list(rename_attentions({"mid_block.attentions.0.proj_attn.bias": torch.zeros(2)}))
        ['mid_block.attentions.0.to_out.0.bias']
    """
    return {
        _OLD_ATTENTION.sub(lambda found: f"{found[1]}.{_NEW_NAMES[found[2]]}.{found[3]}", name): t
        for name, t in tensors.items()
    }
