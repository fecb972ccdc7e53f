"""Agreement of two sets of masks of the same images: integer counts and the IoU from them.

``count_pairs`` fills one matrix of pixels over all planes. The IoU of every pair of concepts
follows from it, for one vocabulary with itself or for two vocabularies.
"""

import numpy as np
from jaxtyping import Float, Int, Integer
from torch import Tensor

from dissect.statistics.scores import intersection_over_union


def count_pairs(
    first: Integer[Tensor, "batch plane height width"],
    second: Int[Tensor, "batch other_plane height width"],
    n_first: int,
    n_second: int,
) -> Int[np.ndarray, "concept other"]:
    """Count the pixels that two concepts share; id 0 (no concept) is counted per pair of planes.

    Args:
        first: Concept ids, 0 … n_first.
        second: Concept ids for the same images, from the same or another vocabulary.
        n_first, n_second: Lengths of the vocabularies.

    Returns:
        int64 (1 + n_first, 1 + n_second). Counts of blocks add up in any order.
    """
    size = (1 + n_first) * (1 + n_second)
    found = np.zeros(size, np.int64)
    for one in first.unbind(dim=1):
        codes = one.reshape(-1).numpy().astype(np.int64) * (1 + n_second)
        for other in second.unbind(dim=1):
            found += np.bincount(codes + other.reshape(-1).numpy(), minlength=size)
    return found.reshape(1 + n_first, 1 + n_second)


def count_concepts(planes: Int[Tensor, "..."], n_concepts: int) -> Int[np.ndarray, " concept"]:
    """Pixels of each concept, over all dimensions; entry c - 1 belongs to id c."""
    return np.bincount(planes.reshape(-1).numpy(), minlength=n_concepts + 1)[1:]


def pair_iou(
    pairs: Int[np.ndarray, "first_id second_id"],
    first_area: Int[np.ndarray, " concept"],
    second_area: Int[np.ndarray, " other"],
) -> Float[np.ndarray, "concept other"]:
    """IoU of every pair of concepts, NaN where neither occurs.

    Args:
        pairs: Result of ``count_pairs``.
        first_area, second_area: Pixels of each concept in the first and second set of masks.
    """
    return intersection_over_union(pairs[1:, 1:], first_area[:, None], second_area[None, :])


def normalised_entropy(
    probabilities: Float[Tensor, "batch class height width"],
) -> Float[Tensor, "batch height width"]:
    """Entropy H(p) / log n in [0, 1]: 0 for one certain class, 1 for a uniform distribution.

    Args:
        probabilities: Probabilities of n ≥ 2 classes, which sum to 1.
    """
    p = probabilities.clamp(min=1e-12)
    return -(p * p.log()).sum(dim=1) / np.log(p.shape[1])
