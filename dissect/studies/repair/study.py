"""Repair: which units draw what is not in the data, what their removal changes, as a recipe.

    repair = repair_run(open_run("runs/a"), data="photos/")
    repair.summary["distance"]["change"], repair.effect.edits

Three sets of samples are kept apart. On the run's own, units are suspected; on unseen ones behind
them, suspects are tried and taken; on ones behind these, what is reported is measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from dissect.counting.samples import check_device
from dissect.edits.applying import check_edits, check_reach
from dissect.edits.edit import Edit
from dissect.edits.recipes import to_json
from dissect.errors import ConfigError
from dissect.generators.zoo import ENTRIES
from dissect.progress import ProgressBar
from dissect.runs import Run
from dissect.settings import shows_settings
from dissect.studies import store
from dissect.studies.drawing.sheets import draw_pairs, remake
from dissect.studies.originals import Originals, open_models
from dissect.studies.pixels import (
    PixelCounts,
    measure,
    random_order,
    table_of_sets,
)
from dissect.studies.questions import RANDOM, RepairQuestion, StudyOptions
from dissect.studies.repair.distance_change import distance_change
from dissect.studies.repair.frechet import Moments
from dissect.studies.repair.real_images import read_data
from dissect.studies.repair.suspects import (
    Unit,
    ablations,
    features_of,
    search,
    see,
    suspects,
)
from dissect.studies.summary import summarise_repair
from dissect.studies.telling import count_units, verdict

_ROWS = 6  # of a sheet
_MOST_DRAWS = 10_000


@dataclass(frozen=True)
class Repair:
    """What came of it.

    Attributes:
        summary: What the command line prints; its ``units`` are empty where nothing is proposed.
        effect: What was stored; None where nothing is proposed.
    """

    summary: dict[str, object]
    effect: store.StoredEffect | None


@shows_settings(RepairQuestion)
def repair_run(
    run: Run,
    *,
    name: str | None = None,
    device: str = "cpu",
    progress: bool = True,
    **settings: object,
) -> Repair:
    """Propose units whose removal brings images nearer to the data, measure it, store the recipe.

    Args:
        run: A finished run whose generator and segmenter can be loaded.
        name: Of the folder under ``effects/``; None makes one from the question.
        device: Where the models are loaded.
        progress: Show progress bars on stderr.
        **settings: Fields of ``RepairQuestion``.

    Raises:
        DissectError: a mistake in what was given, in one line.
    """
    StudyOptions(name=name, device=device, progress=progress)
    question = RepairQuestion(**settings)
    source = question.data or _own_data(run)
    if source is None and not question.bad:
        raise ConfigError(
            f"repair was given no data, and this package has none for {run.config.generator}; "
            "expected --data FOLDER with real images, or units that you marked: --bad LAYER:UNIT"
        )
    layers = _layers(run, question)
    bases = {layer: run.basis(layer) for layer in layers}
    asked_for = asdict(question) | {"data": source, "bad": [list(unit) for unit in question.bad]}
    name = name or _default_name(question, source)
    store.check_free(run, name, asked_for)  # before anything is measured
    check_device(device)
    generator, segmenter = open_models(run, device=device)
    bases = {layer: basis for layer, basis in bases.items() if layer not in generator.layers}
    check_edits(generator, ablations(question.bad or [(layer, 0) for layer in layers]), bases=bases)
    if question.bad or question.layer:
        check_reach(generator, layers, seed=run.config.seed)
    data, about = None, None
    if source is not None:
        data, about = read_data(
            source, generator, lambda images: see(segmenter, images), progress=progress
        )
    models = (generator, segmenter, run.config)
    behind = _next_block(run, run.config.n_samples)
    measured_from = _next_block(run, behind + question.n_search)
    asked = {"kind": "repair", "order": "marked" if question.bad else "searched", "data": about}
    units, found = list(question.bad), None
    if not units:
        own = Originals(*models, n_samples=run.config.n_samples, bases=bases)
        distances = data.distances(features_of(own, progress=progress))
        candidates = suspects(run, layers, distances)[: question.n_candidates]
        unseen = Originals(*models, n_samples=question.n_search, first=behind, bases=bases)
        found = search(unseen, data, candidates, question.n_units, progress=progress)
        units = found.units
        asked["search"] = {
            "samples": question.n_search,
            "candidates": len(candidates),
            "before": found.before,
            "after": found.after,
        }
    if not units:
        return Repair(asked | {"units": {}}, None)
    originals = Originals(*models, n_samples=question.n_samples, first=measured_from, bases=bases)
    sets = {"chosen": units} | {
        f"{RANDOM} {draw + 1}": _draw(run, units, draw) for draw in range(question.draws)
    }
    counts, features = _measure(originals, sets, data, progress=progress)
    table = table_of_sets(counts, run.vocabulary, seed=run.config.seed)
    distance = None
    if data is not None:
        distance = distance_change(features, data, seed=run.config.seed, progress=progress)
    edits = ablations(units)
    by_layer = {edit.layer: list(edit.units) for edit in edits}
    asked |= {"units": by_layer, "samples": question.n_samples, "generator": generator.name}
    summary = summarise_repair(table, distance, asked)
    files = {store.SHEET: _sheet(originals, edits, counts["chosen"], features, data, summary)}
    if found is not None:
        files[store.SUSPECTS] = store.to_parquet(found.tried)
    record = {
        "question": asked_for,
        "run": run.record["fingerprint"],
        "generator": generator.fingerprint,
        "segmenter": segmenter.fingerprint,
        "seed": run.config.seed,
        "first_sample": measured_from,
        "taken": [list(unit) for unit in units],
        "random_units": [[list(unit) for unit in sets[key]] for key in list(sets)[1:]],
        "edits": to_json(edits),
        "summary": summary,
    }
    return Repair(summary, store.write_effect(run, name, record, table, files))


def _own_data(run: Run) -> str | None:
    """What the generator was trained on, if this package can make more of it."""
    entry = ENTRIES.get(run.config.generator)
    return None if entry is None else entry.data


def _layers(run: Run, question: RepairQuestion) -> list[str]:
    if question.bad:
        return list(dict.fromkeys(layer for layer, _ in question.bad))
    return list(run.layers) if question.layer is None else [question.layer]


def _next_block(run: Run, sample: int) -> int:
    return -(-sample // run.config.block) * run.config.block


def _default_name(question: RepairQuestion, source: str | None) -> str:
    if question.bad:
        marked = [
            f"{edit.layer}-{'-'.join(map(str, edit.units))}" for edit in ablations(question.bad)
        ]
        return store.default_name("repair", "marked", *marked)
    return store.default_name(
        "repair", Path(source).name, question.layer or "all", question.n_units
    )


def _draw(run: Run, units: Sequence[Unit], draw: int) -> list[Unit]:
    """Random units of the same layers, as many of each."""
    drawn = []
    for place, edit in enumerate(ablations(units)):
        # Other numbers for each layer, so that a draw is not the same units of all.
        order = random_order(
            run.layers[edit.layer].units, draw + _MOST_DRAWS * place, seed=run.config.seed
        )
        drawn += [(edit.layer, unit) for unit in sorted(order[: len(edit.units)])]
    return drawn


def _measure(
    originals: Originals,
    sets: Mapping[str, Sequence[Unit]],
    data: Moments | None,
    *,
    progress: bool,
) -> tuple[dict[str, PixelCounts], dict[str, Float[np.ndarray, "image feature"]]]:
    """Counts of each set, and features of each and of the unedited images where there are data."""
    counts, features = {}, {}
    if data is not None:
        features["before"] = features_of(originals, progress=progress)
    bar = ProgressBar(sets.items(), desc="measured", unit="set", disable=None if progress else True)
    for name, units in bar:
        rows: list[np.ndarray] = []

        def look(images: torch.Tensor, rows: list[np.ndarray] = rows) -> None:
            if data is not None:
                rows.append(see(originals.segmenter, images))

        counts[name] = measure(originals, ablations(units), look=look)
        if rows:
            features[name] = np.concatenate(rows)
    return counts, features


def _sheet(
    originals: Originals,
    edits: list[Edit],
    counts: PixelCounts,
    features: Mapping[str, Float[np.ndarray, "image feature"]],
    data: Moments | None,
    summary: Mapping[str, object],
) -> bytes:
    """Samples evenly spread from the largest step towards the data to the largest one away."""
    if data is None:
        moved = np.abs(counts.change).sum(axis=1) / 2
        captions = [f"{pixels:,.0f} pixels of another concept" for pixels in moved]
        order = np.argsort(-moved, kind="stable")
    else:
        before, after = (data.distances(features[name]) for name in ("before", "chosen"))
        captions = [f"distance {a:.2f} to {b:.2f}" for a, b in zip(before, after, strict=True)]
        moved, order = after - before, np.argsort(after - before, kind="stable")
    shown = [row for row in order.tolist() if moved[row]] or order.tolist()
    places = np.linspace(0, len(shown) - 1, min(_ROWS, len(shown))).round().astype(int)
    chosen = [shown[place] for place in places]
    return draw_pairs(
        remake(originals, edits, chosen),
        [f"sample {originals.sample_of_row(row)}: {captions[row]}" for row in chosen],
        title=f"Without {count_units(summary['units'])}, from most gained to most lost",
        subtitle=f"{summary['generator']}, {summary['samples']:,} samples: {verdict(summary)}",
    )
