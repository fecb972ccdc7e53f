"""The images of a report as files or data: strips, their separate outlines, effects' sheets."""

import base64
import io
import itertools
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, NotRequired, TypedDict
from urllib.parse import quote

from dissect.runs import Run
from dissect.runs.examples import ConceptStrip
from dissect.runs.schema import layer_key
from dissect.runs.strips import UNLABELLED, Strip
from segmenters.received import open_image

_SHEET_QUALITY = 85
_THREADS = 2


class Example(TypedDict):
    """Images that show a concept.

    Attributes:
        samples: The images.
        shares: Fraction of each image that the concept covers.
        picture, mask: Data addresses of the images and their outlines, if there are no files.
    """

    samples: list[int]
    shares: list[float]
    picture: NotRequired[str]
    mask: NotRequired[str]


class Pictures:
    """Stores the images of a report.

    Args:
        run: The run.
        shown: Layer → units that have images in the report.
        folder: Folder for the files; None keeps images as data addresses.
    """

    def __init__(self, run: Run, shown: Mapping[str, list[int]], folder: Path | None) -> None:
        self._run, self._shown, self._folder = run, shown, folder
        self._inside: dict[tuple[str, int], tuple[str, str | None]] = {}
        self._outlined: dict[str, bool] = {}

    def write(self, layer: str) -> None:
        """Write the strips of a layer as files."""
        if self._folder is None:
            raise ValueError("these pictures are kept as addresses; they are written nowhere")
        place = self._folder / "strips" / layer_key(layer)
        place.mkdir(parents=True)
        for unit, strip, outline in self._drawn(layer):
            (place / f"{unit}.webp").write_bytes(strip.picture)
            if outline is not None:
                (place / f"{unit}.mask.webp").write_bytes(outline)

    def inside(self, layer: str) -> list[tuple[str, str | None] | None]:
        """For each unit the addresses of its picture and outline; None for one without images."""
        for unit, strip, outline in self._drawn(layer):
            self._inside[layer, unit] = (
                data_address(strip.picture),
                None if outline is None else data_address(outline),
            )
        return [self._inside.get((layer, unit)) for unit in range(self._run.layers[layer].units)]

    def outlined(self, layer: str) -> bool:
        """Whether outlines are separate from the pictures; known once a layer was written."""
        return self._outlined.get(layer, False)

    def strip(self, layer: str, unit: int) -> tuple[str, str | None] | None:
        """The addresses of a unit's picture and outline; None for a unit without images."""
        if unit not in self._shown[layer]:
            return None
        if self._folder is None:
            return self._inside[layer, unit]
        place = f"strips/{quote(layer_key(layer), safe='')}/{unit}"
        return f"{place}.webp", f"{place}.mask.webp" if self.outlined(layer) else None

    def sheet(self, name: str, content: bytes) -> tuple[str, int, int]:
        """The address, width and height of an effect's picture."""
        image = open_image(content, formats=["PNG"]).convert("RGB")
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=_SHEET_QUALITY, method=3)
        if self._folder is None:
            return data_address(buffer.getvalue()), *image.size
        folder = self._folder / "effects"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.webp").write_bytes(buffer.getvalue())
        return f"effects/{quote(name, safe='')}.webp", *image.size

    def examples(self, kept: Collection[str]) -> list[Example | Literal[0] | None]:
        """Example masks of each concept, as files or data addresses.

        Args:
            kept: Concepts with images in the report.

        Returns:
            For each concept of the vocabulary the ``samples`` and ``shares`` of its images, plus
            ``picture`` and ``mask`` with data addresses; None if the segmenter never marked the
            concept, 0 if its images are not kept.
        """
        if not self._run.has_concept_strips:
            return [None] * len(self._run.vocabulary)
        if self._folder is not None:
            (self._folder / "concepts").mkdir()
        found = self._run.concept_strips()
        with ThreadPoolExecutor(_THREADS) as pool:
            return list(
                pool.map(
                    lambda number, example: self._example(number, example, kept),
                    itertools.count(),
                    found,
                )
            )

    def _example(
        self, number: int, example: ConceptStrip | None, kept: Collection[str]
    ) -> Example | Literal[0] | None:
        if example is None:
            return None
        if example.concept not in kept:
            return 0
        outline = example.strip.overlay(self._run.vocabulary[example.concept].colour)
        assert outline is not None  # only in units' strips can it be part of the picture
        about: Example = {
            "samples": list(example.samples),
            "shares": [float(f"{share:.4g}") for share in example.shares],
        }
        if self._folder is None:
            picture = data_address(example.strip.picture)
            return {**about, "picture": picture, "mask": data_address(outline)}
        (self._folder / "concepts" / f"{number}.webp").write_bytes(example.strip.picture)
        (self._folder / "concepts" / f"{number}.mask.webp").write_bytes(outline)
        return about

    def _drawn(self, layer: str) -> Iterator[tuple[int, Strip, bytes | None]]:
        """Each unit with images, its strip and the outline in its concept's colour."""
        wanted = self._shown[layer]
        if not wanted:
            return
        units = self._run.units(layer)
        colours = [
            self._run.vocabulary[concept].colour if named else UNLABELLED
            for concept, named in zip(units.concept, units.is_named, strict=True)
        ]

        def draw(pair: tuple[int, Strip]) -> tuple[int, Strip, bytes | None]:
            unit, strip = pair
            return unit, strip, strip.overlay(colours[unit])

        strips = zip(wanted, self._run.strips(layer, wanted), strict=True)
        with ThreadPoolExecutor(_THREADS) as pool:
            for unit, strip, outline in pool.map(draw, strips):
                self._outlined[layer] = outline is not None
                yield unit, strip, outline


def data_address(webp: bytes) -> str:
    """An image as a data address."""
    return "data:image/webp;base64," + base64.b64encode(webp).decode("ascii")
