"""Measured effects for a report: descriptions, curves as points, commands."""

from dataclasses import dataclass

import pandas as pd

from dissect.errors import RunError
from dissect.runs import Run
from dissect.studies.description import Description
from dissect.studies.effects import open_effect
from dissect.studies.orders import RANDOM
from dissect.studies.registry import study_of
from dissect.studies.store import ADVICE, CURVE, StoredEffect, effect_names
from dissect.studies.study import verb_of
from segmenters.received import reading

_MOST_LINES = 6


@dataclass(frozen=True)
class Line:
    """A line of a curve: a share against the number of units, with its 95 % interval."""

    name: str
    n_units: list[int]
    share: list[float]
    low: list[float]
    high: list[float]


@dataclass(frozen=True)
class EffectFacts:
    """One effect.

    Attributes:
        name: Name of its folder.
        kind: Kind of its study.
        text: The result in half a line.
        description: The result; see ``Description``.
        layers: Layer → the edited units.
        verb: Meaning of the curve's share, such as ``removed``; "" without a curve.
        command: Command that repeats the measurement, with RUN for the folder.
        lines: A curve against the number of units, the random one last; usually empty.
        sheet: Its picture as PNG, or None.
        is_wide: Whether the picture takes the full page width.
    """

    name: str
    kind: str
    text: str
    description: Description
    layers: dict[str, list[int]]
    verb: str
    command: str
    lines: list[Line]
    sheet: bytes | None
    is_wide: bool

    @property
    def concept(self) -> str:
        """The concept to change; "" for none."""
        return self.description.concept


def effect_facts(run: Run) -> list[EffectFacts]:
    """All effects measured on a run, by name.

    Raises:
        RunError: a damaged effect.
    """
    found = []
    for name in effect_names(run):
        effect = open_effect(run, name)
        with reading(effect.path, RunError, ADVICE):
            found.append(_read(effect))
    return found


def _read(effect: StoredEffect) -> EffectFacts:
    study, summary = study_of(effect), effect.record["summary"]
    description = study.describe(summary)
    curve = effect.read_table(CURVE) if study.share and effect.file(CURVE) else None
    share = study.share if curve is None else study.share_in(curve)
    return EffectFacts(
        name=effect.name,
        kind=study.kind,
        text=study.headline(summary),
        description=description,
        layers={
            layer: [int(unit) for unit in units] for layer, units in description.layers.items()
        },
        verb=verb_of(share),
        command=study.command(effect.record["question"]),
        lines=[] if curve is None else _lines(curve, share, description.concept),
        sheet=effect.sheet(),
        is_wide=study.pictures[0].is_wide,
    )


def _lines(table: pd.DataFrame, share: str, concept: str) -> list[Line]:
    """One line for each order, the random one last."""
    lines = []
    table = table[(table.concept == concept) & table[share].notna()]
    orders = sorted(dict.fromkeys(table.order), key=lambda order: order == RANDOM)
    for order in orders[:_MOST_LINES]:
        own = table[table.order == order].sort_values("n_units")
        columns = (own[name].tolist() for name in (share, f"{share}_low", f"{share}_high"))
        lines.append(Line(order, own.n_units.tolist(), *columns))
    return lines
