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


def summarise_context(table: pd.DataFrame, asked: Mapping[str, object]) -> dict[str, object]:
    """The outcome in plain values; None where a share is undefined.

    Args:
        table: Of ``measure_context``, with the sets ``chosen`` and, where drawn, ``random``.
        asked: What is to stand in front.

    Returns:
        ``asked``, then ``contexts``: the chosen set's rows, each with those of the mean random draw
        in ``random`` (None without draws).
    """
    by_set = {
        name: _plain(table[table.set == name].drop(columns="set")) for name in ("chosen", RANDOM)
    }
    random = {row["context"]: row for row in by_set[RANDOM]}
    rows = [row | {"random": random.get(row["context"])} for row in by_set["chosen"]]
    return {**asked, "contexts": rows}


def headline(summary: Mapping[str, object]) -> str:
    """A summary in a few words."""
    concept, samples = summary["concept"], f"{summary['samples']:,} samples"
    if summary["kind"] == "context":
        others = [
            row
            for row in summary["contexts"]
            if row["context"] != concept and row["added_share"] is not None
        ]
        if not others:
            return f"{concept} at every place before, {samples}"
        sure = [row for row in others if not row["few"]] or others
        most, least = sure[0], sure[-1]
        return (
            f"{concept} into {most['context']} {most['added_share']:.2f}, into {least['context']} "
            f"{least['added_share']:.2f}, {samples} of {summary['places']} places"
        )
    share = share_of(summary["kind"])
    value = summary["target"][share]
    told = "–" if value is None else f"{value:.2f}"
    return f"{told} of {concept} {share.removesuffix('_share')}, {samples}"


def describe_effect(summary: Mapping[str, object]) -> str:
    """A summary as text: the target, the baseline, then the largest side effects."""
    if summary["kind"] == "context":
        return _describe_context(summary)
    kind, concept, target = summary["kind"], summary["concept"], summary["target"]
    share = share_of(kind)
    verb = share.removesuffix("_share")
    lines = [
        _describe_units(kind, summary),
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


def _describe_units(verb: str, summary: Mapping[str, object]) -> str:
    units = ", ".join(map(str, summary["units"][:20]))
    more = ", …" if len(summary["units"]) > 20 else ""
    return (
        f"{verb} {len(summary['units'])} units of {summary['layer']}, order {summary['order']}: "
        f"{units}{more}"
    )


def _describe_context(summary: Mapping[str, object]) -> str:
    """A summary as a table: each context, the baseline beside it."""
    concept, side = summary["concept"], summary["side"]
    rows = summary["contexts"]
    width = max(len("context"), *(len(row["context"]) for row in rows))
    lines = [
        _describe_units("insert", summary),
        f"{summary['samples']:,} samples × {summary['places']} boxes of {side} × {side} pixels, "
        f"{summary['images_per_second']:,.0f} edited images per second",
        "",
        f"  what becomes {concept}, by what covers at least half of the box",
        f"    {'context':<{width}} {'boxes':>7} {'images':>7}  {'before':>6} {'after':>6}  "
        f"{'added':<19} {'random':>6}  {'success':>7}  {'change':>6} {'random':>6}",
    ]
    for row in rows:
        random = row["random"] or {}
        lines.append(
            f"    {row['context']:<{width}} {row['places']:>7,} {row['images']:>7,}  "
            f"{row['before_share']:>6.2f} {row['after_share']:>6.2f}  "
            f"{_share(row, 'added_share'):<19} {_cell(random.get('added_share'))}  "
            f"{_cell(row['success']):>7}  {row['change']:>6.3f} "
            f"{_cell(random.get('change'), 3)}{'  few' if row['few'] else ''}"
        )
    few = summary["few"]
    if any(row["few"] for row in rows):
        lines.append(f"    few: under {few['places']} boxes or {few['images']} images")
    return "\n".join(lines)


def _cell(value: float | None, digits: int = 2) -> str:
    return f"{'–' if value is None else format(value, f'.{digits}f'):>6}"


def _share(row: Mapping[str, object], share: str) -> str:
    if row[share] is None:
        return "an undefined share"
    return f"{row[share]:.2f} [{row[f'{share}_low']:.2f}, {row[f'{share}_high']:.2f}]"


def _plain(table: pd.DataFrame) -> list[dict[str, object]]:
    rows = table.to_dict(orient="records")
    return [{name: _number(value) for name, value in row.items()} for row in rows]


def _number(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value
