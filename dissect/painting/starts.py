"""Samples to start from: those in which a stroke works best, found by painting it on them."""

from collections.abc import Sequence
from dataclasses import dataclass

from dissect.painting.brushes import try_stroke
from dissect.painting.canvas import N_SEARCH, Canvas
from dissect.painting.strokes import Stroke
from dissect.painting.verdict import Verdict

N_TRIED = 24
"""Samples that a stroke is tried on."""
_AT_ONCE = 8


@dataclass(frozen=True)
class Start:
    """A sample and what a stroke did in it.

    Attributes:
        index: Of the sample, of the run's seed.
        verdict: What the stroke did.
    """

    index: int
    verdict: Verdict


def best_starts(canvas: Canvas, stroke: Stroke, *, most: int = 6) -> list[Start]:
    """Samples that the run has not seen in which a stroke gains most, the best first.

    Args:
        canvas: Models of the run.
        stroke: For a concept; it is painted on ``N_TRIED`` samples.
        most: At most so many, of those in which it worked.

    Raises:
        DissectError: see ``try_stroke``.
    """
    rows = list(range(min(N_TRIED, N_SEARCH)))
    found = [
        Start(canvas.search.sample_of_row(row), verdict)
        for part in _parts(rows)
        for row, verdict in zip(part, try_stroke(canvas, stroke, part), strict=True)
    ]
    worked = [start for start in found if start.verdict.worked]
    return sorted(worked, key=lambda start: -start.verdict.gain)[:most]


def _parts(rows: Sequence[int]) -> list[list[int]]:
    return [list(rows[at : at + _AT_ONCE]) for at in range(0, len(rows), _AT_ONCE)]
