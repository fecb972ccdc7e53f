"""How far a generator's images are from renders, in two ways that a floor makes readable.

Both are Fréchet distances between normal distributions fitted to two sets of vectors:

    d² = ‖μ₁ - μ₂‖² + tr(Σ₁ + Σ₂ - 2 (Σ₁^½ Σ₂ Σ₁^½)^½)

- *feature distance*: pooled features of the scenes segmenter's encoder;
- *segmentation distance*: how many percent of the image each object covers, as segmented.

The floor is the distance between two sets of fresh renders of the same size: what a perfect
generator would get.

References:
    Heusel et al., GANs Trained by a Two Time-Scale Update Rule …, NeurIPS 2017 (the distance).
    Bau et al., Seeing What a GAN Cannot Generate, ICCV 2019, section 3.1 (over segmentations).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dissect.generators.base import Generator
from dissect.studies.repair import frechet
from dissect.studies.repair.frechet import Moments
from dissect.worlds import render_scenes
from segmenters.scenes import SIZE, ScenesNetwork, ScenesSegmenter
from segmenters.scenes_vocabulary import SCENES_VOCABULARY

_BATCH = 64
_RENDER_SEEDS = (40_000, 41_000)  # of no training set


def frechet_distance(
    first: Float[Tensor, "sample size"], second: Float[Tensor, "sample size"]
) -> float:
    """d² between the normal distributions fitted to two sets of vectors.

    Example:
        >>> x = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
        >>> round(frechet_distance(x, x + 2), 3)  # 3 · 2²
        12.0
    """
    return frechet.frechet_distance(*(Moments.of(x.numpy()) for x in (first, second)))


@dataclass(frozen=True)
class Measured:
    """What the segmenter saw in a set of images.

    Args:
        features: Pooled features of each image.
        areas: Percent of each image that each object covers.
        shares: Fraction of all pixels that each concept covers.
        present: Fraction of images in which each concept covers at least 12 pixels.
    """

    features: Float[Tensor, "sample feature"]
    areas: Float[Tensor, "sample object"]
    shares: Float[Tensor, " concept"]
    present: Float[Tensor, " concept"]


@torch.no_grad()
def measure(batches: Iterable[Tensor], network: ScenesNetwork) -> Measured:
    """Look at images with the scenes segmenter."""
    segmenter = ScenesSegmenter(network, device="cpu")
    features, counts = [], []
    for batch in batches:
        images = batch.clamp(-1, 1)
        features.append(network.pooled(images))
        labels = segmenter.segment(images)
        one = torch.stack([(labels == c.id).sum(dim=(1, 2, 3)) for c in SCENES_VOCABULARY], 1)
        counts.append(one)
    count = torch.cat(counts).float()
    objects = [c.id - 1 for c in SCENES_VOCABULARY.in_plane("object")]
    return Measured(
        features=torch.cat(features),
        areas=count[:, objects] * (100 / SIZE**2),
        shares=count.mean(dim=0) / SIZE**2,
        present=(count >= 12).float().mean(dim=0),
    )


def renders(n_images: int, *, seed: int) -> Iterable[Tensor]:
    """Batches of fresh scenes."""
    for start in range(0, n_images, _BATCH):
        indices = range(start, min(start + _BATCH, n_images))
        yield render_scenes(indices, seed=seed, size=SIZE).images


@torch.no_grad()
def samples(generator: Generator, n_images: int, *, seed: int = 0) -> Iterable[Tensor]:
    """Batches of a generator's images, nothing truncated, nothing chosen."""
    for start in range(0, n_images, _BATCH):
        indices = range(start, min(start + _BATCH, n_images))
        yield generator.synthesize(generator.sample(indices, seed=seed))


def compare(
    generator: Generator,
    network: ScenesNetwork,
    *,
    n_images: int,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, object]:
    """Distances of a generator to renders, their floors, and the objects each draws how often."""
    say(f"measuring {n_images} images of {generator.name} and twice as many renders")
    first, second = (measure(renders(n_images, seed=s), network) for s in _RENDER_SEEDS)
    drawn = measure(samples(generator, n_images), network)
    return {
        "n_images": n_images,
        "feature_distance": frechet_distance(drawn.features, first.features),
        "feature_floor": frechet_distance(second.features, first.features),
        "segmentation_distance": frechet_distance(drawn.areas, first.areas),
        "segmentation_floor": frechet_distance(second.areas, first.areas),
        "concepts": {
            c.name: {
                "render_share": first.shares[c.id - 1].item(),
                "share": drawn.shares[c.id - 1].item(),
                "render_present": first.present[c.id - 1].item(),
                "present": drawn.present[c.id - 1].item(),
            }
            for c in SCENES_VOCABULARY
        },
    }
