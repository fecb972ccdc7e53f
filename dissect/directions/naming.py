"""Names directions by their effects.

A direction changes an attribute *certainly* if the 95 % interval of the effect excludes 0 and the
effect exceeds the noise floor, the largest effect of random directions of equal length. The largest
certain effect, in deviations of the attribute, gives the name; the other certain ones are its side
effects. A direction without certain effects changes nothing that was measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from dissect.directions.effects import Effects

NOTHING = "nothing measured"


@dataclass(frozen=True)
class Effect:
    """One certain effect of a direction.

    Attributes:
        attribute: The attribute that changes.
        value: Mean change at the strength of the table, in deviations of the attribute.
        low, high: Bounds of its 95 % interval.
        floor: The largest effect of random directions of equal length.
    """

    attribute: str
    value: float
    low: float
    high: float
    floor: float

    def __str__(self) -> str:
        return f"{self.attribute} {self.value:+.2f}".replace("-", "−")


@dataclass(frozen=True)
class Meaning:
    """The attributes that a direction changes.

    Attributes:
        direction: Its name.
        main: The largest certain effect; None if there is none.
        side_effects: The other certain ones, in descending order.
    """

    direction: str
    main: Effect | None
    side_effects: tuple[Effect, ...]

    @property
    def label(self) -> str:
        """``lighting +``, ``view −``, or a text that no measured attribute changes."""
        if self.main is None:
            return NOTHING
        return f"{self.main.attribute} {'+' if self.main.value > 0 else '−'}"

    @property
    def specificity(self) -> float:
        """|main| / (|main| + Σ |side effects|): 1 for a single effect; NaN without any."""
        if self.main is None:
            return np.nan
        others = sum(abs(one.value) for one in self.side_effects)
        return abs(self.main.value) / (abs(self.main.value) + others)


def name_directions(effects: "Effects") -> tuple[Meaning, ...]:
    """The meaning of each direction of a matrix, in order."""
    meanings = []
    for row, name in enumerate(effects.names):
        certain = [
            Effect(
                attribute,
                float(effects.signed[row, column]),
                float(effects.low[row, column]),
                float(effects.high[row, column]),
                float(effects.floor[row, column]),
            )
            for column, attribute in enumerate(effects.attributes)
            if effects.beyond[row, column]
        ]
        certain.sort(key=lambda one: -abs(one.value))
        main = certain[0] if certain else None
        meanings.append(Meaning(name, main, tuple(certain[1:])))
    return tuple(meanings)


def describe_meanings(meanings: Sequence[Meaning], effects: "Effects") -> str:
    """The table for the terminal: direction, changed attribute, interval, floor, side effects."""
    width = max([len("direction"), *(len(one.direction) for one in meanings)]) + 2
    label = max([len("changes"), *(len(one.label) for one in meanings)]) + 2
    lines = [f"{'direction':<{width}}{'changes':<{label}}effect  95 % interval    floor  with it"]
    for one in meanings:
        if one.main is None:
            lines.append(f"{one.direction:<{width}}{one.label:<{label}}")
            continue
        main = one.main
        interval = f"{main.low:+.2f} … {main.high:+.2f}"
        floor = "–" if np.isnan(main.floor) else f"{main.floor:.2f}"
        sides = ", ".join(map(str, one.side_effects)) or "nothing else"
        lines.append(
            f"{one.direction:<{width}}{one.label:<{label}}{main.value:+6.2f}  {interval:<15}  "
            f"{floor:>5}  {sides}"
        )
    return "\n".join(
        [
            *lines,
            "",
            f"effects of a step of {effects.strength:g} deviations of the space, in deviations of "
            f"the attribute, over {effects.n_samples:,} fresh images; floor: the largest of random "
            "directions of the same length",
        ]
    )
