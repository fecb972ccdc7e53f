"""One question about a run, asked, measured and stored: what do these units do to that concept?

effect = measure_units(open_run("runs/a"), kind="ablate", concept="window", n_units=20)
effect.record["summary"]["target"]["removed_share"]
"""

import time
from collections.abc import Sequence

import numpy as np
import pandas as pd

from dissect.edits.edit import Edit
from dissect.progress import ProgressBar
from dissect.runs import Run
from dissect.settings import shows_settings
from dissect.studies import store
from dissect.studies.drawing.curves import SIZES, draw_curves, effect_curve
from dissect.studies.drawing.sheets import draw_sheet, make_rows
from dissect.studies.orders import best_layer
from dissect.studies.originals import Originals
from dissect.studies.pixels import (
    PixelCounts,
    Treatment,
    causal_effect,
    measure,
    table_of_sets,
)
from dissect.studies.questions import RANDOM, EffectQuestion, StudyOptions
from dissect.studies.summary import share_of, summarise
from dissect.studies.unit_sets import (
    Orders,
    name_of,
    prepare,
    question_of,
)

_ROWS = 6  # of a sheet


@shows_settings(EffectQuestion)
def measure_units(
    run: Run,
    *,
    name: str | None = None,
    device: str = "cpu",
    progress: bool = True,
    **settings: object,
) -> store.StoredEffect:
    """Choose units, measure what editing them does to every concept, and store it with the run.

    Args:
        run: A finished run whose generator and segmenter can be loaded.
        name: Of the folder under ``effects/``; None makes one from the question.
        device: Where the models are loaded.
        progress: Show progress bars on stderr.
        **settings: Fields of ``EffectQuestion``.

    Returns:
        The stored effect; ``record["summary"]`` holds what the command line prints.

    Raises:
        DissectError: a mistake in what was given, in one line.
    """
    StudyOptions(name=name, device=device, progress=progress)
    question = EffectQuestion(**settings)
    layer = question.layer or best_layer(run, question.concept)
    target = name or name_of(question.kind, question, layer)
    # Before anything is measured.
    store.check_free(run, target, question_of(question, layer))
    inserted = question.kind == "insert"
    ready = prepare(
        run,
        question,
        inserted=inserted,
        region=question.region,
        device=device,
        progress=progress,
    )
    originals, treatment, region = ready.originals, ready.treatment, ready.treatment.region
    edits = treatment.of(ready.units)
    n_sets = 1 + len(ready.random_sets) + inserted
    bar = ProgressBar(
        total=n_sets * question.n_samples,
        desc="measure",
        unit="image",
        disable=None if progress else True,
    )

    def count(treatment: Treatment, units: Sequence[int]) -> PixelCounts:
        return measure(
            originals, treatment.of(units), region, look=lambda images: bar.update(len(images))
        )

    with bar:
        started = time.perf_counter()
        counts = {"chosen": count(treatment, ready.units)}
        seconds = time.perf_counter() - started
        drawn = {
            f"{RANDOM} {number}": count(treatment, chosen)
            for number, chosen in enumerate(ready.random_sets, start=1)
        }
        if inserted:
            ablated = count(Treatment(ready.layer, None, region), ready.units)
    if drawn:
        counts |= {RANDOM: _mean(list(drawn.values())), **drawn}
    table = table_of_sets(counts, run.vocabulary, seed=run.config.seed)
    if inserted:
        ace = causal_effect(counts["chosen"], ablated, run.vocabulary, seed=run.config.seed)
        table = table.merge(ace.assign(set="chosen"), on=["set", "concept"], how="left")
    asked = ready.asked(question.kind, question, question.n_samples / seconds)
    summary = summarise(table, asked)
    files = {store.SHEET: _sheet(originals, edits, counts["chosen"], summary)}
    if question.curve:
        files |= _curves(originals, treatment, ready.orders, question, progress=progress)
    return store.write_effect(run, target, ready.record(question, edits, summary), table, files)


def _mean(counts: Sequence[PixelCounts]) -> PixelCounts:
    """Counts of the mean draw, image by image, so that its interval is over images too."""
    names = ("before", "after", "kept", "inside_before", "inside_after")
    arrays = {name: np.mean([getattr(one, name) for one in counts], axis=0) for name in names}
    return PixelCounts(**arrays, area=counts[0].area)


def _sheet(originals: Originals, edits: list[Edit], counts: PixelCounts, summary: dict) -> bytes:
    concept, target = summary["concept"], summary["target"]
    rows = make_rows(originals, edits, counts, concept, n_rows=_ROWS)
    verb = {"ablate": "without", "insert": "with"}[summary["kind"]]
    title = f"{concept} {verb} {len(summary['units'])} units of {summary['layer']}"
    return draw_sheet(
        rows,
        title=title,
        subtitle=(
            f"{summary['generator']}, order {summary['order']}, {summary['samples']:,} samples: "
            f"{target['before']:,.1f} to {target['after']:,.1f} pixels per image"
        ),
        concept=concept,
    )


def _curves(
    originals: Originals,
    treatment: Treatment,
    orders: Orders,
    question: EffectQuestion,
    *,
    progress: bool,
) -> dict[str, bytes]:
    share = share_of(question.kind)
    verb = share.removesuffix("_share")
    tables = {
        order: effect_curve(originals, treatment, orders.rank(order, max(SIZES)), progress=progress)
        for order in dict.fromkeys(question.curve)
    }
    lines = {o: table[table.concept == question.concept] for o, table in tables.items()}
    plot = draw_curves(
        lines,
        value=share,
        title=f"How many units does {question.concept} take?",
        label=f"share of {question.concept} pixels {verb} at {treatment.layer}, by order of units",
    )
    whole = pd.concat([table.assign(order=order) for order, table in tables.items()])
    return {store.CURVE: store.to_parquet(whole), store.PLOT: plot.encode()}
