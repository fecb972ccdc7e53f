"""What else a run's arrays say about its units and concepts; ``Run`` has a method for each."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float, Int

from dissect.generators.base import LayerInfo
from dissect.statistics.coactivation import Coactivation
from dissect.statistics.scores import pixels
from segmenters import Vocabulary


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


def count_labels(
    tables: Mapping[str, pd.DataFrame], shapes: Mapping[str, LayerInfo], vocabulary: Vocabulary
) -> dict[str, dict[str, object]]:
    """How many units of each layer are interpretable, and what they are named after.

    Args:
        tables: Layer → ``Run.units``.
        shapes: Layer → shape of its maps.
        vocabulary: Concepts; equal counts stand in its order.

    Returns:
        The layers of ``Run.summary``.
    """
    layers = {}
    for layer, units in tables.items():
        found = units[units.interpretable].concept.value_counts()
        ordered = sorted(found.items(), key=lambda item: (-item[1], vocabulary[item[0]].id))
        layers[layer] = {
            "units": shapes[layer].units,
            "height": shapes[layer].height,
            "width": shapes[layer].width,
            "interpretable": int(units.interpretable.sum()),
            "same_in_halves": int((units.interpretable & units.same_in_halves).sum()),
            "concepts": {name: int(count) for name, count in ordered},
        }
    for layer, found in layers.items():
        of_layer = [name for name in layers if name.startswith(f"{layer}@rotation:")]
        counts = [layers[name]["interpretable"] for name in of_layer]
        found["rotated"] = sum(counts) / len(counts) if counts else None
    return layers
