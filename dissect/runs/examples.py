"""Example masks: for each concept a few samples with the segmenter's own mask of it.

They are taken while ``dissect.trust`` looks at its samples, so no image is made and segmented for
them. Of these samples each concept shows those where its mask is largest, the lower index first
among equals.
"""

import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dissect.errors import RunError
from dissect.runs import schema
from dissect.runs.images import to_tile
from dissect.runs.strips import TILE, Strip, make_strip
from segmenters import Vocabulary

EXAMPLES = 6
"""Samples that a concept shows at most."""


@dataclass(frozen=True)
class ConceptStrip:
    """A concept's example masks.

    Attributes:
        concept: Its name.
        strip: The images side by side, and where the segmenter marks the concept.
        samples: Which they are, the largest mask first.
        shares: Part of each image that the mask covers, 0 … 1.
    """

    concept: str
    strip: Strip
    samples: tuple[int, ...]
    shares: tuple[float, ...]


class Examples:
    """Collects samples; small pictures and masks of them are kept, some 100 kB each.

    Args:
        vocabulary: Of the segmenter.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._samples: list[int] = []
        self._tiles: list[np.ndarray] = []
        self._planes: list[np.ndarray] = []
        self._shares: list[np.ndarray] = []

    def add(
        self,
        indices: Sequence[int],
        images: Float[Tensor, "batch channels h w"],
        planes: Int[Tensor, "batch plane h w"],
    ) -> None:
        """Take samples with their masks.

        Args:
            indices: Which samples.
            images: Of them.
            planes: Their masks, at any size.
        """
        height, width = planes.shape[2:]
        rows, columns = (
            torch.from_numpy(((np.arange(TILE) + 0.5) * n / TILE).astype(np.int64))
            for n in (height, width)
        )
        for index, image, own in zip(indices, images, planes, strict=True):
            areas = torch.bincount(own.flatten(), minlength=len(self._vocabulary) + 1)
            small = own[:, rows[:, None], columns].numpy().astype(np.uint16)
            self._samples.append(int(index))
            self._tiles.append(to_tile(image))
            self._planes.append(small)
            self._shares.append(areas[1:].numpy() / (height * width))

    def strips(self) -> Iterator[ConceptStrip]:
        """The example masks of each concept that occurs, in the vocabulary's order."""
        if not self._samples:
            return
        shares = np.stack(self._shares)
        chosen = {}
        for column, concept in enumerate(self._vocabulary):
            order = np.argsort(-shares[:, column], kind="stable")[:EXAMPLES]
            shown = [row for row in order.tolist() if shares[row, column] > 0]
            if shown:
                chosen[concept] = shown
        plane_number = {name: number for number, name in enumerate(self._vocabulary.planes)}

        def make(item: tuple) -> ConceptStrip:
            concept, rows = item
            plane = plane_number[concept.plane]
            masks = np.stack([self._planes[row][plane] == concept.id for row in rows])
            return ConceptStrip(
                concept.name,
                make_strip(np.stack([self._tiles[row] for row in rows]), masks),
                tuple(self._samples[row] for row in rows),
                tuple(float(shares[row, concept.id - 1]) for row in rows),
            )

        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            yield from pool.map(make, chosen.items())


def write_examples(path: Path, vocabulary: Vocabulary, strips: Iterable[ConceptStrip]) -> None:
    """Write the zip of a run's example masks: a strip a concept, and which samples they are."""
    told = {}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:

        def add(name: str, content: str | bytes) -> None:
            archive.writestr(zipfile.ZipInfo(name, schema.EPOCH), content)

        for one in strips:
            number = vocabulary[one.concept].id - 1
            add(schema.concept_strip_name(number), one.strip.picture)
            add(schema.concept_mask_name(number), one.strip.mask)
            told[one.concept] = {"samples": one.samples, "shares": one.shares}
        add(schema.EXAMPLES_TOLD, json.dumps(told, ensure_ascii=False))


def read_examples(
    archive: Path, vocabulary: Vocabulary, concepts: Iterable[str]
) -> Iterator[ConceptStrip | None]:
    """The example masks of concepts, in the order asked for; None for one without any.

    Raises:
        RunError: images that cannot be read.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            told = json.loads(file.read(schema.EXAMPLES_TOLD))
            for name in concepts:
                if name not in told:
                    yield None
                    continue
                number = vocabulary[name].id - 1
                strip = Strip(
                    file.read(schema.concept_strip_name(number)),
                    file.read(schema.concept_mask_name(number)),
                )
                found = told[name]
                yield ConceptStrip(name, strip, tuple(found["samples"]), tuple(found["shares"]))
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise RunError(f"{archive} is damaged ({error}); make the run again") from error
