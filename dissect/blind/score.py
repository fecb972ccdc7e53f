"""How often people chose the label, by rung, with a Wilson interval.

References:
    Wilson, Probable Inference, the Law of Succession, and Statistical Inference, 1927.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from dissect.blind.answers import Answer, answers_of
from dissect.blind.rungs import rungs_of
from dissect.runs import Run
from dissect.statistics.rungs import wilson

ALL = "all"


@dataclass(frozen=True)
class Score:
    """The score of the answers for the units of one rung.

    Attributes:
        rung: Its name, or ``all``.
        asked, right: Number of answers, and of those that are the label.
        share, low, high: Share of right answers, with the 95 % Wilson interval; None without
            answers.
        chance: Expected share of right answers when guessing, from the numbers of choices.
    """

    rung: str
    asked: int
    right: int
    share: float | None
    low: float | None
    high: float | None
    chance: float | None

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)

    @property
    def words(self) -> str:
        """Text such as ``named: 51 of 60 right, 0.85 [0.74, 0.92], by guessing 0.25``."""
        if self.share is None:
            return f"{self.rung}: nothing was answered yet"
        return (
            f"{self.rung}: {self.right} of {self.asked} right, {self.share:.2f} "
            f"[{self.low:.2f}, {self.high:.2f}], by guessing {self.chance:.2f}"
        )


def score_of(rung: str, answers: Sequence[Answer]) -> Score:
    """The score of some answers."""
    asked, right = len(answers), sum(answer.is_right for answer in answers)
    if not asked:
        return Score(rung, 0, 0, None, None, None, None)
    low, high = wilson(right, asked)
    chance = sum(1 / len(answer.choices) for answer in answers) / asked
    return Score(rung, asked, right, right / asked, float(low), float(high), chance)


def scores(run: Run) -> list[Score]:
    """The score of each rung with answers, then of all answers.

    Raises:
        RunError: a damaged file of answers.
    """
    answers = answers_of(run)
    labels = run.table[run.table.is_label]
    places = zip(labels.layer.astype(str), labels.unit.astype(int), strict=True)
    rungs = dict(zip(places, rungs_of(run, labels), strict=True))
    by_rung: dict[str, list[Answer]] = {}
    for one in answers:
        by_rung.setdefault(rungs.get((one.layer, one.unit), "not in the run"), []).append(one)
    return [*(score_of(rung, own) for rung, own in by_rung.items()), score_of(ALL, answers)]
