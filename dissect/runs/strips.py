"""Strips: a unit's top images side by side, and its mask on them.

Pictures and masks are stored separately, so that a viewer can outline the mask in its concept's
colour or omit it. They have the size of the generator's images, at most ``TILE``; small ones are
shown enlarged. In runs of earlier versions every tile has ``TILE`` pixels, and in those of the
first ones the outline is part of the picture.
"""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from dissect.errors import RunError
from dissect.runs import schema
from dissect.runs.record import ADVICE
from segmenters.received import open_image, open_stored_zip, read_member, reading

TILE = 128
"""Height and width in pixels at which one image of a strip is shown; also its largest size."""
UNLABELLED = "#ffffff"
"""Outline colour of a unit without a name."""
_QUALITY = 82
_EFFORT = 2  # WebP effort: 3 takes twice as long for 3 % fewer bytes
_MOST_TILES = 1000
_DARK = 170  # opacity out of 255 of the dark pixel around an outline


@dataclass(frozen=True)
class Strip:
    """A unit's top images, side by side.

    Attributes:
        picture: The images, as WebP.
        mask: Where the unit is above its label's threshold, as a 1-bit PNG of the same size;
            None in runs that have it drawn into the picture.
        source: Its place, for messages.
    """

    picture: bytes
    mask: bytes | None
    source: str = field(default="a strip", compare=False)

    def outlined(self, colour: str) -> bytes:
        """The picture with the mask's outline drawn into it, as WebP.

        Small tiles are first enlarged to ``TILE``, so that the outline is equally thin.
        """
        if self.mask is None:
            return self.picture
        return draw_strip(_enlarge(self.tiles()), _repeat(self.masks()), colour)

    def overlay(self, colour: str) -> bytes | None:
        """The outline alone, otherwise transparent, as WebP; None if it is drawn in the picture.

        It is ``TILE`` pixels high if the picture is smaller.
        """
        if self.mask is None:
            return None
        masks = _repeat(self.masks())
        inner, around = _border(masks)
        rgba = np.zeros((*masks.shape, 4), np.uint8)
        rgba[around, 3] = _DARK
        rgba[inner] = (*_rgb(colour), 255)
        return _webp(rgba, lossless=True, quality=20, method=1)

    def masks(self) -> Bool[np.ndarray, "n tile tile"]:
        """The mask of each image."""
        if self.mask is None:
            raise ValueError("this strip has its mask drawn into the picture")
        return _split(self._decode(self.mask, "PNG", "1"))

    def tiles(self) -> UInt8[np.ndarray, "n tile tile 3"]:
        """The images, unchanged."""
        return _split(self._decode(self.picture, "WEBP", "RGB"))

    def check(self) -> "Strip":
        """Return the strip after a check of its files' declared sizes.

        Raises:
            RunError: files of another kind or size.
        """
        with reading(self.source, RunError, ADVICE):
            sizes = {_open(self.picture, "WEBP").size}
            sizes |= set() if self.mask is None else {_open(self.mask, "PNG").size}
            if len(sizes) > 1:
                raise ValueError("its mask is of another size than its picture")
        return self

    def _decode(self, content: bytes, kind: str, mode: str) -> np.ndarray:
        with reading(self.source, RunError, ADVICE):
            return np.asarray(_open(content, kind).convert(mode))


def _open(content: bytes, kind: str) -> Image.Image:
    image = open_image(content, formats=[kind], most_pixels=_MOST_TILES * TILE * TILE)
    if not 0 < image.height <= TILE or image.width % image.height or not image.width:
        raise ValueError(f"a strip of {image.width} × {image.height} pixels")
    return image


def tile_size(image_size: int) -> int:
    """Height and width of one image of a strip, for a size of the generator's images."""
    return min(image_size, TILE)


def _enlarge(tiles: UInt8[np.ndarray, "n tile tile 3"]) -> UInt8[np.ndarray, "n shown shown 3"]:
    """Tiles at their display size."""
    if tiles.shape[1] == TILE:
        return tiles
    size = (TILE, TILE)
    return np.stack(
        [np.asarray(Image.fromarray(tile).resize(size, Image.Resampling.LANCZOS)) for tile in tiles]
    )


def _repeat(masks: Bool[np.ndarray, "n tile tile"]) -> Bool[np.ndarray, "n shown shown"]:
    """Masks at their display size, by nearest neighbour."""
    nearest = np.arange(TILE) * masks.shape[1] // TILE
    return masks[:, nearest[:, None], nearest]


def read_strips(archive: Path, units: Iterable[int], *, n_units: int) -> Iterator[Strip]:
    """The strips of units, in the given order, from their layer's zip.

    Args:
        archive: The zip.
        units: The units.
        n_units: Number of the layer's units.

    Raises:
        RunError: images that cannot be read.
    """
    with (
        reading(archive, RunError, ADVICE),
        open_stored_zip(archive, most_members=2 * n_units) as file,
    ):
        held = set(file.namelist())
        for unit in units:
            mask = schema.mask_name(unit)
            yield Strip(
                read_member(file, schema.strip_name(unit)),
                read_member(file, mask) if mask in held else None,
                f"{archive}, unit {unit},",
            ).check()


def outline(
    tiles: UInt8[np.ndarray, "n tile tile 3"], masks: Bool[np.ndarray, "n tile tile"], colour: str
) -> UInt8[np.ndarray, "n tile tile 3"]:
    """Draw the border of masks: two pixels of colour inside, one dark pixel around it."""
    inner, around = _border(masks)
    drawn = tiles.copy()
    drawn[around] = drawn[around] // 3
    drawn[inner] = _rgb(colour)
    return drawn


def draw_strip(
    tiles: UInt8[np.ndarray, "n tile tile 3"], masks: Bool[np.ndarray, "n tile tile"], colour: str
) -> bytes:
    """Tiles side by side with their masks outlined, as WebP, for one-time display.

    Encodes faster than a stored strip, with a fifth more bytes.
    """
    return _webp(outline(tiles, masks, colour), quality=_QUALITY, method=1)


def make_strip(
    tiles: UInt8[np.ndarray, "n tile tile 3"], masks: Bool[np.ndarray, "n tile tile"]
) -> Strip:
    """Tiles side by side, and their masks separately."""
    buffer = io.BytesIO()
    Image.fromarray(_row(masks)).save(buffer, "PNG")
    return Strip(_webp(tiles, quality=_QUALITY, method=_EFFORT), buffer.getvalue())


def _webp(tiles: UInt8[np.ndarray, "n tile tile channel"], **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(_row(tiles)).save(buffer, "WEBP", **options)
    return buffer.getvalue()


def _row(tiles: np.ndarray) -> np.ndarray:
    return np.concatenate(list(tiles), axis=1)


def _split(row: np.ndarray) -> np.ndarray:
    return np.stack(np.split(row, row.shape[1] // row.shape[0], axis=1))


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def _border(masks: Bool[np.ndarray, "n tile tile"]) -> tuple[np.ndarray, np.ndarray]:
    """The two outermost pixels of masks, and the one pixel around them."""
    return masks & ~_erode(_erode(masks)), ~_erode(~masks) & ~masks


def _erode(masks: Bool[np.ndarray, "n tile tile"]) -> Bool[np.ndarray, "n tile tile"]:
    """Keep pixels whose four neighbours are set too; neighbours outside the image count as set."""
    padded = np.pad(masks, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    return (
        masks
        & padded[:, :-2, 1:-1]
        & padded[:, 2:, 1:-1]
        & padded[:, 1:-1, :-2]
        & padded[:, 1:-1, 2:]
    )
