"""Sheets of pictures: some samples before an edit, after it, and what changed.

The samples shown are spread evenly over all that hold the concept before or after, from the largest
effect to the smallest, so that a sheet does not show the best ones only.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from dissect.interventions.applying import intervene
from dissect.interventions.edits import Edit
from dissect.interventions.effects import PixelCounts
from dissect.interventions.originals import Originals
from dissect.runs.images import to_picture

_TILE = 160
_GAP = 8
_CAPTION = 24
_HEAD = 64
_INK, _QUIET, _PAPER = "#1a1a1a", "#555555", "#ffffff"


@dataclass(frozen=True)
class Row:
    """A sample on a sheet.

    Attributes:
        sample: Its index.
        before, after: Its image, [-1, 1].
        pixels_before, pixels_after: Of the concept.
        where: Is told behind the sample.
        corners: top, left, bottom, right of a box that is outlined, in pixels; None for none.
    """

    sample: int
    before: Float[Tensor, "channels height width"]
    after: Float[Tensor, "channels height width"]
    pixels_before: int
    pixels_after: int
    where: str = ""
    corners: tuple[int, int, int, int] | None = None


def choose_rows(
    before: Int[np.ndarray, " image"], after: Int[np.ndarray, " image"], n_rows: int
) -> list[int]:
    """Images with the concept, evenly spread from the largest change to the smallest.

    Args:
        before, after: Its pixels in each image.
        n_rows: How many to show at most; other images fill in where too few hold the concept.
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
    """Make the images of a sheet again.

    Args:
        originals: The samples.
        edits: That were measured.
        counts: What was measured.
        concept: Whose pixels are told.
        n_rows: How many samples at most.
    """
    column = originals.vocabulary[concept].id - 1
    before, after = counts.before[:, column], counts.after[:, column]
    return [
        Row(sample, *make_images_of(originals, sample, edits), int(before[row]), int(after[row]))
        for row in choose_rows(before, after, n_rows)
        for sample in [originals.sample_of_row(row)]
    ]


@torch.no_grad()
def make_images_of(
    originals: Originals, sample: int, edits: Sequence[Edit]
) -> tuple[Float[Tensor, "channels height width"], Float[Tensor, "channels height width"]]:
    """A sample's image without and with edits, made in its own block: the measured bits."""
    number = sample // originals.config.block
    place = originals.indices(number).index(sample)
    plain = originals.images(number)
    with intervene(originals.generator, edits, bases=originals.bases):
        edited = originals.images(number)
    # Copies, so that a block is not kept for the sake of one image.
    return plain[place].cpu().clone(), edited[place].cpu().clone()


def draw_sheet(
    rows: Sequence[Row],
    *,
    title: str,
    subtitle: str,
    concept: str,
    across: int = 1,
    tile: int = _TILE,
) -> bytes:
    """Lay rows out as a PNG: before, after, and where and how much they differ.

    The difference is the mean over channels of |after − before| / 2, white where nothing changed
    and black where a pixel went from one end of the range to the other.

    Args:
        rows: The samples.
        title, subtitle: In front of them.
        concept: Whose pixels are told.
        across: Samples beside each other.
        tile: Height and width of a picture, in pixels.
    """
    one = 3 * (tile + _GAP)  # the width of a sample
    width = across * one + _GAP
    height = _HEAD + -(-len(rows) // across) * (tile + _CAPTION) + _GAP
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, _GAP), _fit(draw, title, 15, width), fill=_INK, font=_font(15))
    draw.text((_GAP, 28), _fit(draw, subtitle, 12, width), fill=_QUIET, font=_font(12))
    for position, row in enumerate(rows):
        top = _HEAD + position // across * (tile + _CAPTION)
        start = _GAP + position % across * one
        change = (row.after.clamp(-1, 1) - row.before.clamp(-1, 1)).abs().mean(dim=0, keepdim=True)
        pictures = {"before": row.before, "after": row.after, "difference": 1 - change}
        for number, (name, image) in enumerate(pictures.items()):
            left = start + number * (tile + _GAP)
            if position < across:
                draw.text((left, 46), name, fill=_QUIET, font=_font(12))
            picture = to_picture(image).resize((tile, tile), Image.Resampling.LANCZOS)
            if row.corners is not None:
                _outline(picture, [at * tile / image.shape[-1] for at in row.corners])
            sheet.paste(picture, (left, top))
        caption = (
            f"sample {row.sample}{row.where}: {concept} {row.pixels_before:,} to "
            f"{row.pixels_after:,} pixels"
        )
        fitting = _fit(draw, caption, 12, one + _GAP)
        draw.text((start, top + tile + 4), fitting, fill=_INK, font=_font(12))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _outline(picture: Image.Image, corners: Sequence[float]) -> None:
    """A white line around a box and a dark one around that, seen on any ground."""
    top, left, bottom, right = (round(at) for at in corners)
    draw = ImageDraw.Draw(picture)
    for out, colour in ((1, _PAPER), (2, _INK)):
        draw.rectangle((left - out, top - out, right - 1 + out, bottom - 1 + out), outline=colour)


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def _fit(draw: ImageDraw.ImageDraw, text: str, size: int, width: int) -> str:
    """Text cut to the sheet's width; Pillow's own font has neither arrows nor an ellipsis."""
    shown = text
    while len(shown) > 3 and draw.textlength(shown, font=_font(size)) > width - 2 * _GAP:
        shown = shown.removesuffix("...")[:-1].rstrip() + "..."
    return shown
