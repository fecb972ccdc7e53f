"""Start samples: the samples on which a stroke works best, found by painting it on several."""

from collections.abc import Sequence
from dataclasses import dataclass

from dissect.painting.brushes import try_stroke
from dissect.painting.canvas import N_SEARCH, Canvas
from dissect.painting.strokes import Stroke
from dissect.painting.verdict import Verdict

N_TRIED = 24
"""Number of samples on which a stroke is tried."""
_AT_ONCE = 8


@dataclass(frozen=True)
class Start:
    """A sample and the result of a stroke on it.

    Attributes:
        index: Index of the sample, with the run's seed.
        verdict: Result of the stroke.
    """

    index: int
    verdict: Verdict


def best_starts(canvas: Canvas, stroke: Stroke, *, most: int = 6) -> list[Start]:
    """Samples not in the run on which a stroke gains most, best first.

    Args:
        canvas: Models of the run.
        stroke: A stroke for a concept; it is painted on ``N_TRIED`` samples.
        most: Largest number of results; only samples on which it worked.

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
