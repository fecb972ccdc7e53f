"""Studies: measurements of the effect of edits on the images, stored with the run.

    result = measure(open_run("runs/a"), "ablate", concept="window", n_units=20)
    result.summary["target"]["removed_share"], result.effect.edits

A match of a unit is a hint; the change of the images without the unit is evidence. ``study``
defines a kind of study, ``registry`` lists the kinds.

Names are imported when they are first used.
"""

from typing import TYPE_CHECKING

from segmenters.lazy import lazy_names

if TYPE_CHECKING:  # the same names, for editors and type checkers
    from dissect.studies.effects import open_effect as open_effect
    from dissect.studies.registry import (
        STUDIES as STUDIES,
        measure as measure,
        study_of as study_of,
    )
    from dissect.studies.store import (
        StoredEffect as StoredEffect,
        effect_names as effect_names,
    )
    from dissect.studies.study import Result as Result, Study as Study
else:
    __all__, __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "Result": "dissect.studies.study",
            "STUDIES": "dissect.studies.registry",
            "StoredEffect": "dissect.studies.store",
            "Study": "dissect.studies.study",
            "effect_names": "dissect.studies.store",
            "measure": "dissect.studies.registry",
            "open_effect": "dissect.studies.effects",
            "study_of": "dissect.studies.registry",
        },
    )
