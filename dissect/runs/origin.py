"""Which of the models that a run names may be loaded: a run folder may come from somebody else.

``run.json`` names its generator and segmenter. A factory is code, a path may lead anywhere, the id
of a hub means a download. So a model is loaded only if one of these holds:

- the name belongs to this package, and the run chooses nothing inside it: a generator of the zoo, a
  segmenter that is available locally;
- this user made the run here and it is still in the same place, according to a signed record in the
  user's own state folder (``dissect.signing``);
- the user names it again: ``--generator``, ``--segmenter``, ``open_run(…, generator=…)``;
- it is a path inside the run's own folder.
"""

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dissect.errors import DissectError, RunError
from dissect.generators.zoo import ENTRIES
from dissect.runs import schema
from dissect.runs.replacing import replace_file
from dissect.signing import seal, state_folder, unseal
from segmenters.catalogue import MODIFIERS, SEGMENTERS
from segmenters.plain_text import one_line
from segmenters.received import inside, read_bytes

if TYPE_CHECKING:
    from dissect.runs.read import Run

GENERATOR, SEGMENTER = "generator", "segmenter"
_FACTORIES = frozenset({"dissect.worlds.planted:generator"})
"""Factories of this package."""
_FOLDER = "runs"
_PURPOSE = "a run that was made here"
_LARGEST = 10_000  # bytes of a record


def note_made_here(run: Path) -> None:
    """Record that this user has made a run, if the user's state folder can be written."""
    with suppress(OSError, DissectError):
        place = _place(run)
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace_file(place, seal(_about(run), purpose=_PURPOSE))


def was_made_here(run: Path) -> bool:
    """Whether this user has made the run, in this place, and it has not changed."""
    try:
        record = unseal(read_bytes(_place(run), _LARGEST), purpose=_PURPOSE)
        return record == _about(run)
    except (OSError, ValueError, DissectError):
        return False


def model_spec(run: "Run", kind: str) -> str:
    """Spec to load a run's generator or segmenter.

    Args:
        run: A finished run.
        kind: ``generator`` or ``segmenter``.

    Raises:
        RunError: a name that only the run gives, and that could run code, read a file elsewhere
            or download one; the message says how to name it again.
    """
    if kind in run.named:
        return run.named[kind]
    spec = getattr(run.config, kind)
    if _is_own(kind, spec) or was_made_here(run.path):
        return spec
    if kind == GENERATOR and ":" not in spec:
        with suppress(ValueError, OSError):
            path = inside(run.path, spec)
            if path.exists():
                return str(path)
    raise RunError(
        f"{run.path} names its {kind} {one_line(spec)[:200]!r}, and was not made here; expected "
        f"you to say what is loaded for it: give --{kind} with that name if you trust it, or with "
        "the place where it lies"
    )


def _is_own(kind: str, spec: str) -> bool:
    if kind == GENERATOR:
        return spec in ENTRIES or spec in _FACTORIES
    return all(name.strip() in (*SEGMENTERS, *MODIFIERS) for name in spec.split("+"))


def _about(run: Path) -> dict[str, object]:
    return {"folder": str(run.resolve()), "run": schema.file_digest(run / schema.RUN_FILE)}


def _place(run: Path) -> Path:
    name = hashlib.sha256(str(run.resolve()).encode("utf-8", "surrogateescape")).hexdigest()
    return state_folder() / _FOLDER / f"{name[:32]}.json"
