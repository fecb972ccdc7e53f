"""Several samples of a generator for one text, the nearest to it first: DALL-E's re-ranking.

Each sample is scored by the cosine of its image and the text; what a generator draws well and badly
by chance is judged by another network.

References:
    Ramesh et al., Zero-Shot Text-to-Image Generation, ICML 2021, section 2.6.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dissect.errors import ConfigError
from dissect.generators.base import Generator
from dissect.text.scorer import TextScorer

_BATCH = 16


@dataclass(frozen=True)
class Ranked:
    """Samples in the order of their cosine, highest first.

    Attributes:
        images: RGB in [-1, 1].
        indices: Sample of the seed that each is.
        cosines: With the text.
    """

    images: Float[Tensor, "kept channels height width"]
    indices: tuple[int, ...]
    cosines: tuple[float, ...]


@torch.no_grad()
def rerank(
    generator: Generator,
    scorer: TextScorer,
    text: str,
    *,
    n_samples: int,
    keep: int,
    seed: int = 0,
) -> Ranked:
    """Draw samples, and keep the nearest to a text.

    Args:
        generator: Of this text, such as ``scenes-dalle?prompt=TEXT``; its first class is drawn.
        scorer: Scores images against the text.
        text: In words that the scorer knows.
        n_samples: Drawn, the first ones of the seed.
        keep: Kept of them.
        seed: Of the samples.

    Raises:
        ConfigError: more to keep than are drawn, or fewer than one.
    """
    if not 1 <= keep <= n_samples:
        raise ConfigError(f"{keep} of {n_samples} samples were to be kept; expected 1 to all")
    label = 0 if generator.n_classes else None
    target = scorer.encode_texts([text])[0]
    images, cosines = [], []
    for start in range(0, n_samples, _BATCH):
        indices = range(start, min(start + _BATCH, n_samples))
        drawn = generator.synthesize(generator.sample(indices, seed=seed, label=label))
        images.append(drawn.clamp(-1, 1))
        cosines.append(scorer.encode_images(images[-1]) @ target)
    scores = torch.cat(cosines)
    order = scores.argsort(descending=True, stable=True)[:keep]
    return Ranked(torch.cat(images)[order], tuple(order.tolist()), tuple(scores[order].tolist()))
