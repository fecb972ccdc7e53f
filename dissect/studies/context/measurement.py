"""Measures the effect of inserting the same units at many places."""

import time
from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Bool

from dissect.bases import layer_info
from dissect.progress import ProgressBar
from dissect.runs import Run
from dissect.studies import store
from dissect.studies.agreement import measure_agreement
from dissect.studies.context.places import (
    MIXED,
    PlaceCounts,
    Places,
    choose_places,
    find_contexts,
    measure_places,
)
from dissect.studies.context.question import CONTEXT, ContextQuestion
from dissect.studies.context.tables import (
    FEW_IMAGES,
    FEW_PLACES,
    context_table,
    draws_table,
    place_table,
)
from dissect.studies.drawing.bars import Panel, draw_bars
from dissect.studies.drawing.sheets import Row, draw_sheet, remake
from dissect.studies.orders import RANDOM
from dissect.studies.study import Result
from dissect.studies.unit_sets import Prepared, prepare, settle
from segmenters import Vocabulary

_ROWS, _ACROSS, _TILE = 8, 3, 112  # of a sheet: contexts, examples of each, pixels
_PLACES, _BARS = "places.parquet", "contexts.svg"


def measure_contexts(
    run: Run, question: ContextQuestion, *, name: str | None, device: str, progress: bool
) -> Result:
    """Insert units at every place of a grid, group the results by context, and store them.

    The stored edits have no region; to apply them, choose one.

    Raises:
        DissectError: an invalid argument; the message is one line.
    """
    question = settle(run, question)
    prepared = prepare(
        run, question, inserted=True, matched=False, device=device, progress=progress
    )
    originals, seed = prepared.originals, run.config.seed
    info = layer_info(originals.generator, prepared.layer, originals.bases)
    size = originals.generator.image_size
    places = choose_places(size, info, question.side, question.stride)
    target = name or question.folder_name(CONTEXT, prepared.layer)
    boxes = {"side": places.side, "stride": places.stride}
    # Checks come before the long part.
    store.check_free(run, target, question.to_json(prepared.layer) | boxes)
    contexts = find_contexts(originals, places, question.concept)
    steps = len(places.corners) * len(originals.numbers)
    sets = {"chosen": prepared.units} | {
        f"{RANDOM} {number}": units for number, units in enumerate(prepared.random_sets, start=1)
    }
    started = time.perf_counter()
    with ProgressBar(
        total=steps * len(sets), desc="places", unit="block", disable=None if progress else True
    ) as bar:
        measured = {
            key: measure_places(
                originals, prepared.treat(units), units, places, question.concept, bar=bar
            )
            for key, units in sets.items()
        }
    seconds = time.perf_counter() - started
    chosen, *draws = measured.values()
    tables = [context_table(chosen, contexts, run.vocabulary, seed=seed).assign(set="chosen")]
    if draws:
        tables.append(draws_table(draws, contexts, run.vocabulary).assign(set=RANDOM))
    table = pd.concat(tables, ignore_index=True)
    table = table[["set", *table.columns.drop("set")]]
    n_images = question.n_samples * len(places.corners) * len(sets)
    heading = prepared.heading(CONTEXT, question, n_images / seconds) | {
        "side": places.side,
        "stride": places.stride,
        "places": len(places.corners),
        "few": {"places": FEW_PLACES, "images": FEW_IMAGES},
        "agreement": measure_agreement(
            originals,
            places.edits(prepared.treatment, prepared.units, len(places.corners) // 2),
            concept=question.concept,
            second=prepared.second,
        ),
    }
    summary = summarise(table, heading)
    files = {
        _PLACES: store.to_parquet(place_table(chosen, contexts, places, run.vocabulary)),
        _BARS: _plot(table, summary, run.vocabulary).encode(),
        store.SHEET: _sheet(prepared, places, chosen, contexts, summary),
    }
    record = prepared.record(question, prepared.treatment.of(prepared.units), summary)
    record["question"] = question.to_json(prepared.layer) | boxes
    return Result(summary, store.write_effect(run, target, record, table, files))


def summarise(table: pd.DataFrame, heading: Mapping[str, object]) -> dict[str, object]:
    """The result as plain values; None where a share is undefined.

    Args:
        table: Table with the sets ``chosen`` and, if drawn, ``random``.
        heading: Values that come first.

    Returns:
        ``heading``, then ``contexts``: the chosen set's rows, each with the row of the mean random
        draw in ``random`` (None without draws).
    """
    by_set = {
        name: store.plain_rows(table[table.set == name].drop(columns="set"))
        for name in ("chosen", RANDOM)
    }
    random = {row["context"]: row for row in by_set[RANDOM]}
    rows = [row | {"random": random.get(row["context"])} for row in by_set["chosen"]]
    return {**heading, "contexts": rows}


def _plot(table: pd.DataFrame, summary: dict, vocabulary: Vocabulary) -> str:
    concept = summary["concept"]
    return draw_bars(
        table[table.set == "chosen"],
        table[table.set == RANDOM],
        [
            Panel("added_share", f"share of pixels that become {concept}"),
            Panel("change", "mean change of the image in the box"),
        ],
        colours={entry.name: entry.colour for entry in vocabulary},
        title=f"Where do these units make {concept}?",
        label=(
            f"{len(summary['units'])} units of {summary['layer']} inserted in boxes of "
            f"{summary['side']} × {summary['side']} pixels, by what was there"
        ),
    )


def _sheet(
    prepared: Prepared,
    places: Places,
    counts: PlaceCounts,
    contexts: Bool[np.ndarray, "image place context"],
    summary: dict,
) -> bytes:
    """A line for each of the most common contexts, in the table's order."""
    originals, concept = prepared.originals, summary["concept"]
    names = [*originals.vocabulary.names, MIXED]
    common = sorted(summary["contexts"], key=lambda row: -row["places"])[:_ROWS]
    rows = []
    for context in (row["context"] for row in summary["contexts"] if row in common):
        among = contexts[..., names.index(context)]
        for image, place in choose_examples(counts, among, _ACROSS):
            edits = places.edits(prepared.treatment, prepared.units, place)
            sample = originals.sample_of_row(image)
            (pictures,) = remake(originals, edits, [image])
            pixels = int(counts.before[image, place]), int(counts.after[image, place])
            rows.append(
                Row(
                    sample, *pictures, *pixels,
                    where=f" at {context}", corners=places.corners[place],
                )
            )  # fmt: skip
    return draw_sheet(
        rows,
        title=f"{concept} inserted by {len(summary['units'])} units of {summary['layer']}",
        subtitle=(
            f"{summary['generator']}, order {summary['order']}; a line for each of the most common "
            f"contexts: places with most, middling and least {concept} added; pixels of the box"
        ),
        concept=concept,
        across=_ACROSS,
        tile=_TILE,
    )


def choose_examples(
    counts: PlaceCounts, among: Bool[np.ndarray, "image place"], n_examples: int
) -> list[tuple[int, int]]:
    """Images and places, evenly spread from most pixels added to fewest, then by change.

    Args:
        counts: Measured counts.
        among: The boxes to choose from.
        n_examples: Largest number of examples.
    """
    images, places = np.nonzero(among)
    ranked = np.lexsort((-counts.change[images, places], -counts.added[images, places]))
    steps = np.linspace(0, len(ranked) - 1, min(n_examples, len(ranked))).round().astype(int)
    return [(int(images[one]), int(places[one])) for one in ranked[steps]]
