"""Which units are causal. Nothing in here imports torch.

A unit is **causal** for a concept if its ablation alone reduces the concept's pixels net, by more
than the ablation of other units that change images as strongly. That is: the interval of the net
removed share is above 0, and the q-value of its lead over those units is at most the false
discovery rate. q is computed over the judged units, each for one concept (Benjamini and Hochberg,
Controlling the False Discovery Rate, 1995).
"""

import numpy as np
import pandas as pd

_SHUFFLES = 20
_SHUFFLING = 0x5AFF1E  # joined with the run's seed, for a separate random stream


def judge_units(table: pd.DataFrame, labels: pd.DataFrame, *, fdr: float) -> pd.DataFrame:
    """Judge for each unit whether it is causal for its concept.

    Args:
        table: Rows of unit and concept, see ``compare_units``.
        labels: ``layer``, ``unit`` and the ``concept`` to judge each unit for.
        fdr: False discovery rate.

    Returns:
        The measured rows of ``labels``, in order, with the columns of ``table``, ``q`` and
        ``causal``.
    """
    from dissect.statistics.certainty import q_values  # noqa: PLC0415, takes scipy.stats

    labels = labels.astype({"layer": str, "concept": str})
    found = labels.merge(table, on=["layer", "unit", "concept"], how="inner")
    q = q_values(found.p_random.fillna(1).to_numpy())
    causal = (q <= fdr) & (found.net_removed_share_low > 0).to_numpy()
    return found.assign(q=q, causal=causal)


def count_with_other_labels(
    table: pd.DataFrame, labels: pd.DataFrame, *, fdr: float, seed: int
) -> float:
    """Mean number of units that are causal for labels of other units of their layer.

    Labels are shuffled among the units of each layer, 20 times, so these results do not depend on
    which unit matches which concept. Units that share a label keep it, so the number is larger than
    the number of false discoveries.
    """
    found = []
    for shuffle in range(_SHUFFLES):
        random = np.random.default_rng((seed, _SHUFFLING, shuffle))
        shuffled = labels.astype({"layer": str, "concept": str}).copy()
        for _, rows in shuffled.groupby("layer", sort=False):
            concepts = rows.concept.to_numpy()[random.permutation(len(rows))]
            shuffled.loc[rows.index, "concept"] = concepts
        found.append(int(judge_units(table, shuffled, fdr=fdr).causal.sum()))
    return float(np.mean(found))
