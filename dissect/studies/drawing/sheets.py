"""Sheets of pictures: some samples before an edit, after it, and the difference.

The samples are spread evenly over all that hold the concept before or after, from the largest
effect to the smallest, so that a sheet does not show only the best ones.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from dissect.edits.applying import intervene
from dissect.edits.edit import Edit
from dissect.pictures import to_picture
from dissect.studies.originals import Originals
from dissect.studies.pixels import PixelCounts

_TILE = 160
_GAP = 8
_CAPTION = 24
_HEAD = 64
_INK, _QUIET, _PAPER = "#1a1a1a", "#555555", "#ffffff"

Pair = tuple[Float[Tensor, "channels height width"], Float[Tensor, "channels height width"]]
"""An image before and after."""


Corners = tuple[int, int, int, int]
"""top, left, bottom, right of a box, in pixels."""


@dataclass(frozen=True)
class Row:
    """A sample on a sheet.

    Attributes:
        sample: Its index.
        before, after: Its image, [-1, 1].
        pixels_before, pixels_after: Pixels of the concept.
        where: Text after the sample's index.
        corners: top, left, bottom, right of an outlined box, in pixels; None for none.
    """

    sample: int
    before: Float[Tensor, "channels height width"]
    after: Float[Tensor, "channels height width"]
    pixels_before: int
    pixels_after: int
    where: str = ""
    corners: Corners | None = None


def choose_rows(
    before: Int[np.ndarray, " image"], after: Int[np.ndarray, " image"], n_rows: int
) -> list[int]:
    """Images with the concept, evenly spread from the largest change to the smallest.

    Args:
        before, after: Its pixels in each image.
        n_rows: Largest number of rows; other images are used if too few hold the concept.
    """
    present = (before > 0) | (after > 0)
    change = np.where(present, np.abs(after - before), -1)
    ranked = np.argsort(-change, kind="stable")
    ranked = ranked[: max(int(present.sum()), min(n_rows, len(ranked)))]
    places = np.linspace(0, len(ranked) - 1, min(n_rows, len(ranked))).round().astype(int)
    return ranked[places].tolist()


def make_rows(
    originals: Originals, edits: Sequence[Edit], counts: PixelCounts, concept: str, *, n_rows: int
) -> list[Row]:
    """The images of a sheet about a concept.

    Args:
        originals: The samples.
        edits: The measured edits.
        counts: The measured counts.
        concept: Concept whose pixels the captions give.
        n_rows: Largest number of samples.
    """
    column = originals.vocabulary[concept].id - 1
    before, after = counts.before[:, column], counts.after[:, column]
    chosen = choose_rows(before, after, n_rows)
    pairs = remake(originals, edits, chosen)
    return [
        Row(originals.sample_of_row(row), *pair, int(before[row]), int(after[row]))
        for row, pair in zip(chosen, pairs, strict=True)
    ]


@torch.no_grad()
def remake(originals: Originals, edits: Sequence[Edit], chosen: Sequence[int]) -> list[Pair]:
    """Generate some rows of the samples again in their own blocks, before and after edits.

    Args:
        originals: The samples.
        edits: See ``intervene``.
        chosen: Rows, in any order; the pairs have the same order.
    """
    pairs: dict[int, Pair] = {}
    for number in originals.numbers:
        indices = originals.indices(number)
        wanted = [row for row in chosen if originals.sample_of_row(row) in indices]
        if not wanted:
            continue
        plain = originals.images(number).cpu()
        with intervene(originals.generator, edits, bases=originals.bases):
            edited = originals.images(number).cpu()
        for row in wanted:
            place = originals.sample_of_row(row) - indices[0]
            # Copies, so that one image does not keep a whole block in memory.
            pairs[row] = plain[place].clone(), edited[place].clone()
    return [pairs[row] for row in chosen]


def draw_sheet(
    rows: Sequence[Row],
    *,
    title: str,
    subtitle: str,
    concept: str,
    across: int = 1,
    tile: int = _TILE,
) -> bytes:
    """``draw_pairs`` with the pixels of a concept under each row."""
    captions = [
        f"sample {row.sample}{row.where}: {concept} {row.pixels_before:,} to "
        f"{row.pixels_after:,} pixels"
        for row in rows
    ]
    return draw_pairs(
        [(row.before, row.after) for row in rows],
        captions,
        title=title,
        subtitle=subtitle,
        outlines=[row.corners for row in rows],
        across=across,
        tile=tile,
    )


def draw_pairs(
    pairs: Sequence[Pair],
    captions: Sequence[str],
    *,
    title: str,
    subtitle: str,
    outlines: Sequence[Corners | None] | None = None,
    across: int = 1,
    tile: int = _TILE,
) -> bytes:
    """Arrange pairs on a PNG: before, after, and their difference.

    The difference is the mean over channels of |after − before| / 2, white where nothing changed
    and black where a pixel changed by the full range.

    Args:
        pairs: Images in [-1, 1].
        captions: One caption per pair.
        title, subtitle: Texts above them.
        outlines: An outlined box per pair, in pixels of the image; None for none.
        across: Pairs in a row.
        tile: Height and width of a picture on the sheet.
    """
    one = 3 * (tile + _GAP)  # the width of a pair
    width = across * one + _GAP
    height = _HEAD + -(-len(pairs) // across) * (tile + _CAPTION) + _GAP
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, _GAP), _fit(draw, title, 15, width), fill=_INK, font=_font(15))
    draw.text((_GAP, 28), _fit(draw, subtitle, 12, width), fill=_QUIET, font=_font(12))
    boxes = outlines or [None] * len(pairs)
    shown = zip(pairs, captions, boxes, strict=True)
    for position, ((before, after), caption, corners) in enumerate(shown):
        top = _HEAD + position // across * (tile + _CAPTION)
        start = _GAP + position % across * one
        change = (after.clamp(-1, 1) - before.clamp(-1, 1)).abs().mean(dim=0, keepdim=True)
        pictures = {"before": before, "after": after, "difference": 1 - change}
        for number, (name, image) in enumerate(pictures.items()):
            left = start + number * (tile + _GAP)
            if position < across:
                draw.text((left, 46), name, fill=_QUIET, font=_font(12))
            picture = to_picture(image).resize((tile, tile), Image.Resampling.LANCZOS)
            if corners is not None:
                _outline(picture, [at * tile / image.shape[-1] for at in corners])
            sheet.paste(picture, (left, top))
        fitting = _fit(draw, caption, 12, one + _GAP)
        draw.text((start, top + tile + 4), fitting, fill=_INK, font=_font(12))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _outline(picture: Image.Image, corners: Sequence[float]) -> None:
    """A white line around a box and a dark one around that, visible on any background."""
    top, left, bottom, right = (round(at) for at in corners)
    draw = ImageDraw.Draw(picture)
    for out, colour in ((1, _PAPER), (2, _INK)):
        draw.rectangle((left - out, top - out, right - 1 + out, bottom - 1 + out), outline=colour)


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def _fit(draw: ImageDraw.ImageDraw, text: str, size: int, width: int) -> str:
    """Cut the text to the sheet's width; Pillow's own font has neither arrows nor an ellipsis."""
    shown = text
    while len(shown) > 3 and draw.textlength(shown, font=_font(size)) > width - 2 * _GAP:
        shown = shown.removesuffix("...")[:-1].rstrip() + "..."
    return shown
