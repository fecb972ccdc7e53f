"""One question about a run, asked, measured and stored: what do these units do to that concept?

    effect = measure_units(open_run("runs/a"), kind="ablate", concept="window", n_units=20)
    effect.record["summary"]["target"]["removed_share"]

The samples that are measured are the first ones of the run. Searches look at samples behind them,
which neither the run nor the measurement does.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from dissect.errors import ConfigError
from dissect.interventions import store
from dissect.interventions.applying import check_edits, check_reach
from dissect.interventions.curves import SIZES, draw_curves, effect_curve
from dissect.interventions.edits import Edit, to_json
from dissect.interventions.effects import (
    PixelCounts,
    Treatment,
    causal_effect,
    check_present,
    measure,
    random_order,
    random_units,
    table_of_sets,
)
from dissect.interventions.optimising import optimise, rank_by_weight
from dissect.interventions.originals import Originals, open_models
from dissect.interventions.ranking import (
    MATCHES,
    ORDERS,
    best_layer,
    gains_of_sweep,
    greedy,
    rank_by_match,
    sweep,
)
from dissect.interventions.regions import box
from dissect.interventions.sheets import draw_sheet, make_rows
from dissect.interventions.summary import RANDOM, share_of, summarise
from dissect.interventions.values import MEAN, insertion_values
from dissect.runs import Run
from dissect.samples import check_device

KINDS = ("ablate", "insert")
_ROWS = 6  # of a sheet
_CANDIDATES = 64  # at least so many units are searched, if the layer has them


@dataclass(frozen=True)
class Question:
    """What is asked.

    Args:
        kind: ``ablate`` or ``insert``.
        concept: Whose pixels should go, or come.
        layer: A layer of the run; None takes the one with the unit that tells most about it.
        n_units: Size of the set.
        order: Which units are taken, one of ``ORDERS``.
        n_samples: Samples that are measured, from the run's first.
        n_search: Samples that searches look at and over which the inserted mean is taken.
        n_candidates: Units that are searched, those with most excess information; None takes four
            times ``n_units``, at least 64.
        draws: Random sets of the same size.
        region: top, left, bottom, right in pixels of the image; None edits everywhere.
        value: What is inserted: ``mean`` or a quantile such as ``q0.99``.
        curve: Orders to be compared over the number of units; ``random`` is one too.

    Raises:
        ConfigError: a setting out of its range.
    """

    kind: str
    concept: str
    layer: str | None = None
    n_units: int = 20
    order: str = "iou"
    n_samples: int = 500
    n_search: int = 64
    n_candidates: int | None = None
    draws: int = 5
    region: tuple[int, ...] | None = None
    value: str = MEAN
    curve: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"kind is {self.kind!r}; expected {' or '.join(KINDS)}")
        for order in (self.order, *self.curve):
            known = ORDERS if order == self.order else (*ORDERS, RANDOM)
            if order not in known:
                raise ConfigError(f"order is {order!r}; expected one of {', '.join(known)}")
        at_least = {"n_units": 1, "n_samples": 2, "n_search": 2, "n_candidates": 1, "draws": 0}
        for name, least in at_least.items():
            if getattr(self, name) is not None and getattr(self, name) < least:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}; expected a whole number of at least {least}"
                )


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
        **settings: Fields of ``Question``.

    Returns:
        The stored effect; ``record["summary"]`` holds what the command line prints.

    Raises:
        DissectError: a mistake in what was given, in one line.
    """
    question = Question(**settings)
    layer = question.layer or best_layer(run, question.concept)
    run.vocabulary[question.concept]
    basis = run.basis(layer)  # also refuses a layer that the run did not read
    n_layer = run.layers[layer].units
    sets = random_units(n_layer, question.n_units, draws=question.draws, seed=run.config.seed)
    if name is not None:
        store.check_name(name)
    check_device(device)
    generator, segmenter = open_models(run, device=device)
    region = None if question.region is None else box(generator.image_size, question.region)
    bases = {layer: basis} if layer not in generator.layers else {}
    check_reach(generator, [layer], seed=run.config.seed)
    models = (generator, segmenter, run.config)
    originals = Originals(*models, n_samples=question.n_samples, bases=bases)
    block = run.config.block
    behind = -(-max(run.config.n_samples, question.n_samples) // block) * block
    search = Originals(*models, n_samples=question.n_search, first=behind, bases=bases)
    if question.kind == "ablate":
        check_present(originals, question.concept)
        values = None
    else:
        values = insertion_values(run, search, layer, question.concept, question.value)
    treatment = Treatment(layer, values, region)
    check_edits(generator, treatment.of(range(n_layer)), bases=bases)
    orders = _Orders(run, search, treatment, question, progress)
    units = orders.rank(question.order, question.n_units)
    started = time.perf_counter()
    counts = {"chosen": measure(originals, treatment.of(units), region)}
    seconds = time.perf_counter() - started
    drawn = {
        f"{RANDOM} {number}": measure(originals, treatment.of(chosen), region)
        for number, chosen in enumerate(sets, start=1)
    }
    if drawn:
        counts |= {RANDOM: _mean(list(drawn.values())), **drawn}
    table = table_of_sets(counts, run.vocabulary, seed=run.config.seed)
    if question.kind == "insert":
        ablated = measure(originals, Treatment(layer, None, region).of(units), region)
        ace = causal_effect(counts["chosen"], ablated, run.vocabulary, seed=run.config.seed)
        table = table.merge(ace.assign(set="chosen"), on=["set", "concept"], how="left")
    edits = treatment.of(units)
    asked = {
        "kind": question.kind,
        "concept": question.concept,
        "layer": layer,
        "units": units,
        "order": question.order,
        "samples": question.n_samples,
        "generator": generator.name,
        "images_per_second": round(question.n_samples / seconds, 1),
    }
    summary = summarise(table, asked)
    files = {store.SHEET: _sheet(originals, edits, counts["chosen"], summary)}
    if question.curve:
        files |= _curves(originals, treatment, orders, question)
    record = {
        "question": asdict(question)
        | {"curve": list(question.curve), "region": question.region and list(question.region)},
        "run": run.record["fingerprint"],
        "generator": generator.fingerprint,
        "segmenter": segmenter.fingerprint,
        "seed": run.config.seed,
        "random_units": sets,
        "edits": to_json(edits),
        "summary": summary,
    }
    record["question"]["layer"] = layer
    target = name or store.default_name(
        question.kind, question.concept, layer, question.n_units, question.order
    )
    return store.write_effect(run, target, record, table, files)


class _Orders:
    """Orders of units, each searched for once."""

    def __init__(
        self, run: Run, search: Originals, treatment: Treatment, question: Question, progress: bool
    ) -> None:
        self._run, self._search, self._treatment = run, search, treatment
        self._question, self._progress = question, progress

    def rank(self, order: str, size: int) -> list[int]:
        """The first ``size`` units of an order."""
        layer, concept = self._treatment.layer, self._question.concept
        if order in MATCHES:
            return rank_by_match(self._run, layer, concept, by=order)[:size]
        if order == RANDOM:
            n_units = self._run.layers[layer].units
            return random_order(n_units, 0, seed=self._run.config.seed)[:size]
        if order == "sweep":
            return list(self._gains)[:size]
        if order == "optimise":
            return self._by_weight[:size]
        return greedy(
            self._search, self._treatment, concept, self._gains, size, progress=self._progress
        )

    @cached_property
    def _by_weight(self) -> list[int]:
        layer, concept = self._treatment.layer, self._question.concept
        start = self._run.iou(layer).sel(concept=concept).values
        weights = optimise(self._search, self._treatment, concept, start, progress=self._progress)
        return rank_by_weight(weights, start)

    @cached_property
    def _gains(self) -> dict[int, float]:
        layer, question = self._treatment.layer, self._question
        n_candidates = question.n_candidates or max(_CANDIDATES, 4 * question.n_units)
        if n_candidates < question.n_units:
            raise ConfigError(
                f"n_candidates is {n_candidates}; expected at least the {question.n_units} units "
                "that are to be found"
            )
        ranked = rank_by_match(self._run, layer, question.concept, by="excess")
        table = sweep(self._search, self._treatment, ranked[:n_candidates], progress=self._progress)
        return gains_of_sweep(table, self._treatment, question.concept)


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
    originals: Originals, treatment: Treatment, orders: _Orders, question: Question
) -> dict[str, bytes]:
    share = share_of(question.kind)
    verb = share.removesuffix("_share")
    tables = {
        order: effect_curve(originals, treatment, orders.rank(order, max(SIZES)))
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
