"""How much a run says of each unit: the groups that a blind test is scored by."""

import pandas as pd

from dissect.runs import Run
from dissect.studies.causes import unit_causes

CAUSAL = "causal"
_WITHOUT_LADDER = {True: "interpretable", False: "not interpretable"}
_CALLED = "interpretable"


def rungs_of(run: Run, labels: pd.DataFrame) -> list[str]:
    """The rung of each unit, the highest that it reaches.

    Args:
        run: A finished run.
        labels: Rows of its table that are labels.
    """
    names = [_WITHOUT_LADDER[bool(one)] for one in labels[_CALLED]]
    causes = unit_causes(run, labels[["layer", "unit", "concept"]])
    causal = {(str(row.layer), int(row.unit)) for row in causes.itertuples() if bool(row.causal)}
    return [
        CAUSAL if (str(row.layer), int(row.unit)) in causal and called else name
        for row, name, called in zip(labels.itertuples(), names, labels[_CALLED], strict=True)
    ]
