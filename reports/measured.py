"""Measured effects as a report tells them: plain values, curves as points, commands."""

import shlex
from dataclasses import dataclass

import pandas as pd

from dissect.runs import Run
from dissect.studies.questions import RANDOM
from dissect.studies.store import CURVE, SHEET, StoredEffect, effect_names, open_effect
from dissect.studies.summary import CONTEXT, REPAIR, share_of
from dissect.studies.telling import count_units, headline, verdict

_OPTIONS = {
    "n_units": "units",
    "n_samples": "samples",
    "n_search": "search",
    "n_candidates": "candidates",
}
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
    """What is told of one effect.

    Attributes:
        name: Of its folder.
        kind: ``ablate``, ``insert``, ``context`` or ``repair``.
        concept: What it aimed at; "" for a repair.
        layers: Layer → the units that were edited.
        text: It in half a line.
        units_text: Which units, in words.
        share: Column of the target that counts, such as ``removed_share``; "" for others.
        summary: What was found, as stored.
        command: What measures it again, with RUN for the folder.
        lines: A curve against the number of units, the random one last where it was asked for.
        sheet: Its picture, PNG, or None.
        verdict: Of a repair, in a few words; else "".
    """

    name: str
    kind: str
    concept: str
    layers: dict[str, list[int]]
    text: str
    units_text: str
    share: str
    summary: dict[str, object]
    command: str
    lines: list[Line]
    sheet: bytes | None
    verdict: str


def effect_facts(run: Run) -> list[EffectFacts]:
    """Everything that was measured on a run, by name.

    Raises:
        RunError: a damaged effect.
    """
    return [_read(open_effect(run, name)) for name in effect_names(run)]


def _read(effect: StoredEffect) -> EffectFacts:
    summary = effect.record["summary"]
    kind = summary["kind"]
    layers = summary["units"] if kind == REPAIR else {summary["layer"]: summary["units"]}
    curve, sheet = effect.path / CURVE, effect.path / SHEET
    simple = kind not in (CONTEXT, REPAIR)
    return EffectFacts(
        name=effect.name,
        kind=kind,
        concept=summary.get("concept", ""),
        layers={layer: [int(unit) for unit in units] for layer, units in layers.items()},
        text=headline(summary),
        units_text=count_units(layers),
        share=share_of(kind) if simple else "",
        summary=summary,
        command=_command(kind, effect.record["question"]),
        lines=_lines(pd.read_parquet(curve), summary) if simple and curve.is_file() else [],
        sheet=sheet.read_bytes() if sheet.is_file() else None,
        verdict=verdict(summary) if kind == REPAIR else "",
    )


def _lines(table: pd.DataFrame, summary: dict) -> list[Line]:
    """One line for each order, the random one last."""
    share, lines = share_of(summary["kind"]), []
    table = table[(table.concept == summary["concept"]) & table[share].notna()]
    orders = sorted(dict.fromkeys(table.order), key=lambda order: order == RANDOM)
    for order in orders[:_MOST_LINES]:
        own = table[table.order == order].sort_values("n_units")
        columns = (own[name].tolist() for name in (share, f"{share}_low", f"{share}_high"))
        lines.append(Line(order, own.n_units.tolist(), *columns))
    return lines


def _command(kind: str, question: dict) -> str:
    """The command line that asks the question."""
    words = ["dissect", kind, "RUN"]
    for name, value in question.items():
        if name == "kind" or value is None or value in ([], ()):
            continue
        if kind == "ablate" and name == "value":
            continue
        text = ",".join(map(_word, value)) if isinstance(value, (list, tuple)) else str(value)
        words += [f"--{_OPTIONS.get(name, name).replace('_', '-')}", shlex.quote(text)]
    return " ".join(words)


def _word(value: object) -> str:
    """A part of a list; a unit of a layer is a list itself."""
    return ":".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
