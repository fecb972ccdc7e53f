"""Training of both networks on drawn scenes and their captions.

The autoencoder: mean |x̂ − x| of images in [-1, 1], with codes from the Gumbel-softmax. Its
temperature falls from 1 to 1/16 (as in the paper). There is no term towards a uniform use of codes
(lucidrains' default; the paper has one).

The transformer: cross-entropy of a caption's words and an image's codes, 1 : 7, on codes of the
trained autoencoder. Each scene has another caption in each pass; one in seven is replaced by the
empty one, which guidance needs.

References:
    Ramesh et al., Zero-Shot Text-to-Image Generation, ICML 2021, sections 2.1 to 2.3.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dissect.generators.discrete_vae import DiscreteVAE, VAEConfig
from dissect.generators.text_image_transformer import (
    TextImageTransformer,
    TransformerConfig,
    tokenise,
)
from recipes.scenes_dalle.fitting import fit

_LAST_TEMPERATURE = 1 / 16
_DROPPED = 1 / 7  # share of dropped captions
_BLOCK = 256
_VAE_BATCH, _BATCH, _RATE = 32, 16, 1.5e-3


def as_images(rows: np.ndarray) -> Tensor:
    """Bytes to RGB in [-1, 1]."""
    return torch.from_numpy(rows.copy()).float() / 127.5 - 1


def train_vae(
    folder: Path,
    images: np.ndarray,
    config: VAEConfig,
    *,
    n_images: int,
    minutes: float | None = None,
    half: bool = False,
) -> tuple[DiscreteVAE, int]:
    """Train the autoencoder, or resume; see ``fit``.

    Args:
        folder: Folder of the state.
        images: Bytes (image, 3, size, size).
        config: Sizes.
        n_images, minutes, half: See ``fit``.
    """
    torch.manual_seed(0)
    network = DiscreteVAE(config).to(memory_format=torch.channels_last)

    def loss(
        network: DiscreteVAE, rows: np.ndarray, share: float, draws: torch.Generator
    ) -> dict[str, Tensor]:
        batch = as_images(images[np.sort(rows)]).to(memory_format=torch.channels_last)
        logits = network.encoder(batch)
        codes = network.soften(logits, temperature=_LAST_TEMPERATURE**share, draws=draws)
        return {"absolute": (network.decoder(codes).float() - batch).abs().mean()}

    return fit(
        folder / "vae.safetensors", network, loss, n_rows=len(images), n_images=n_images,
        batch=_VAE_BATCH, rate=_RATE, minutes=minutes, half=half,
    )  # fmt: skip


@torch.no_grad()
def encode(vae: DiscreteVAE, images: np.ndarray, *, half: bool = False) -> np.ndarray:
    """The codes of all images: (image, grid, grid), 16 bits each; ``half`` computes in bfloat16."""
    found = []
    for start in range(0, len(images), _BLOCK):
        batch = as_images(images[start : start + _BLOCK])
        with torch.autocast(batch.device.type, torch.bfloat16, enabled=half):
            found.append(vae.tokens(batch.to(memory_format=torch.channels_last)).to(torch.int16))
    return torch.cat(found).numpy()


def train_transformer(
    folder: Path,
    codes: np.ndarray,
    captions: Sequence[Sequence[str]],
    config: TransformerConfig,
    *,
    n_images: int,
    minutes: float | None = None,
    half: bool = False,
) -> tuple[TextImageTransformer, int]:
    """Train the transformer, or resume; see ``fit``.

    Args:
        folder: Folder of the state.
        codes: Codes of each scene (scene, grid, grid).
        captions: For each pass over the scenes, one caption of each; afterwards they repeat.
        config: Sizes.
        n_images, minutes, half: See ``fit``.
    """
    torch.manual_seed(0)
    network = TextImageTransformer(config)
    words = torch.stack([tokenise(texts, config) for texts in captions])
    empty = tokenise([""], config)
    tokens = torch.from_numpy(codes.astype(np.int64))

    def loss(
        network: TextImageTransformer, rows: np.ndarray, share: float, draws: torch.Generator
    ) -> dict[str, Tensor]:
        turn = round(share * n_images) // len(codes) % len(words)
        dropped = torch.rand(len(rows), 1, generator=draws) < _DROPPED
        chosen = torch.where(dropped, empty, words[turn, rows])
        return network.loss(chosen, tokens[rows])

    return fit(
        folder / "transformer.safetensors", network, loss, n_rows=len(codes), n_images=n_images,
        batch=_BATCH, rate=_RATE, minutes=minutes, half=half,
    )  # fmt: skip
