"""Rungs of evidence of an opened run's units: matches and named from counts, causal from studies.

``dissect.statistics.ladder`` defines colours and meanings for every page.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dashboard.pairs import labels_of
from dashboard.store import OpenRun
from dissect.errors import DissectError
from dissect.statistics.ladder import CAUSAL, MATCHES, NAMED
from dissect.studies.causes import unit_causes
from dissect.studies.store import effect_names


@dataclass(frozen=True)
class RungCounts:
    """Number of units of a run on at least each rung.

    Attributes:
        units: All of them.
        matches, named: From the counts; ``named`` is None if the run does not know it.
        causal: Number among the named ones; None if no unit was ablated alone.
        tried: Named units that were ablated alone.
    """

    units: int
    matches: int
    named: int | None
    causal: int | None
    tried: int


def ranked_labels(opened: OpenRun) -> pd.DataFrame:
    """``labels_of`` a run, with the ``rung`` *causal* for units that were measured as causal."""
    causal, _ = _causes(opened)
    labels = labels_of(opened)
    if not causal:
        return labels
    kept = opened.once("ranked labels", dict)
    if kept.get("causal") is not causal:
        keys = zip(labels.layer.astype(str), labels.unit.tolist(), strict=True)
        is_causal = np.array([key in causal for key in keys]) & labels.is_named.to_numpy()
        rung = np.where(is_causal, CAUSAL, labels.rung.to_numpy())
        kept["causal"], kept["labels"] = causal, labels.assign(rung=rung)
    return kept["labels"]


def rung_counts(opened: OpenRun) -> RungCounts:
    """Number of units on at least each rung."""
    labels, (_, tried) = ranked_labels(opened), _causes(opened)
    named = set(
        zip(labels.layer[labels.is_named].astype(str), labels.unit[labels.is_named], strict=True)
    )
    judged = len(tried & named)
    return RungCounts(
        units=len(labels),
        matches=int((labels.rung >= MATCHES).sum()),
        named=int(labels.is_named.sum()) if opened.run.label_rung >= NAMED else None,
        causal=int((labels.rung >= CAUSAL).sum()) if judged else None,
        tried=judged,
    )


def _causes(opened: OpenRun) -> tuple[frozenset, frozenset]:
    """Units that are causal for their label, and those that were ablated alone; read again when
    there is a new effect. Ignores a damaged effect: the list of effects shows the error.
    """
    names = tuple(effect_names(opened.run))
    kept = opened.once("causes", dict)
    if kept.get("names") != names:
        try:
            found = unit_causes(opened.run)
        except DissectError:
            found = pd.DataFrame(columns=["layer", "unit", "causal"])
        keys = list(zip(found.layer.astype(str), found.unit.astype(int), strict=True))
        causal = found.causal.to_numpy(bool)
        kept["names"] = names
        kept["found"] = (
            frozenset(key for key, one in zip(keys, causal, strict=True) if one),
            frozenset(keys),
        )
    return kept["found"]
