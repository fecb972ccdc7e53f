"""Effects of directions: the figures and strips of docs/directions.md.

    python -m benchmarks.directions [--case scenes|faces] [--budget whole|small] [--strips FOLDER]

``scenes``: boundaries of the seven attributes in w of scenes-stylegan2, scored beside 20 random
directions of equal length, which space is more disentangled (z, w, w+, s, the units of a layer),
view and lighting layer by layer (layers that draw one size together), five directions of SeFa by
name, and a card. ``faces``: smile, yaw and gender in z of faces-dcgan with the predictor
``faces-attributes``, as they are and with other attributes kept. Strips go to FOLDER as WebP.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dissect import load_generator
from dissect.directions.boundary import condition, fit_boundary
from dissect.directions.card import describe_card, measure_card
from dissect.directions.direction import Direction, Provenance
from dissect.directions.disentanglement import describe_spaces, measure_spaces
from dissect.directions.effects import Effects
from dissect.directions.fitting import fit_directions
from dissect.directions.naming import describe_meanings, name_directions
from dissect.directions.question import FitQuestion
from dissect.directions.rescoring import rescore, rescore_layers
from dissect.directions.samples import AttributeReader, score_samples
from dissect.directions.strips import draw_random_strip, draw_strip
from dissect.generators.base import Generator
from segmenters.registry import load_predictor

SCENES = ("lighting", "cloudiness", "season", "view")
FACES = ("happy", "yaw", "gender")
EXPRESSIONS = ("neutral", "sad", "angry", "fearful", "disgusted", "surprised")
REST = ("age", "gender", "yaw", "pitch")
KEPT = {
    "happy, other expressions kept": EXPRESSIONS,
    "happy, all others kept": (*EXPRESSIONS, *REST),
    "yaw, all others kept": ("happy", *EXPRESSIONS, "age", "gender", "pitch"),
    "gender, age kept": ("age",),
}
"""Direction, named by its attribute and the kept ones → the attributes that it keeps."""
UNITS = "b16.conv1"
"""Layer of scenes-stylegan2 whose units form a space of the table."""


@dataclass(frozen=True)
class Budget:
    """Number of images of a case.

    Args:
        fitted: Samples for fitting boundaries.
        fresh: Fresh images for measuring effects.
        draws: Number of random directions.
        edited: Fresh images for the layers, for SeFa and for the card.
        coded: Samples for the table of spaces.
        moved: Fresh images for its attribute dependency.
    """

    fitted: int
    fresh: int
    draws: int
    edited: int
    coded: int
    moved: int


BUDGETS = {"whole": Budget(1000, 150, 20, 60, 300, 16), "small": Budget(500, 50, 20, 24, 240, 8)}


def scenes(strips: Path | None, budget: Budget) -> dict[str, Any]:
    """Run the whole case; prints intermediate results."""
    generator = load_generator("scenes-stylegan2")
    reader = AttributeReader([load_predictor("scenes")])
    results: dict[str, Any] = {"weights": _say_weights(generator, budget)}
    boundaries = fit_directions(generator, FitQuestion(n_samples=budget.fitted), reader=reader)
    effects = rescore(generator, reader, boundaries, n_samples=budget.fresh, draws=budget.draws)
    results["boundaries"] = _plain(effects, "Boundaries in w")
    by_name = {one.name: one for one in boundaries}
    _draw(strips, "scenes", generator, [by_name[name] for name in SCENES])
    spaces = measure_spaces(
        generator, reader, ("z", "w", "w+", "s", UNITS), n_samples=budget.coded,
        n_edited=budget.moved,
    )  # fmt: skip
    print(
        describe_spaces(
            spaces, generator=generator.name, attributes=reader.attributes, n_samples=budget.coded
        ),
        "",
        sep="\n",
    )
    results["spaces"] = {
        one.space: {
            name: [getattr(one, name).value, getattr(one, name).low, getattr(one, name).high]
            for name in ("disentanglement", "completeness", "informativeness", "dependency")
        }
        | {"chance": one.chance, "reached": one.reached}
        for one in spaces
    }
    n_layers = generator.spaces["w+"].shape[0]
    for name in ("view", "lighting"):
        layers = rescore_layers(
            generator, reader, by_name[name], n_samples=budget.edited, draws=2,
            groups=[[0], *([k, k + 1] for k in range(1, n_layers - 1, 2)), [n_layers - 1]],
        )  # fmt: skip
        results[f"layers of {name}"] = _plain_layers(layers, name)
    sefa = fit_directions(generator, FitQuestion(method="sefa", n_directions=5))
    found = rescore(generator, reader, sefa, n_samples=budget.edited, draws=10)
    results["sefa"] = _plain(found, "SeFa")
    card = measure_card(
        generator, reader, by_name["view"], "view", n_samples=budget.edited, draws=3
    )
    print(describe_card(card), "", sep="\n")
    results["card"] = card
    return results


def faces(strips: Path | None, budget: Budget) -> dict[str, Any]:
    """Directions of the DCGAN of faces, some conditioned on other attributes."""
    generator = load_generator("faces-dcgan")
    predictor = load_predictor("faces-attributes")
    reader = AttributeReader([predictor])
    results: dict[str, Any] = {"weights": _say_weights(generator, budget)}
    (samples,) = score_samples(generator, reader, spaces=["z"], n_samples=budget.fitted)
    normals = {
        name: fit_boundary(samples.points, samples.score(name)).normal for name in reader.attributes
    }
    found = {name: normals[name] for name in FACES}
    for title, kept in KEPT.items():
        attribute = title.partition(",")[0]
        found[title] = condition(normals[attribute], [normals[one] for one in kept])
    about = Provenance("boundary", {}, {"generator": generator.fingerprint})
    directions = [
        Direction(name, "z", normal.reshape(samples.points.shape[1:]), provenance=about)
        for name, normal in found.items()
    ]
    effects = rescore(generator, reader, directions, n_samples=budget.fresh, draws=budget.draws)
    results["boundaries"] = _plain(effects, "Boundaries in z")
    _draw(strips, "faces", generator, [one for one in directions if one.name in ("happy", "yaw")])
    return results


def _say_weights(generator: Generator, budget: Budget) -> str:
    print(
        f"{generator.name}, weights {generator.fingerprint[:12]}, {budget.fitted} samples fitted, "
        f"{budget.fresh} fresh images, {budget.draws} random directions",
        "",
        sep="\n",
    )
    return generator.fingerprint


def _plain(effects: Effects, title: str) -> dict[str, Any]:
    print(title, describe_meanings(name_directions(effects), effects), "", sep="\n")
    return {
        name: {
            attribute: [round(float(v), 3) for v in (
                effects.signed[row, k], effects.low[row, k], effects.high[row, k],
                effects.floor[row, k],
            )]
            for k, attribute in enumerate(effects.attributes)
        }
        for row, name in enumerate(effects.names)
    }  # fmt: skip


def _plain_layers(effects: Effects, attribute: str) -> dict[str, Any]:
    column = effects.attributes.index(attribute)
    print(f"{attribute}, layer by layer (floor)")
    for row, name in enumerate(effects.names):
        value, floor = effects.signed[row, column], effects.floor[row, column]
        print(f"  {name:>3} {value:+.2f} ({floor:.2f}) {'#' * round(abs(value) * 40)}")
    print()
    return {
        name: [
            round(float(effects.signed[row, column]), 3),
            round(float(effects.floor[row, column]), 3),
        ]
        for row, name in enumerate(effects.names)
    }


def _draw(
    folder: Path | None, case: str, generator: Generator, directions: Sequence[Direction]
) -> None:
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for one in directions:
        (folder / f"directions-{case}-{one.name}.webp").write_bytes(draw_strip(generator, one))
    (folder / f"directions-{case}-random.webp").write_bytes(
        draw_random_strip(generator, directions[0])
    )


CASES = {"scenes": scenes, "faces": faces}


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--case", choices=CASES, default="scenes")
    parser.add_argument("--strips", type=Path)
    parser.add_argument("--budget", choices=BUDGETS, default="whole", help="how many images")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    started = time.perf_counter()
    results = CASES[options.case](options.strips, BUDGETS[options.budget])
    if options.json:
        print(json.dumps(results | {"seconds": round(time.perf_counter() - started)}))


if __name__ == "__main__":
    main()
