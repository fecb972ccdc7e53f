"""Measures what a set of units does to every concept, and stores it with the run."""

import time
from collections.abc import Mapping, Sequence

import pandas as pd

from dissect.edits.edit import Edit
from dissect.progress import ProgressBar
from dissect.runs import Run
from dissect.studies import store
from dissect.studies.ablate_insert.question import ABLATE, INSERT, SetQuestion, share_of
from dissect.studies.drawing.curves import SIZES, draw_curves, effect_curve
from dissect.studies.drawing.sheets import draw_sheet, make_rows
from dissect.studies.orders import RANDOM
from dissect.studies.originals import Originals
from dissect.studies.pixels import (
    PixelCounts,
    Treatment,
    causal_effect,
    mean_counts,
    measure,
    table_of_sets,
)
from dissect.studies.ranking import best_layer
from dissect.studies.study import Result
from dissect.studies.unit_sets import Orders, prepare

_ROWS = 6  # of a sheet
_PLOT = "curve.svg"


def measure_set(
    run: Run, question: SetQuestion, *, name: str | None, device: str, progress: bool
) -> Result:
    """Choose units, measure what editing them does to every concept, and store it with the run.

    Raises:
        DissectError: a mistake in what was given, in one line.
    """
    layer = question.layer or best_layer(run, question.concept)
    target = name or question.folder_name(question.kind, layer)
    # Before anything is measured.
    store.check_free(run, target, question.to_json(layer))
    inserted = question.kind == INSERT
    prepared = prepare(
        run,
        question,
        inserted=inserted,
        region=question.region,
        device=device,
        progress=progress,
    )
    originals, treatment, region = prepared.originals, prepared.treatment, prepared.treatment.region
    edits = treatment.of(prepared.units)
    n_sets = 1 + len(prepared.random_sets) + inserted
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
        counts = {"chosen": count(treatment, prepared.units)}
        seconds = time.perf_counter() - started
        drawn = {
            f"{RANDOM} {number}": count(treatment, chosen)
            for number, chosen in enumerate(prepared.random_sets, start=1)
        }
        ablated = None
        if inserted:
            ablated = count(Treatment(prepared.layer, None, region), prepared.units)
    if drawn:
        counts |= {RANDOM: mean_counts(list(drawn.values())), **drawn}
    table = table_of_sets(counts, run.vocabulary, seed=run.config.seed)
    if ablated is not None:
        ace = causal_effect(counts["chosen"], ablated, run.vocabulary, seed=run.config.seed)
        table = table.merge(ace.assign(set="chosen"), on=["set", "concept"], how="left")
    heading = prepared.heading(question.kind, question, question.n_samples / seconds)
    summary = summarise(table, heading)
    files = {store.SHEET: _sheet(originals, edits, counts["chosen"], summary)}
    if question.curve:
        files |= _curves(originals, treatment, prepared.orders, question, progress=progress)
    record = prepared.record(question, edits, summary)
    return Result(summary, store.write_effect(run, target, record, table, files))


def summarise(table: pd.DataFrame, heading: Mapping[str, object]) -> dict[str, object]:
    """The outcome in plain values; None where a share is undefined.

    Args:
        table: ``table_of_sets`` with the set ``chosen`` and, where there were any, random ones.
        heading: ``kind``, ``concept`` and whatever else is to stand in front.

    Returns:
        ``heading``, then ``target`` (the concept's row), ``random`` (the same for the mean draw,
        and the share of each draw in ``draws``; None without draws) and ``side_effects`` (the rows
        of all other concepts, largest change first).
    """
    concept, share = heading["concept"], share_of(str(heading["kind"]))
    chosen = store.plain_rows(table[table.set == "chosen"].drop(columns="set"))
    drawn = table[table.concept == concept]
    single = drawn[drawn.set.str.startswith(f"{RANDOM} ")][["set", share]]
    random = store.plain_rows(drawn[drawn.set == RANDOM].drop(columns="set"))
    draws = [row[share] for row in store.plain_rows(single)]
    return {
        **heading,
        "target": next(row for row in chosen if row["concept"] == concept),
        "random": {**random[0], "draws": draws} if random else None,
        "side_effects": sorted(
            (row for row in chosen if row["concept"] != concept),
            key=lambda row: -abs(row["change"]),
        ),
    }


def _sheet(originals: Originals, edits: list[Edit], counts: PixelCounts, summary: dict) -> bytes:
    concept, target = summary["concept"], summary["target"]
    rows = make_rows(originals, edits, counts, concept, n_rows=_ROWS)
    verb = "without" if summary["kind"] == ABLATE else "with"
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
    question: SetQuestion,
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
    return {store.CURVE: store.to_parquet(whole), _PLOT: plot.encode()}
