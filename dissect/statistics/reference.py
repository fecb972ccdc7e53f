"""Slow reference of the counts: plain loops over images, units and concepts.

The pass uses nothing of it. Tests hold ``dissect.statistics.counts`` equal to it bit by bit.
"""

from typing import Any

import numpy as np
from jaxtyping import Float, Int, Integer
from torch import Tensor

from dissect.statistics.resize import resize

Count = np.integer[Any] | int
"""A number of pixels."""


def count_above(
    maps: Float[Tensor, "batch unit height width"],
    planes: Integer[Tensor, "batch plane grid_height grid_width"],
    thresholds: Float[Tensor, "unit edge"],
    n_concepts: int,
    *,
    nearest: bool = False,
) -> Int[np.ndarray, "row unit edge"]:
    """Pixels above each threshold: in row 0 all of them, in row c those of concept c."""
    grid = (planes.shape[2], planes.shape[3])
    values = resize(maps, grid, nearest=nearest).numpy()
    labels = planes.numpy()
    edges = thresholds.numpy()
    n_images, n_units = values.shape[:2]
    counts = np.zeros((n_concepts + 1, n_units, edges.shape[1]), np.int64)
    for image in range(n_images):
        for unit in range(n_units):
            fires = values[image, unit] > edges[unit][:, None, None]
            counts[0, unit] += fires.sum(axis=(1, 2))
            for concept in range(1, n_concepts + 1):
                marked = (labels[image] == concept).any(axis=0)
                counts[concept, unit] += (fires & marked).sum(axis=(1, 2))
    return counts


def count_pairs(
    maps: Float[Tensor, "sample unit height width"],
    planes: Integer[Tensor, "sample plane grid_height grid_width"],
    edges: Float[Tensor, "unit edge"],
    n_concepts: int,
    chosen: Int[np.ndarray, "threshold unit concept"],
    *,
    n_calibration: int,
    cluster: int = 8,
) -> dict[str, np.ndarray]:
    """The fields of ``PairCounts`` over all samples from ``n_calibration`` on."""
    n_kinds, n_units, _ = chosen.shape
    pair = (n_kinds, n_units, n_concepts)
    fields = ("inside", "active", "shuffled", "products")
    found = {name: np.zeros((2, *pair), np.int64) for name in fields}
    found |= {
        "area": np.zeros((2, n_concepts), np.int64),
        "pixels": np.zeros(2, np.int64),
        "squares": np.zeros((5, *pair), np.int64),
    }
    for start in range(n_calibration, len(maps), cluster):
        rows = list(range(start, min(start + cluster, len(maps))))
        moved = rows[-1:] + rows[:-1]
        half = start // cluster % 2
        own = count_above(maps[rows], planes[rows], edges, n_concepts)
        other = count_above(maps[rows], planes[moved], edges, n_concepts)
        found["pixels"][half] += planes[rows][:, 0].numel()
        alone = [count_above(maps[[r]], planes[[r]], edges, n_concepts)[0] for r in rows]
        image_pixels = planes[0, 0].numel()
        for concept in range(n_concepts):
            areas = [int((planes[r] == concept + 1).any(dim=0).sum()) for r in rows]
            area = sum(areas)
            found["area"][half, concept] += area
            for kind in range(n_kinds):
                for unit in range(n_units):
                    at = chosen[kind, unit, concept]
                    i, a = own[concept + 1, unit, at], own[0, unit, at]
                    s = other[concept + 1, unit, at]
                    place = (kind, unit, concept)
                    found["inside"][half][place] += i
                    found["active"][half][place] += a
                    found["shuffled"][half][place] += s
                    product = sum(int(n[unit, at]) * c for n, c in zip(alone, areas, strict=True))
                    found["products"][half][place] += product
                    union = a + area - i
                    beyond = 4 * i - (4 * product + image_pixels // 2) // image_pixels
                    for moment, value in enumerate(
                        (i * i, i * union, union**2, (i - s) ** 2, beyond**2)
                    ):
                        found["squares"][moment][place] += value
    return found


def count_outline(
    unit_map: Float[Tensor, "height width"],
    planes: Integer[Tensor, "plane grid_height grid_width"],
    threshold: float,
    concept: int,
    *,
    nearest: bool = False,
) -> tuple[int, int]:
    """Pixels above a threshold in one image, and those of them that are of a concept (from 0)."""
    grid = (planes.shape[1], planes.shape[2])
    fires = resize(unit_map[None, None], grid, nearest=nearest)[0, 0] > threshold
    marked = (planes == concept + 1).any(dim=0)
    return int(fires.sum()), int((fires & marked).sum())


def iou(inside: Count, active: Count, area: Count) -> float:
    """|A ∩ C| / |A ∪ C|, NaN where the union is empty."""
    union = active + area - inside
    return inside / union if union else float("nan")


def information_quality_ratio(inside: Count, active: Count, area: Count, total: Count) -> float:
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
