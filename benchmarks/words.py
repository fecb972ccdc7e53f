"""Edits by words, held against chance: the tables of docs/text.md.

    python -m benchmarks.words paint [--word "a tree=tree" …] [--trials 20] [--out FILE]
    python -m benchmarks.words edits [--images 8] [--out FILE]

``paint``: a random box of a sample, which holds almost none of a concept, is painted with words;
how often does the segmenter then see the concept there? Chance: the box drawn with the styles of
another sample instead.

``edits``: "a house at night", "clouds", "snow" and "autumn trees" by global directions and by
optimisation, each beside random directions of the same length: how far does each attribute move?

With ``--out`` each finished trial is a line of the file (and the effects of channels a file beside
it), and a stopped command continues there.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dissect import load_generator
from dissect.directions.effects import Effects, measure_effects
from dissect.directions.rescoring import rescore, step_length
from dissect.directions.samples import AttributeReader
from dissect.edits.regions import Region, box
from dissect.generators.styled import StyledGenerator
from dissect.latents import Latent
from dissect.text.channel_effects import measure_effects as measure_channels
from dissect.text.global_directions import global_edit
from dissect.text.optimise import optimise
from dissect.text.paint import composite, masked_styles, paint
from dissect.text.scorer import TextScorer
from dissect.text.settings import PaintSettings
from segmenters.clip_models import load_clip
from segmenters.registry import load_predictor, load_segmenter

GENERATOR, SEED = "scenes-stylegan2", 11
WORDS = ("a tree=tree", "a brick house=house", "snow=snow")
SEEN, ABSENT = 0.25, 0.05
"""Share of a box from which a concept counts as seen, and up to which as absent."""
SEARCH = PaintSettings()
EDITS = {
    "a house at night": ("a house by day", "lighting"),
    "clouds": ("a clear sky", "cloudiness"),
    "snow": ("grass", "season"),
    "autumn trees": ("green trees", "season"),
}
"""Words → neutral words, and the attribute that they should move."""
DRAWS = 20
STRENGTH = 3.0
"""α of global directions."""
_FRESH = 1_000_000  # samples that are edited start here
_OTHER = 100_000  # samples whose styles are the chance level start here


@dataclass(frozen=True)
class Models:
    """What both cases need."""

    generator: StyledGenerator
    scorer: TextScorer

    @classmethod
    def load(cls) -> "Models":
        torch.set_num_threads(1)
        generator = load_generator(GENERATOR)
        assert isinstance(generator, StyledGenerator)
        clip = load_clip("scenes-clip")
        return cls(generator, TextScorer(clip, templates=clip.known_templates()))

    @property
    def fingerprints(self) -> dict[str, str]:
        return {"generator": self.generator.fingerprint[:12], "words": self.scorer.fingerprint[:12]}


class Lines:
    """Results, a line of JSON each; those of the same weights are kept from an earlier command."""

    def __init__(self, path: Path | None, about: dict[str, str]) -> None:
        self.path, self.about, self.rows = path, about, []
        if path is not None and path.exists():
            for line in path.read_text().splitlines():
                row = json.loads(line)
                if row.pop("about", None) == about:
                    self.rows.append(row)

    def add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps({**row, "about": self.about}) + "\n")


def paint_trials(words: list[str], n_trials: int, out: Path | None) -> dict[str, Any]:
    """Shares of the trials in which the segmenter sees what was to be painted."""
    models = Models.load()
    segmenter = load_segmenter("scenes")
    lines = Lines(out, models.fingerprints)
    generator = models.generator
    for pair in words:
        word, _, concept = pair.partition("=")
        concept_id = segmenter.vocabulary[concept].id

        def share(image: torch.Tensor, region: Region) -> float:
            marked = (segmenter.segment(image.clamp(-1, 1)) == concept_id)[0].any(dim=0)  # noqa: B023
            return float(marked.numpy()[region > 0].mean())

        done = {row["trial"] for row in lines.rows if row["pair"] == pair}
        for trial, index, region in _boxes(generator, share, n_trials):
            if trial in done:
                continue
            latent = generator.sample([index], seed=SEED)
            painted = paint(generator, models.scorer, latent, region, word, SEARCH, seed=trial)
            other = _other_styles(generator, latent, region, _OTHER + trial)
            lines.add(
                {
                    "pair": pair, "trial": trial, "before": share(painted.original, region),
                    "after": share(painted.image, region), "chance": share(other, region),
                    "distances": painted.distances, "leak": painted.leak.mean,
                    "unmasked": painted.unmasked.mean,
                    "outside": _same_outside(painted.image, painted.original, region),
                }
            )  # fmt: skip
    rows = [row for row in lines.rows if row["pair"] in words and row["trial"] < n_trials]
    return {"weights": models.fingerprints, "seen": SEEN, **_shares(rows)}


def _boxes(
    generator: StyledGenerator, share: Any, n_trials: int
) -> Iterator[tuple[int, int, Region]]:
    """A sample and a box of 20 to 32 pixels that holds almost none of the concept, per trial."""
    size = generator.image_size
    for trial in range(n_trials):
        draws = np.random.default_rng([SEED, trial])
        while True:
            index = int(draws.integers(10_000))
            height, width = draws.integers(20, 33, 2)
            top = int(draws.integers(size // 4, size - height + 1))
            left = int(draws.integers(0, size - width + 1))
            region = box(size, (top, left, top + int(height), left + int(width)))
            with torch.no_grad():
                image = generator.synthesize(generator.sample([index], seed=SEED))
            if share(image, region) < ABSENT:
                yield trial, index, region
                break


@torch.no_grad()
def _other_styles(
    generator: StyledGenerator, latent: Latent, region: Region, index: int
) -> torch.Tensor:
    styles = generator.convert(latent, "s").data
    original = generator.synthesize(latent)
    with masked_styles(generator, styles, region, smallest=SEARCH.smallest):
        other = generator.synthesize(generator.sample([index], seed=SEED))
    return composite(other, original, region)


def _same_outside(image: torch.Tensor, original: torch.Tensor, region: Region) -> bool:
    outside = torch.tensor(region == 0)
    return torch.equal(image[..., outside], original[..., outside])


def _shares(rows: list[dict[str, Any]]) -> dict[str, Any]:
    by_pair = defaultdict(list)
    for row in rows:
        by_pair[row["pair"]].append(row)
    return {
        pair: {
            "trials": len(own),
            "seen": sum(row["after"] >= SEEN for row in own),
            "by chance": sum(row["chance"] >= SEEN for row in own),
            "share of the box": round(float(np.mean([row["after"] for row in own])), 3),
            "share by chance": round(float(np.mean([row["chance"] for row in own])), 3),
            "distance before": round(float(np.mean([row["distances"][0] for row in own])), 3),
            "distance after": round(float(np.mean([row["distances"][-1] for row in own])), 3),
            "leak": round(float(np.mean([row["leak"] for row in own])), 2),
            "leak unmasked": round(float(np.mean([row["unmasked"] for row in own])), 2),
            "outside equal": sum(row["outside"] for row in own),
        }
        for pair, own in by_pair.items()
    }


def edit_table(n_images: int, out: Path | None) -> dict[str, Any]:
    """Changes of all attributes by words, in their deviations, beside random directions."""
    models = Models.load()
    reader = AttributeReader([load_predictor("scenes")])
    lines = Lines(out, models.fingerprints)
    done = {row["way"] for row in lines.rows}
    wanted = [target for target in EDITS if f"global {target}" not in done]
    if wanted:
        file = None if out is None else out.with_suffix(".safetensors")
        table = measure_channels(models.generator, models.scorer, n_images=n_images, out=file)
        for target in wanted:
            direction = global_edit(table, models.scorer, target, EDITS[target][0]).direction
            assert direction is not None  # the texts differ
            length = STRENGTH * float(np.linalg.norm(direction.vector))
            effects = rescore(
                models.generator, reader, [direction], n_samples=3 * n_images, draws=DRAWS,
                strength=length / step_length(models.generator, direction, seed=0),
            )  # fmt: skip
            lines.add({"way": f"global {target}", "rows": _rows(effects)})
    for target in EDITS:
        way = f"optimise {target}"
        if way not in done:
            effects = _optimised(models, reader, target, n_images)
            lines.add({"way": way, "rows": _rows(effects)})
    return {"weights": models.fingerprints, "ways": lines.rows}


def _optimised(models: Models, reader: AttributeReader, target: str, n_images: int) -> Effects:
    """Effects of the optimisation, beside steps of the same length in w+, one draw per image."""
    generator = models.generator
    samples = generator.sample(range(_FRESH, _FRESH + n_images), seed=SEED)
    start = generator.convert(samples, "w+")
    scorer = TextScorer(models.scorer.towers, templates=models.scorer.templates, n_crops=1)
    ends = [optimise(generator, scorer, start, target, n_steps=40).latent.data]
    lengths = (ends[0] - start.data).flatten(1).norm(dim=1)
    draws = torch.Generator().manual_seed(SEED)
    for _ in range(DRAWS):
        noise = torch.randn(start.data.shape, generator=draws)
        size = lengths / noise.flatten(1).norm(dim=1)
        ends.append(start.data + size[:, None, None] * noise)
    with torch.no_grad():
        values = np.stack(
            [reader.read(generator.synthesize(Latent("w+", x))) for x in [start.data, *ends]]
        )
        fresh = generator.sample(range(_FRESH, _FRESH + 100), seed=SEED)
        deviations = reader.read(generator.synthesize(fresh)).std(axis=0)
    return measure_effects(
        values[0], values[1:2], values[2:], names=[target], attributes=reader.attributes,
        deviations=deviations,
    )  # fmt: skip


def _rows(effects: Effects) -> list[dict[str, Any]]:
    rows = []
    for row, name in enumerate(effects.names):
        attribute = EDITS[name][1]
        own = effects.attributes.index(attribute)
        others = [k for k in range(len(effects.attributes)) if k != own]
        signed, floor = effects.signed[row], effects.floor[row]
        most = others[int(np.argmax(np.abs(signed[others])))]
        rows.append(
            {
                "words": name, "attribute": attribute, "change": round(float(signed[own]), 2),
                "interval": [round(float(v[row, own]), 2) for v in (effects.low, effects.high)],
                "random": round(float(floor[own]), 2),
                "others": round(float(np.abs(signed[others]).mean()), 2),
                "others random": round(float(floor[others].mean()), 2),
                "most other": [effects.attributes[most], round(float(signed[most]), 2)],
                "all": dict(
                    zip(effects.attributes, [round(float(v), 2) for v in signed], strict=True)
                ),
            }
        )  # fmt: skip
    return rows


def main() -> None:
    """Measure a case and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", choices=("paint", "edits"))
    parser.add_argument("--word", action="append", help="WORDS=CONCEPT of the segmenter")
    parser.add_argument("--trials", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--images", type=int, default=8, help="default: %(default)s")
    parser.add_argument("--out", type=Path, help="file of finished trials")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.case == "paint":
        found = paint_trials(options.word or list(WORDS), options.trials, options.out)
    else:
        found = edit_table(options.images, options.out)
    text = json.dumps(found) if options.json else json.dumps(found, indent=1)
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
