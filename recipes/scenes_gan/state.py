"""Everything a training can be taken up from, in one safetensors file: networks, Adam, progress."""

import json
from collections.abc import Container, Mapping
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
    *,
    half: bool = False,
) -> None:
    """Write all of it, then put it in place at once.

    Args:
        path: The file.
        modules: Networks by name.
        optimizers: Name → (name of the network it moves, Adam).
        progress: Numbers that say how far the training is.
        half: Write the networks in float16.
    """

    def packed(value: torch.Tensor) -> torch.Tensor:
        return (value.half() if half and value.is_floating_point() else value).contiguous()

    tensors = {
        f"{name}/{key}": packed(value)
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
    *,
    added: Container[str] = (),
) -> dict[str, float]:
    """Put a saved state back into networks and optimizers; returns the progress.

    Args:
        path: The file.
        modules: Networks by name.
        optimizers: Name → (name of the network it moves, Adam).
        added: Names of networks that stay as they are where the file has nothing of them: they may
            be added to a training.
    """
    with safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        progress = json.loads(file.metadata()["progress"])
    for name, module in modules.items():
        prefix = f"{name}/"
        own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        if own or name not in added:
            module.load_state_dict(own)
    for name, (of, optimizer) in optimizers.items():
        for key, parameter in modules[of].named_parameters():
            start = f"{name}/{key}/"
            state = {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
            for field, value in state.items():
                if value.shape == parameter.shape:  # in the parameter's memory order, as Adam's own
                    state[field] = torch.empty_like(parameter).copy_(value)
                else:  # the number of steps, which a fused Adam wants beside the parameter
                    state[field] = value.to(parameter.device)
            if state:
                optimizer.state[parameter] = state
    return progress
