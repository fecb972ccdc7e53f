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

Pair = tuple[Float[Tensor, "channels height width"], Float[Tensor, "channels height width"]]
"""An image before and after."""


@dataclass(frozen=True)
class Row:
    """A sample on a sheet.

    Attributes:
        sample: Its index.
        before, after: Its image, [-1, 1].
        pixels_before, pixels_after: Of the concept.
    """

    sample: int
    before: Float[Tensor, "channels height width"]
    after: Float[Tensor, "channels height width"]
    pixels_before: int
    pixels_after: int


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
    """The images of a sheet about a concept.

    Args:
        originals: The samples.
        edits: That were measured.
        counts: What was measured.
        concept: Whose pixels are told.
        n_rows: How many samples at most.
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
    """Images of some rows of the samples, before and after edits, made again in their own blocks.

    Args:
        originals: The samples.
        edits: See ``intervene``.
        chosen: Rows, in any order; the pairs come in it.
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
            # Copies, so that a block is not kept for the sake of one image.
            pairs[row] = plain[place].clone(), edited[place].clone()
    return [pairs[row] for row in chosen]


def draw_sheet(rows: Sequence[Row], *, title: str, subtitle: str, concept: str) -> bytes:
    """``draw_pairs`` with the pixels of a concept under each row."""
    captions = [
        f"sample {row.sample}: {concept} {row.pixels_before:,} to {row.pixels_after:,} pixels"
        for row in rows
    ]
    pairs = [(row.before, row.after) for row in rows]
    return draw_pairs(pairs, captions, title=title, subtitle=subtitle)


def draw_pairs(
    pairs: Sequence[Pair], captions: Sequence[str], *, title: str, subtitle: str
) -> bytes:
    """Lay pairs out as a PNG: before, after, and where and how much they differ.

    The difference is the mean over channels of |after − before| / 2, white where nothing changed
    and black where a pixel went from one end of the range to the other.
    """
    width = 3 * _TILE + 4 * _GAP
    height = _HEAD + len(pairs) * (_TILE + _CAPTION) + _GAP
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, _GAP), _fit(draw, title, 15, width), fill=_INK, font=_font(15))
    draw.text((_GAP, 28), _fit(draw, subtitle, 12, width), fill=_QUIET, font=_font(12))
    lefts = [_GAP + place * (_TILE + _GAP) for place in range(3)]
    for left, name in zip(lefts, ("before", "after", "difference"), strict=True):
        draw.text((left, 46), name, fill=_QUIET, font=_font(12))
    for place, ((before, after), caption) in enumerate(zip(pairs, captions, strict=True)):
        top = _HEAD + place * (_TILE + _CAPTION)
        change = (after.clamp(-1, 1) - before.clamp(-1, 1)).abs().mean(dim=0, keepdim=True)
        for left, image in zip(lefts, (before, after, 1 - change), strict=True):
            picture = to_picture(image).resize((_TILE, _TILE), Image.Resampling.LANCZOS)
            sheet.paste(picture, (left, top))
        fitting = _fit(draw, caption, 12, width)
        draw.text((_GAP, top + _TILE + 4), fitting, fill=_INK, font=_font(12))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def _fit(draw: ImageDraw.ImageDraw, text: str, size: int, width: int) -> str:
    """Text cut to the sheet's width; Pillow's own font has neither arrows nor an ellipsis."""
    shown = text
    while len(shown) > 3 and draw.textlength(shown, font=_font(size)) > width - 2 * _GAP:
        shown = shown.removesuffix("...")[:-1].rstrip() + "..."
    return shown
