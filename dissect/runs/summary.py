"""Results of a run, as plain values and in words: its ladder, its axes beside mixtures."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import xarray as xr

from dissect.config import RunConfig
from dissect.generators.shapes import LayerInfo
from dissect.runs.left_out import describe_left_out
from dissect.statistics.axes import Comparison, Directions, Estimate, compare
from dissect.statistics.ladder import MATCHES, NAMED
from dissect.statistics.rungs import one_thing
from segmenters.vocabulary import Vocabulary


class Run(Protocol):
    """The members of a run that are used here; ``dissect.runs.Run`` has them."""

    path: Path
    record: dict[str, Any]
    config: RunConfig
    vocabulary: Vocabulary

    @property
    def layers(self) -> Mapping[str, LayerInfo]: ...

    @property
    def label_rung(self) -> int: ...

    @property
    def trust(self) -> Any: ...  # a table or None; a cached property is no property to the checker

    def units(self, layer: str) -> pd.DataFrame: ...

    def mixtures(self, layer: str) -> pd.DataFrame | None: ...

    def overlap(self) -> xr.DataArray | None: ...

    def array(self, layer: str, name: str) -> xr.DataArray: ...

    def rotations(self, layer: str) -> Sequence[str]: ...


def summarise(run: Run) -> dict[str, Any]:
    """The models and results of a run, as plain values for JSON.

    ``layers.<name>`` holds:

    - ``units``, ``matches`` and ``named``: the number of units on at least that rung (``named``
      counts matching ones in a run without higher rungs);
    - ``same_in_halves``: the number of named ones with the same label in both halves of the
      evaluation fold;
    - ``rotated``: the mean number of named units in the run's random rotations of the layer; None
      without any;
    - ``concepts``: for each one the number of named units that it labels, most first;
    - ``output``: whether the layer outputs the colours of an image;
    - ``axes``: the comparison of its units with random mixtures of them (``plain_axes``).

    ``axes`` compares all layers except outputs. ``rungs`` holds the rungs that the run has.
    ``trust`` holds ``images`` and, for each concept that labels a unit, ``agreement``: the lowest
    IoU of its masks with those of the same images, slightly changed; None in a run without it.
    ``left_out`` has sentences about missing parts of the run, such as samples of a partial run.
    """
    layers: dict[str, dict[str, Any]] = {}
    outputs = set(output_layers(run))
    for layer, info in run.layers.items():
        units = run.units(layer)
        found = units[units.is_named].concept.value_counts()
        counted = {str(name): int(count) for name, count in found.items()}
        ordered = sorted(counted.items(), key=lambda item: (-item[1], run.vocabulary[item[0]].id))
        layers[layer] = {
            "units": info.units,
            "height": info.height,
            "width": info.width,
            "matches": int((units.rung >= MATCHES).sum()),
            "named": int(units.is_named.sum()),
            "same_in_halves": int((units.is_named & units.same_in_halves).sum()),
            "concepts": dict(ordered),
            "output": layer in outputs,
            "axes": plain_axes(compare_axes(run, [layer])),
        }
    for layer, found in layers.items():
        counts = [layers[name]["named"] for name in run.rotations(layer)]
        found["rotated"] = sum(counts) / len(counts) if counts else None
    return {
        "run": str(run.path),
        "generator": run.record["generator"]["name"],
        "segmenter": run.record["segmenter"]["name"],
        "samples": run.config.n_samples,
        "seed": run.config.seed,
        "threshold": run.config.threshold,
        "seconds": run.record["seconds"],
        "rungs": ["matches", "named"] if run.label_rung >= NAMED else ["matches"],
        "axes": plain_axes(compare_axes(run, run.layers)),
        "layers": layers,
        "trust": _trust_of_labels(run, layers),
        "left_out": describe_left_out(run.record),
    }


def _trust_of_labels(run: Run, layers: dict[str, dict[str, Any]]) -> dict[str, object] | None:
    if run.trust is None:
        return None
    labels = {name for layer in layers.values() for name in layer["concepts"]}
    lowest = run.trust.set_index("concept").lowest
    agreement = {
        name: None if np.isnan(lowest[name]) else round(float(lowest[name]), 4)
        for name in run.vocabulary.names
        if name in labels
    }
    return {"images": run.trust.attrs["images"], "agreement": agreement}


def output_layers(run: Run) -> list[str]:
    """Layers that output no more maps than an image has colours; they are counted separately."""
    channels = run.record["generator"]["channels"]
    return [layer for layer, info in run.layers.items() if info.units <= channels]


Units = Callable[[str], pd.DataFrame]
"""Layer → its units, as ``Run.units`` gives them."""


def compare_axes(run: Run, layers: Iterable[str], units: Units | None = None) -> Comparison | None:
    """The comparison of some layers' units with random mixtures; None without any mixtures.

    Args:
        run: A run.
        layers: Some of its layers.
        units: Tables of units, if already loaded.
    """
    found, units = [], units or run.units
    for layer in layers:
        mixtures = run.mixtures(layer)
        if mixtures is not None and len(mixtures):
            found.append((_directions(run, units(layer)), _directions(run, mixtures)))
    return compare(found) if found else None


def _directions(run: Run, table: pd.DataFrame) -> Directions:
    ids = {name: number for number, name in enumerate(run.vocabulary.names)}
    return Directions(
        table.concept.astype(str).map(ids).to_numpy(np.int64),
        table.selective.to_numpy(bool),
        table.excess_information.to_numpy(float),
    )


def plain_axes(found: Comparison | None) -> dict[str, Any] | None:
    """A comparison as plain values: each estimate as [value, low, high]; None where unknown."""
    if found is None:
        return None

    def plain(one: Estimate) -> list[float] | None:
        return (
            None if np.isnan(one.value) else [round(n, 4) for n in (one.value, one.low, one.high)]
        )

    return {
        "stand_out": found.stand_out,
        "units": found.n_units,
        "mixtures": found.n_mixtures,
        "selective": found.selective,
        "selective_by_mixture": plain(found.by_mixture),
        "excess": round(found.excess, 4),
        "mixture_excess": plain(found.mixture_excess),
        "equal_number": found.equal_number or None,
        "labels": plain(found.labels),
        "mixture_labels": plain(found.mixture_labels),
    }


def describe_axes(found: Comparison | None) -> str:
    """The comparison of units with random mixtures in one or two sentences."""
    if found is None:
        return "Nothing says whether the axes stand out: no random mixtures were read beside them."
    mixed, median = found.by_mixture, found.mixture_excess
    verdict = "Axes stand out here" if found.stand_out else "Axes do not stand out here"
    text = (
        f"{verdict}: {found.selective:,} of {found.n_units:,} units match a concept and show it in "
        f"their top images, of as many random mixtures {mixed.value:.0f} [{mixed.low:.0f}, "
        f"{mixed.high:.0f}] would (95 % interval). Their median excess information is "
        f"{found.excess:.3f}, that of mixtures {median.value:.3f} [{median.low:.3f}, "
        f"{median.high:.3f}]."
    )
    if found.equal_number:
        own, theirs = found.labels, found.mixture_labels
        text += (
            f" Any {found.equal_number} units have {own.value:.1f} [{own.low:.1f}, {own.high:.1f}] "
            f"distinct labels, as many mixtures {theirs.value:.1f} [{theirs.low:.1f}, "
            f"{theirs.high:.1f}]."
        )
    return text


OLD_RUN = (
    "This run was made before units were held against the areas of each image, their own pictures "
    "and random mixtures: it says which units match a concept beyond the masks of other images, "
    "and not which are named."
)
COMPAT_RUN = (
    "This run counts and names as the original code does: it says which units match, by the "
    "original's rule, and not which are named."
)


def describe_ladder(run: Run, layers: Iterable[str], units: Units | None = None) -> str:
    """The state of knowledge on the units of some layers, in a few sentences: axes, then rungs.

    The arguments are those of ``compare_axes``.
    """
    units = units or run.units
    chosen, outputs = list(layers), set(output_layers(run))
    inner = [layer for layer in chosen if layer not in outputs] or chosen
    outer = [layer for layer in chosen if layer not in inner]
    if run.label_rung >= NAMED:
        parts = [describe_axes(compare_axes(run, inner, units))]
    else:
        parts = [OLD_RUN if run.config.compat is None else COMPAT_RUN]
    parts.append(_count_rungs(run, inner, units))
    if outer:
        parts.append(
            f"Apart from them, in layers that put out colours: {_count_rungs(run, outer, units)}"
        )
    return " ".join(parts)


def _count_rungs(run: Run, layers: Iterable[str], units: Units) -> str:
    tables = [units(layer) for layer in layers]
    matches = sum(int((table.rung >= MATCHES).sum()) for table in tables)
    named = sum(int(table.is_named.sum()) for table in tables)
    text = f"{matches:,} of {sum(map(len, tables)):,} units match a concept"
    if run.label_rung >= NAMED:
        text += f", {named:,} of them are named after it"
    return f"{text}."


def describe_unit(run: Run, layer: str, unit: int, row: Any) -> str:
    """The evidence for and against a unit's label, besides its scores; "" in an older run.

    Args:
        run: A run.
        layer, unit: The unit.
        row: Row of ``Run.units``, as a named tuple.
    """
    if run.label_rung < NAMED:
        return ""
    shown = int((run.array(layer, "top_indices").values[unit] >= 0).sum())
    text = (
        f"{row.concept[:1].upper()}{row.concept[1:]} fills at least half of what it outlines in "
        f"{round(float(row.top_share) * shown) if shown else 0} of its {shown} top images [95 %: "
        f"{row.top_low:.2f} to {row.top_high:.2f} of such images]."
    )
    second = runner_up(run, layer, unit, row.concept)
    if second is not None:
        other, one = second
        text += f" Next is {other}, with {row.runner_up_share:.2f} of its excess information"
        text += ", a part of the same thing." if one else "."
    if not np.isnan(row.mixtures_below):
        text += (
            f" It says more about {row.concept} than {100 * row.mixtures_below:.0f} % of the "
            "layer's random mixtures."
        )
    return text


def runner_up(run: Run, layer: str, unit: int, label: str) -> tuple[str, bool] | None:
    """The second best concept of a unit; None if there is none, or in a run of version 1.

    Returns:
        Its name, and whether it is one thing with the label, as house and roof.
    """
    overlap = run.overlap()
    if overlap is None:
        return None
    second, names = int(run.array(layer, "runner_up").values[unit]), run.vocabulary.names
    if not 0 <= second < len(names):
        return None
    related = one_thing(run.vocabulary, overlap.values)
    return names[second], bool(related[names.index(label), second])
