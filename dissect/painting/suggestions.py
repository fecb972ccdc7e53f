"""Alternatives for a stroke that did not work: other units, another image, another concept.

Every suggestion was tried with the painted shape and judged like the stroke itself
(``dissect.painting.verdict``).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from dissect.errors import DissectError
from dissect.painting.brushes import Shape, candidates, trial_rows, try_stroke
from dissect.painting.canvas import Canvas
from dissect.painting.recipe import Painting
from dissect.painting.strokes import DRAW, Stroke
from dissect.painting.verdict import Verdict, compare, judge, summarise

_STRENGTHS = (1.0, 3.0)
_IMAGES = 16  # images of the canvas' search to try
_CONCEPTS = 4  # concepts of the same plane to try


@dataclass(frozen=True)
class Advice:
    """Further results for a stroke besides its verdict.

    Attributes:
        verdict: Verdict of the stroke.
        elsewhere: Result of the same stroke in other images, in one sentence; "" if it could not
            be tried.
        suggestions: Alternatives that work with this shape, a few words each; empty if the stroke
            worked, or if no alternative works.
        n_tried: Number of settings, images and concepts that were tried.
    """

    verdict: Verdict
    elsewhere: str
    suggestions: tuple[str, ...] = ()
    n_tried: int = 0

    @property
    def lines(self) -> list[str]:
        """Sentences for people, the verdict first."""
        lines = [self.verdict.words]
        if self.elsewhere:
            lines.append(f"the same stroke {self.elsewhere}")
        if self.suggestions:
            lines.append(f"with this shape works: {'; '.join(self.suggestions)}")
        elif self.n_tried:
            lines.append(
                f"nothing that was tried works with this shape ({self.n_tried} settings of other "
                "layers, images and concepts)"
            )
        return lines


def advise(canvas: Canvas, painting: Painting) -> Advice:
    """Judge the last stroke; if it did not work, search for alternatives.

    Args:
        canvas: Models of the run.
        painting: A painting with at least one stroke.

    Raises:
        DissectError: see ``judge``.
    """
    verdict, stroke = judge(canvas, painting), painting.strokes[-1]
    if not stroke.concept:
        return Advice(verdict, "")
    shape = Shape(stroke.box, stroke.mask)
    rows = trial_rows(canvas, stroke.concept, stroke.mode, shape)
    elsewhere = summarise(try_stroke(canvas, stroke, rows)) if rows else ""
    if verdict.worked is not False:
        return Advice(verdict, elsewhere)
    bare = replace(painting, strokes=painting.strokes[:-1])
    tried = 0
    found: list[str] = []
    for search in (_other_units, _other_images, _other_concepts):
        best: tuple[float, str] | None = None
        for words, one in search(canvas, bare, stroke):
            tried += 1
            if one.worked and (best is None or one.gain > best[0]):
                best = (one.gain, f"{words} ({one.concept} {one.change:+,} px)")
        if best is not None:
            found.append(best[1])
    return Advice(verdict, elsewhere, tuple(found), tried)


def _other_units(canvas: Canvas, bare: Painting, stroke: Stroke) -> Iterator[tuple[str, Verdict]]:
    """The same concept with units of other layers, few and many, weak and strong."""
    concept, mode = str(stroke.concept), stroke.mode
    shape = Shape(stroke.box, stroke.mask)
    strengths = _STRENGTHS if mode == DRAW else (1.0,)
    for candidate in candidates(canvas, concept, mode):
        for size in sorted({candidate.sizes[0], candidate.sizes[-1]}):
            for strength in strengths:
                other = candidate.stroke(shape, mode, concept, size, strength)
                verdict = _judge(canvas, bare, other)
                if verdict is not None:
                    yield f"{size} units of {candidate.layer} at strength {strength:g}", verdict


def _other_images(canvas: Canvas, bare: Painting, stroke: Stroke) -> Iterator[tuple[str, Verdict]]:
    """The same stroke on other samples of the run's seed."""
    rows = trial_rows(canvas, str(stroke.concept), stroke.mode, Shape(stroke.box, stroke.mask))
    many = range(min(_IMAGES, canvas.search.n_samples))
    chosen = list(dict.fromkeys([*rows, *many]))[:_IMAGES]
    if not chosen or bare.label is not None:
        return
    for row, verdict in zip(chosen, try_stroke(canvas, stroke, chosen), strict=True):
        yield f"this stroke on sample {canvas.search.sample_of_row(row)}", verdict


def _other_concepts(
    canvas: Canvas, bare: Painting, stroke: Stroke
) -> Iterator[tuple[str, Verdict]]:
    """Other concepts of the same plane, each with the units that match it best."""
    shape, vocabulary = Shape(stroke.box, stroke.mask), canvas.vocabulary
    plane = vocabulary[str(stroke.concept)].plane
    names = [one.name for one in vocabulary.in_plane(plane) if one.name != stroke.concept]
    pixels = canvas.search.pixels().sum(axis=0)
    names.sort(key=lambda name: -pixels[vocabulary[name].id - 1])
    strength = _STRENGTHS[-1] if stroke.mode == DRAW else 1.0
    for name in names[:_CONCEPTS]:
        candidate = candidates(canvas, name, stroke.mode, n_layers=1)[0]
        size = candidate.sizes[-1]
        verdict = _judge(canvas, bare, candidate.stroke(shape, stroke.mode, name, size, strength))
        if verdict is not None:
            words = "here, " + ("draw" if stroke.mode == DRAW else "remove")
            yield f"{words} {name} with {size} units of {candidate.layer}", verdict


def _judge(canvas: Canvas, bare: Painting, stroke: Stroke) -> Verdict | None:
    """Verdict on the painted image; None if it would contain NaN or infinity."""
    try:
        after = canvas.paint(replace(bare, strokes=(*bare.strokes, stroke)))
    except DissectError:
        return None
    before = canvas.paint(bare)
    return compare(before.planes[None], after.planes[None], stroke, canvas.vocabulary)[0]
