"""The rungs of evidence of an opened run's units: matches and named as counted, causal as measured.

Colours and meanings stand in ``dissect.statistics.ladder``; every page takes them from there.
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
    """How many units of a run stand at least on each rung.

    Attributes:
        units: All of them.
        matches, named: As counted; ``named`` is None where the run does not know it.
        causal: Of the named ones; None where no unit was ablated alone.
        tried: Named units that were ablated alone.
    """

    units: int
    matches: int
    named: int | None
    causal: int | None
    tried: int


def ranked_labels(opened: OpenRun) -> pd.DataFrame:
    """``labels_of`` a run, whose ``rung`` is *causal* for the units that were measured to be."""
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
    """How many units stand at least on each rung."""
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
    """Units that are causal for their label, and those that were tried alone; read again when
    another effect is there. A damaged effect counts as none: the list of effects says why.
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
