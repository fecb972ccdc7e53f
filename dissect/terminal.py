"""Text for the terminal: summaries of runs, tables, plans and generators."""

import math
from collections.abc import Iterable
from statistics import median
from typing import TYPE_CHECKING

import pandas as pd

from dissect.runs import Run
from dissect.runs.summary import describe_ladder
from dissect.sizes import format_size
from dissect.statistics.columns import NAMED as NAMED_AFTER
from dissect.statistics.columns import STANDS_FOR, Column, Place
from dissect.statistics.ladder import NAMED
from dissect.statistics.registry import columns_in, rows_of
from dissect.studies.causes import describe_causes
from segmenters.plain_text import one_line

if TYPE_CHECKING:  # planning needs torch
    from dissect.counting.planning import Plan

_WEAKEST = 5  # number of listed concepts with the least consistent masks
_TRUST_COLUMNS = ("flip", "shift", "rescale", "lowest", "entropy", "same_name")


def describe_run(run: Run) -> str:
    """The results in a few sentences, the models, then a line for each layer."""
    summary = run.summary()
    lines = [
        f"{describe_ladder(run, run.layers)} {describe_causes(run)}",
        f"{summary['generator']} · {summary['segmenter']} · {summary['samples']:,} samples of seed "
        f"{summary['seed']} · {summary['threshold']} thresholds · {summary['seconds']:.0f} s",
    ]
    lines = [*summary["left_out"], *lines]
    width = max(map(len, summary["layers"]))
    for name, layer in summary["layers"].items():
        concepts = ", ".join(f"{c} {n}" for c, n in layer["concepts"].items()) or "none"
        rotated = "" if layer["rotated"] is None else f" ({layer['rotated']:.4g} rotated)"
        known = f"{layer['named']:>6} named, {layer['matches']:>4} match of {layer['units']:<5}"
        if run.label_rung < NAMED:
            known = f"{layer['matches']:>6} match of {layer['units']:<5}"
        axes = " (axes stand out)" if layer["axes"] and layer["axes"]["stand_out"] else ""
        lines.append(f"  {name:<{width}}{known} units{axes}{rotated}: {concepts}")
    return "\n".join([*lines, *_describe_trust(summary["trust"])])


def _describe_trust(trust: dict | None) -> list[str]:
    """One line on the concepts with the least consistent masks; empty for an older run."""
    if trust is None:
        return []
    known = {name: value for name, value in trust["agreement"].items() if value is not None}
    if not known:
        return []
    weakest = sorted(known, key=known.__getitem__)[:_WEAKEST]
    least = ", ".join(f"{name} {known[name]:.2f}" for name in weakest)
    return [
        f"  masks of {trust['images']} samples agree with those of the same images flipped, "
        f"shifted and enlarged to an IoU of {median(known.values()):.2f} (median of labels); "
        f"least: {least}"
    ]


def describe_trust(table: pd.DataFrame, most: int | None = None) -> str:
    """The table of ``dissect trust``: a line for each concept that occurs.

    Args:
        table: Table of ``Trust.table``, with the columns of a comparison if there was one.
        most: Largest number of lines; None prints all.
    """
    shown = table[table.images > 0]
    names = [name for name in _TRUST_COLUMNS if name in table]
    width = max([len("concept"), *map(len, shown.concept)]) + 2
    lines = [f"{'concept':<{width}}images   share" + "".join(f"{n:>10}" for n in names)]
    lines[0] += "  best match" if "best" in table else ""
    for row in shown.head(len(shown) if most is None else most).to_dict("records"):
        numbers = "".join(f"{_number(row[name]):>10}" for name in names)
        match = f"  {row['best']} {row['best_iou']:.2f}" if row.get("best") else ""
        lines.append(
            f"{row['concept']:<{width}}{row['images']:>6}{row['share']:>8.3f}{numbers}{match}"
        )
    if most is not None and len(shown) > most:
        lines.append(f"… {len(shown) - most:,} more (--rows N)")
    never = list(table.concept[table.images == 0])
    if never:
        lines.append(f"never marked: {', '.join(never)}")
    return "\n".join(lines)


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def describe_plan(plan: "Plan") -> str:
    """The cost of a run: a line for each layer, then passes, memory, time and disk."""
    width = max(map(len, plan.layers))
    lines = [f"  {'layer':<{width}}  units          map      counts  pass"]
    for name, layer in plan.layers.items():
        size = f"{layer.height} × {layer.width}"
        counts = format_size(layer.counts_bytes)
        lines.append(
            f"  {name:<{width}}  {layer.units:>5}  {size:>11}  {counts:>10}  {layer.in_pass:>4}"
        )
    seconds, disk = plan.seconds, plan.disk_bytes
    stages = ", ".join(f"{name} {seconds[name]:,.0f} s" for name in seconds if name != "total")
    within = "" if plan.budget_bytes is None else f" of {format_size(plan.budget_bytes)}"
    folder = disk["arrays"] + disk["table"] + disk["images"]
    return "\n".join(
        [
            *lines,
            "",
            f"passes     {plan.passes} over {plan.samples:,} samples; at most "
            f"{plan.forward_passes:,} forward passes of {plan.block}",
            f"memory     about {format_size(plan.memory_bytes)}{within} at its peak",
            f"time       about {seconds['total']:,.0f} s ({stages})",
            f"disk       at most {format_size(folder)} (arrays {format_size(disk['arrays'])}, "
            f"table {format_size(disk['table'])}, images {format_size(disk['images'])}), and "
            f"{format_size(disk['unfinished'])} beside it until it is done",
        ]
    )


def select_rows(run: Run, layer: str | None, concept: str | None) -> pd.DataFrame:
    """Rows of the table: every unit with its label, or every unit against one concept.

    Sorted by information beyond chance; ``named`` is the label of a named unit, otherwise "".

    Raises:
        LayerError: a layer that the run did not read.
        SegmenterError: a concept that is not in its vocabulary.
    """
    layers = list(run.layers) if layer is None else [layer]
    units = pd.concat([run.units(name).assign(layer=name) for name in layers], ignore_index=True)
    if concept is not None:
        pairs = run.pairs(concept)
        return _with_unit_names(run, pairs[pairs.layer.isin(layers)])
    units["named"] = units.concept.where(units.is_named, "")
    order = ["is_named", "excess_information"]
    units = units.sort_values(order, ascending=False, kind="stable").drop(columns="is_named")
    return _with_unit_names(run, units[["layer", *units.columns.drop("layer")]])


def _with_unit_names(run: Run, table: pd.DataFrame) -> pd.DataFrame:
    """Rows with a column of what each unit stands for, if any unit has such a name."""
    names = {layer: info.unit_names for layer, info in run.layers.items() if info.unit_names}
    if not names:
        return table
    found = [
        names[layer][unit] if layer in names else ""
        for layer, unit in zip(table.layer, table.unit, strict=True)
    ]
    place = list(table.columns).index("unit") + 1
    table = table.copy()
    table.insert(place, STANDS_FOR.name, found)
    return table


def format_rows(table: pd.DataFrame, most: int) -> str:
    """The first rows as aligned columns."""
    shown = table.head(most)
    layer_width = max([len("layer"), *map(len, shown.layer)]) + 2
    concept_width = max([len("concept"), *map(len, shown.concept)]) + 2
    columns = [(one, _width(one)) for one in columns_in(Place.TERMINAL, table)]
    head = "".join(f"{one.title:>{width}}" for one, width in columns)
    # What units stand for, in runs of generators of texts.
    words = [f"{one}  " for one in shown.get(STANDS_FOR.name, [])]
    word_width = max([len(STANDS_FOR.title) + 2, *map(len, words)]) if words else 0
    lines = [
        f"{'layer':<{layer_width}} unit  {STANDS_FOR.title if words else '':<{word_width}}"
        f"{'concept':<{concept_width}}{head}  {NAMED_AFTER.title}"
    ]
    for place, row in enumerate(rows_of(shown)):
        values = "".join(
            f"{format_value(one, getattr(row, one.name)):>{width}}" for one, width in columns
        )
        word = words[place] if words else ""
        lines.append(
            f"{row.layer:<{layer_width}}{row.unit:>5}  {word:<{word_width}}"
            f"{row.concept:<{concept_width}}{values}  {row.named or '–'}"
        )
    if len(table) > most:
        lines.append(f"… {len(table) - most:,} more (--rows N, --csv)")
    return "\n".join(lines)


def _width(column: Column) -> int:
    return max(6, 2 + max(map(len, [column.title, *column.words])))


def format_value(column: Column, value: float) -> str:
    """A value of a column, formatted."""
    if column.is_flag:
        return "yes" if value else "no"
    if column.words:
        return column.words[int(value)]
    if math.isnan(value):
        return "–"
    return format(value, column.digits)


def _list_texts(title: str, texts: Iterable[str], most: int, between: str) -> list[str]:
    """A line with the first of some texts."""
    listed = [one_line(text) for text in texts]
    more = f" … {len(listed) - most:,} more (--json)" if len(listed) > most else ""
    return [f"  {title}: {between.join(listed[:most])}{more}"]


def describe_generator(found: dict) -> str:
    """The result of ``inspect_generator``: a line for each space and layer."""
    prompts, n_classes = found.get("prompts", []), found["n_classes"]
    classes = ("prompt", "prompts") if prompts else ("class", "classes")
    lines = [
        f"{found['name']}: {found['family']}, {found['image_size']} × {found['image_size']} px, "
        f"{found['channels']} channels, {found['parameters']:,} parameters"
        + (f", {n_classes:,} {classes[n_classes > 1]}" if n_classes else "")
    ]
    if prompts:
        lines += _list_texts("prompt", map(repr, prompts), 5, "; ")
    lines += [
        f"  space {name:<4} {' × '.join(map(str, shape))}"
        for name, shape in found["spaces"].items()
    ]
    width = max(map(len, found["layers"]))
    lines += [
        f"  layer {name:<{width}}  {info['units']:>5} units  {info['height']} × {info['width']}"
        for name, info in found["layers"].items()
    ]
    if prompts:
        lines += _list_texts("word of each unit of attention", found["words"], 100, ", ")
    low, high = found["range"]
    return "\n".join(
        [
            *lines,
            f"  one forward pass: {found['seconds'] * 1000:.0f} ms, "
            f"image values {low:.2f} … {high:.2f}",
            f"  sha256 of weights: {found['fingerprint']}",
        ]
    )
