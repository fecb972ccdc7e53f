"""In which images concepts occur together."""

import numpy as np
from jaxtyping import Bool, Int

from dissect.statistics.labels import BlockLabels, ClusterLabels


def count_together(labels: BlockLabels, n_concepts: int) -> Int[np.ndarray, "concept concept"]:
    """Images of a block's evaluation clusters in which both concepts cover at least one pixel.

    On the diagonal: images in which the concept occurs. Counts of blocks add up in any order.
    """
    together = np.zeros((n_concepts, n_concepts), np.int64)
    for cluster in labels.clusters:
        if cluster.scored:
            occurs = _occurs(cluster, n_concepts).astype(np.int64)
            together += occurs.T @ occurs
    return together


def _occurs(cluster: ClusterLabels, n_concepts: int) -> Bool[np.ndarray, "image concept"]:
    occurs = np.zeros((len(cluster.codes[0]), n_concepts), bool)
    for image, codes in enumerate(cluster.codes[0].flatten(1).numpy()):
        present = np.bincount(codes, minlength=len(cluster.members)) > 0
        ids = cluster.members[present]
        # 0 is no concept; ids above are labels of whole planes.
        occurs[image, ids[(ids > 0) & (ids <= n_concepts)] - 1] = True
    return occurs
