"""One training loop for both networks: Adam, one cycle of the rate, a mean of weights, a state.

Each step's rows and random numbers are keyed by the images seen, so a training that is stopped and
taken up sees the same ones as one that ran through.
"""

import copy
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from dissect.interrupt import deferred_interrupt
from recipes.rates import one_cycle
from recipes.scenes_gan.state import load_state, save_state

_RISE = 0.05  # of the training, until the peak of the rate
_HALF_LIFE = 0.02  # of the training, of the mean of weights

Network = TypeVar("Network", bound=nn.Module)
Loss = Callable[[Network, np.ndarray, float, torch.Generator], dict[str, Tensor]]
"""Network, rows of the training set, share that is done, random numbers → terms to be summed."""


def fit(
    path: Path,
    network: Network,
    loss: Loss[Network],
    *,
    n_rows: int,
    n_images: int,
    batch: int,
    rate: float,
    minutes: float | None = None,
    half: bool = False,
    every: int = 4096,
) -> tuple[Network, int]:
    """Train to the end, or take up where it stopped.

    Args:
        path: Of the state.
        network: To be trained; its weights are those of the start.
        loss: See ``Loss``.
        n_rows: Of the training set; each pass takes them in an order of its own.
        n_images: To be seen in all.
        batch: Images of a step.
        rate: Peak of Adam's.
        minutes: Stop after so many; the state says where to go on.
        half: Compute in bfloat16.
        every: Images between two saves.

    Returns:
        The network with the mean of its weights, in eval mode, and the images seen.
    """
    mean = copy.deepcopy(network).requires_grad_(False).eval()
    network.train()
    adam = torch.optim.AdamW(
        network.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True
    )
    modules, optimizers = {"network": network, "mean": mean}, {"adam": ("network", adam)}
    path.parent.mkdir(parents=True, exist_ok=True)
    seen = int(load_state(path, modules, optimizers)["seen"]) if path.exists() else 0
    begun = since = time.monotonic()
    sums: dict[str, float] = {}
    n_steps = 0
    device = next(network.parameters()).device
    with deferred_interrupt() as is_interrupted:
        while seen < n_images:
            for group in adam.param_groups:
                group["lr"] = rate * one_cycle(seen / n_images, rise=_RISE)
            draws = torch.Generator().manual_seed(seen)
            rows = _rows(seen, batch, n_rows)
            with torch.autocast(device.type, torch.bfloat16, enabled=half):
                terms = loss(network, rows, seen / n_images, draws)
            adam.zero_grad(set_to_none=True)
            sum(terms.values(), torch.zeros((), device=device)).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            adam.step()
            seen, n_steps = seen + batch, n_steps + 1
            _move(mean, network, 0.5 ** (batch / min(_HALF_LIFE * n_images, 0.1 * seen)))
            sums = {name: sums.get(name, 0) + term.item() for name, term in terms.items()}
            is_over = minutes is not None and time.monotonic() - begun > 60 * minutes
            is_last = is_over or seen >= n_images or is_interrupted()
            if seen % every < batch or is_last:
                speed = n_steps * batch / (time.monotonic() - since)
                line = {name: round(value / n_steps, 4) for name, value in sums.items()}
                print(
                    json.dumps({"images": seen, "images_per_s": round(speed, 1)} | line), flush=True
                )
                save_state(path, modules, optimizers, {"seen": seen})
                since, sums, n_steps = time.monotonic(), {}, 0
            if is_last:
                break
    return mean, seen


def _rows(seen: int, batch: int, n_rows: int) -> np.ndarray:
    """Rows of a step: each pass over the training set has an order of its own."""
    places = np.arange(seen, seen + batch)
    found = np.empty(batch, dtype=np.int64)
    for turn in np.unique(places // n_rows):
        order = np.random.Generator(np.random.Philox(key=[1, int(turn)])).permutation(n_rows)
        here = places // n_rows == turn
        found[here] = order[places[here] % n_rows]
    return found


@torch.no_grad()
def _move(mean: nn.Module, network: nn.Module, keep: float) -> None:
    for old, new in zip(mean.parameters(), network.parameters(), strict=True):
        old.lerp_(new, 1 - keep)
