"""Where concepts occur together: in which images, and on which pixels."""

import numpy as np
from jaxtyping import Int

from dissect.statistics.labels import BlockLabels


def count_together(labels: BlockLabels, n_concepts: int) -> Int[np.ndarray, "concept concept"]:
    """Images of a block's evaluation clusters in which both concepts cover at least one pixel.

    On the diagonal: images in which the concept occurs. Counts of blocks add up in any order.
    """
    together = np.zeros((n_concepts, n_concepts), np.int64)
    for cluster in labels.clusters:
        if cluster.scored:
            occurs = (cluster.areas > 0).astype(np.int64)
            together += occurs.T @ occurs
    return together


def count_overlap(labels: BlockLabels, n_concepts: int) -> Int[np.ndarray, "concept concept"]:
    """Pixels of a block's evaluation clusters that two concepts (of different planes) both cover.

    On the diagonal: pixels of the concept. Counts of blocks add up in any order.
    """
    overlap = np.zeros((1 + n_concepts, 1 + n_concepts), np.int64)
    for cluster in labels.clusters:
        if not cluster.scored:
            continue
        pixels = np.bincount(cluster.codes[0].numpy().ravel(), minlength=len(cluster.members))
        for first in cluster.members.T:
            for second in cluster.members.T:
                # Ids above are labels of whole planes.
                own = (first <= n_concepts) & (second <= n_concepts)
                np.add.at(overlap, (first[own], second[own]), pixels[own])
    return overlap[1:, 1:]
