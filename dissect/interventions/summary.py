"""What is told of a measured effect: as plain values for JSON, and as text for the terminal."""

import math
from collections.abc import Mapping

import pandas as pd

RANDOM = "random"
"""The set that is the mean of all random draws; single ones are called ``random 1``, …"""
_SIDE_EFFECTS = 8  # that are printed


def share_of(kind: str) -> str:
    """The column that says how far a set did what it was meant to do."""
    return "removed_share" if kind == "ablate" else "added_share"


def summarise(table: pd.DataFrame, asked: Mapping[str, object]) -> dict[str, object]:
    """The outcome in plain values; None where a share is undefined.

    Args:
        table: ``table_of_sets`` with the set ``chosen`` and, where there were any, random ones.
        asked: ``kind``, ``concept`` and whatever else is to stand in front.

    Returns:
        ``asked``, then ``target`` (the concept's row), ``random`` (the same for the mean draw, and
        the share of each draw in ``draws``; None without draws) and ``side_effects`` (the rows of
        all other concepts, largest change first).
    """
    concept = asked["concept"]
    chosen = _plain(table[table.set == "chosen"].drop(columns="set"))
    drawn = table[table.concept == concept]
    single = drawn[drawn.set.str.startswith(f"{RANDOM} ")][share_of(asked["kind"])].tolist()
    random = _plain(drawn[drawn.set == RANDOM].drop(columns="set"))
    return {
        **asked,
        "target": next(row for row in chosen if row["concept"] == concept),
        "random": {**random[0], "draws": [_number(v) for v in single]} if random else None,
        "side_effects": sorted(
            (row for row in chosen if row["concept"] != concept),
            key=lambda row: -abs(row["change"]),
        ),
    }


def describe_effect(summary: Mapping[str, object]) -> str:
    """A summary as text: the target, the baseline, then the largest side effects."""
    kind, concept, target = summary["kind"], summary["concept"], summary["target"]
    share = share_of(kind)
    verb = share.removesuffix("_share")
    units = ", ".join(map(str, summary["units"][:20])) + (
        ", …" if len(summary["units"]) > 20 else ""
    )
    lines = [
        f"{kind} {len(summary['units'])} units of {summary['layer']}, order {summary['order']}: "
        f"{units}",
        f"{summary['samples']:,} samples, {summary['images_per_second']:,.0f} edited images per "
        "second",
        "",
        f"  {concept}: {target['before']:,.1f} → {target['after']:,.1f} pixels per image, "
        f"{_share(target, share)} {verb}",
    ]
    if summary["random"] is not None:
        lines.append(
            f"  the same number of random units: {_share(summary['random'], share)} {verb} "
            f"(mean of {len(summary['random']['draws'])} draws)"
        )
    if "ace" in target:
        lines.append(
            f"  causal effect δ = {target['ace']:.3f} [{target['ace_low']:.3f}, "
            f"{target['ace_high']:.3f}] of the pixels"
        )
    shown = [row for row in summary["side_effects"] if row["removed"] or row["added"]]
    if shown:
        width = max(len(row["concept"]) for row in shown[:_SIDE_EFFECTS])
        lines += ["", "  side effects, in pixels per image"]
        lines += [
            f"    {row['concept']:<{width}}  {row['before']:>9,.1f} → {row['after']:<9,.1f} "
            f"{row['change']:>+9,.1f}  [{row['change_low']:+,.1f}, {row['change_high']:+,.1f}]"
            for row in shown[:_SIDE_EFFECTS]
        ]
    return "\n".join(lines)


def _share(row: Mapping[str, object], share: str) -> str:
    if row[share] is None:
        return "an undefined share"
    return f"{row[share]:.2f} [{row[f'{share}_low']:.2f}, {row[f'{share}_high']:.2f}]"


def _plain(table: pd.DataFrame) -> list[dict[str, object]]:
    rows = table.to_dict(orient="records")
    return [{name: _number(value) for name, value in row.items()} for row in rows]


def _number(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value
