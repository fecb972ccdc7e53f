"""What else a run says about its units and concepts; ``Run`` has a method for each."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr
import zarr
from jaxtyping import Float, Int

from dissect.errors import RunError
from dissect.runs import schema
from dissect.runs.examples import ConceptStrip, read_examples
from dissect.statistics.coactivation import Coactivation
from dissect.statistics.scores import pixels

if TYPE_CHECKING:
    from dissect.bases import Basis
    from dissect.runs.read import Run


def activations(
    histogram: Int[np.ndarray, "row bin"], edges: Float[np.ndarray, " edge"], names: list[str]
) -> xr.Dataset:
    """How a unit's values are spread over its bins, for each concept's pixels and for all.

    Args:
        histogram: Of one unit; row 0 counts all pixels, row c those of concept c.
        edges: The unit's thresholds, rising.
        names: Of the concepts.

    Returns:
        ``share`` (concept, bin), NaN where a concept has no pixels, and ``all_pixels`` (bin); each
        row adds up to 1. The coordinates ``above`` and ``up_to`` bound the values of a bin.
    """
    histogram = histogram[: len(names) + 1]
    total = pixels(histogram[:, None])[:, None]
    share = np.divide(histogram, total, out=np.full(histogram.shape, np.nan), where=total > 0)
    bounds = np.concatenate([[-np.inf], edges.astype(np.float64), [np.inf]])
    return xr.Dataset(
        {"share": (("concept", "bin"), share[1:]), "all_pixels": ("bin", share[0])},
        coords={
            "concept": names,
            "above": ("bin", bounds[:-1]),
            "up_to": ("bin", bounds[1:]),
        },
    )


def unit_correlation(sums: Coactivation) -> xr.DataArray:
    """The correlation matrix of units' means over images.

    Returns:
        Dimensions unit and other; the coordinate ``saturated`` holds the images in which a unit's
        mean was held at the limit of its scale.
    """
    return xr.DataArray(
        sums.correlation(),
        dims=("unit", "other"),
        coords={"saturated": ("unit", sums.saturated)},
        attrs={"images": int(sums.images)},
        name="coactivation",
    )


def summarise(run: "Run") -> dict[str, object]:
    """What was dissected and what was found, as plain values for JSON.

    ``layers.<name>`` holds ``units``, ``interpretable`` (how many), ``same_in_halves`` (how many of
    these both halves of the evaluation fold label alike), ``rotated`` (how many are in random
    rotations of the layer, on average over those of the run; None without any) and ``concepts``:
    for each the number of interpretable units that it labels, most first. ``trust`` holds
    ``images`` and, for each concept that labels a unit, ``agreement``: the lowest IoU of its masks
    with those of the same images changed a little; None in a run that did not measure it.
    """
    layers = {}
    for layer, info in run.layers.items():
        units = run.units(layer)
        found = units[units.interpretable].concept.value_counts()
        ordered = sorted(found.items(), key=lambda item: (-item[1], run.vocabulary[item[0]].id))
        layers[layer] = {
            "units": info.units,
            "height": info.height,
            "width": info.width,
            "interpretable": int(units.interpretable.sum()),
            "same_in_halves": int((units.interpretable & units.same_in_halves).sum()),
            "concepts": {name: int(count) for name, count in ordered},
        }
    for layer, found in layers.items():
        of_layer = [n for n in layers if n.startswith(f"{layer}@rotation:")]
        counts = [layers[name]["interpretable"] for name in of_layer]
        found["rotated"] = sum(counts) / len(counts) if counts else None
    return {
        "run": str(run.path),
        "generator": run.record["generator"]["name"],
        "segmenter": run.record["segmenter"]["name"],
        "samples": run.config.n_samples,
        "seed": run.config.seed,
        "threshold": run.config.threshold,
        "seconds": run.record["seconds"],
        "layers": layers,
        "trust": _trust_of_labels(run, layers),
    }


def _trust_of_labels(run: "Run", layers: dict[str, dict]) -> dict[str, object] | None:
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


def read_trust(run: "Run") -> pd.DataFrame | None:
    """The table of ``Run.trust``, None where the run has none."""
    if schema.TRUST not in run.record["files"]:
        return None
    stored = json.loads((run.path / schema.TRUST).read_text())
    table = pd.DataFrame(stored["concepts"], columns=stored["columns"])
    numbers = table.columns.drop(["concept", "category"])
    table[numbers] = table[numbers].astype(float)
    table.attrs["images"] = stored["images"]
    return table


def read_coactivation(run: "Run", layer: str) -> Coactivation:
    """What was counted for ``Run.coactivation``.

    Raises:
        RunError: a run that did not count it.
    """
    if not run.config.coactivation:
        raise RunError(
            f"{run.path} holds no co-activation; expected a run made with it; make one with "
            "--coactivation"
        )
    names = [f"coactivation_{field.name}" for field in fields(Coactivation)]
    return Coactivation.from_arrays({name: run.array(layer, name).values for name in names})


def read_basis(run: "Run", layer: str) -> "Basis":
    """What ``Run.basis`` gives: of a finished run, this alone takes torch."""
    import torch  # noqa: PLC0415

    from dissect.bases import Channels, rebuild_basis  # noqa: PLC0415

    group = zarr.open_group(run.path / schema.ARRAYS, mode="r")[schema.layer_key(layer)]
    if "basis" not in group.attrs:
        return Channels(run.layers[layer].units)
    tensors = {
        name.removeprefix(schema.BASIS_PREFIX): torch.from_numpy(np.asarray(array[...]))
        for name, array in group.arrays()
        if name.startswith(schema.BASIS_PREFIX)
    }
    return rebuild_basis(str(group.attrs["basis"]), tensors)


def read_concept_strips(run: "Run", concepts: Sequence[str]) -> Iterator[ConceptStrip | None]:
    """What ``Run.concept_strips`` gives; mistakes are told at once, not when it is read."""
    names = [run.vocabulary[name].name for name in concepts or run.vocabulary.names]
    if not run.has_concept_strips:
        raise RunError(
            f"{run.path} holds no example masks; expected a run made by this version; make it again"
        )
    return read_examples(run.path / schema.EXAMPLES, run.vocabulary, names)
