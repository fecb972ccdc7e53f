"""Generates painted images: the same recipe gives the same bytes, in the dashboard and in scripts.

    canvas = Canvas(open_run("runs/scenes"))
    Path("tree.png").write_bytes(to_png(canvas.paint(read_recipe(data)).image))

A painted image is generated **alone**, with the number of threads in its recipe, because
convolutions round the last bit differently for other batch sizes and numbers of threads. So it may
differ by one step of 255 in a few pixels from the same sample in its run, which was generated in a
block. It never differs from itself.
"""

import io
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from dissect.config import AnyTruncationConfig, RunConfig
from dissect.counting.samples import label_block, make_images
from dissect.edits.applying import intervene
from dissect.errors import ConfigError, RunError
from dissect.painting.covering import to_edits
from dissect.painting.recipe import Painting
from dissect.pictures import to_picture
from dissect.runs import Run
from dissect.studies.insertion_values import present_means
from dissect.studies.originals import Originals, count_pixels, open_models
from segmenters import Vocabulary

N_SEARCH = 64
"""Number of samples from which the trial samples of brushes are selected."""
_KEPT = 8  # unedited images in memory, so that a stroke costs one forward pass
_MOST_THREADS = 4  # more do not speed up one image of a few hundred pixels


@dataclass(frozen=True, eq=False)
class Painted:
    """An image and its segmentation.

    Attributes:
        image: In [-1, 1].
        planes: Concepts of each pixel, by the vocabulary's planes.
    """

    image: Float[Tensor, "channels height width"]
    planes: Int[Tensor, "plane height width"]


@dataclass(frozen=True)
class Change:
    """Pixels of a concept before and after."""

    concept: str
    before: int
    after: int


class Canvas:
    """The generator and the segmenter of a run, for painting.

    Args:
        run: A finished run whose models can be loaded.
        device: Device; only on the CPU are the bytes equal on all machines.

    Raises:
        RunError: models that differ from the run's.
        DissectError: models that cannot be loaded.
    """

    def __init__(self, run: Run, *, device: str = "cpu") -> None:
        self.run = run
        self.generator, self.segmenter = open_models(run, device=device)
        self.bases = {
            layer: run.basis(layer) for layer in run.layers if layer not in self.generator.layers
        }
        self._originals: OrderedDict[Painting, Painted] = OrderedDict()
        self._means: dict[tuple[str, str], Float[np.ndarray, " unit"]] = {}

    @property
    def vocabulary(self) -> Vocabulary:
        """The concepts that the segmenter can mark."""
        return self.segmenter.vocabulary

    @cached_property
    def search(self) -> Originals:
        """Unedited samples after those of the run, on which brushes are tried."""
        config = self.run.config
        behind = -(-config.n_samples // config.block) * config.block
        models = (self.generator, self.segmenter, config)
        return Originals(*models, n_samples=N_SEARCH, first=behind, bases=self.bases)

    def present_means(self, layer: str, concept: str) -> Float[np.ndarray, " unit"]:
        """Mean of each unit where a concept is, over ``search``; computed once.

        Raises:
            ConfigError: a concept that appears in none of these samples.
        """
        if (layer, concept) not in self._means:
            self._means[layer, concept] = present_means(self.search, layer, concept)
        return self._means[layer, concept]

    def blank(self, *, seed: int, index: int, truncation: float, label: int | None) -> Painting:
        """A painting without strokes.

        Raises:
            ConfigError: see ``Painting``.
        """
        size = self.generator.image_size
        # One thread is fastest for a small image, and gives the same on a machine with fewer cores.
        threads = 1 if size <= 128 else min(_MOST_THREADS, torch.get_num_threads())
        return Painting(
            self.generator.fingerprint,
            self.run.record["fingerprint"],
            size,
            seed,
            index,
            truncation,
            label,
            threads,
        )

    def original(self, painting: Painting) -> Painted:
        """The image without any stroke or edit; the last few are kept.

        Raises:
            DissectError: see ``paint``.
        """
        bare = replace(painting, strokes=(), edits=())
        if bare not in self._originals:
            self._originals[bare] = self._make(bare)
        self._originals.move_to_end(bare)
        while len(self._originals) > _KEPT:
            self._originals.popitem(last=False)
        return self._originals[bare]

    def paint(self, painting: Painting) -> Painted:
        """The image with its strokes and edits.

        Raises:
            RunError: the recipe of another generator.
            LayerError: a layer or unit that this one does not have.
            ConfigError: a region that exceeds the image, a class that does not exist, edits that
                contradict a stroke, a move that does not fit its space.
            GeneratorError: strokes that make the output infinite or NaN.
        """
        self.check(painting)
        return self.original(painting) if painting.is_plain else self._make(painting)

    def check(self, painting: Painting) -> None:
        """Raise an error for a painting of another generator.

        Raises:
            RunError: another fingerprint or another size of images.
            ConfigError: a class that the generator does not have.
        """
        generator = self.generator
        if painting.generator != generator.fingerprint:
            raise RunError(
                f"the recipe was painted with the generator {painting.generator[:12]}…; "
                f"{generator.name} of {self.run.path.name} is {generator.fingerprint[:12]}…; "
                "open it in a run of the same generator"
            )
        if painting.image_size != generator.image_size:
            raise RunError(
                f"the recipe's images have {painting.image_size} pixels along a side; "
                f"{generator.name} makes {generator.image_size}; the recipe is damaged"
            )
        if painting.label is not None and painting.label >= generator.n_classes:
            raise ConfigError(
                f"label is {painting.label}; expected none or below {generator.n_classes}, the "
                f"classes of {generator.name}"
            )

    @torch.no_grad()
    def _make(self, painting: Painting) -> Painted:
        config = self._config(painting)
        edits = [*painting.edits, *to_edits(painting.strokes, painting.image_size)]
        with _threads(painting.threads):
            with intervene(self.generator, edits, bases=self.bases):
                images = make_images(self.generator, config, [painting.index])
            planes = label_block(self.segmenter, images, painting.image_size)
        return Painted(images[0].cpu(), planes[0])

    def _config(self, painting: Painting) -> RunConfig:
        own = {name: getattr(painting, name) for name in ("seed", "truncation", "label")}
        return AnyTruncationConfig(**{**vars(self.run.config), **own})


def changes(before: Painted, after: Painted, vocabulary: Vocabulary) -> list[Change]:
    """Pixels of every concept that is present before or after, in the vocabulary's order."""
    both = torch.stack([before.planes, after.planes])
    counts: np.ndarray = count_pixels(both, len(vocabulary))
    return [
        Change(concept.name, int(old), int(new))
        for concept, old, new in zip(vocabulary, *counts, strict=True)
        if old or new
    ]


def to_png(image: Float[Tensor, "channels height width"]) -> bytes:
    """An image as a PNG file."""
    buffer = io.BytesIO()
    to_picture(image).save(buffer, "PNG")
    return buffer.getvalue()


def labels_to_png(
    planes: Int[Tensor, "plane height width"], vocabulary: Vocabulary, plane: str
) -> bytes:
    """One plane as a PNG in the concepts' colours; pixels without a concept are transparent."""
    ids = planes[vocabulary.planes.index(plane)].numpy()
    buffer = io.BytesIO()
    colours = {concept.id: concept.colour for concept in vocabulary.in_plane(plane)}
    # A palette holds 256 colours; the ids of one plane may exceed that.
    order = sorted(colours)
    position = np.zeros(max(order) + 1, np.int64)
    position[order] = np.arange(1, len(order) + 1)
    if len(order) > 255:
        rgba = np.zeros((max(order) + 1, 4), np.uint8)
        for number, colour in colours.items():
            rgba[number] = [*bytes.fromhex(colour[1:]), 255]
        Image.fromarray(rgba[ids]).save(buffer, "PNG")
        return buffer.getvalue()
    picture = Image.fromarray(position[ids].astype(np.uint8)).convert("P")
    picture.putpalette(_palette([colours[number] for number in order]))
    picture.save(buffer, "PNG", transparency=0)
    return buffer.getvalue()


def _palette(colours: Sequence[str]) -> list[int]:
    return [0, 0, 0, *(channel for colour in colours for channel in bytes.fromhex(colour[1:]))]


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
