"""Result of a stroke in pixels and words, measured on the image on which it was painted.

    verdict = judge(canvas, painting)
    verdict.words     # "tree +215 px of 672 painted, mostly became grass +538"

A stroke **worked** if, in its region, the concept had a net gain of at least a tenth of the pixels
that could become it (to draw), or lost at least a quarter of its own (to remove). If it did not,
``dissect.painting.suggestions`` searches for a layer, an image or a concept with which it works.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from dissect.errors import ConfigError
from dissect.painting.canvas import Canvas
from dissect.painting.recipe import Painting
from dissect.painting.strokes import DRAW, Stroke
from dissect.studies.originals import count_pixels
from segmenters import Vocabulary

LEAST_DRAWN, LEAST_REMOVED = 0.1, 0.25
"""Smallest shares for which a stroke counts as working; see the module docstring."""
_MOST_NAMED = 2  # largest number of other concepts that a verdict names
_LEAST_NAMED = 0.02  # smallest share of the painted pixels that is named


@dataclass(frozen=True)
class Verdict:
    """Result of one stroke in its region.

    Attributes:
        mode: ``draw`` or ``remove``.
        concept: Concept of the stroke; "" for units chosen by hand.
        painted: Pixels of the stroke's region.
        before, after: Pixels of the concept in it.
        became: Other concepts with the pixels of the region that they gained, most first.
        elsewhere: Pixels outside of the region whose concept changed.
    """

    mode: str
    concept: str
    painted: int
    before: int
    after: int
    became: tuple[tuple[str, int], ...]
    elsewhere: int

    @property
    def change(self) -> int:
        """Net pixels that the concept gained."""
        return self.after - self.before

    @property
    def gain(self) -> float:
        """Share of the pixels that could change, and changed as intended."""
        if self.mode == DRAW:
            return self.change / max(1, self.painted - self.before)
        return -self.change / max(1, self.before)

    @property
    def worked(self) -> bool | None:
        """Whether it worked; None if nothing could change, or for units chosen by hand."""
        least, room = LEAST_REMOVED, self.before
        if self.mode == DRAW:
            least, room = LEAST_DRAWN, self.painted - self.before
        if not self.concept or room <= 0:
            return None
        return self.gain >= least

    @property
    def words(self) -> str:
        """The result in one sentence without its full stop."""
        named = [(name, pixels) for name, pixels in self.became if self._matters(pixels)]
        others = " and ".join(f"{name} {pixels:+,}" for name, pixels in named[:_MOST_NAMED])
        where = f"of {self.painted:,} painted" if self.painted else "painted"
        if not self.concept:
            shown = others or "no concept changed"
            return f"units by hand, {where.replace('of ', '')} px: {shown}{self._outside}"
        if self.mode == DRAW and self.before >= self.painted:
            return f"{self.concept} was there already, on all {self.painted:,} painted px"
        if self.mode != DRAW and not self.before:
            return f"no {self.concept} was where you painted{self._outside}"
        start = f"{self.concept} {self.change:+,} px {where}"
        if self.mode != DRAW:
            start = f"{self.concept} {self.change:+,} of {self.before:,} px"
        mostly = f", mostly became {others}" if others else ""
        if self.mode == DRAW and self.worked and others:
            mostly = f", some became {others}"
        failed = "" if self.worked else ": it did not work"
        return f"{start}{mostly}{failed}{self._outside}"

    def _matters(self, pixels: int) -> bool:
        return pixels >= max(1, _LEAST_NAMED * self.painted)

    @property
    def _outside(self) -> str:
        if not self.elsewhere:
            return ""
        return f"; {self.elsewhere:,} px changed elsewhere"


def judge(canvas: Canvas, painting: Painting, number: int = -1) -> Verdict:
    """Judge a stroke: compare the image with the strokes up to it and the image without it.

    Args:
        canvas: Models of the run.
        painting: A painting.
        number: Number of the stroke, from 0; −1 for the last one.

    Raises:
        ConfigError: a painting without such a stroke.
        DissectError: see ``Canvas.paint``.
    """
    if not -len(painting.strokes) <= number < len(painting.strokes):
        raise ConfigError(
            f"the painting has {len(painting.strokes)} strokes, so none of number {number}; "
            "expected one of them; paint first"
        )
    place = range(len(painting.strokes))[number]
    before = canvas.paint(replace(painting, strokes=painting.strokes[:place]))
    after = canvas.paint(replace(painting, strokes=painting.strokes[: place + 1]))
    return compare(
        before.planes[None], after.planes[None], painting.strokes[place], canvas.vocabulary
    )[0]


def judge_all(canvas: Canvas, painting: Painting) -> list[Verdict]:
    """The verdict of each stroke, in order."""
    return [judge(canvas, painting, number) for number in range(len(painting.strokes))]


def compare(
    before: Int[Tensor, "batch plane height width"],
    after: Int[Tensor, "batch plane height width"],
    stroke: Stroke,
    vocabulary: Vocabulary,
) -> list[Verdict]:
    """A verdict for each of several images.

    Args:
        before, after: Concepts of each pixel without the stroke, and with it.
        stroke: The painted stroke.
        vocabulary: Vocabulary of the segmenter.

    Raises:
        SegmenterError: a stroke for a concept that is not in the vocabulary.
    """
    region = torch.from_numpy(painted_pixels(stroke, before.shape[-1]))
    concept = vocabulary[stroke.concept] if stroke.concept else None
    own = None if concept is None else vocabulary.planes.index(concept.plane)
    planes = range(before.shape[1]) if own is None else [own]
    inside = [count_pixels(one * region, len(vocabulary)) for one in (before, after)]
    names = [one for one in vocabulary if vocabulary.planes.index(one.plane) in planes]
    changed = (before != after)[:, list(planes)] & ~region
    verdicts = []
    for row in range(len(before)):
        gained = {
            one.name: int(inside[1][row, one.id - 1] - inside[0][row, one.id - 1]) for one in names
        }
        others = [(name, pixels) for name, pixels in gained.items()
                  if pixels > 0 and (concept is None or name != concept.name)]  # fmt: skip
        verdicts.append(
            Verdict(
                mode=stroke.mode,
                concept="" if concept is None else concept.name,
                painted=int(region.sum()),
                before=0 if concept is None else int(inside[0][row, concept.id - 1]),
                after=0 if concept is None else int(inside[1][row, concept.id - 1]),
                became=tuple(sorted(others, key=lambda one: -one[1])),
                elsewhere=int(changed[row].any(dim=0).sum()),
            )
        )
    return verdicts


def painted_pixels(stroke: Stroke, image_size: int) -> Bool[np.ndarray, "height width"]:
    """Pixels of the image that a stroke marks; a mask of another size is resized to the nearest."""
    region = stroke.region(image_size)
    if region is None:
        return np.ones((image_size, image_size), bool)
    at = [(np.arange(image_size) * 2 + 1) * side // (2 * image_size) for side in region.shape]
    return region[np.ix_(*at)]


def summarise(verdicts: Sequence[Verdict]) -> str:
    """The results of a stroke in several images, in one sentence without its full stop."""
    changes = [verdict.change for verdict in verdicts]
    (first, *_) = verdicts
    worked = sum(verdict.worked is True for verdict in verdicts)
    became = _mean_of(verdict.became for verdict in verdicts)
    named = [(name, mean) for name, mean in became if mean >= max(1, _LEAST_NAMED * first.painted)]
    others = " and ".join(f"{name} {mean:+,.0f}" for name, mean in named[:_MOST_NAMED])
    mostly = f", the rest became {others}" if others else ""
    whole = (
        f" of {first.painted:,} painted"
        if first.mode == DRAW
        else (f" of {np.mean([one.before for one in verdicts]):,.0f}")
    )
    return (
        f"worked in {worked} of {len(verdicts)} other images: {first.concept} "
        f"{np.mean(changes):+,.0f} px{whole} on average{mostly}"
    )


def _mean_of(rows: Iterable[Sequence[tuple[str, int]]]) -> list[tuple[str, float]]:
    rows = list(rows)
    totals: dict[str, int] = {}
    for row in rows:
        for name, pixels in row:
            totals[name] = totals.get(name, 0) + pixels
    means = [(name, total / len(rows)) for name, total in totals.items()]
    return sorted(means, key=lambda one: -one[1])
