"""The unedited images for comparisons: generated in the run's blocks, segmented once."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dissect.bases import NO_BASES, Basis
from dissect.config import RunConfig
from dissect.counting.samples import block_indices, label_block, make_images
from dissect.errors import RunError, SettingError
from dissect.generators import Generator, load_generator
from dissect.progress import ProgressBar
from dissect.runs import Run
from dissect.runs.origin import GENERATOR, SEGMENTER, model_spec
from segmenters import Segmenter, load_segmenter


def open_models(run: Run, *, device: str = "cpu") -> tuple[Generator, Segmenter]:
    """Load the generator and the segmenter of a run, from its settings or the user's specs.

    Raises:
        RunError: a model that has changed, or one that only somebody else's run names and that
            could run code (``dissect.runs.origin``).
        DissectError: a model that cannot be loaded.
    """
    segmenter_spec = model_spec(run, SEGMENTER)
    generator = open_generator(run, device=device)
    segmenter = load_segmenter(segmenter_spec, device=device)
    _check_same(run, SEGMENTER, segmenter)
    return generator, segmenter


def open_generator(run: Run, *, device: str = "cpu") -> Generator:
    """The generator of a run; raises as ``open_models``."""
    generator = load_generator(model_spec(run, GENERATOR), device=device)
    _check_same(run, GENERATOR, generator)
    return generator


def _check_same(run: Run, kind: str, model: Generator | Segmenter) -> None:
    expected = run.record[kind]["fingerprint"]
    if model.fingerprint != expected:
        raise RunError(
            f"{run.path.name} was made with other weights: the {kind} {model_spec(run, kind)!r} "
            f"has the fingerprint {model.fingerprint[:12]}…; expected {expected[:12]}…; give back "
            "the old one or make the run again"
        )


class Originals:
    """Consecutive samples of a run's seed without any edit.

    Labels are kept, a byte for each pixel and plane, so that any number of edits is compared with
    images that are generated and segmented once. Images are not kept.

    Args:
        generator, segmenter: Models of the run.
        config: Settings of the run; its blocks are generated whole, for the same bits.
        n_samples: Number of samples, at least 1.
        first: First sample; a multiple of the block. Samples after the run's own are unseen.
        bases: ``layer@basis`` → its basis, for edits.

    Raises:
        ConfigError: no samples.
    """

    def __init__(
        self,
        generator: Generator,
        segmenter: Segmenter,
        config: RunConfig,
        *,
        n_samples: int,
        first: int = 0,
        bases: Mapping[str, Basis] = NO_BASES,
    ) -> None:
        if n_samples < 1:
            raise SettingError("n_samples", f"is {n_samples}; expected at least 1")
        self.generator, self.segmenter, self.bases = generator, segmenter, bases
        self.n_samples, self.first = n_samples, first
        last = first + n_samples
        # The run's last block ends with the run; later blocks are whole.
        self.config = replace(config, n_samples=max(config.n_samples, last))
        self.numbers = range(first // config.block, -(-last // config.block))
        self._planes: dict[int, Tensor] = {}

    @property
    def vocabulary(self):  # noqa: ANN201, the segmenter says what it is
        return self.segmenter.vocabulary

    def indices(self, number: int) -> list[int]:
        """Measured samples of a block."""
        return block_indices(number, self.config, self.first + self.n_samples)

    def images(self, number: int) -> Float[Tensor, "batch channels height width"]:
        """Images of a block, with the edits of an enclosing ``intervene``."""
        images = make_images(self.generator, self.config, block_indices(number, self.config))
        return images[: len(self.indices(number))]

    def label(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Int[Tensor, "batch plane height width"]:
        """Concepts of each pixel, at the image's own size."""
        planes = label_block(self.segmenter, images, self.generator.image_size)
        return planes.to(torch.uint8 if len(self.vocabulary) < 256 else torch.int16)

    def planes(self, number: int) -> Int[Tensor, "batch plane height width"]:
        """Concepts of each pixel of a block's unedited images, computed on first use."""
        if number not in self._planes:
            self._planes[number] = self.label(self.images(number))
        return self._planes[number]

    def fill(self, *, progress: bool) -> None:
        """Label all unedited images now."""
        with ProgressBar(
            total=self.n_samples,
            desc="originals",
            unit="image",
            disable=None if progress else True,
        ) as bar:
            for number in self.numbers:
                bar.update(len(self.planes(number)))

    def pixels(self) -> Int[np.ndarray, "image concept"]:
        """Pixels of each concept in each unedited image."""
        return np.concatenate(
            [count_pixels(self.planes(number), len(self.vocabulary)) for number in self.numbers]
        )

    def sample_of_row(self, row: int) -> int:
        """Index of the sample that a row of counts belongs to."""
        return self.first + row


def count_pixels(
    planes: Int[Tensor, "batch plane height width"], n_concepts: int
) -> Int[np.ndarray, "batch concept"]:
    """Number of pixels of each concept in each image; column c belongs to id c + 1."""
    n_codes = n_concepts + 1
    codes = planes.flatten(1).long() + n_codes * torch.arange(len(planes))[:, None]
    counts = torch.bincount(codes.flatten(), minlength=n_codes * len(planes))
    return counts.reshape(len(planes), n_codes)[:, 1:].numpy()
