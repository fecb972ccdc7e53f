"""A measured effect as text, for the terminal."""

from collections.abc import Mapping

from dissect.studies.summary import CONTEXT, REPAIR, share_of

_SIDE_EFFECTS = 8  # that are printed


def headline(summary: Mapping[str, object]) -> str:
    """A summary in half a line."""
    samples = f"{summary['samples']:,} samples"
    if summary["kind"] == REPAIR:
        return f"{count_units(summary['units'])} ablated, {verdict(summary)}, {samples}"
    if summary["kind"] == CONTEXT:
        return f"{_headline_of_contexts(summary)}, {samples}"
    column = share_of(summary["kind"])
    share = summary["target"][column]
    told = "–" if share is None else f"{share:.2f}"
    return f"{told} of {summary['concept']} {column.removesuffix('_share')}, {samples}"


def _headline_of_contexts(summary: Mapping[str, object]) -> str:
    concept = summary["concept"]
    others = [
        row
        for row in summary["contexts"]
        if row["context"] != concept and row["added_share"] is not None
    ]
    if not others:
        return f"{concept} at every place before"
    sure = [row for row in others if not row["few"]] or others
    most, least = sure[0], sure[-1]
    return (
        f"{concept} into {most['context']} {most['added_share']:.2f}, into {least['context']} "
        f"{least['added_share']:.2f}, {summary['places']} places"
    )


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
    if summary["kind"] == CONTEXT:
        return _describe_context(summary)
    if summary["kind"] == REPAIR:
        return describe_repair(summary)
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
