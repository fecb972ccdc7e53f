"""A training loop for both networks: Adam, one cycle of the rate, averaged weights, a saved state.

Each step's rows and random numbers are keyed by the number of images so far, so a resumed training
uses the same ones as an uninterrupted one.
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

_RISE = 0.05  # share of the training until the peak of the rate
_HALF_LIFE = 0.02  # half-life of the averaged weights, as a share of the training

Network = TypeVar("Network", bound=nn.Module)
Loss = Callable[[Network, np.ndarray, float, torch.Generator], dict[str, Tensor]]
"""Network, rows of the training set, share of the training, random numbers → terms to sum."""


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
    """Train to the end, or resume an interrupted training.

    Args:
        path: File of the state.
        network: Network to train; its weights are the start.
        loss: See ``Loss``.
        n_rows: Number of rows of the training set; each pass has its own order.
        n_images: Total number of images.
        batch: Images per step.
        rate: Peak of Adam's rate.
        minutes: Stop after this time; the saved state allows resuming.
        half: Compute in bfloat16.
        every: Images between two saves.

    Returns:
        The network with averaged weights, in eval mode, and the number of images so far.
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
    """Rows of a step; each pass over the training set has its own order."""
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
