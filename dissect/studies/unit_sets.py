"""The preparation of every measurement of a set of units: samples, values, and the units.

    prepared = prepare(open_run("runs/a"), UnitQuestion(concept="window"), inserted=True)
    prepared.units, prepared.random_sets

The measured samples are the first ones of the run. Searches use later samples, which neither the
run nor the measurement uses.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np

from dissect.counting.samples import check_device
from dissect.edits.applying import check_edits, check_reach
from dissect.edits.edit import Edit
from dissect.edits.recipes import to_json
from dissect.edits.regions import box
from dissect.errors import ConfigError, SettingError
from dissect.runs import Run
from dissect.studies.agreement import open_second
from dissect.studies.image_change import ImageChange
from dissect.studies.insertion_values import insertion_values
from dissect.studies.learned_values import learn_values
from dissect.studies.optimise import optimise, rank_by_weight
from dissect.studies.orders import MATCHES, PICKED, RANDOM
from dissect.studies.originals import Originals, open_models
from dissect.studies.pixels import Treatment, check_present
from dissect.studies.random_sets import (
    RandomSet,
    check_size,
    matched_sets,
    plain_sets,
    random_order,
)
from dissect.studies.ranking import best_layer, gains_of_sweep, greedy, rank_by_match, sweep
from dissect.studies.unit_question import LEARNED, MEAN, UnitQuestion, usual_size, wide_enough
from segmenters import Segmenter

_Question = TypeVar("_Question", bound=UnitQuestion)
_CANDIDATES = 64  # least units to search, if the layer has as many


@dataclass(frozen=True)
class Prepared:
    """The data of a measurement.

    Attributes:
        run: The run.
        layer: The layer that was given or found.
        originals: The measured samples.
        treat: Set of units → its edit: the same for every set, except for learned values, which
            each set learns separately.
        orders: Orders of all its units.
        units: The chosen set.
        random_sets: For each draw as many random units, without any chosen one.
        matched_sets: Random units, without any chosen one, that change images as strongly. Empty
            for learned values, because a set has no strength before it learned its values.
        image_change: How strongly the chosen units change images, in [0, 1].
        second: Another segmenter that reads the images too; None for none.
    """

    run: Run
    layer: str
    originals: Originals
    treat: Callable[[Sequence[int]], Treatment]
    orders: "Orders"
    units: list[int]
    random_sets: list[list[int]]
    matched_sets: list[RandomSet]
    image_change: float
    second: Segmenter | None

    @property
    def treatment(self) -> Treatment:
        """The edit of the chosen set."""
        return self.treat(self.units)

    def heading(
        self, kind: str, question: UnitQuestion, images_per_second: float
    ) -> dict[str, object]:
        """The first values of a summary."""
        return {
            "kind": kind,
            "concept": question.concept,
            "layer": self.layer,
            "units": self.units,
            "of_layer": self.run.layers[self.layer].units,
            "order": question.order,
            "samples": question.n_samples,
            "generator": self.originals.generator.name,
            "images_per_second": round(images_per_second, 1),
        }

    def record(
        self, question: UnitQuestion, edits: Sequence[Edit], summary: Mapping[str, object]
    ) -> dict[str, object]:
        """Contents of recipe.json."""
        return {
            "question": question.to_json(self.layer),
            "run": self.run.record["fingerprint"],
            "generator": self.originals.generator.fingerprint,
            "segmenter": self.originals.segmenter.fingerprint,
            "seed": self.run.config.seed,
            "random_units": self.random_sets,
            "matched_units": [one.to_json() for one in self.matched_sets],
            "edits": to_json(edits),
            "summary": summary,
        }


def settle(run: Run, question: _Question) -> _Question:
    """Fill in the layer and the number of units that the question left open.

    Raises:
        SegmenterError: a concept that is not in the vocabulary.
        LayerError: a layer that the run did not read.
    """
    layer = question.layer or best_layer(
        run, question.concept, least_units=wide_enough(question.n_units)
    )
    if layer not in run.layers:
        run.basis(layer)  # which raises the error
    n_units = question.n_units or usual_size(run.layers[layer].units)
    return replace(question, layer=layer, n_units=n_units)


def prepare(
    run: Run,
    question: UnitQuestion,
    *,
    inserted: bool,
    matched: bool = True,
    region: Sequence[int] | None = None,
    device: str = "cpu",
    progress: bool = False,
) -> Prepared:
    """Load the models, create the samples, find the values and choose the units.

    Args:
        run: A finished run whose generator and segmenter can be loaded.
        question: Settings that choose the units.
        inserted: Whether units are held at a value; otherwise they are ablated.
        matched: Also find random sets that change images as strongly.
        region: top, left, bottom, right in pixels of the image; None edits everywhere.
        device: Device to load the models on.
        progress: Show progress bars of searches on stderr.

    Raises:
        DissectError: an invalid argument; the message is one line.
    """
    run.vocabulary[question.concept]
    question = settle(run, question)
    layer, n_units = str(question.layer), int(question.n_units or 0)
    basis = run.basis(layer)  # also refuses a layer that the run did not read
    n_layer = run.layers[layer].units
    if max(question.picked, default=0) >= n_layer:
        raise ConfigError(
            f"unit {max(question.picked)} was picked; expected from 0 to {n_layer - 1}, as {layer} "
            "has"
        )
    check_size(n_layer, n_units)
    check_device(device)
    generator, segmenter = open_models(run, device=device)
    second = open_second(question.second, segmenter, device=device, concept=question.concept)
    mask = None if region is None else box(generator.image_size, region)
    bases = {layer: basis} if layer not in generator.layers else {}
    check_reach(generator, [layer], seed=run.config.seed)
    models = (generator, segmenter, run.config)
    originals = Originals(*models, n_samples=question.n_samples, bases=bases)
    block = run.config.block
    behind = -(-max(run.config.n_samples, question.n_samples) // block) * block
    search = Originals(*models, n_samples=question.n_search, first=behind, bases=bases)
    originals.fill(progress=progress)
    if inserted:
        how = MEAN if question.value == LEARNED else question.value
        values = insertion_values(run, search, layer, question.concept, how)
    else:
        check_present(originals, question.concept)
        values = None
    treatment = Treatment(layer, values, mask)
    check_edits(generator, treatment.of(range(n_layer)), bases=bases)
    orders = Orders(run, search, treatment, question, progress)
    units = orders.rank(question.order, n_units)
    learned = inserted and question.value == LEARNED
    treat = _Learned(search, treatment, question.concept, progress) if learned else _same(treatment)
    draws, seed = question.draws, run.config.seed
    change = ImageChange(search)
    strength, alike = matched_sets(
        lambda own: change.of(treat(own).of(own)),
        n_layer, units, draws=draws if matched and not learned else 0, seed=seed,
    )  # fmt: skip
    return Prepared(
        run, layer, originals, treat, orders, units,
        random_sets=plain_sets(n_layer, units, range(draws), seed=seed),
        matched_sets=alike, image_change=strength, second=second,
    )  # fmt: skip


def _same(treatment: Treatment) -> Callable[[Sequence[int]], Treatment]:
    return lambda units: treatment


class _Learned:
    """Edits with values that were learned for exactly the units of a set, once per set."""

    def __init__(
        self, search: Originals, treatment: Treatment, concept: str, progress: bool
    ) -> None:
        self._search, self._start, self._concept = search, treatment, concept
        self._progress = progress
        self._found: dict[tuple[int, ...], Treatment] = {}

    def __call__(self, units: Sequence[int]) -> Treatment:
        key = tuple(units)
        if key not in self._found:
            start = self._start
            assert start.values is not None  # only insertions learn values
            values = np.array(start.values, dtype=np.float64)
            values[list(units)] = learn_values(
                self._search, start.layer, units, self._concept, values[list(units)],
                region=start.region, progress=self._progress,
            )  # fmt: skip
            self._found[key] = replace(start, values=values)
        return self._found[key]


class Orders:
    """Orders of units; each is computed once."""

    def __init__(
        self,
        run: Run,
        search: Originals,
        treatment: Treatment,
        question: UnitQuestion,
        progress: bool,
    ) -> None:
        self._run, self._search, self._treatment = run, search, treatment
        self._question, self._progress = question, progress

    def rank(self, order: str, size: int) -> list[int]:
        """The first ``size`` units of an order: one of ``ORDERS``, ``PICKED`` or ``RANDOM``."""
        layer, concept = self._treatment.layer, self._question.concept
        if order in MATCHES:
            return rank_by_match(self._run, layer, concept, by=order)[:size]
        return self._others[order](size)[:size]

    @property
    def _others(self) -> dict[str, Callable[[int], list[int]]]:
        """Orders that the run does not contain → a function of the least number of units."""
        return {
            PICKED: lambda size: list(self._question.picked),
            RANDOM: lambda size: self._at_random(),
            "sweep": lambda size: list(self._gains),
            "greedy": self._greedily,
            "optimise": lambda size: self._by_weight,
        }

    def _at_random(self) -> list[int]:
        n_units = self._run.layers[self._treatment.layer].units
        return random_order(n_units, 0, seed=self._run.config.seed)

    def _greedily(self, size: int) -> list[int]:
        concept = self._question.concept
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
        n_units = question.n_units or 1
        n_candidates = question.n_candidates or max(_CANDIDATES, 4 * n_units)
        if n_candidates < n_units:
            raise SettingError(
                "n_candidates",
                f"is {n_candidates}; expected at least the {n_units} units to find",
            )
        ranked = rank_by_match(self._run, layer, question.concept, by="excess")
        table = sweep(self._search, self._treatment, ranked[:n_candidates], progress=self._progress)
        return gains_of_sweep(table, self._treatment, question.concept)
