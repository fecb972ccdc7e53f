"""Training of an encoder to w+: images of the generator with their latents, and drawn scenes.

Half of each batch are images G(w) of known latents, styles mixed at a random layer; the other half
are renders of the drawn world, which the generator was trained on. With E the encoder,

    L = mean (G(E(x)) − x)²  +  λ_f d_f(G(E(x)), x)          of all images
      + λ_w mean (E(G(w)) − w)² / σ_w²                       of the generator's own

d_f is the distance of unit features of the segmenter of scenes. The generator stays as it is. The
paper's adversarial term is left out: the term of known latents keeps answers in its domain here.
Each step's random numbers are keyed by the images seen, so a training that is stopped and taken up
sees the same images.

References:
    Zhu et al., In-Domain GAN Inversion for Real Image Editing, ECCV 2020, equations 3 and 4.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from dissect.generators.base import Generator
from dissect.inversion.coordinates import Coordinates, coordinates
from dissect.inversion.encoder import Encoder, EncoderNetwork
from dissect.inversion.objective import Features, feature_distance, unit_features
from dissect.inversion.quality import mean_squared_error, psnr, ssim
from dissect.latents import Latent, stream
from recipes.rates import one_cycle
from recipes.scenes_gan.state import load_state, save_state

RENDER_SEED, SAMPLE_SEED, TEST_SEED = 70_000, 70_001, 70_002
_BATCH, _PEAK_RATE = 16, 1e-3  # of each kind of images
_RISE = 0.05  # of the training, until the peak
_FEATURES, _LATENT = 0.1, 0.1  # λ_f, λ_w
Draw = Callable[[range, int], Float[Tensor, "batch c h w"]]
"""Indices and a seed → images of the domain."""


def mixed_latents(
    generator: Generator, indices: range, *, seed: int
) -> Float[Tensor, "batch layer w"]:
    """w+ whose first layers are of one sample and whose others, half of the time, of another."""
    n_layers = generator.spaces["w+"].shape[0]
    one = generator.convert(generator.sample(indices, seed=seed), "w+").data
    two = generator.convert(generator.sample(indices, seed=seed + 1_000_000), "w+").data
    cuts = [int(stream(seed, index).integers(1, 2 * n_layers)) for index in indices]
    first = torch.arange(n_layers)[None] < torch.tensor(cuts)[:, None]
    return torch.where(first[:, :, None].to(one.device), one, two)


def train(
    folder: Path,
    generator: Generator,
    draw: Draw,
    *,
    n_images: int,
    features: Features | None = None,
    every: int = 2048,
) -> Encoder:
    """Train to the end, or take up where it stopped.

    Args:
        folder: Where the state is kept.
        generator: Whose latents are told.
        draw: Images of its domain.
        n_images: Images seen in all, half of them the generator's; the rate is one cycle over them.
        features: For d_f; None leaves it out.
        every: Images between two saves.
    """
    torch.manual_seed(0)
    space = coordinates(generator, "w+")
    n_layers, w_size = generator.spaces["w+"].shape
    network = EncoderNetwork(
        size=generator.image_size, channels=generator.channels, n_layers=n_layers, w_size=w_size
    ).to(generator.device)
    adam = torch.optim.Adam(network.parameters(), lr=_PEAK_RATE, betas=(0.9, 0.99))
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
        indices = range(seen // 2, seen // 2 + _BATCH)
        with torch.no_grad():
            known = mixed_latents(generator, indices, seed=SAMPLE_SEED)
            own = generator.synthesize(Latent("w+", known)).clamp(-1, 1)
            images = torch.cat([own, draw(indices, RENDER_SEED).to(own.device)])
        terms = _terms(generator, space, network, images, known, features)
        adam.zero_grad(set_to_none=True)
        sum(terms.values(), torch.zeros(())).backward()
        adam.step()
        losses.append([one.item() for one in terms.values()])
        seen += 2 * _BATCH
        if seen % every == 0 or seen >= n_images:
            means = [sum(one) / len(one) for one in zip(*losses, strict=True)]
            rate = 2 * _BATCH * len(losses) / (time.monotonic() - since)
            line = {"images": seen} | dict(zip(terms, means, strict=True))
            print(json.dumps(line | {"images_per_s": round(rate, 1)}), flush=True)
            save_state(path, modules, optimizers, {"seen": seen})
            since, losses = time.monotonic(), []
    return as_encoder(network, generator, space)


def as_encoder(network: EncoderNetwork, generator: Generator, space: Coordinates) -> Encoder:
    """The network with w̄ and σ_w, taken from the way values of the space become latents."""
    shape = (1, *space.shape)
    mean = space.decode(torch.zeros(shape, device=generator.device)).data[0, 0]
    one = space.decode(torch.ones(shape, device=generator.device)).data[0, 0]
    spread = float((one - mean).mean())
    return Encoder(network, mean=mean, spread=spread, generator=generator.fingerprint)


def _terms(
    generator: Generator,
    space: Coordinates,
    network: EncoderNetwork,
    images: Float[Tensor, "batch c h w"],
    known: Float[Tensor, "half layer w"],
    features: Features | None,
) -> dict[str, Float[Tensor, ""]]:
    assert space.encode is not None  # w+ has it
    values = network(images)
    drawn = generator.synthesize(space.decode(values))
    terms = {
        "pixel": (drawn - images).square().mean(),
        "latent": _LATENT * (values[: len(known)] - space.encode(known)).square().mean(),
    }
    if features is not None:
        with torch.no_grad():
            wanted = unit_features(features, images)
        found = unit_features(features, drawn)
        terms["features"] = _FEATURES * feature_distance(found, wanted).mean()
    return terms


@torch.no_grad()
def evaluate(
    encoder: Encoder, generator: Generator, draw: Draw, *, n_images: int
) -> dict[str, dict[str, Any]]:
    """MSE in units of range², PSNR and SSIM of G(E(x)), beside those of the mean image G(w̄)."""
    found: dict[str, dict[str, Any]] = {}
    for kind in ("samples", "renders"):
        rows = []
        for first in range(0, n_images, 64):
            indices = range(first, min(first + 64, n_images))
            if kind == "samples":
                sampled = generator.sample(indices, seed=TEST_SEED)
                images = generator.synthesize(sampled).clamp(-1, 1)
            else:
                images = draw(indices, TEST_SEED).to(generator.device)
            answer = generator.synthesize(encoder.encode(images))
            mean = generator.synthesize(Latent("w", encoder.mean[None])).expand_as(images)
            rows.append(
                [
                    mean_squared_error(answer, images), psnr(answer, images), ssim(answer, images),
                    mean_squared_error(mean, images),
                ]
            )  # fmt: skip
        columns = [torch.cat(column).mean().item() for column in zip(*rows, strict=True)]
        found[kind] = dict(zip(("mse", "psnr", "ssim", "mean_image_mse"), columns, strict=True))
    return found
