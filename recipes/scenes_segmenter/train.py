"""Trains the segmenter and predictor of scenes on renders made during training; measures it."""

import json
import time
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn import functional

from dissect.worlds import render_scenes
from recipes.rates import one_cycle
from recipes.scenes_gan.state import load_state, save_state
from recipes.scenes_segmenter.augment import augment
from segmenters.scenes import (
    PLANE_SIZES,
    SIZE,
    ScenesNetwork,
    ScenesPredictor,
    ScenesSegmenter,
)
from segmenters.scenes_vocabulary import ATTRIBUTES, SCENES_VOCABULARY

TRAIN_SEED, TEST_SEED = 30_000, 10_000
_BATCH, _PEAK_RATE = 32, 3e-3
_RISE = 0.1  # share of the training until the peak rate
# Spread of each attribute over the world, to bring their errors to a common scale.
_SCALE = torch.tensor([0.29, 0.29, 0.29, 0.58, 1.5, 0.18, 0.24])


def plane_loss(
    logits: Float[Tensor, "batch channel size size"],
    planes: UInt8[Tensor, "batch plane size size"],
) -> Float[Tensor, ""]:
    """Cross entropy and 1 - Dice of every plane, summed.

    Dice is over the batch: 2 Σ p t / (Σ p + Σ t), mean over the concepts in the batch.
    """
    total, first = logits.new_zeros(()), 0
    for k, part in enumerate(logits.split(PLANE_SIZES, dim=1)):
        target = planes[:, k].long()
        target = torch.where(target > 0, target - first, target)
        total = total + functional.cross_entropy(part, target)
        guess = part.softmax(dim=1)
        truth = functional.one_hot(target, part.shape[1]).movedim(-1, 1).float()
        shared, both = (guess * truth).sum(dim=(0, 2, 3)), (guess + truth).sum(dim=(0, 2, 3))
        held = truth.sum(dim=(0, 2, 3)) > 0
        total = total + (1 - (2 * shared / both)[held]).mean()
        first += part.shape[1] - 1
    return total


def train(folder: Path, *, n_images: int, seed: int = 0, every: int = 2048) -> ScenesNetwork:
    """Train to the end, or resume an interrupted training.

    Args:
        folder: Folder of the state.
        n_images: Total number of renders; the learning rate follows one cycle over them.
        seed: Of the network's first weights and of the renders; that of the package has 0.
        every: Images between two saves.
    """
    torch.manual_seed(seed)
    network = ScenesNetwork().to(memory_format=torch.channels_last)
    adam = torch.optim.AdamW(network.parameters(), lr=_PEAK_RATE, weight_decay=1e-2, fused=True)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "state.safetensors"
    modules, optimizers, seen = {"network": network}, {"adam": ("network", adam)}, 0
    if path.exists():
        seen = int(load_state(path, modules, optimizers)["seen"])
    network.train()
    since, losses = time.monotonic(), []
    while seen < n_images:
        for group in adam.param_groups:
            group["lr"] = _PEAK_RATE * one_cycle(seen / n_images, rise=_RISE)
        scenes = render_scenes(range(seen, seen + _BATCH), seed=TRAIN_SEED + seed, size=SIZE)
        images, planes = augment(scenes.images, scenes.planes, torch.Generator().manual_seed(seen))
        logits, attributes = network(images.contiguous(memory_format=torch.channels_last))
        loss = plane_loss(logits, planes)
        error = functional.smooth_l1_loss(attributes / _SCALE, scenes.attributes / _SCALE)
        adam.zero_grad(set_to_none=True)
        (loss + error).backward()
        adam.step()
        losses.append((loss.item(), error.item()))
        seen += _BATCH
        if seen % every == 0 or seen >= n_images:
            planes_loss, attribute_loss = (sum(v) / len(v) for v in zip(*losses, strict=True))
            rate = len(losses) * _BATCH / (time.monotonic() - since)
            line = {"images": seen, "planes": planes_loss, "attributes": attribute_loss}
            print(json.dumps(line | {"images_per_s": round(rate, 1)}), flush=True)
            save_state(path, modules, optimizers, {"seen": seen})
            since, losses = time.monotonic(), []
    return network.eval()


@torch.no_grad()
def evaluate(network: ScenesNetwork, *, n_images: int) -> dict[str, Any]:
    """IoU per concept and R² per attribute on fresh renders without augmentation.

    IoU is pooled over all pixels; R² = 1 - Σ(ŷ - y)² / Σ(y - ȳ)².
    """
    segmenter = ScenesSegmenter(network, device="cpu")
    predictor = ScenesPredictor(network, device="cpu")
    n = len(SCENES_VOCABULARY) + 1
    shared, guessed, true = (torch.zeros(n, dtype=torch.int64) for _ in range(3))
    predictions, truths = [], []
    for start in range(0, n_images, 64):
        indices = range(start, min(start + 64, n_images))
        scenes = render_scenes(indices, seed=TEST_SEED, size=SIZE)
        labels = segmenter.segment(scenes.images)
        shared += _count(labels[labels == scenes.planes], n)
        guessed += _count(labels, n)
        true += _count(scenes.planes, n)
        predictions.append(predictor.predict(scenes.images))
        truths.append(scenes.attributes)
    iou = shared / (guessed + true - shared)
    prediction, truth = torch.cat(predictions), torch.cat(truths)
    residual = (prediction - truth).square().sum(dim=0)
    r2 = 1 - residual / (truth - truth.mean(dim=0)).square().sum(dim=0)
    return {
        "seed": TEST_SEED,
        "mean iou": iou[1:].mean().item(),
        "iou": {c.name: iou[c.id].item() for c in SCENES_VOCABULARY},
        "r2": dict(zip(ATTRIBUTES, r2.tolist(), strict=True)),
    }


def _count(labels: Int[Tensor, "..."], n: int) -> Int[Tensor, " n"]:
    return torch.bincount(labels.reshape(-1).long(), minlength=n)
