"""More samples for a finished run, whose counts were kept beside it.

    dissect(…, n_samples=8192, out="runs/a", keep_counts=True)
    dissect(…, out="runs/a", extend=20000)     # the same bytes as 20,000 samples from the start

A longer run has the same edges if its pilot is the same samples, and the same thresholds if its
calibration fold is. The fold is a quarter of a short run and never more than 1,024 samples, so it
is the same in all runs of at least 4,096. Then counts are added up, and nothing is counted twice.
"""

from dataclasses import replace

from dissect.config import RunConfig
from dissect.counting.subject import Subject
from dissect.errors import RunError, SettingError
from dissect.runs.partial import Workspace
from dissect.runs.record import read_record
from dissect.runs.schema import RUN_FILE
from dissect.statistics.folds import LONGEST_CALIBRATION, calibration_size

_LEAST = 4 * LONGEST_CALIBRATION


def check_keepable(config: RunConfig) -> None:
    """Refuse to keep counts that no longer run could go on from.

    Raises:
        SettingError: another calibration fold or pilot than longer runs have, or a last block that
            is not full.
    """
    n_samples, block = config.n_samples, config.block
    if calibration_size(n_samples) < LONGEST_CALIBRATION or config.pilot > n_samples:
        raise SettingError(
            "keep_counts",
            f"is given with {n_samples:,} samples; expected at least "
            f"{max(_LEAST, config.pilot):,}, from where on a longer run has the same edges and "
            "thresholds; give more samples, or leave it out",
        )
    if n_samples % block:
        raise SettingError(
            "keep_counts",
            f"is given with {n_samples:,} samples in batches of {block}; expected whole batches, "
            f"such as {n_samples // block * block:,} samples; give as many, or leave it out",
        )


def find_extended(workspace: Workspace, subject: Subject) -> str:
    """The fingerprint of the run in ``out`` that is extended, or is the longer run already.

    Args:
        workspace: Of the longer run.
        subject: Of the longer run.

    Raises:
        RunError: there is no run, or one of other settings or models.
        SettingError: it has more samples.
    """
    if not (workspace.out / RUN_FILE).is_file():
        raise RunError(f"{workspace.out} is not a run; expected the one that samples are added to")
    record = read_record(workspace.out)
    if record["fingerprint"] == subject.fingerprint:
        return subject.fingerprint
    n_before = record["config"].get("n_samples", 0)
    if n_before >= subject.config.n_samples:
        raise SettingError(
            "extend",
            f"is {subject.config.n_samples:,}; expected more than the {n_before:,} samples of "
            f"{workspace.out}",
        )
    before = replace(subject, config=replace(subject.config, n_samples=n_before))
    if before.fingerprint != record["fingerprint"]:
        raise RunError(
            f"{workspace.out} holds a run of other settings or models; expected those that are "
            "given here, with fewer samples; give the run's own"
        )
    return before.fingerprint
