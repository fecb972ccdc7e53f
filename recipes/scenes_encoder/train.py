"""Training of an encoder: images of the generator with their latents, and drawn scenes.

Two stages. The first uses images G(x) of known latents, with styles mixed at a random layer (except
for w), to train the encoder E to find the latent. No gradient passes through the generator, so it
is fast. In the second, half of each batch are such images and half renders of the drawn world, the
generator's training data:

    first       mean (E(G(x)) − x)² / σ²
    second      mean (G(E(y)) − y)²  +  λ_f d_f(G(E(y)), y)       of all images y
                + λ_x mean (E(G(x)) − x)² / σ²                    of the generator's own

d_f is the distance of unit features of the segmenter of scenes, σ the spread of each number of the
space. The generator does not change. The paper's adversarial term is left out: here the term of
known latents keeps answers in the domain. Each step's random numbers are keyed by the number of
images so far, so a resumed training uses the same images.

References:
    Zhu et al., In-Domain GAN Inversion for Real Image Editing, ECCV 2020, equations 3 and 4.
    Pidhorskyi et al., Adversarial Latent Autoencoders, CVPR 2020 (the first stage, in w).
    Xu et al., Generative Hierarchical Features from Synthesizing Images, CVPR 2021 (s).
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dissect.generators.base import Generator
from dissect.inversion.coordinates import Coordinates, coordinates
from dissect.inversion.encoder import Encoder, EncoderNetwork, style_levels
from dissect.inversion.objective import Features, feature_distance, unit_features
from dissect.inversion.quality import mean_squared_error, psnr, ssim
from dissect.latents import Latent, stream
from recipes.rates import one_cycle
from recipes.scenes_gan.state import load_state, save_state

RENDER_SEED, SAMPLE_SEED, TEST_SEED = 70_000, 70_001, 70_002
_BATCH, _PEAK_RATE = 16, 1e-3  # of each kind of images
_RISE = 0.05  # share of the training until the peak
_FEATURES, _LATENT = 0.1, 0.1  # λ_f, λ_x
Draw = Callable[[range, int], Float[Tensor, "batch c h w"]]
"""Indices and a seed → images of the domain."""


@dataclass(frozen=True)
class Length:
    """Length of a training.

    Args:
        first, second: Images in each stage; half of the second are the generator's own.
        every: Images between two saves.
        half: Compute in bfloat16.
    """

    first: int
    second: int
    every: int = 2048
    half: bool = False

    @property
    def n_images(self) -> int:
        return self.first + self.second


def known_latents(
    generator: Generator, indices: range, *, space: str, seed: int
) -> Float[Tensor, "batch *shape"]:
    """Points of w, or of w+ and s, whose first layers come from one sample and, half of the time,
    the others from another sample.
    """
    if space == "w":
        return generator.convert(generator.sample(indices, seed=seed), "w").data
    n_layers = generator.spaces["w+"].shape[0]
    one = generator.convert(generator.sample(indices, seed=seed), "w+").data
    two = generator.convert(generator.sample(indices, seed=seed + 1_000_000), "w+").data
    cuts = [int(stream(seed, index).integers(1, 2 * n_layers)) for index in indices]
    first = torch.arange(n_layers)[None] < torch.tensor(cuts)[:, None]
    mixed = torch.where(first[:, :, None].to(one.device), one, two)
    return generator.convert(Latent("w+", mixed), space).data


def new_network(generator: Generator, space: str) -> EncoderNetwork:
    """An untrained network for a generator's images and a space."""
    return EncoderNetwork(
        size=generator.image_size,
        channels=generator.channels,
        shape=generator.spaces[space].shape,
        levels=style_levels(generator) if space == "s" else None,
    ).to(generator.device, memory_format=torch.channels_last)


def train(
    folder: Path,
    generator: Generator,
    draw: Draw,
    length: Length,
    *,
    space: str = "w+",
    features: Features | None = None,
    start: nn.Module | None = None,
) -> Encoder:
    """Train to the end, or resume an interrupted training.

    Args:
        folder: Folder of the state.
        generator: The generator whose latents are encoded.
        draw: Images of its domain.
        length: Length of both stages; the rate is one cycle over them.
        space: Output space: w, w+ or s.
        features: For d_f; None leaves it out.
        start: Initial network, such as that of an encoder of earlier weights.
    """
    torch.manual_seed(0)
    coords = coordinates(generator, space)
    network = new_network(generator, space)
    if start is not None:
        network.load_state_dict(start.state_dict())
    adam = torch.optim.Adam(network.parameters(), lr=_PEAK_RATE, betas=(0.9, 0.99))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"state-{space}.safetensors"
    modules, optimizers, seen = {"network": network}, {"adam": ("network", adam)}, 0
    if path.exists():
        seen = int(load_state(path, modules, optimizers)["seen"])
    network.train().requires_grad_(True)
    since, losses, before = time.monotonic(), [], seen
    saved = seen // length.every
    while seen < length.n_images:
        for group in adam.param_groups:
            group["lr"] = _PEAK_RATE * one_cycle(seen / length.n_images, rise=_RISE)
        own = range(seen, seen + _BATCH)
        with torch.no_grad():
            known = known_latents(generator, own, space=space, seed=SAMPLE_SEED)
            with _half(length, generator.device):
                images = generator.synthesize(Latent(space, known))
            images = images.float().clamp(-1, 1)
            through = seen >= length.first
            if through:
                images = torch.cat([images, draw(own, RENDER_SEED).to(images.device)])
        with _half(length, generator.device):
            terms = _terms(generator, coords, network, images, known, features, through=through)
        adam.zero_grad(set_to_none=True)
        sum(terms.values(), torch.zeros((), device=images.device)).backward()
        adam.step()
        losses.append([one.item() for one in terms.values()])
        seen += len(images)
        turned = through != (seen >= length.first)
        if seen // length.every > saved or turned or seen >= length.n_images:
            means = [sum(one) / len(one) for one in zip(*losses, strict=True)]
            rate = (seen - before) / (time.monotonic() - since)
            line = {"images": seen} | dict(zip(terms, means, strict=True))
            print(json.dumps(line | {"images_per_s": round(rate, 1)}), flush=True)
            save_state(path, modules, optimizers, {"seen": seen})
            since, losses, before, saved = time.monotonic(), [], seen, seen // length.every
    return as_encoder(network, generator, coords)


def _half(length: Length, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=length.half)


def as_encoder(network: EncoderNetwork, generator: Generator, coords: Coordinates) -> Encoder:
    """The network with mean and spread, from the coordinates of the space."""
    shape = (1, *coords.shape)
    mean = coords.decode(torch.zeros(shape, device=generator.device)).data[0]
    one = coords.decode(torch.ones(shape, device=generator.device)).data[0]
    return Encoder(
        network.to(memory_format=torch.contiguous_format),
        space=coords.space,
        mean=mean,
        spread=one - mean,
        generator=generator.fingerprint,
    )


def _terms(
    generator: Generator,
    coords: Coordinates,
    network: EncoderNetwork,
    images: Float[Tensor, "batch c h w"],
    known: Float[Tensor, "own *shape"],
    features: Features | None,
    *,
    through: bool,
) -> dict[str, Float[Tensor, ""]]:
    """The terms of a stage; ``through``: of the second one, through the generator."""
    assert coords.encode is not None  # present in all output spaces
    values = network(images.contiguous(memory_format=torch.channels_last)).float()
    latent = (values[: len(known)] - coords.encode(known)).square().mean()
    if not through:
        return {"latent": latent}
    drawn = generator.synthesize(coords.decode(values)).float()
    terms = {"pixel": (drawn - images).square().mean(), "latent": _LATENT * latent}
    if features is not None:
        with torch.no_grad():
            wanted = unit_features(features, images)
        found = unit_features(features, drawn)
        terms["features"] = _FEATURES * feature_distance(found, wanted).float().mean()
    return terms


@torch.no_grad()
def evaluate(
    encoder: Encoder, generator: Generator, draw: Draw, *, n_images: int
) -> dict[str, dict[str, Any]]:
    """MSE in units of range², PSNR and SSIM of G(E(x)), beside those of the image G(w̄)."""
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
            mean = generator.synthesize(Latent(encoder.space, encoder.mean[None]))
            mean = mean.expand_as(images)
            rows.append(
                [
                    mean_squared_error(answer, images), psnr(answer, images), ssim(answer, images),
                    mean_squared_error(mean, images),
                ]
            )  # fmt: skip
        columns = [torch.cat(column).mean().item() for column in zip(*rows, strict=True)]
        found[kind] = dict(zip(("mse", "psnr", "ssim", "mean_image_mse"), columns, strict=True))
    return found
