"""Measures the effect of a set of units on every concept, and stores it with the run."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from dissect.edits.edit import Edit
from dissect.progress import ProgressBar
from dissect.runs import Run
from dissect.studies import store
from dissect.studies.ablate_insert.question import ABLATE, INSERT, SetQuestion, share_of
from dissect.studies.agreement import measure_agreement
from dissect.studies.drawing.curves import SIZES, draw_curves, effect_curve
from dissect.studies.drawing.sheets import draw_sheet, make_rows
from dissect.studies.orders import MATCHED, RANDOM
from dissect.studies.originals import Originals
from dissect.studies.pixels import (
    PixelCounts,
    Treatment,
    causal_effect,
    compare_with_draws,
    measure,
    specificity,
    table_of_sets,
)
from dissect.studies.study import Result, verb_of
from dissect.studies.unit_sets import Orders, prepare, settle

_ROWS = 6  # of a sheet
_PLOT = "curve.svg"
_OF_CHOSEN = (
    "ace", "ace_low", "ace_high", "ace_normalised",
    "lead", "lead_low", "lead_high", "next_draw", "p_random", "beyond_random",
)  # fmt: skip


def measure_set(
    run: Run, question: SetQuestion, *, name: str | None, device: str, progress: bool
) -> Result:
    """Choose units, measure the effect of editing them on every concept, store it with the run.

    Raises:
        DissectError: an invalid argument; the message is one line.
    """
    question = settle(run, question)
    layer = str(question.layer)
    target = name or question.folder_name(question.kind, layer)
    # Checks come before the measurement.
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
    random_sets = {
        RANDOM: prepared.random_sets,
        MATCHED: [one.units for one in prepared.matched_sets],
    }
    n_sets = 1 + sum(map(len, random_sets.values())) + inserted
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
        chosen = count(treatment, prepared.units)
        seconds = time.perf_counter() - started
        drawn = {
            kind: [count(prepared.treat(units), units) for units in sets]
            for kind, sets in random_sets.items()
        }
        ablated = None
        if inserted:
            ablated = count(Treatment(prepared.layer, None, region), prepared.units)
    seed, share = run.config.seed, share_of(question.kind)
    table = table_of_sets({"chosen": chosen}, run.vocabulary, seed=seed, draws=drawn)
    extra = [causal_effect(chosen, ablated, run.vocabulary, seed=seed)] if ablated else []
    if drawn[MATCHED]:
        extra.append(compare_with_draws(chosen, drawn[MATCHED], run.vocabulary, share=share))
    for columns in extra:
        table = table.merge(columns.assign(set="chosen"), on=["set", "concept"], how="left")
    heading = prepared.heading(question.kind, question, question.n_samples / seconds)
    heading |= {
        "image_change": prepared.image_change,
        "specificity": specificity(
            chosen, run.vocabulary, question.concept, share=share, seed=seed
        ),
        "agreement": measure_agreement(
            originals, edits, concept=question.concept, second=prepared.second
        ),
    }
    summary = summarise(table, heading)
    for kind, strengths in ((MATCHED, [one.image_change for one in prepared.matched_sets]),):
        if summary[kind] is not None:
            summary[kind] |= {"image_change": strengths}
    for kind, sets in random_sets.items():
        if summary[kind] is not None:
            summary[kind] |= {"sizes": [len(units) for units in sets]}
    files = {store.SHEET: _sheet(originals, edits, chosen, summary)}
    if question.curve:
        files |= _curves(originals, treatment, prepared.orders, question, progress=progress)
    record = prepared.record(question, edits, summary)
    return Result(summary, store.write_effect(run, target, record, table, files))


def summarise(table: pd.DataFrame, heading: Mapping[str, object]) -> dict[str, Any]:
    """The result as plain values; None where a share is undefined.

    Args:
        table: ``table_of_sets`` with the set ``chosen`` and, if there are any, random and matched
            ones.
        heading: ``kind``, ``concept`` and further values, which come first.

    Returns:
        ``heading``, then ``target`` (the concept's row), ``random`` and ``matched`` (the same for
        the mean of the random sets of equal size and of equal strength, with the net share of each
        in ``draws``; None without draws) and ``side_effects`` (the rows of all other concepts,
        largest change first, with the row of the matched, else the random sets in ``random``).
    """
    concept, share = heading["concept"], share_of(str(heading["kind"]))
    rows = {
        kind: {
            row["concept"]: {key: row[key] for key in row if key not in _OF_CHOSEN}
            for row in store.plain_rows(table[table.set == kind].drop(columns="set"))
        }
        for kind in (RANDOM, MATCHED)
    }
    found: dict[str, Any] = {}
    for kind, own in rows.items():
        single = table[(table.concept == concept) & table.set.str.startswith(f"{kind} ")]
        draws = [row[share] for row in store.plain_rows(single[["set", share]])]
        found[kind] = {**own[concept], "draws": draws} if own else None
    random = rows[MATCHED] or rows[RANDOM]
    chosen = store.plain_rows(table[table.set == "chosen"].drop(columns="set"))
    others = [row for row in chosen if row["concept"] != concept]
    others.sort(key=lambda row: -abs(row["change"]))
    return {
        **heading,
        "target": next(row for row in chosen if row["concept"] == concept),
        **found,
        "side_effects": [row | {"random": random.get(row["concept"])} for row in others],
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
    verb = verb_of(share)
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
