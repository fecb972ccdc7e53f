"""What is told of a measured effect: as plain values for JSON, and as text for the terminal."""

import math
from collections.abc import Mapping

import pandas as pd

RANDOM = "random"
"""The set that is the mean of all random draws; single ones are called ``random 1``, …"""
REPAIR = "repair"
"""The ``kind`` of a repair; all others have a concept as their target."""
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


def summarise_repair(
    table: pd.DataFrame, distance: Mapping[str, object] | None, asked: Mapping[str, object]
) -> dict[str, object]:
    """The outcome of a repair in plain values.

    Args:
        table: ``table_of_sets`` with the set ``chosen``.
        distance: ``distance_change``; None where there were no data.
        asked: ``units`` (layer → units) and whatever else is to stand in front.

    Returns:
        ``asked``, then ``distance`` and ``side_effects`` (every concept, largest change first).
    """
    rows = _plain(table[table.set == "chosen"].drop(columns="set"))
    return {
        **asked,
        "distance": distance,
        "side_effects": sorted(rows, key=lambda row: -abs(row["change"])),
    }


def headline(summary: Mapping[str, object]) -> str:
    """A summary in half a line."""
    samples = f"{summary['samples']:,} samples"
    if summary["kind"] == REPAIR:
        return f"{count_units(summary['units'])} ablated, {verdict(summary)}, {samples}"
    column = share_of(summary["kind"])
    share = summary["target"][column]
    told = "–" if share is None else f"{share:.2f}"
    return f"{told} of {summary['concept']} {column.removesuffix('_share')}, {samples}"


def count_units(units: Mapping[str, list[int]]) -> str:
    """Such as ``7 units of 2 layers``."""
    n_units = sum(map(len, units.values()))
    (layer, *others) = units
    where = f"{len(units)} layers" if others else layer
    return f"{n_units} {'unit' if n_units == 1 else 'units'} of {where}"


def verdict(summary: Mapping[str, object]) -> str:
    """What became of the distance to the data, in a few words."""
    distance = summary["distance"]
    if distance is None:
        return "distance to data not measured"
    became = "not surely changed"
    if distance["change_high"] < 0:
        became = "fell"
    elif distance["change_low"] > 0:
        became = "rose"
    return f"distance to data {became}: {distance['before']:#.4g} to {distance['after']:#.4g}"


def describe_repair(summary: Mapping[str, object]) -> str:
    """A repair as text: the units, the distance, the baseline, the largest side effects."""
    data, search = summary["data"], summary.get("search")
    if not summary["units"]:
        return (
            f"nothing to repair: none of {search['candidates']} suspects, ablated alone, brings "
            f"{search['samples']} unseen samples nearer to {data['source']}; nothing was stored"
        )
    lines = [f"repair, {summary['order']}: ablate {count_units(summary['units'])}"]
    lines += [f"  {layer}: {', '.join(map(str, own))}" for layer, own in summary["units"].items()]
    lines += [f"{summary['samples']:,} samples that no search saw", "", f"  {verdict(summary)}"]
    distance = summary["distance"]
    if distance is not None:
        lines.append(
            f"    by {_change(distance)}, {data['images']:,} images of {data['source']}; in the "
            "segmenter's features, no FID"
        )
        if distance["random"] is not None:
            lines.append(
                f"    the same number of random units: {_change(distance['random'])} "
                f"(mean of {len(distance['random']['draws'])} draws)"
            )
        if distance["change_high"] >= 0 and search is not None:
            lines.append(
                f"  it fell on the {search['samples']} samples of the search "
                f"({search['before']:#.4g} to {search['after']:#.4g}), but not surely on these: do "
                "not count on this repair"
            )
    return "\n".join(lines + _side_effects(summary))


def describe_effect(summary: Mapping[str, object]) -> str:
    """A summary as text: the target, the baseline, then the largest side effects."""
    if summary["kind"] == REPAIR:
        return describe_repair(summary)
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
    return "\n".join(lines + _side_effects(summary))


def _side_effects(summary: Mapping[str, object]) -> list[str]:
    shown = [row for row in summary["side_effects"] if row["removed"] or row["added"]]
    if not shown:
        return []
    width = max(len(row["concept"]) for row in shown[:_SIDE_EFFECTS])
    what = "concepts" if summary["kind"] == REPAIR else "side effects"
    return ["", f"  {what}, in pixels per image"] + [
        f"    {row['concept']:<{width}}  {row['before']:>9,.1f} → {row['after']:<9,.1f} "
        f"{row['change']:>+9,.1f}  [{row['change_low']:+,.1f}, {row['change_high']:+,.1f}]"
        for row in shown[:_SIDE_EFFECTS]
    ]


def _change(row: Mapping[str, float]) -> str:
    return f"{row['change']:+#.4g} [{row['change_low']:+#.4g}, {row['change_high']:+#.4g}]"


def _share(row: Mapping[str, object], share: str) -> str:
    if row[share] is None:
        return "an undefined share"
    return f"{row[share]:.2f} [{row[f'{share}_low']:.2f}, {row[f'{share}_high']:.2f}]"


def _plain(table: pd.DataFrame) -> list[dict[str, object]]:
    rows = table.to_dict(orient="records")
    return [{name: _number(value) for name, value in row.items()} for row in rows]


def _number(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value
