"""The jobs of a folder of runs, read from their files.

``STATE/work/FOLDER/ID/`` holds job.json (the request, its turn or its process, whether it was
stopped), signed for this user, and the output of its process. STATE is the user's state folder,
FOLDER a digest of the folder of runs. A job's state is not stored: whether it waits, runs, ended,
failed or was stopped follows from these, from the process and from the result.
"""

import dataclasses
import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from dashboard.paths import within
from dashboard.work import processes
from dissect.errors import DissectError, SettingError
from dissect.progress import Stage, read_stage
from dissect.runs.replacing import replace_file
from dissect.runs.schema import RUN_FILE, STATUS
from dissect.settings.kinds import short
from dissect.signing import seal, state_folder, unseal

RUN, EFFECT = "run", "effect"
"""Kinds of jobs."""
OUT, ERRORS = "stdout.txt", "stderr.txt"
VERSION = 2
_RECORD = "job.json"
NAME_PATTERN = r"[a-z0-9][a-z0-9_-]{0,59}"
"""Pattern for the whole name of a run's folder."""
NAME_EXPECTED = "1 to 60 small letters, digits, - or _, the first one a letter or a digit"
_TAIL = 4000  # bytes at the end of stderr that are searched for the last line


@dataclass(frozen=True)
class Job:
    """The state of a job.

    Attributes:
        id: Id of the job in its folder: ``RUN`` or ``RUN/EFFECT``.
        kind: ``run`` or ``effect``.
        run: Folder name of the run.
        name: Name of the result.
        state: ``waiting``, ``running``, ``stopping``, ``finished``, ``cancelled`` or ``failed``.
        done, total: Counted samples, and all samples; 0 of 0 before the first.
        error: Why it failed, in one line; otherwise "".
        arguments: Arguments of the command line.
        created: Time of the request, ISO 8601.
        turn: 1 for the next waiting job of its kind; 0 for those that do not wait.
        stage: Last reported stage of a live one; None if it has not reported any.
    """

    id: str
    kind: str
    run: str
    name: str
    state: str
    done: int
    total: int
    error: str
    arguments: tuple[str, ...]
    created: str
    turn: int = 0
    stage: Stage | None = None

    @property
    def live(self) -> bool:
        return self.state in ("running", "stopping")

    @property
    def resumable(self) -> bool:
        return self.state in ("cancelled", "failed")


class Records:
    """The records of the jobs of a folder.

    Args:
        folder: Folder of the runs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
        self.place = state_folder() / "work" / digest

    def all(self) -> list[Job]:
        """All jobs, newest first; finished ones as long as they are kept."""
        found = [job for path in self._places() if (job := self._job(path)) is not None]
        turns: dict[str, int] = {}
        for kind in (RUN, EFFECT):
            waiting = (job for job in _in_turn(found) if job.kind == kind)
            turns |= {job.id: turn for turn, job in enumerate(waiting, start=1)}
        found = [dataclasses.replace(job, turn=turns.get(job.id, 0)) for job in found]
        return sorted(found, key=lambda job: (job.created, job.id), reverse=True)

    def waiting(self) -> list[Job]:
        """Waiting jobs, the earliest request first."""
        return _in_turn(self.all())

    def place_of(self, job_id: str) -> Path:
        """Folder of a job's files."""
        return self.place / hashlib.sha256(job_id.encode()).hexdigest()[:16]

    def out(self, name: str) -> Path:
        """The folder of a run in progress."""
        return self.folder / check_name(name)

    def partial(self, name: str) -> Path:
        """The folder of its unfinished part."""
        return self.folder / f"{check_name(name)}.partial"

    def read(self, job_id: str) -> dict:
        """Content of a job's record.

        Raises:
            SignatureError: this user did not write it.
            OSError: it cannot be read.
        """
        content = (self.place_of(job_id) / _RECORD).read_bytes()
        return unseal(content, purpose=self._purpose(self.place_of(job_id)))

    def write(self, job_id: str, record: dict) -> None:
        """Replace a job's record.

        Raises:
            SignatureError: other users can read the user's key.
            OSError: it cannot be written.
        """
        place = self.place_of(job_id)
        replace_file(place / _RECORD, seal(record, purpose=self._purpose(place)))

    def _purpose(self, place: Path) -> str:
        # A record that was copied from another folder of runs, or another job, is invalid.
        return f"job {place.name} of {self.folder}"

    def _job(self, place: Path) -> Job | None:
        try:
            record = unseal((place / _RECORD).read_bytes(), purpose=self._purpose(place))
            kind, run, name = (str(record[field]) for field in ("kind", "run", "name"))
            job_id = str(record["id"])
            pid, known = record.get("pid"), record.get("identity")
            arguments, created = tuple(record["arguments"]), str(record["created"])
            turn = int(record.get("waiting", 0))
            fits = record["version"] == VERSION and place == self.place_of(job_id)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, DissectError):
            return None
        if not fits:
            return None
        live = type(pid) is int and known is not None and processes.identity(pid) == known
        stopped, error = bool(record.get("cancelled")), str(record.get("error", ""))
        if live:
            state = "stopping" if stopped else "running"
        elif turn:
            state = "waiting"
        elif error:
            state = "failed"
        elif self._is_finished(kind, name, place):
            state = "finished"
        elif stopped:
            state = "cancelled"
        else:
            state, error = "failed", within(self._last_line(place), self.folder)
        done, total = self._progress(name) if kind == RUN else (0, 0)
        stage = self._stage(place) if live else None
        return Job(
            job_id, kind, run, name, state, done, total, error, arguments, created, turn, stage
        )

    def _is_finished(self, kind: str, name: str, place: Path) -> bool:
        """Whether the result exists: a run's folder, or the JSON that describes an effect."""
        if kind == RUN:
            return (self.out(name) / RUN_FILE).is_file()
        try:
            return isinstance(json.loads((place / OUT).read_bytes()), dict)
        except (OSError, ValueError):
            return False

    def _progress(self, name: str) -> tuple[int, int]:
        try:
            found = json.loads((self.partial(name) / STATUS).read_text())
            done, total = int(found["done"]), int(found["total"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return 0, 0
        return (min(done, total), total) if done >= 0 and total > 0 else (0, 0)

    def _stage(self, place: Path) -> Stage | None:
        lines = self._stderr_lines(place)
        stages = [stage for line in lines if (stage := read_stage(line)) is not None]
        return stages[-1] if stages else None

    def _stderr_lines(self, place: Path) -> list[str]:
        try:
            with (place / ERRORS).open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
                text = file.read().decode(errors="replace")
        except OSError:
            text = ""
        return [line.strip() for line in text.splitlines() if line.strip()]

    def _last_line(self, place: Path) -> str:
        lines = [line for line in self._stderr_lines(place) if read_stage(line) is None]
        own = [line for line in lines if line.startswith("dissect: ")]
        if own or lines:
            return (own or lines)[-1].removeprefix("dissect: ")[:400]
        return "it ended without a message: killed, out of memory, or the machine was switched off"

    def _places(self) -> list[Path]:
        try:
            return sorted(path for path in self.place.iterdir() if not path.name.startswith("."))
        except OSError:
            return []


def _in_turn(jobs: list[Job]) -> list[Job]:
    # `turn` is still the number in the record; `all` replaces it by the position.
    waiting = [job for job in jobs if job.state == "waiting"]
    return sorted(waiting, key=lambda job: (job.turn, job.created, job.id))


def check_name(given: object) -> str:
    """Check a name for a folder.

    Raises:
        ConfigError: an invalid name.
    """
    if not isinstance(given, str) or not re.fullmatch(NAME_PATTERN, given, re.ASCII):
        raise SettingError("name", f"is {short(given)}; expected {NAME_EXPECTED}")
    return given
