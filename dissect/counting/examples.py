"""Collects example masks of concepts.

They come from the samples of ``dissect.counting.trust``, so they need no further generation and
segmentation. Each concept shows those samples in which its mask is largest; a tie goes to the lower
index.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dissect.pictures import to_tile
from dissect.runs.examples import ConceptStrip
from dissect.runs.strips import make_strip, tile_size
from dissect.statistics.resize import cells
from segmenters import Concept, Vocabulary

EXAMPLES = 6
"""Largest number of samples per concept."""


class Examples:
    """Collects samples; keeps small pictures and masks of them, about 100 kB each.

    Args:
        vocabulary: Vocabulary of the segmenter.
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
        """Add samples with their masks.

        Args:
            indices: Sample indices.
            images: Their images.
            planes: Their masks, at any size.
        """
        height, width = planes.shape[2:]
        tile = tile_size(images.shape[-1])
        rows, columns = (torch.from_numpy(cells(n, tile)) for n in (height, width))
        for index, image, own in zip(indices, images, planes, strict=True):
            areas = torch.bincount(own.flatten(), minlength=len(self._vocabulary) + 1)
            small = own[:, rows[:, None], columns].numpy().astype(np.uint16)
            self._samples.append(int(index))
            self._tiles.append(to_tile(image, tile))
            self._planes.append(small)
            self._shares.append(areas[1:].numpy() / (height * width))

    def strips(self) -> Iterator[ConceptStrip]:
        """The example masks of each concept that occurs, in the vocabulary's order."""
        if not self._samples:
            return
        shares = np.stack(self._shares)
        chosen = {}
        for column, concept in enumerate(self._vocabulary):
            order = np.lexsort((np.array(self._samples), -shares[:, column]))[:EXAMPLES]
            shown = [row for row in order.tolist() if shares[row, column] > 0]
            if shown:
                chosen[concept] = shown
        plane_number = {name: number for number, name in enumerate(self._vocabulary.planes)}

        def make(item: tuple[Concept, list[int]]) -> ConceptStrip:
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
