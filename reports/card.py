"""A share card: one picture of a run's results, 1200 × 630, the format of web link previews."""

import io
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from dissect.runs import Run
from dissect.runs.strips import TILE
from dissect.runs.summary import compare_axes, output_layers
from dissect.statistics.ladder import RUNGS
from reports import findings
from reports.naming import short_name

SIZE = (1200, 630)
_GROUND, _INK, _QUIET, _TRACK = "#ffffff", "#1a1c20", "#5b616b", "#eef0f3"
_MARGIN, _FINDINGS, _TILES = 48, 3, 6
_SIDE, _GAP = 120, 12  # pixels of a tile, and between rows of tiles


def draw_card(run: Run) -> bytes:
    """The clearest units with their images and numbers, as PNG; the same run gives the same bytes.

    The font is the one that comes with Pillow.
    """
    card = Image.new("RGB", SIZE, _GROUND)
    pen = ImageDraw.Draw(card)
    title = f"What do the units of {short_name(run.record['generator']['name'])} match?"
    _write(pen, (_MARGIN, 36), title, 42, _INK, SIZE[0] - 2 * _MARGIN)
    _write(pen, (_MARGIN, 94), _headline(run), 24, _QUIET, SIZE[0] - 2 * _MARGIN)
    found = findings.clearest(run, list(run.layers), _FINDINGS)
    top = 146
    for row in found:
        _finding(card, pen, run, row, top)
        top += _SIDE + _GAP
    if not found:
        _write(pen, (_MARGIN, top), "No unit is named after a concept.", 28, _INK, 1100)
    samples = f"{run.config.n_samples:,} samples, {short_name(run.record['segmenter']['name'])}"
    foot = f"gan-dissection · {samples} · run {run.record['fingerprint'][:12]}"
    _write(pen, (_MARGIN, 580), foot, 20, _QUIET, SIZE[0] - 2 * _MARGIN)
    buffer = io.BytesIO()
    card.save(buffer, "PNG")
    return buffer.getvalue()


def _headline(run: Run) -> str:
    table = run.table[run.table.is_label]
    text = f"{int(table.is_named.sum()):,} of {len(table):,} units are named"
    outputs = set(output_layers(run))
    axes = compare_axes(run, [layer for layer in run.layers if layer not in outputs])
    return text if axes is None else f"{text}; {axes.verdict.removesuffix(' here')}"


def _finding(card: Image.Image, pen: ImageDraw.ImageDraw, run: Run, row: Any, top: int) -> None:
    concept = run.vocabulary[str(row.concept)]
    if run.has_strips(row.layer):
        picture = Image.open(io.BytesIO(run.strip(row.layer, row.unit))).convert("RGB")
        shown = min(_TILES, picture.width // picture.height)
        strip = picture.crop((0, 0, shown * picture.height, picture.height))
        size = (shown * _SIDE, _SIDE)
        smooth = Image.Resampling.LANCZOS if picture.height >= TILE else Image.Resampling.NEAREST
        card.paste(strip.resize(size, smooth), (_MARGIN, top))
    left, room = _MARGIN + _TILES * _SIDE + 24, SIZE[0] - 2 * _MARGIN - _TILES * _SIDE - 24
    pen.rectangle((left, top + 12, left + 20, top + 32), fill=concept.colour, outline=_QUIET)
    _write(pen, (left + 32, top + 4), concept.name, 30, _INK, room - 32)
    place = f"{row.layer} unit {row.unit}, {RUNGS[int(row.rung)].name}"
    _write(pen, (left, top + 46), place, 20, _QUIET, room)
    pen.rectangle((left, top + 80, left + room, top + 90), fill=_TRACK)
    pen.rectangle(
        (left, top + 80, left + round(room * float(row.iou)), top + 90),
        fill=concept.colour, outline=_QUIET,
    )  # fmt: skip
    tick = left + round(room * float(row.chance))
    pen.rectangle((tick - 1, top + 76, tick + 1, top + 94), fill=_INK)
    numbers = f"IoU {row.iou:.2f}, by chance {row.chance:.2f}"
    _write(pen, (left, top + 96), numbers, 20, _INK, room)


def _write(
    pen: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, ink: str, room: int
) -> None:
    """Write a line of text, cut at the given width."""
    font = ImageFont.load_default(size)
    while len(text) > 1 and pen.textlength(text, font) > room:
        text = f"{text[:-2].rstrip()}…"
    pen.text(at, text, fill=ink, font=font)
