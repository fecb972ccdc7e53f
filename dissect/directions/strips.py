"""Strips: pictures of the effect of a direction, one row per sample."""

import io
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from dissect.directions.direction import Direction
from dissect.directions.rescoring import equal_moves, random_direction, step_length
from dissect.directions.samples import FRESH, WHOLE, Truncation, check_steered, truncate
from dissect.edits.applying import intervene
from dissect.generators.base import Generator
from dissect.pictures import to_picture

STRENGTHS = (-4.0, -2.0, 0.0, 2.0, 4.0)
"""Strengths of the pictures in a row, in deviations of the space."""
ROWS, TILE = 3, 80
_GAP = 2


@torch.no_grad()
def draw_strip(
    generator: Generator,
    direction: Direction,
    *,
    strengths: Sequence[float] = STRENGTHS,
    rows: int = ROWS,
    tile: int = TILE,
    seed: int = 0,
    first: int = FRESH,
    unit: float | None = None,
    truncation: Truncation = WHOLE,
    label: int | None = None,
) -> bytes:
    """A WebP picture: one row per sample, one column per strength.

    Args:
        generator: Generator of the direction.
        direction: The direction.
        strengths: Strengths of the columns, in ``unit``, which is the same length for all
            directions of a space.
        rows: Number of samples.
        tile: Height and width of a picture.
        seed: Seed of the samples.
        first: Index of the first sample.
        unit: Length of a step of 1; None takes σ̄ of the space (``rescoring.step_length``).
        truncation: Truncation of the samples.
        label: Class of the samples; None: each draws its own.

    Raises:
        DissectError: a direction that does not fit the generator, or its truncated samples.
    """
    check_steered(generator, direction.space, truncation)
    step = step_length(generator, direction, seed=seed) if unit is None else unit
    drawn = generator.sample(range(first, first + rows), seed=seed, label=label)
    latent = truncate(generator, drawn, truncation)
    columns = []
    for strength in strengths:
        moves = equal_moves(generator, direction, strength * step, truncation=truncation)
        with intervene(generator, moves):
            columns.append(generator.synthesize(latent).cpu())
    pictures = [
        [
            np.asarray(to_picture(column[row]).resize((tile, tile), Image.Resampling.LANCZOS))
            for column in columns
        ]
        for row in range(rows)
    ]
    return _encode(_tile(pictures, tile))


def draw_random_strip(
    generator: Generator,
    direction: Direction,
    *,
    seed: int = 0,
    tile: int = TILE,
    truncation: Truncation = WHOLE,
    label: int | None = None,
) -> bytes:
    """The strip of a random direction of the same space, for comparison."""
    return draw_strip(
        generator, random_direction(direction, 0, seed=seed), seed=seed, tile=tile,
        truncation=truncation, label=label,
    )  # fmt: skip


def _tile(pictures: Sequence[Sequence[UInt8[np.ndarray, "t t 3"]]], tile: int) -> np.ndarray:
    n_rows, n_columns = len(pictures), len(pictures[0])
    side = tile + _GAP
    sheet = np.full((n_rows * side - _GAP, n_columns * side - _GAP, 3), 255, np.uint8)
    for r, row in enumerate(pictures):
        for c, picture in enumerate(row):
            sheet[r * side : r * side + tile, c * side : c * side + tile] = picture
    return sheet


def _encode(sheet: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "WEBP", quality=90, method=4)
    return buffer.getvalue()
