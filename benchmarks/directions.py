"""What directions do: the figures and strips of docs/directions.md.

    python -m benchmarks.directions [--case scenes|faces] [--strips FOLDER] [--json]

``scenes``: boundaries of the seven attributes in w of scenes-stylegan2, scored beside 20 random
directions of equal length, view and lighting layer by layer, five directions of SeFa by name, and
which space is more disentangled. ``faces``: smile, yaw and gender in z of faces-dcgan with the
predictor ``faces-attributes``, gender with age kept. Strips go to FOLDER as WebP.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dissect import load_generator
from dissect.directions.boundary import condition, fit_boundary
from dissect.directions.card import describe_card, measure_card
from dissect.directions.direction import Direction, Provenance
from dissect.directions.disentanglement import describe_spaces, measure_space
from dissect.directions.effects import Effects
from dissect.directions.fitting import fit_directions
from dissect.directions.naming import describe_meanings, name_directions
from dissect.directions.question import FitQuestion
from dissect.directions.rescoring import rescore, rescore_layers
from dissect.directions.samples import AttributeReader, score_samples
from dissect.directions.strips import draw_random_strip, draw_strip
from dissect.generators.base import Generator
from segmenters.registry import load_predictor

DRAWS, SAMPLES = 20, 300
SCENES = ("lighting", "cloudiness", "season", "view")
FACES = ("age", "gender", "happy", "yaw")


def scenes(strips: Path | None) -> dict[str, Any]:
    """The whole case; prints as it goes."""
    generator = load_generator("scenes-stylegan2")
    reader = AttributeReader([load_predictor("scenes")])
    boundaries = fit_directions(generator, FitQuestion(n_samples=1000), reader=reader)
    effects = rescore(generator, reader, boundaries, n_samples=100, draws=DRAWS)
    told = {"boundaries": _plain(effects, "Boundaries in w")}
    by_name = {one.name: one for one in boundaries}
    for name in ("view", "lighting"):
        layers = rescore_layers(generator, reader, by_name[name], n_samples=60, draws=2)
        told[f"layers of {name}"] = _plain_layers(layers, name)
    sefa = fit_directions(generator, FitQuestion(method="sefa", n_directions=5))
    told["sefa"] = _plain(rescore(generator, reader, sefa, n_samples=60, draws=10), "SeFa")
    card = measure_card(generator, reader, by_name["view"], "view", n_samples=48, draws=3)
    print(describe_card(card), "", sep="\n")
    told["card"] = card
    _draw(strips, "scenes", generator, [by_name[name] for name in SCENES])
    spaces = [
        measure_space(generator, reader, space, n_samples=SAMPLES, n_edited=16)
        for space in ("z", "w", "s")
    ]
    print(
        describe_spaces(
            spaces, generator=generator.name, attributes=reader.attributes, n_samples=SAMPLES
        )
    )
    told["spaces"] = {
        one.space: [one.disentanglement.value, one.disentanglement.low, one.disentanglement.high]
        for one in spaces
    }
    return told


def faces(strips: Path | None) -> dict[str, Any]:
    """Directions of the DCGAN of faces, gender with age kept among them."""
    generator = load_generator("faces-dcgan")
    reader = AttributeReader([load_predictor("faces-attributes")], FACES)
    (samples,) = score_samples(generator, reader, spaces=["z"], n_samples=800)
    normals = {name: fit_boundary(samples.points, samples.score(name)).normal for name in FACES}
    normals["gender, age kept"] = condition(normals["gender"], [normals["age"]])
    about = Provenance("boundary", {}, {"generator": generator.fingerprint})
    found = [
        Direction(name, "z", normal.reshape(samples.points.shape[1:]), provenance=about)
        for name, normal in normals.items()
    ]
    effects = rescore(generator, reader, found, n_samples=100, draws=4)
    told = {"boundaries": _plain(effects, "Boundaries in z")}
    _draw(strips, "faces", generator, [one for one in found if one.name in ("happy", "yaw")])
    return told


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
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    started = time.perf_counter()
    told = CASES[options.case](options.strips)
    if options.json:
        print(json.dumps(told | {"seconds": round(time.perf_counter() - started)}))


if __name__ == "__main__":
    main()
