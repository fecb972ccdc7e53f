"""The registry of study kinds. A new kind is listed here, and nowhere else.

result = measure(open_run("runs/a"), "ablate", concept="window", n_units=20)
result.summary["target"]["removed_share"]
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dissect.errors import RunError, SettingError
from dissect.studies.ablate_insert.study import AblateStudy, InsertStudy
from dissect.studies.causal.study import CausalStudy
from dissect.studies.context.study import ContextStudy
from dissect.studies.move.study import MoveStudy
from dissect.studies.names import check_name
from dissect.studies.repair.study import RepairStudy
from dissect.studies.study import Result, Study, StudyOptions
from segmenters.nearest import did_you_mean

if TYPE_CHECKING:
    from dissect.runs import Run
    from dissect.studies.store import StoredEffect

_STUDIES: tuple[Study[Any], ...] = (
    AblateStudy(),
    InsertStudy(),
    CausalStudy(),
    ContextStudy(),
    RepairStudy(),
    MoveStudy(),
)
STUDIES: Mapping[str, Study[Any]] = MappingProxyType({study.kind: study for study in _STUDIES})
"""Kind → study, in the order of the help."""


def find_study(kind: str) -> Study[Any]:
    """The study of a kind.

    Raises:
        ConfigError: an unknown kind.
    """
    if kind not in STUDIES:
        raise SettingError(
            "kind", f"is {kind!r}; {did_you_mean(kind, STUDIES)}expected {', '.join(STUDIES)}"
        )
    return STUDIES[kind]


def study_of(effect: "StoredEffect") -> Study[Any]:
    """The study that measured an effect.

    Raises:
        RunError: an unknown kind.
    """
    kind = effect.record["summary"].get("kind")
    if kind not in STUDIES:
        raise RunError(
            f"{effect.path} holds an effect of kind {kind!r}; expected {', '.join(STUDIES)}; "
            "update gan-dissection, or delete that folder"
        )
    return STUDIES[kind]


def measure(
    run: "Run",
    kind: str,
    *,
    name: str | None = None,
    device: str = "cpu",
    progress: bool = True,
    **settings: Any,
) -> Result:
    """Run one study: choose edits, measure their effect, store it with the run.

    Args:
        run: A finished run whose generator and segmenter can be loaded.
        kind: One of ``STUDIES``.
        name: Name of the folder under ``effects/``; None derives one from the settings.
        device: Device to load the models on.
        progress: Show progress bars on stderr.
        **settings: Settings of the study's question.

    Raises:
        DissectError: an invalid argument; the message is one line.
    """
    StudyOptions(name=name, device=device, progress=progress)
    study = find_study(kind)
    question = study.question(**{**settings, **study.fixed})
    if name is not None:
        check_name(name)
    return study.measure(run, question, name=name, device=device, progress=progress)
