"""Trust in a segmenter on a generator's images: agreement with itself, and with another one.

    table = measure_trust(segmenter, generator, config, n_samples=64).table()

There is no truth for generated images, but masks should follow the image. An image is flipped,
shifted by a sixteenth of its size, or enlarged by a quarter. Its masks, mapped back, are compared
with those of the image itself by IoU, pooled over all images. Only pixels that both show are
counted (shifting or enlarging an image loses a border). In the mirror image, left and right are
swapped in names of concepts. High agreement does not prove that a mask is right: a segmenter may
make the same error each time. Low agreement proves that it is unreliable, and the label of a unit
is at most as reliable as the masks.

``entropy`` measures how undecided the scores are over a concept's pixels: H(p) / log n over the n
concepts of its plane and none of them, 0 … 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from dissect.config import RunConfig
from dissect.counting.examples import Examples
from dissect.counting.samples import block_indices, label_block, make_images, n_blocks
from dissect.counting.subject import Subject
from dissect.generators.base import Generator
from dissect.pictures import as_rgb
from dissect.progress import ProgressBar
from dissect.runs.schema import CHANGES
from dissect.statistics.agreement import (
    count_concepts,
    count_pairs,
    normalised_entropy,
    pair_iou,
)
from dissect.statistics.folds import CLUSTER
from segmenters import Segmenter, Vocabulary

_MOST_IMAGES, _ONE_IN = 64, 16  # in a run: one sample of 16, at most 64
_AT_ONCE = 8  # images with scores in memory at a time


@dataclass
class Trust:
    """Counts of the agreement of masks. Only ``add`` changes them.

    Attributes:
        vocabulary: Vocabulary of the segmenter.
        images: Number of images, and for each concept of those in which it occurs.
        both, either: int64 (change, concept): pixels with the concept in both masks, and in at
            least one of them.
        area: Pixels of each concept in the unchanged images, and of all.
        entropy: Sum over each concept's pixels; None without scores.
    """

    vocabulary: Vocabulary
    images: int
    occurs: Int[np.ndarray, " concept"]
    both: Int[np.ndarray, "change concept"]
    either: Int[np.ndarray, "change concept"]
    area: Int[np.ndarray, " concept"]
    pixels: int
    entropy: Float[np.ndarray, " concept"] | None

    @classmethod
    def empty(cls, vocabulary: Vocabulary, *, scores: bool = True) -> "Trust":
        """Counts of zero images."""
        n = len(vocabulary)
        both, either = (np.zeros((len(CHANGES), n), np.int64) for _ in range(2))
        return cls(
            vocabulary, 0, np.zeros(n, np.int64), both, either, np.zeros(n, np.int64), 0,
            np.zeros(n) if scores else None,
        )  # fmt: skip

    def add(
        self,
        segmenter: Segmenter,
        images: Float[Tensor, "batch channels h w"],
        planes: Int[Tensor, "batch plane h w"],
    ) -> None:
        """Count a block of images.

        Args:
            segmenter: The segmenter.
            images: Any images.
            planes: Its masks of them.
        """
        n = len(self.vocabulary)
        for row, (here, there) in enumerate(changed_masks(segmenter, images, planes)):
            both = count_pairs(here, there, n, n).diagonal()[1:]
            self.both[row] += both
            self.either[row] += count_concepts(here, n) + count_concepts(there, n) - both
        for one in planes:
            area = count_concepts(one, n)
            self.area += area
            self.occurs += area > 0
        self.images += len(images)
        self.pixels += len(images) * planes.shape[-1] * planes.shape[-2]
        if self.entropy is not None:
            for start in range(0, len(images), _AT_ONCE):
                rows = slice(start, start + _AT_ONCE)
                self.entropy += concept_entropy(segmenter, images[rows], planes[rows])

    def table(self) -> pd.DataFrame:
        """One row for each concept of the vocabulary, in its order.

        Columns: ``concept``, ``category``, ``images`` (in which it occurs), ``share`` (of pixels),
        IoU for each of ``CHANGES``, their ``lowest``, and ``entropy`` with scores. NaN where a
        concept never occurs.
        """
        undefined = np.full(self.either.shape, np.nan)
        iou = np.divide(self.both, self.either, out=undefined, where=self.either > 0)
        table = pd.DataFrame(
            {
                "concept": list(self.vocabulary.names),
                "category": [concept.category for concept in self.vocabulary],
                "images": self.occurs,
                "share": self.area / max(1, self.pixels),
                **dict(zip(CHANGES, iou, strict=True)),
                "lowest": iou.min(axis=0),
            }
        )
        if self.entropy is not None:
            table["entropy"] = np.divide(
                self.entropy, self.area, out=np.full(len(table), np.nan), where=self.area > 0
            )
        table.attrs["images"] = self.images
        return table


def changed_masks(
    segmenter: Segmenter,
    images: Float[Tensor, "batch channels h w"],
    planes: Int[Tensor, "batch plane h w"],
) -> Iterator[tuple[Tensor, Tensor]]:
    """For each of ``CHANGES``, the masks of the images, and of the changed images mapped back.

    Args:
        segmenter: The segmenter.
        images: Any images.
        planes: Its masks of them.

    Yields:
        Concept ids of the pixels that both show, twice (batch, plane, rows, columns).
    """
    size = images.shape[-1]

    def label(changed: Tensor) -> Tensor:
        return label_block(segmenter, changed, size)

    vocabulary = segmenter.vocabulary
    mirrored = torch.tensor([0, *(vocabulary.mirrored(name).id for name in vocabulary.names)])
    yield planes, mirrored[label(images.flip(-1)).long().flip(-1)]

    step = max(1, size // 16)
    # New pixels at the left and at the top repeat the border.
    moved = functional.pad(images, (step, 0, step, 0), mode="replicate")[..., :size, :size]
    yield planes[..., :-step, :-step], label(moved)[..., step:, step:]

    large = size + max(1, size // 8) * 2
    first = (large - size) // 2
    enlarged = functional.interpolate(
        images, (large, large), mode="bilinear", align_corners=False, antialias=True
    )
    seen = label(enlarged[..., first : first + size, first : first + size])
    # Masks of the unchanged image, at the places that the enlarged one shows.
    place = ((torch.arange(size) + first + 0.5) * size / large).floor().long()
    yield planes[..., place[:, None], place], seen


@torch.no_grad()
def concept_entropy(
    segmenter: Segmenter,
    images: Float[Tensor, "batch channels h w"],
    planes: Int[Tensor, "batch plane h w"],
) -> Float[np.ndarray, " concept"]:
    """Sum over each concept's pixels of its plane's normalised entropy.

    Args:
        segmenter: The segmenter with the scores.
        images: Any images.
        planes: Its masks of them.
    """
    vocabulary = segmenter.vocabulary
    scores = segmenter.score(as_rgb(images).to(segmenter.device)).float().cpu().clamp(min=0)
    found = np.zeros(len(vocabulary) + 1)
    for position, plane in enumerate(vocabulary.planes):
        own = scores[:, [concept.id - 1 for concept in vocabulary.in_plane(plane)]]
        none = (1 - own.sum(dim=1, keepdim=True)).clamp(min=0)
        classes = torch.cat([none, own], dim=1)
        entropy = normalised_entropy(classes / classes.sum(dim=1, keepdim=True))
        found += np.bincount(
            planes[:, position].reshape(-1).numpy(),
            weights=entropy.double().reshape(-1).numpy(),
            minlength=len(found),
        )
    return found[1:]


@dataclass(frozen=True)
class Comparison:
    """IoU of every concept of one segmenter with every concept of another, on the same images."""

    first: Vocabulary
    second: Vocabulary
    iou: Float[np.ndarray, "concept other"]

    def table(self) -> pd.DataFrame:
        """Columns ``concept``, ``same_name`` (IoU with the concept of that name), ``best`` (the
        other segmenter's concept of highest IoU, "" for none) and ``best_iou``."""
        rows = []
        for row, concept in enumerate(self.first):
            found = np.nan_to_num(self.iou[row])
            best = int(found.argmax())
            same = self.second[concept.name].id - 1 if concept.name in self.second else None
            rows.append(
                {
                    "concept": concept.name,
                    "same_name": np.nan if same is None else self.iou[row, same],
                    "best": self.second.names[best] if found[best] > 0 else "",
                    "best_iou": found[best] if found[best] > 0 else np.nan,
                }
            )
        return pd.DataFrame(rows)


def measure_trust(
    segmenter: Segmenter,
    generator: Generator,
    config: RunConfig,
    *,
    n_samples: int,
    other: Segmenter | None = None,
    scores: bool = True,
    progress: bool = True,
) -> tuple[Trust, Comparison | None]:
    """Measure agreement on the first samples of a seed, in the blocks of a run.

    Args:
        segmenter: The segmenter to check.
        generator: The generator.
        config: Seed, label, truncation and block; ignores the rest.
        n_samples: Number of samples, at most ``config.n_samples``.
        other: Another segmenter for comparison.
        scores: Also measure the entropy of the scores.
        progress: Show a progress bar.
    """
    found = Trust.empty(segmenter.vocabulary, scores=scores)
    n, m = len(segmenter.vocabulary), 0 if other is None else len(other.vocabulary)
    pairs, second_area = np.zeros((1 + n, 1 + m), np.int64), np.zeros(m, np.int64)
    bar = ProgressBar(
        total=n_samples, desc="trust", unit="image", disable=None if progress else True, leave=False
    )
    with bar:
        for number in range(n_blocks(config, n_samples)):
            # Generates and segments whole blocks, so that images and masks have the bits of a run.
            images = make_images(generator, config, block_indices(number, config))
            planes = label_block(segmenter, images, images.shape[-1])
            indices = block_indices(number, config, n_samples)
            images, planes = images[: len(indices)], planes[: len(indices)]
            found.add(segmenter, images, planes)
            if other is not None:
                theirs = label_block(other, images, images.shape[-1])
                pairs += count_pairs(planes, theirs, n, m)
                second_area += count_concepts(theirs, m)
            bar.update(len(images))
    if other is None:
        return found, None
    iou = pair_iou(pairs, found.area, second_area)
    return found, Comparison(segmenter.vocabulary, other.vocabulary, iou)


class TrustOfRun:
    """The trust data of a run, and its example masks, from blocks that are counted anyway.

    It uses one in 16 samples, at least eight and at most 64, without scores and without skipped
    samples.

    Args:
        subject: Subject of the run.
    """

    def __init__(self, subject: Subject) -> None:
        config, segmenter = subject.config, subject.segmenter
        self._subject, self._segmenter = subject, segmenter
        self.n_samples = min(
            _MOST_IMAGES, max(CLUSTER, config.n_samples // _ONE_IN // CLUSTER * CLUSTER)
        )
        self._missing = set(range(n_blocks(config, self.n_samples)))
        self._trust = Trust.empty(segmenter.vocabulary, scores=False)
        self.examples = Examples(segmenter.vocabulary)

    def wants(self, number: int) -> bool:
        """Whether a block is needed and was not measured yet."""
        return number in self._missing

    def add(
        self,
        number: int,
        indices: list[int],
        images: Float[Tensor, "batch channels h w"],
        planes: Int[Tensor, "batch plane h w"],
    ) -> None:
        """Measure a block.

        Args:
            number: Number of the block.
            indices: Its samples, in rising order.
            images: All of its images.
            planes: Their masks at the size of the images.
        """
        self._missing.remove(number)
        indices = [index for index in indices if index < self.n_samples]
        if not indices:
            return
        images, planes = images[: len(indices)].cpu(), planes[: len(indices)]
        self._trust.add(self._segmenter, images, planes)
        self.examples.add(indices, images, planes)

    def finish(self, *, progress: bool) -> dict[str, object]:
        """The stored data; generates the blocks that were not measured yet.

        Args:
            progress: Show a progress bar.
        """
        blocks = ProgressBar(
            sorted(self._missing), desc="trust", unit="block",
            disable=None if progress else True, leave=False,
        )  # fmt: skip
        for number in blocks:
            indices, images = self._subject.images(number)
            planes = label_block(self._segmenter, images, images.shape[-1]) if indices else images
            self.add(number, indices, images, planes)
        table = self._trust.table()
        return {
            "images": self._trust.images,
            "columns": list(table.columns),
            "concepts": [
                [None if value != value else value for value in row]  # NaN is not JSON  # noqa: PLR0124
                for row in table.astype(object).values.tolist()
            ],
        }
