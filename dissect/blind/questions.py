"""Questions of a blind test: the units, and four concepts to choose from for each.

Units are drawn by seed, the same number from each rung if there are enough. The order reveals
nothing about the rung. The choices are the unit's label and three others of the eight concepts that
match the unit best after it, in an order by seed. Nothing that a person sees shows which one is the
label.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dissect.blind.options import BlindOptions
from dissect.blind.rungs import rungs_of
from dissect.errors import ConfigError
from dissect.runs import Run
from dissect.statistics.registry import rows_of

N_CHOICES = 4
_PLAUSIBLE = 8  # concepts from which the other choices are drawn
_BLIND = 0xB11D  # joined with the seed, to give a separate random stream


@dataclass(frozen=True)
class BlindQuestion:
    """One unit and its choices.

    Attributes:
        layer, unit: The unit in the run.
        choices: Four concepts, or fewer if the segmenter has fewer.
        label: The unit's label in the run. Do not show it to the person.
        rung: The unit's rung in the run.
    """

    layer: str
    unit: int
    choices: tuple[str, ...]
    label: str
    rung: str

    @property
    def key(self) -> str:
        """Its name in a file of answers."""
        return f"{self.layer}/{self.unit}"


def blind_questions(run: Run, options: BlindOptions) -> list[BlindQuestion]:
    """The questions for a run: the same for the same run and options.

    Args:
        run: A finished run with top images.
        options: Number of units, and the seed.

    Raises:
        ConfigError: a run whose layers have no pictures, or with fewer than two concepts to choose.
    """
    layers = [layer for layer in run.layers if run.has_strips(layer)]
    if not layers or len(run.vocabulary) < 2:
        raise ConfigError(
            f"{run.path} has {'no top images' if not layers else 'one concept'}; expected pictures "
            "of units and concepts to choose from; make the run with --top-images and such a "
            "segmenter"
        )
    table = run.table[run.table.layer.isin(layers)]
    labels = table[table.is_label].astype({"layer": str, "concept": str})
    labels = labels.assign(rung=rungs_of(run, labels))
    random = np.random.default_rng((options.seed, _BLIND))
    chosen = _spread_over_rungs(labels, options.n_units, random)
    keys = set(zip(chosen.layer, chosen.unit, strict=True))
    rows = table[[key in keys for key in zip(table.layer.astype(str), table.unit, strict=True)]]
    pairs = {
        (str(own.layer.iloc[0]), int(own.unit.iloc[0])): own
        for _, own in rows.groupby(["layer", "unit"], observed=True)
    }
    return [
        BlindQuestion(
            layer=str(row.layer),
            unit=int(row.unit),
            choices=_choices(pairs[row.layer, row.unit], row.concept, random),
            label=str(row.concept),
            rung=str(row.rung),
        )
        for row in rows_of(chosen)
    ]


def _spread_over_rungs(
    labels: pd.DataFrame, n_units: int, random: np.random.Generator
) -> pd.DataFrame:
    """Rows in a random order, with the rungs as evenly represented as possible."""
    mixed = labels.iloc[random.permutation(len(labels))]
    turn = mixed.groupby("rung", sort=False).cumcount()
    first = mixed.iloc[np.argsort(turn.to_numpy(), kind="stable")[:n_units]]
    return first.iloc[random.permutation(len(first))]


def _choices(pairs: pd.DataFrame, label: str, random: np.random.Generator) -> tuple[str, ...]:
    ranked = pairs.sort_values(
        ["excess_information", "iou"], ascending=False, kind="stable", na_position="last"
    )
    others = [str(name) for name in ranked.concept if str(name) != label][:_PLAUSIBLE]
    drawn = random.permutation(len(others))[: N_CHOICES - 1]
    shown = [label, *(others[place] for place in drawn)]
    return tuple(shown[place] for place in random.permutation(len(shown)))


def find_question(questions: Sequence[BlindQuestion], key: str) -> BlindQuestion:
    """The question with a key.

    Raises:
        ConfigError: the test has no such question.
    """
    for question in questions:
        if question.key == key:
            return question
    raise ConfigError(
        f"the answer is to {key[:60]!r}, which this test does not ask; expected units of the same "
        "run, seed and number of units"
    )
