"""Counting and naming like the original code of GAN Dissection (``compat="gandissect"``).

Differences from a plain run:

- A (pixels above the threshold) is counted for each plane, only over images that hold some concept
  of the plane. So each plane gets its own row in the histogram: the pixels of all images in which
  it marks anything. A pseudo label that covers such an image completely gives this row.
- A unit has one threshold for all concepts: the best threshold of its best concept on the
  calibration fold. That concept is its label.

``docs/method.md`` lists each remaining difference from the original.

References:
    Bau et al., GAN Dissection, ICLR 2019, section 3.1; its code, netdissect/dissection.py:
    ``collect_iqr`` (thresholds), ``collect_bincounts`` and ``score_tally_stats`` (scores),
    ``generate_report`` (labels).
"""

import numpy as np
import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor

from dissect.statistics.scores import above, information_quality_ratio, pixels
from segmenters import Vocabulary

MIN_INFORMATION = 0.01
"""What a unit's information quality ratio has to exceed, besides ``min_iou``: ``iqr_threshold``."""
_MIN_SHARE = 1e-3  # least share of all pixels: of a candidate concept, and above a threshold
_MIN_AGREEMENT = 0.8  # share of pixels on which unit and concept agree: both, or neither


def add_plane_labels(
    planes: Integer[Tensor, "batch plane height width"], n_concepts: int
) -> Int[Tensor, "batch twice_plane height width"]:
    """The planes, plus one plane each that marks the images in which the plane marks anything.

    If plane p marks at least one pixel of an image, every pixel of the image carries the id
    ``n_concepts + 1 + p``.
    """
    holds = (planes > 0).flatten(2).any(dim=2)
    ids = torch.arange(n_concepts + 1, n_concepts + 1 + planes.shape[1]).to(planes.dtype)
    whole = torch.where(holds, ids, 0)[:, :, None, None].expand_as(planes)
    return torch.cat([planes, whole], dim=1)


def plane_rows(vocabulary: Vocabulary) -> Int[np.ndarray, " concept"]:
    """The histogram row that counts the A of each concept: the row of its plane."""
    first = len(vocabulary) + 1
    return np.array([first + vocabulary.planes.index(c.plane) for c in vocabulary], np.int64)


def choose_unit_edges(
    histogram: Int[np.ndarray, "row unit bin"],
    edges: Float[np.ndarray, "unit edge"],
    rows: Int[np.ndarray, " concept"],
    *,
    quantile_edge: int,
) -> tuple[Int[np.ndarray, "threshold unit concept"], Int[np.ndarray, " unit"]]:
    """The edge of each unit at which all its pairs are scored, and the concept that chose it.

    ``quantile``: the same edge for all units. ``information``: the concept and edge with the
    highest information quality ratio; on a tie the first concept, at its highest edge. The ratio is
    the original's: I and C over all pixels, A over the images of the plane. Candidates are concepts
    of at least a thousandth of all pixels, at thresholds above 0 with at least as many pixels above
    them, where unit and concept agree on more than 0.8 of all pixels. Without any candidate, the
    choice is the first concept at the highest of those thresholds.

    Args:
        histogram: Histogram of the calibration fold, with the rows of planes.
        edges: Each unit's thresholds, ascending.
        rows: Result of ``plane_rows``.
        quantile_edge: Index of the edge that is the quantile threshold.
    """
    inside, area = above(histogram), pixels(histogram)
    total = area[0]
    n_units, n_edges = edges.shape
    wide = inside[0] >= _MIN_SHARE * total
    # From the top: argmax takes the first, which has to be the highest threshold.
    best_edge = n_edges - 1 - wide[:, ::-1].argmax(axis=1)
    best_quality = np.zeros(n_units)
    label = np.zeros(n_units, np.int64)
    units = np.arange(n_units)
    for concept, row in enumerate(rows):
        share = area[concept + 1] / total
        if share < _MIN_SHARE:
            continue
        both, active = inside[concept + 1] / total, inside[row] / area[row]
        quality = information_quality_ratio(both, active, np.array(share), np.array(1.0))
        agreement = 1 - share - active + 2 * both
        quality[~wide | (edges <= 0) | (agreement <= _MIN_AGREEMENT)] = 0
        edge = n_edges - 1 - quality[:, ::-1].argmax(axis=1)
        better = quality[units, edge] > best_quality
        best_quality = np.where(better, quality[units, edge], best_quality)
        best_edge, label = np.where(better, edge, best_edge), np.where(better, concept, label)
    kinds = np.stack([np.full(n_units, quantile_edge), best_edge])
    return np.repeat(kinds[:, :, None], len(rows), axis=2), label
