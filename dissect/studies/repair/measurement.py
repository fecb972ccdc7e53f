"""Measures a repair: proposes units far from real images, removes them, and stores the recipe.

Three sets of samples are kept separate. The run's own samples give the suspected units; the next,
unseen ones select among them; the ones after these give the reported results.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
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
from dissect.studies import store
from dissect.studies.agreement import measure_agreement, most_changed, open_second
from dissect.studies.description import count_units
from dissect.studies.drawing.sheets import draw_pairs, remake
from dissect.studies.orders import RANDOM
from dissect.studies.originals import Originals, open_models
from dissect.studies.pixels import PixelCounts, measure, table_of_sets
from dissect.studies.random_sets import plain_sets
from dissect.studies.repair.distance_change import distance_change
from dissect.studies.repair.frechet import Moments
from dissect.studies.repair.question import REPAIR, RepairQuestion, Unit, verdict
from dissect.studies.repair.real_images import read_data
from dissect.studies.repair.suspects import ablations, features_of, search, see, suspects
from dissect.studies.study import Result

_ROWS = 6  # rows of a sheet
_MOST_DRAWS = 10_000
_SUSPECTS = "suspects.parquet"


def measure_repair(
    run: Run, question: RepairQuestion, *, name: str | None, device: str, progress: bool
) -> Result:
    """Propose units whose removal brings images closer to the data, measure it, store the recipe.

    Returns:
        A summary with empty ``units``, and no effect, if nothing is proposed.

    Raises:
        DissectError: an invalid argument; the message is one line.
    """
    source = question.data or _own_data(run)
    if source is None and not question.bad:
        raise ConfigError(
            f"repair was given no data, and this package has none for {run.config.generator}; "
            "expected --data FOLDER with real images, or units that you marked: --bad LAYER:UNIT"
        )
    layers = _layers(run, question)
    bases = {layer: run.basis(layer) for layer in layers}
    stored = question.to_json(source)
    name = name or question.folder_name(source)
    store.check_free(run, name, stored)  # before anything is measured
    check_device(device)
    generator, segmenter = open_models(run, device=device)
    bases = {layer: basis for layer, basis in bases.items() if layer not in generator.layers}
    check_edits(generator, ablations(question.bad or [(layer, 0) for layer in layers]), bases=bases)
    if question.bad or question.layer:
        check_reach(generator, layers, seed=run.config.seed)
    second = open_second(question.second, segmenter, device=device)
    data, about = None, None
    if source is not None:
        data, about = read_data(
            source, generator, lambda images: see(segmenter, images), progress=progress
        )
    models = (generator, segmenter, run.config)
    behind = _next_block(run, run.config.n_samples)
    measured_from = _next_block(run, behind + question.n_search)
    summary: dict[str, object] = {
        "kind": REPAIR,
        "order": "marked" if question.bad else "searched",
        "data": about,
    }
    units, found = list(question.bad), None
    if not units and data is not None:
        own = Originals(*models, n_samples=run.config.n_samples, bases=bases)
        distances = data.distances(features_of(own, progress=progress))
        candidates = suspects(run, layers, distances)[: question.n_candidates]
        unseen = Originals(*models, n_samples=question.n_search, first=behind, bases=bases)
        found = search(unseen, data, candidates, question.n_units, progress=progress)
        units = found.units
        summary["search"] = {
            "samples": question.n_search,
            "candidates": len(candidates),
            "before": found.before,
            "after": found.after,
        }
    if not units:
        return Result(summary | {"units": {}}, None)
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
    rows = store.plain_rows(table[table.set == "chosen"])
    agreement = measure_agreement(
        originals, edits, concept=most_changed(rows, second), second=second
    )
    summary |= {
        "units": by_layer,
        "agreement": agreement,
        "samples": question.n_samples,
        "generator": generator.name,
    }
    summary = summarise(table, distance, summary)
    files = {store.SHEET: _sheet(originals, edits, counts["chosen"], features, data, summary)}
    if found is not None:
        files[_SUSPECTS] = store.to_parquet(found.tried)
    record = {
        "question": stored,
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
    return Result(summary, store.write_effect(run, name, record, table, files))


def summarise(
    table: pd.DataFrame, distance: Mapping[str, object] | None, heading: Mapping[str, object]
) -> dict[str, object]:
    """The result as plain values.

    Args:
        table: ``table_of_sets`` with the set ``chosen``.
        distance: ``distance_change``; None without data.
        heading: ``units`` (layer → units) and further values, which come first.

    Returns:
        ``heading``, then ``distance`` and ``side_effects`` (every concept, largest change first).
    """
    rows = store.plain_rows(table[table.set == "chosen"].drop(columns="set"))
    return {
        **heading,
        "distance": distance,
        "side_effects": sorted(rows, key=lambda row: -abs(row["change"])),
    }


def _own_data(run: Run) -> str | None:
    """The generator's training data, if this package can generate more of it."""
    entry = ENTRIES.get(run.config.generator)
    return None if entry is None else entry.data


def _layers(run: Run, question: RepairQuestion) -> list[str]:
    if question.bad:
        return list(dict.fromkeys(layer for layer, _ in question.bad))
    return list(run.layers) if question.layer is None else [question.layer]


def _next_block(run: Run, sample: int) -> int:
    return -(-sample // run.config.block) * run.config.block


def _draw(run: Run, units: Sequence[Unit], draw: int) -> list[Unit]:
    """Other random units of the same layers, as many from each, or all that exist."""
    drawn = []
    for place, edit in enumerate(ablations(units)):
        # A separate stream for each layer, so that a draw differs between layers.
        number = draw + _MOST_DRAWS * place
        (own,) = plain_sets(
            run.layers[edit.layer].units, edit.units, [number], seed=run.config.seed
        ) or ([],)
        drawn += [(edit.layer, unit) for unit in own]
    return drawn


def _measure(
    originals: Originals,
    sets: Mapping[str, Sequence[Unit]],
    data: Moments | None,
    *,
    progress: bool,
) -> tuple[dict[str, PixelCounts], dict[str, Float[np.ndarray, "image feature"]]]:
    """Counts of each set, and with data the features of each and of the unedited images."""
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
    edits: Sequence[Edit],
    counts: PixelCounts,
    features: Mapping[str, Float[np.ndarray, "image feature"]],
    data: Moments | None,
    summary: Mapping[str, Any],
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
