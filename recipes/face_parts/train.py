"""Trains the student on the teacher's labels; can be interrupted and resumed at any epoch."""

import hashlib
import math
import os
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from recipes.face_parts.augment import augment
from recipes.face_parts.labels import Labelled, to_floats
from segmenters.faces import N_OBJECTS, build_network, describe


@dataclass(frozen=True)
class Training:
    """Training settings.

    Args:
        n_epochs: Passes over the training images.
        batch_size: Images per step.
        learning_rate: Peak rate, reached after a tenth of the steps; then a cosine down to 0.
        weight_decay: Weight decay of AdamW.
        average_decay: Decay of the running mean of the weights, which is the result.
        dice_weight: Weight of the overlap loss relative to the cross entropy.
        seed: Seed of the initial weights, the order and the augmentation.
    """

    n_epochs: int = 10
    batch_size: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    average_decay: float = 0.998
    dice_weight: float = 0.5
    seed: int = 0


def compute_loss(
    logits: Float[Tensor, "batch channel height width"],
    planes: Int[Tensor, "batch 2 height width"],
    *,
    dice_weight: float,
) -> Float[Tensor, ""]:
    """Cross entropy of both planes, and 1 − Dice over the concepts.

    Dice is taken over the batch. A concept of a few pixels counts as much as the skin, while cross
    entropy alone would neglect it.
    """
    objects = planes[:, 0] - 1
    parts = (planes[:, 1] - N_OBJECTS).clamp(min=0)  # part ids follow those of the objects
    total = logits.new_zeros(())
    for channels, target in ((logits[:, :N_OBJECTS], objects), (logits[:, N_OBJECTS:], parts)):
        total = total + functional.cross_entropy(channels, target)
        probability = channels.softmax(dim=1)
        truth = functional.one_hot(target, channels.shape[1]).movedim(-1, 1).to(probability.dtype)
        both = (probability * truth).sum(dim=(0, 2, 3))
        either = probability.sum(dim=(0, 2, 3)) + truth.sum(dim=(0, 2, 3))
        total = total + dice_weight * (1 - (2 * both + 1) / (either + 1)).mean()
    return total


def train(data: Labelled, config: Training, *, work: Path) -> nn.Module:
    """Train, from the last finished epoch in ``work``, if any.

    Returns:
        The network with the averaged weights, in eval mode.
    """
    torch.manual_seed(config.seed)
    network = build_network().to(memory_format=torch.channels_last)
    average = torch.optim.swa_utils.AveragedModel(
        network,
        multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(config.average_decay),
        use_buffers=True,
    )
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    n_steps = len(data) // config.batch_size
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, partial(_rate, n_steps=n_steps * config.n_epochs)
    )
    state = {"network": network, "average": average, "optimizer": optimizer, "schedule": schedule}
    path = work / f"training-{_digest(data, config)}.pt"
    first = _resume(path, state)
    network.train()
    for epoch in range(first, config.n_epochs):
        # Each epoch has its own random stream, so that a resumed run draws the same numbers.
        random = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
        order = torch.randperm(len(data), generator=random)[: n_steps * config.batch_size]
        bar = tqdm(order.split(config.batch_size), desc=f"epoch {epoch + 1}/{config.n_epochs}")
        for rows in bar:
            images, planes = augment(
                to_floats(data.images[rows]), data.planes[rows].long(), random=random
            )
            logits = network(images.contiguous(memory_format=torch.channels_last))
            loss = compute_loss(logits, planes, dice_weight=config.dice_weight)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            average.update_parameters(network)
            bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
        _save(path, state, epoch + 1)
    return average.module.eval()


def _rate(step: int, *, n_steps: int) -> float:
    """The learning rate at a step as a fraction of its peak."""
    climb = min(1.0, (step + 1) / max(1, n_steps // 10))
    return climb * (1 + math.cos(math.pi * step / n_steps)) / 2


def _digest(data: Labelled, config: Training) -> str:
    """Name of a checkpoint, a digest of everything that it depends on."""
    parts = (asdict(config), describe(), len(data), data.n_asked)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def _resume(path: Path, state: dict[str, object]) -> int:
    if not path.is_file():
        return 0
    stored = torch.load(path, weights_only=True)
    for name, owner in state.items():
        owner.load_state_dict(stored[name])
    return stored["n_done"]


def _save(path: Path, state: dict[str, object], n_done: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.partial")
    stored = {name: owner.state_dict() for name, owner in state.items()}
    torch.save(stored | {"n_done": n_done}, unfinished)
    unfinished.replace(path)
