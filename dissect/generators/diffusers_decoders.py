"""Decoders of diffusers' autoencoders: latent map → image, through the library's own classes.

Loading needs the library (``pip install 'gan-dissection[diffusers]'``). The reader of this package
reads weights and configuration, so nothing in the folder is run.
Latents are drawn from the standard normal distribution, divided by ``scaling_factor`` if the folder
names one; a diffusion model works with latents of this spread. Such samples show textures only; to
see more, encode images.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dissect.generators.diffusers_library import open_library, own_config, rename_attentions
from dissect.generators.states import build
from dissect.generators.weights import Part
from dissect.generators.wrapping import WrappedGenerator
from dissect.latents import standard_normal

_CLASSES = ("AutoencoderKL", "VQModel")
_LAYERS = ("ResnetBlock2D", "Attention", "Upsample2D")


class _Autoencoder(Protocol):
    """The members of a diffusers autoencoder that are used here."""

    def decode(self, z: Tensor) -> Any: ...


class _Decoder(nn.Module):
    """The decoder half of an autoencoder."""

    autoencoder: _Autoencoder

    def __init__(self, autoencoder: _Autoencoder) -> None:
        super().__init__()
        self.autoencoder = autoencoder

    def forward(
        self, z: Float[Tensor, "batch latent height width"]
    ) -> Float[Tensor, "batch channels size size"]:
        return self.autoencoder.decode(z).sample


def matches(part: Part) -> bool:
    """Whether the folder is an autoencoder of diffusers."""
    return part.attributes.get("_class_name") in _CLASSES


def from_checkpoint(part: Part, *, name: str, device: torch.device | str) -> WrappedGenerator:
    """Load the decoder of a folder; its layers are residual blocks, attentions and upsamplings.

    Raises:
        CheckpointError: tensors that do not fit the configuration, or no diffusers installed.
    """
    given = part.attributes
    title = str(given["_class_name"])
    diffusers = open_library(part, title)
    config = own_config(part)
    autoencoder = build(
        lambda: getattr(diffusers, title).from_config(config),
        rename_attentions(part.tensors),
        part.path,
        family=title,
    )
    channels = int(given["latent_channels"])
    side = int(given["sample_size"]) >> (len(given["block_out_channels"]) - 1)
    spread = 1 / float(given.get("scaling_factor") or 1)

    def draw(indices: Sequence[int], seed: int) -> Tensor:
        values = standard_normal(indices, seed=seed, size=channels * side * side)
        return spread * values.reshape(-1, channels, side, side)

    decoder = _Decoder(autoencoder).to(device)
    layers = [
        path
        for path, module in decoder.named_modules()
        if ".decoder." in path and type(module).__name__ in _LAYERS
    ]
    return WrappedGenerator(
        decoder, draw, (channels, side, side), layers, name, image_range=(-1.0, 1.0)
    )
