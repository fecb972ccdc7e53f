"""The rung of each unit in a run: the groups by which a blind test is scored."""

import pandas as pd

from dissect.runs import Run
from dissect.statistics.ladder import CAUSAL, RUNGS
from dissect.statistics.registry import rows_of
from dissect.studies.causes import unit_causes


def rungs_of(run: Run, labels: pd.DataFrame) -> list[str]:
    """The highest rung that each unit reaches.

    Args:
        run: A finished run.
        labels: The rows of its table that are labels.
    """
    causes = unit_causes(run, labels[["layer", "unit", "concept"]])
    causal = {(str(row.layer), int(row.unit)) for row in rows_of(causes) if bool(row.causal)}
    return [
        RUNGS[
            CAUSAL if row.is_named and (str(row.layer), int(row.unit)) in causal else int(rung)
        ].name
        for row, rung in zip(rows_of(labels), labels.rung, strict=True)
    ]
