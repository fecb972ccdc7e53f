"""Opens stored effects and checks that their study can describe them."""

from dissect.errors import RunError
from dissect.runs import Run
from dissect.studies.registry import study_of
from dissect.studies.store import ADVICE, StoredEffect, read_effect
from segmenters.received import reading


def open_effect(run: Run, name: str) -> StoredEffect:
    """A stored effect by name.

    Raises:
        ConfigError: no effect of that name.
        RunError: a damaged effect, one of a newer version or of an unknown kind.
    """
    effect = read_effect(run, name)
    study, summary = study_of(effect), effect.record["summary"]
    with reading(effect.path, RunError, ADVICE):
        study.headline(summary)
        study.describe(summary).to_text()  # a summary that cannot be shown is damaged
    return effect
