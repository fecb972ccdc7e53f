"""Everything a training can be taken up from, in one safetensors file: networks, Adam, progress."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn


def save_state(
    path: Path,
    modules: Mapping[str, nn.Module],
    optimizers: Mapping[str, tuple[str, torch.optim.Adam]],
    progress: Mapping[str, float],
) -> None:
    """Write all of it, then put it in place at once.

    Args:
        path: The file.
        modules: Networks by name.
        optimizers: Name → (name of the network it moves, Adam).
        progress: Numbers that say how far the training is.
    """
    tensors = {
        f"{name}/{key}": value.contiguous()
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }
    for name, (of, optimizer) in optimizers.items():
        for key, parameter in modules[of].named_parameters():
            for field, value in optimizer.state.get(parameter, {}).items():
                tensors[f"{name}/{key}/{field}"] = value.contiguous()
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, metadata={"progress": json.dumps(dict(progress))})
    partial.replace(path)


def load_state(
    path: Path,
    modules: Mapping[str, nn.Module],
    optimizers: Mapping[str, tuple[str, torch.optim.Adam]],
) -> dict[str, float]:
    """Put a saved state back into networks and optimizers; returns the progress."""
    with safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        progress = json.loads(file.metadata()["progress"])
    for name, module in modules.items():
        prefix = f"{name}/"
        module.load_state_dict(
            {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        )
    for name, (of, optimizer) in optimizers.items():
        for key, parameter in modules[of].named_parameters():
            start = f"{name}/{key}/"
            state = {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
            for field, value in state.items():
                if value.shape == parameter.shape:  # in the parameter's memory order, as Adam's own
                    state[field] = torch.empty_like(parameter).copy_(value)
            if state:
                optimizer.state[parameter] = state
    return progress


def save_start(path: Path, modules: Mapping[str, nn.Module], progress: Mapping[str, float]) -> None:
    """Write weights alone, in float16, from which a training can begin without its whole state.

    Args:
        path: The file.
        modules: Networks by name.
        progress: Numbers that say how far the training is.
    """
    tensors = {
        f"{name}/{key}": value.half().contiguous() if value.is_floating_point() else value
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, metadata={"progress": json.dumps(dict(progress))})
    partial.replace(path)


def load_start(path: Path, modules: Mapping[str, nn.Module]) -> dict[str, float]:
    """Put the weights of ``save_start`` into networks; returns the progress."""
    return load_state(path, modules, {})
