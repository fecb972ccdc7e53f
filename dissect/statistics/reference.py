"""The counts once more, slowly: one loop per image, pixel, unit and threshold.

Nothing here is used by the pass. Tests hold ``dissect.statistics.counts`` equal to it bit by bit.
"""

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from dissect.statistics.resize import resize


def count_above(
    maps: Float[Tensor, "batch unit height width"],
    planes: Int[Tensor, "batch plane grid_height grid_width"],
    thresholds: Float[Tensor, "unit edge"],
    n_concepts: int,
) -> Int[np.ndarray, "row unit edge"]:
    """Pixels above each threshold: in row 0 all of them, in row c those of concept c."""
    values = resize(maps, tuple(planes.shape[2:])).numpy()
    labels = planes.numpy()
    edges = thresholds.numpy()
    n_images, n_units, height, width = values.shape
    counts = np.zeros((n_concepts + 1, n_units, edges.shape[1]), np.int64)
    for image in range(n_images):
        for y in range(height):
            for x in range(width):
                concepts = [0, *(c for c in labels[image, :, y, x] if c)]
                for unit in range(n_units):
                    fires = values[image, unit, y, x] > edges[unit]
                    for concept in concepts:
                        counts[concept, unit] += fires
    return counts


def iou(inside: int, active: int, area: int) -> float:
    """|A ∩ C| / |A ∪ C|, NaN where the union is empty."""
    union = active + area - inside
    return inside / union if union else float("nan")


def information_quality_ratio(inside: int, active: int, area: int, total: int) -> float:
    """I(A;C) / H(A,C) of two binary variables from their four cells, 0 where nothing varies."""
    cells = np.array(
        [[total - active - area + inside, area - inside], [active - inside, inside]], float
    )
    joint = cells / total
    marginal = np.outer(joint.sum(1), joint.sum(0))
    mutual = joint_entropy = 0.0
    for p, q in zip(joint.ravel(), marginal.ravel(), strict=True):
        if p > 0:
            mutual += p * np.log(p / q)
            joint_entropy -= p * np.log(p)
    return mutual / joint_entropy if joint_entropy > 0 else 0.0

