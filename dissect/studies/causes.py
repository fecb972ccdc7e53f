"""Causal evidence on single units and sets, read from the effects of a run.

    causes = unit_causes(open_run("runs/a"), labels, fdr=0.05)

This is the only module that decides whether a unit is *causal*. Two studies store the evidence:

- ``causal`` ablates every unit alone. Its ``effect.parquet`` has a row for each unit and concept:
  ``layer``, ``unit``, ``concept``, ``before`` and ``after`` (pixels per image),
  ``net_removed_share`` (1 − after / before) with ``_low`` and ``_high``, ``random`` (the mean of
  other units that change images as strongly), ``lead`` over them with ``lead_low`` and
  ``lead_high``, ``p_random`` and ``beyond_random``, and ``image_change``.
- ``ablate`` measures a given set. ``summary.target`` in its ``recipe.json`` has the same columns
  for the set's concept, and ``summary.matched`` those of the matched random sets.

Nothing in here imports torch.
"""

import pandas as pd

from dissect.errors import ConfigError
from dissect.runs import Run
from dissect.statistics.registry import rows_of
from dissect.studies.ablate_insert.question import ABLATE
from dissect.studies.causal.question import CAUSAL
from dissect.studies.causal.verdict import judge_units
from dissect.studies.effects import open_effect
from dissect.studies.store import StoredEffect, effect_names


def unit_causes(run: Run, labels: pd.DataFrame | None = None, *, fdr: float = 0.05) -> pd.DataFrame:
    """For each unit that was ablated alone, whether it is causal for its label.

    Args:
        run: A finished run.
        labels: ``layer``, ``unit`` and ``concept``; None takes the run's labels.
        fdr: False discovery rate over all judged units.

    Returns:
        A row for each unit with the columns of the study ``causal``, ``q``, ``causal`` and
        ``effect``, the name of its effect: of several, the one with most samples, then the last by
        name. Empty if nothing was measured.

    Raises:
        RunError: a damaged effect.
    """
    if labels is None:
        labels = run.table[run.table.is_label][["layer", "unit", "concept"]]
    effects = sorted(
        (effect for effect in _of_kind(run, CAUSAL)),
        key=lambda effect: (-effect.record["summary"]["samples"], effect.name),
    )
    tables, seen = [], set[str]()
    for effect in effects:
        table = effect.table
        tables.append(table[~table.layer.isin(seen)].assign(effect=effect.name))
        seen |= set(table.layer)
    if not tables:
        return pd.DataFrame(columns=["layer", "unit", "concept", "causal", "effect"])
    return judge_units(pd.concat(tables, ignore_index=True), labels, fdr=fdr)


def describe_causes(run: Run) -> str:
    """The number of the run's named units that are causal, in a sentence."""
    causes = unit_causes(run)
    if not len(causes):
        return "Which units are causal was not measured yet."
    labels = run.table[run.table.is_label & run.table.is_named]
    named = set(zip(labels.layer, labels.unit, strict=True))
    judged = [row for row in rows_of(causes) if (row.layer, row.unit) in named]
    causal = sum(bool(row.causal) for row in judged)
    return f"Of {len(judged):,} named units that were ablated alone, {causal:,} are causal."


def set_causes(run: Run) -> pd.DataFrame:
    """For each set of units that was ablated everywhere, whether it is causal for its concept.

    Returns:
        ``effect``, ``layer``, ``units`` (a tuple), ``concept``, ``net_removed_share`` with ``_low``
        and ``_high``, ``random`` (the mean of matched sets) with ``_low`` and ``_high``, ``lead``
        with ``_low`` and ``_high``, and ``causal``: the set's interval is above 0 and its lead
        over matched random sets is larger than that of another such set. Omits effects of earlier
        versions and effects without random sets.

    Raises:
        RunError: a damaged effect.
    """
    rows = []
    share = "net_removed_share"
    for effect in _of_kind(run, ABLATE):
        summary = effect.record["summary"]
        target, matched = summary["target"], summary.get("matched")
        if matched is None or effect.record["question"].get("region") is not None:
            continue
        low = target[f"{share}_low"]
        rows.append(
            {
                "effect": effect.name,
                "layer": summary["layer"],
                "units": tuple(summary["units"]),
                "concept": summary["concept"],
                **{f"{share}{end}": target[f"{share}{end}"] for end in ("", "_low", "_high")},
                **{f"random{end}": matched[f"{share}{end}"] for end in ("", "_low", "_high")},
                **{f"lead{end}": target[f"lead{end}"] for end in ("", "_low", "_high")},
                "causal": bool(target["beyond_random"]) and low is not None and low > 0,
            }
        )
    return pd.DataFrame(rows)


def _of_kind(run: Run, kind: str) -> list[StoredEffect]:
    found = []
    for name in effect_names(run):
        try:
            effect = open_effect(run, name)
        except ConfigError:  # deleted meanwhile
            continue
        if effect.record["summary"]["kind"] == kind:
            found.append(effect)
    return found
