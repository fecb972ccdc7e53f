"""What is known of the jobs of a folder, read from their files.

``RUNS/.jobs/NAME/`` holds job.json (what was asked for, its turn or its process, whether it was
stopped) and what the process said. A job has no state of its own: whether it waits, runs, ended,
failed or was stopped follows from these, from the process and from the run's folder.
"""

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path

from dashboard.jobs import processes
from dashboard.jobs.asking import check_name
from dashboard.paths import within
from dissect.errors import ConfigError
from dissect.progress import Stage, read_stage
from dissect.runs.replacing import replace_file
from dissect.runs.schema import RUN_FILE

JOBS = ".jobs"
OUT, ERRORS = "stdout.txt", "stderr.txt"
_RECORD = "job.json"
_TAIL = 4000  # bytes of what a process said in which its last word is looked for


@dataclass(frozen=True)
class Job:
    """How a job stands.

    Attributes:
        name: Of the run, and of the job.
        state: ``waiting``, ``running``, ``stopping``, ``finished``, ``cancelled`` or ``failed``.
        done, total: Samples that were counted, of how many; 0 of 0 before the first.
        told: Why it failed, in one line; else "".
        arguments: Of the command line.
        created: When it was asked for, ISO 8601.
        turn: 1 for the one of the waiting that is next; 0 for those that do not wait.
        stage: What a live one is at, as it said last; None if it said nothing yet.
    """

    name: str
    state: str
    done: int
    total: int
    told: str
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
    """The files of the jobs of a folder.

    Args:
        folder: Holds the runs.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).resolve()

    def all(self) -> list[Job]:
        """Every job there is, the newest first; those that finished as long as they are kept."""
        found = [job for name in self._names() if (job := self._job(name)) is not None]
        turns = {job.name: n for n, job in enumerate(_in_turn(found), start=1)}
        found = [dataclasses.replace(job, turn=turns.get(job.name, 0)) for job in found]
        return sorted(found, key=lambda job: (job.created, job.name), reverse=True)

    def waiting(self) -> list[Job]:
        """Those that wait, the next one first."""
        return _in_turn(self.all())

    def place(self, name: str) -> Path:
        """Where a job's files are."""
        return self.folder / JOBS / check_name(name)

    def out(self, name: str) -> Path:
        """The run to be."""
        return self.folder / check_name(name)

    def partial(self, name: str) -> Path:
        """What is unfinished of it."""
        return self.folder / f"{check_name(name)}.partial"

    def read(self, name: str) -> dict:
        """Content of job.json."""
        return json.loads((self.place(name) / _RECORD).read_text())

    def write(self, name: str, record: dict) -> None:
        """Replace job.json."""
        replace_file(self.place(name) / _RECORD, json.dumps(record, indent=1).encode())

    def _job(self, name: str) -> Job | None:
        try:
            record = self.read(name)
            pid, known = record.get("pid"), record.get("identity")
            arguments, created = tuple(record["arguments"]), str(record["created"])
            turn = int(record.get("waiting", 0))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        live = type(pid) is int and known is not None and processes.identity(pid) == known
        stopped, told = bool(record.get("cancelled")), str(record.get("told", ""))
        if live:
            state = "stopping" if stopped else "running"
        elif turn:
            state = "waiting"
        elif told:
            state = "failed"
        elif (self.out(name) / RUN_FILE).is_file():
            state = "finished"
        elif stopped:
            state = "cancelled"
        else:
            state, told = "failed", within(self._last_word(name), self.folder)
        done, total = self._progress(name)
        stage = self._stage(name) if live else None
        return Job(name, state, done, total, told, arguments, created, turn, stage)

    def _progress(self, name: str) -> tuple[int, int]:
        try:
            found = json.loads((self.partial(name) / "progress.json").read_text())
            done, total = int(found["done"]), int(found["total"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0, 0
        return (min(done, total), total) if done >= 0 and total > 0 else (0, 0)

    def _stage(self, name: str) -> Stage | None:
        stages = [stage for line in self._said(name) if (stage := read_stage(line)) is not None]
        return stages[-1] if stages else None

    def _said(self, name: str) -> list[str]:
        try:
            with (self.place(name) / ERRORS).open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
                text = file.read().decode(errors="replace")
        except OSError:
            text = ""
        return [line.strip() for line in text.splitlines() if line.strip()]

    def _last_word(self, name: str) -> str:
        lines = [line for line in self._said(name) if read_stage(line) is None]
        own = [line for line in lines if line.startswith("dissect: ")]
        if own or lines:
            return (own or lines)[-1].removeprefix("dissect: ")[:400]
        return "it ended without a word: killed, out of memory, or the machine was switched off"

    def _names(self) -> list[str]:
        try:
            return sorted(path.name for path in (self.folder / JOBS).iterdir() if _is_slug(path))
        except OSError:
            return []


def _in_turn(jobs: list[Job]) -> list[Job]:
    waiting = [job for job in jobs if job.state == "waiting"]
    return sorted(waiting, key=lambda job: (job.turn, job.created, job.name))


def _is_slug(path: Path) -> bool:
    try:
        check_name(path.name)
    except ConfigError:
        return False
    return path.is_dir()
