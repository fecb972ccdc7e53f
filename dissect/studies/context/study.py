"""The same units at many places, and what comes of them where: the paper's door experiment.

    effect = measure_context(open_run("runs/a"), concept="door", n_units=20)
    effect.record["summary"]["contexts"]

References:
    Bau et al., GAN Dissection, ICLR 2019, section 4.4 (characterizing contextual relationships).
"""

import time

import numpy as np
import pandas as pd
from jaxtyping import Bool

from dissect.bases import layer_info
from dissect.progress import ProgressBar
from dissect.runs import Run
from dissect.settings import shows_settings
from dissect.studies import store
from dissect.studies.context.places import (
    MIXED,
    PlaceCounts,
    Places,
    choose_places,
    find_contexts,
    mean_counts,
    measure_places,
)
from dissect.studies.context.tables import FEW_IMAGES, FEW_PLACES, context_table, place_table
from dissect.studies.drawing.bars import Panel, draw_bars
from dissect.studies.drawing.sheets import Row, draw_sheet, remake
from dissect.studies.questions import RANDOM, ContextQuestion, StudyOptions
from dissect.studies.summary import CONTEXT, summarise_context
from dissect.studies.unit_sets import Prepared, name_of, prepare, question_of
from segmenters import Vocabulary

_ROWS, _ACROSS, _TILE = 8, 3, 112  # of a sheet: contexts, examples of each, pixels


@shows_settings(ContextQuestion)
def measure_context(
    run: Run,
    *,
    name: str | None = None,
    device: str = "cpu",
    progress: bool = True,
    **settings: object,
) -> store.StoredEffect:
    """Insert units at every place of a grid, group what comes by what was there, and store it.

    Args:
        run: A finished run whose generator and segmenter can be loaded.
        name: Of the folder under ``effects/``; None makes one from the question.
        device: Where the models are loaded.
        progress: Show progress bars on stderr.
        **settings: Fields of ``ContextQuestion``.

    Returns:
        The stored effect; ``record["summary"]`` holds what the command line prints, ``table`` a row
        for each set of units and context. ``edits`` names no region: whoever applies it says where.

    Raises:
        DissectError: a mistake in what was given, in one line.
    """
    StudyOptions(name=name, device=device, progress=progress)
    question = ContextQuestion(**settings)
    if name is not None:
        store.check_name(name)
    ready = prepare(run, question, inserted=True, device=device, progress=progress)
    originals, seed = ready.originals, run.config.seed
    info = layer_info(originals.generator, ready.layer, originals.bases)
    size = originals.generator.image_size
    places = choose_places(size, info, question.side, question.stride)
    target = name or name_of(CONTEXT, question, ready.layer)
    boxes = {"side": places.side, "stride": places.stride}
    # Before the long part.
    store.check_free(run, target, question_of(question, ready.layer) | boxes)
    contexts = find_contexts(originals, places, question.concept)
    steps = len(places.corners) * len(originals.numbers)
    sets = {"chosen": ready.units} | {
        f"{RANDOM} {number}": units for number, units in enumerate(ready.random_sets, start=1)
    }
    started = time.perf_counter()
    with ProgressBar(
        total=steps * len(sets), desc="places", unit="block", disable=None if progress else True
    ) as bar:
        measured = {
            key: measure_places(
                originals, ready.treatment, units, places, question.concept, bar=bar
            )
            for key, units in sets.items()
        }
    seconds = time.perf_counter() - started
    counts = {"chosen": measured.pop("chosen")}
    if measured:
        counts |= {RANDOM: mean_counts(list(measured.values()))}
    table = pd.concat(
        [
            context_table(one, contexts, run.vocabulary, seed=seed).assign(set=key)
            for key, one in counts.items()
        ],
        ignore_index=True,
    )
    table = table[["set", *table.columns.drop("set")]]
    n_images = question.n_samples * len(places.corners) * len(sets)
    asked = ready.asked(CONTEXT, question, n_images / seconds) | {
        "side": places.side,
        "stride": places.stride,
        "places": len(places.corners),
        "few": {"places": FEW_PLACES, "images": FEW_IMAGES},
    }
    summary = summarise_context(table, asked)
    files = {
        store.PLACES: store.to_parquet(
            place_table(counts["chosen"], contexts, places, run.vocabulary)
        ),
        store.BARS: _plot(table, summary, run.vocabulary).encode(),
        store.SHEET: _sheet(ready, places, counts["chosen"], contexts, summary),
    }
    record = ready.record(question, ready.treatment.of(ready.units), summary)
    record["question"] |= boxes
    return store.write_effect(run, target, record, table, files)


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
    ready: Prepared,
    places: Places,
    counts: PlaceCounts,
    contexts: Bool[np.ndarray, "image place context"],
    summary: dict,
) -> bytes:
    """A line for each of the most common contexts, in the table's order."""
    originals, concept = ready.originals, summary["concept"]
    names = [*originals.vocabulary.names, MIXED]
    common = sorted(summary["contexts"], key=lambda row: -row["places"])[:_ROWS]
    rows = []
    for context in (row["context"] for row in summary["contexts"] if row in common):
        among = contexts[..., names.index(context)]
        for image, place in choose_examples(counts, among, _ACROSS):
            edits = places.edits(ready.treatment, ready.units, place)
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
        counts: What was measured.
        among: Which are asked for.
        n_examples: How many at most.
    """
    images, places = np.nonzero(among)
    ranked = np.lexsort((-counts.change[images, places], -counts.added[images, places]))
    steps = np.linspace(0, len(ranked) - 1, min(n_examples, len(ranked))).round().astype(int)
    return [(int(images[one]), int(places[one])) for one in ranked[steps]]
