"""Share of a rectangle that becomes a concept painted there, over fresh samples.

    python -m benchmarks.insertion RUN [--samples 50] [--concepts tree door window] [--learned]
        [--layer LAYER]

Trees are painted into rectangles of ground of half the image's height, doors and windows into
rectangles of wall. For each concept one brush is found as on the paint page, with one rectangle, on
the trial samples. Then it is applied to ``--samples`` other samples of another seed, each with its
own rectangle: the place that has most ground (or wall) and none of the concept. Samples without
such a place are skipped. The control is the same number of units of the same layer that the brush
does not use (or all others, if fewer), drawn at random, held at the values of the brush; there is
none if the brush takes the whole layer. With ``--learned`` the brush may have values found by
gradient descent; the random units then learn values of their own, by the same steps on the same
samples.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from dissect.counting.samples import label_block, make_images
from dissect.painting.brushes import Box, Candidate, Shape, find_brush, learned_candidates
from dissect.painting.canvas import Canvas
from dissect.painting.strokes import DRAW, Stroke
from dissect.runs import open_run

_SEED = 77  # seed of the painted samples; no run of this project uses it
_LEAST_OF_PLACE = 0.8  # least share of a rectangle that is ground or wall


@dataclass(frozen=True)
class Case:
    """A concept, the surface it is painted on, and the rectangle as shares of the image's side."""

    concept: str
    into: str
    height: float
    width: float


CASES = (
    Case("tree", "ground", 1 / 2, 3 / 8),
    Case("door", "wall", 3 / 16, 1 / 8),
    Case("window", "wall", 1 / 8, 1 / 8),
)


def best_box(planes: torch.Tensor, canvas: Canvas, case: Case) -> Box | None:
    """The rectangle with most of the surface and none of the concept; None without one.

    Args:
        planes: Labels of one image, plane × height × width.
    """
    masks = []
    for name in (case.into, case.concept):
        entry = canvas.vocabulary[name]
        masks.append(planes[canvas.vocabulary.planes.index(entry.plane)] == entry.id)
    size = planes.shape[-1]
    height, width = round(size * case.height), round(size * case.width)
    place, own = (
        functional.avg_pool2d(mask[None, None].double(), (height, width), stride=1)[0, 0]
        for mask in masks
    )
    fit = place.where(own == 0, torch.zeros_like(place))
    if fit.max() < _LEAST_OF_PLACE:
        return None
    top, left = divmod(int(fit.argmax()), fit.shape[1])
    return top, left, top + height, left + width


def places(canvas: Canvas, case: Case, seed: int, n: int) -> Iterator[tuple[int, Box]]:
    """The first ``n`` samples of a seed with a place for the concept, and the place."""
    found = 0
    config = replace(canvas.run.config, seed=seed)
    for start in range(0, 200 * n, 32):
        indices = range(start, start + 32)
        images = make_images(canvas.generator, config, indices)
        for index, planes in zip(
            indices, label_block(canvas.segmenter, images, canvas.generator.image_size), strict=True
        ):
            box = best_box(planes, canvas, case)
            if box is not None:
                yield index, box
                found += 1
                if found == n:
                    return


def covered(canvas: Canvas, stroke: Stroke, seed: int, index: int) -> float:
    """Share of a stroke's rectangle that is its concept after painting."""
    blank = canvas.blank(seed=seed, index=index, truncation=1.0, label=None)
    after = canvas.paint(replace(blank, strokes=(stroke,))).planes
    entry = canvas.vocabulary[stroke.concept or ""]
    top, left, bottom, right = stroke.box or (0, 0, 0, 0)
    plane = after[canvas.vocabulary.planes.index(entry.plane), top:bottom, left:right]
    return float((plane == entry.id).double().mean())


@torch.no_grad()
def measure(
    canvas: Canvas, case: Case, n_samples: int, *, learned: bool, layer: str | None
) -> dict[str, object]:
    """Shares of the rectangles that became the concept; see the module docstring."""
    trial = next(places(canvas, case, _SEED + 1, 1), None)
    if trial is None:
        return {"concept": case.concept, "samples": 0}
    brush = find_brush(
        canvas, case.concept, DRAW, layer=layer, shape=Shape(box=trial[1]), learned=learned
    )
    units, values = brush.units[: brush.n_units], brush.values[: brush.n_units]
    others = sorted(set(range(canvas.run.layers[brush.layer].units)) - set(units))
    draws = np.random.Generator(np.random.Philox(key=[_SEED, 0]))
    shares: dict[str, list[float]] = {"brush": [], "random": []}
    fixed: Candidate | None = None
    if others and learned:
        drawn = sorted(map(int, draws.choice(others, min(len(units), len(others)), replace=False)))
        held = canvas.present_means(brush.layer, case.concept)[drawn]
        start = Candidate(brush.layer, tuple(drawn), tuple(map(float, held)), (len(drawn),), "")
        fixed = learned_candidates(canvas, case.concept, [start], Shape(box=trial[1]))[0]
    for index, box in places(canvas, case, _SEED, n_samples):
        stroke = Shape(box=box).stroke(
            DRAW, brush.layer, units, values, strength=brush.strength, concept=case.concept
        )
        shares["brush"].append(covered(canvas, stroke, _SEED, index))
        if not others:
            continue
        if fixed is not None:
            shape = Shape(box=box)
            random = fixed.stroke(shape, DRAW, case.concept, len(fixed.units), brush.strength)
        else:
            drawn = draws.choice(others, size=min(len(units), len(others)), replace=False)
            random = replace(
                stroke, units=tuple(sorted(map(int, drawn))), values=values[: len(drawn)]
            )
        shares["random"].append(covered(canvas, random, _SEED, index))
    result: dict[str, object] = {
        "concept": case.concept,
        "into": case.into,
        "rectangle": [round(canvas.generator.image_size * s) for s in (case.height, case.width)],
        "layer": brush.layer,
        "units": len(units),
        "of": canvas.run.layers[brush.layer].units,
        "strength": brush.strength,
        "how": brush.how,
        "samples": len(shares["brush"]),
    }
    for name, values_of in shares.items():
        if not values_of:
            result[name] = None  # the brush takes the whole layer
            continue
        found = np.array(values_of)
        half = 1.96 * found.std(ddof=1) / len(found) ** 0.5
        result[name] = [round(float(found.mean() + k * half), 3) for k in (0, -1, 1)]
    return result


def main() -> None:
    """Print one line for each concept."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, help="a run of scenes-stylegan2")
    parser.add_argument("--samples", type=int, default=50)
    parser.add_argument("--concepts", nargs="+", default=[case.concept for case in CASES])
    parser.add_argument("--layer", help="only in this layer; default: the brush chooses")
    parser.add_argument("--learned", action="store_true", help="try learned values too")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    canvas = Canvas(open_run(options.run))
    for case in CASES:
        if case.concept not in options.concepts:
            continue
        result = measure(
            canvas, case, options.samples, learned=options.learned, layer=options.layer
        )
        if options.json:
            print(json.dumps(result), flush=True)
        elif not result["samples"]:
            print(f"{case.concept}: no sample has a place for it", flush=True)
        else:
            print(
                "{concept} into {into} {rectangle}: {layer}, {units} of {of} units at {strength} "
                "times their value ({how}); share of the rectangle {brush} (mean, 95 % interval), "
                "random units {random}, {samples} samples".format(**result),
                flush=True,
            )


if __name__ == "__main__":
    main()
