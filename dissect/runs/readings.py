"""What else a run's arrays say about its units and concepts; ``Run`` has a method for each."""

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from dissect.statistics.coactivation import Coactivation
from dissect.statistics.scores import pixels


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
