"""Ablates every unit of some layers alone and compares each with units of similar strength."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from dissect.counting.samples import check_device
from dissect.edits.applying import check_edits, check_reach
from dissect.edits.unit_edits import Ablate
from dissect.errors import ConfigError
from dissect.progress import ProgressBar
from dissect.runs import Run
from dissect.studies import store
from dissect.studies.agreement import measure_agreement
from dissect.studies.causal.question import CAUSAL, CausalQuestion
from dissect.studies.causal.verdict import count_with_other_labels, judge_units
from dissect.studies.drawing.sheets import draw_sheet, make_rows
from dissect.studies.image_change import ImageChange
from dissect.studies.originals import Originals, open_models
from dissect.studies.pixels import PixelCounts, compare_with_draws, effect_table, measure
from dissect.studies.study import Result
from segmenters import Vocabulary

_SHARE = "net_removed_share"
_ROWS = 6  # rows of a sheet
_LEAST_OTHERS = 2  # least number of other units of a layer for a comparison


@dataclass(frozen=True)
class Alone:
    """The effect of ablating one unit.

    Attributes:
        counts: Pixel counts of all images.
        image_change: How strongly images of the first block change.
    """

    counts: PixelCounts
    image_change: float


def measure_causal(
    run: Run, question: CausalQuestion, *, name: str | None, device: str, progress: bool
) -> Result:
    """Ablate units one at a time, find the causal ones, and store the result with the run.

    Raises:
        DissectError: an invalid argument; the message is one line.
    """
    target = name or question.folder_name()
    store.check_free(run, target, question.to_json())  # before anything is measured
    layers = list(question.layers or run.layers)
    bases = {layer: run.basis(layer) for layer in layers}  # also refuses unknown ones
    small = [layer for layer in question.layers if run.layers[layer].units <= _LEAST_OTHERS]
    if small:
        raise ConfigError(
            f"layer {small[0]} has {run.layers[small[0]].units} units; expected at least "
            f"{_LEAST_OTHERS + 1}, to compare each with others; choose another of --layers"
        )
    layers = [layer for layer in layers if run.layers[layer].units > _LEAST_OTHERS]
    check_device(device)
    generator, segmenter = open_models(run, device=device)
    bases = {layer: basis for layer, basis in bases.items() if layer not in generator.layers}
    check_edits(generator, [Ablate(layer, [0]) for layer in layers], bases=bases)
    check_reach(generator, layers, seed=run.config.seed)
    originals = Originals(
        generator, segmenter, run.config, n_samples=question.n_samples, bases=bases
    )
    originals.fill(progress=progress)
    change, tables = ImageChange(originals), []
    n_units = sum(run.layers[layer].units for layer in layers)
    started = time.perf_counter()
    with ProgressBar(
        total=n_units, desc="units", unit="unit", disable=None if progress else True
    ) as bar:
        for layer in layers:
            found = []
            for unit in range(run.layers[layer].units):
                found.append(ablate_alone(originals, change, layer, unit))
                bar.update()
            table = compare_units(
                found, run.vocabulary, n_alike=question.n_alike, seed=run.config.seed
            )
            tables.append(table.assign(layer=layer))
    seconds = time.perf_counter() - started
    table = pd.concat(tables, ignore_index=True)
    table = table[["layer", "unit", *table.columns.drop(["layer", "unit"])]]
    labels = run.table[run.table.is_label & run.table.layer.isin(layers)]
    labels = labels[["layer", "unit", "concept"]].reset_index(drop=True)
    units = judge_units(table, labels, fdr=question.fdr)
    summary = summarise(
        units,
        {
            "kind": CAUSAL,
            "samples": question.n_samples,
            "generator": generator.name,
            "images_per_second": round(n_units * question.n_samples / seconds, 1),
            "n_alike": question.n_alike,
            "fdr": question.fdr,
            "with_other_labels": count_with_other_labels(
                table, labels, fdr=question.fdr, seed=run.config.seed
            ),
        },
    )
    strongest = _strongest(units)
    edits = [Ablate(str(strongest.layer), [int(strongest.unit)])]
    concept = str(strongest.concept)
    summary["agreement"] = measure_agreement(originals, edits, concept=concept)
    summary["strongest"] = {"layer": edits[0].layer, "unit": edits[0].units[0]}
    counts = measure(originals, edits)
    files = {
        store.SHEET: draw_sheet(
            make_rows(originals, edits, counts, concept, n_rows=_ROWS),
            title=f"{concept} without unit {edits[0].units[0]} of {edits[0].layer}",
            subtitle=(
                f"{generator.name}, {question.n_samples:,} samples: the causal unit that changes "
                "images most, or the unit that does if none is causal"
            ),
            concept=concept,
        )
    }
    record = {
        "question": question.to_json(),
        "run": run.record["fingerprint"],
        "generator": generator.fingerprint,
        "segmenter": segmenter.fingerprint,
        "seed": run.config.seed,
        "edits": [],  # no recipe: units were ablated one at a time
        "summary": summary,
    }
    return Result(summary, store.write_effect(run, target, record, table, files))


def ablate_alone(originals: Originals, change: ImageChange, layer: str, unit: int) -> Alone:
    """Ablate one unit and count every concept.

    Raises:
        LayerError: a layer or unit that the generator does not have.
    """
    strength: list[float] = []

    def look(images: torch.Tensor) -> None:
        if not strength:  # the first block
            strength.append(change.against(images))

    counts = measure(originals, [Ablate(layer, [unit])], look=look)
    return Alone(counts, strength[0])


def compare_units(
    units: Sequence[Alone], vocabulary: Vocabulary, *, n_alike: int, seed: int
) -> pd.DataFrame:
    """Compare every unit of a layer with the other units of the most similar image change.

    Args:
        units: All units of the layer in their order, at least three.
        vocabulary: Vocabulary of the segmenter.
        n_alike: Number of other units for each comparison, if there are as many.
        seed: Seed of the bootstrap.

    Returns:
        A row for each unit and concept: ``unit``, ``image_change``, the columns of
        ``effect_table``, ``random`` (the mean net removed share of the others) and the columns of
        ``compare_with_draws``.
    """
    strengths = np.array([one.image_change for one in units])
    tables = []
    for unit, one in enumerate(units):
        nearest = np.argsort(np.abs(strengths - strengths[unit]), kind="stable")
        others = [int(other) for other in nearest if other != unit][:n_alike]
        effects = effect_table(one.counts, vocabulary, seed=seed)
        beside = compare_with_draws(
            one.counts, [units[other].counts for other in others], vocabulary, share=_SHARE
        )
        table = effects.merge(beside, on="concept")
        table["random"] = table[_SHARE] - table.lead
        tables.append(table.assign(unit=unit, image_change=one.image_change))
    return pd.concat(tables, ignore_index=True)


def summarise(units: pd.DataFrame, heading: Mapping[str, object]) -> dict[str, Any]:
    """The result as plain values.

    Args:
        units: See ``judge_units``.
        heading: Values that come first.

    Returns:
        ``heading``; ``layers``, each with ``layer``, ``units`` and the number ``causal``; and
        ``causal``, the rows of the causal units, largest net share first.
    """
    shown = [
        "layer", "unit", "concept", "before", "after", _SHARE, f"{_SHARE}_low", f"{_SHARE}_high",
        "random", "lead", "lead_low", "lead_high", "q", "image_change",
    ]  # fmt: skip
    causal = units[units.causal].sort_values(_SHARE, ascending=False, kind="stable")
    by_layer = units.groupby("layer", sort=False, observed=True).causal.agg(["size", "sum"])
    return {
        **heading,
        "layers": [
            {"layer": str(layer), "units": int(size), "causal": int(n_causal)}
            for layer, size, n_causal in by_layer.itertuples()
        ],
        "causal": store.plain_rows(causal[shown]),
    }


def _strongest(units: pd.DataFrame) -> Any:  # a row, whose columns no type names
    among = units[units.causal] if units.causal.any() else units
    return among.iloc[int(among.image_change.argmax())]
