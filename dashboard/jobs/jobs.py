"""The jobs of a folder of runs: started, followed, stopped, gone on with.

``RUNS/.jobs/NAME/`` holds job.json (what was asked for, the process, whether it was stopped) and
what the process said. A job has no state of its own: whether it runs, ended, failed or was stopped
follows from these, from the process and from the run's folder.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dashboard.jobs import processes
from dashboard.jobs.asking import RunRequest, check_name
from dissect.errors import ConfigError, RunError
from dissect.runs.replacing import replace_file
from dissect.runs.schema import RUN_FILE

JOBS = ".jobs"
_RECORD = "job.json"
_OUT, _ERRORS = "stdout.txt", "stderr.txt"
_TAIL = 4000  # bytes of what a process said in which its last word is looked for
# A server that a shell put into the background ignores Ctrl-C, and so would its children.
_PROGRAM = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from dissect.cli import main; sys.exit(main())"
)


@dataclass(frozen=True)
class Job:
    """How a job stands.

    Attributes:
        name: Of the run, and of the job.
        state: ``running``, ``stopping``, ``finished``, ``cancelled`` or ``failed``.
        done, total: Samples that were counted, of how many; 0 of 0 before the first.
        told: Why it failed, in one line; else "".
        arguments: Of the command line.
        created: When it was asked for, ISO 8601.
    """

    name: str
    state: str
    done: int
    total: int
    told: str
    arguments: tuple[str, ...]
    created: str

    @property
    def live(self) -> bool:
        return self.state in ("running", "stopping")

    @property
    def resumable(self) -> bool:
        return self.state in ("cancelled", "failed")


class Jobs:
    """The jobs of a folder. Threads may share it.

    Args:
        folder: Holds the runs.
        most: So many may work at once.
        patience: Seconds between a stop that is asked for and a kill.
        program: Python text that takes the command line's arguments; ``dissect`` itself.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        most: int = 1,
        patience: float = 20.0,
        program: str = _PROGRAM,
    ) -> None:
        self.folder = Path(folder).resolve()
        self._most = most
        self._patience = patience
        self._program = program
        self._lock = threading.Lock()

    def all(self) -> list[Job]:
        """Every job there is, the newest first; those that finished as long as they are kept."""
        found = [job for name in self._names() if (job := self._job(name)) is not None]
        return sorted(found, key=lambda job: (job.created, job.name), reverse=True)

    def start(self, request: RunRequest) -> None:
        """Begin a run.

        Raises:
            ConfigError: the name is taken, or as much is at work as may be.
            RunError: the folder is itself a run, or cannot be written.
        """
        if (self.folder / RUN_FILE).is_file():
            raise RunError(
                f"{self.folder.name} is a run; expected a folder of runs to put another in; "
                "dissect serve FOLDER"
            )
        with self._lock:
            self._check_room()
            out = self.folder / request.name
            taken = (out, out.with_name(out.name + ".partial"), self._place(request.name))
            if any(path.exists() for path in taken):
                raise ConfigError(
                    f"name is {request.name!r}, which a run or an unfinished one has; expected a "
                    "new name; choose another, or remove that one"
                )
            record = {
                "version": 1,
                "arguments": request.arguments(out),
                "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
            }
            try:
                self._place(request.name).mkdir(parents=True)
                self._launch(request.name, record)
            except OSError as error:
                shutil.rmtree(self._place(request.name), ignore_errors=True)
                raise _unwritten(error) from error

    def resume(self, name: str) -> None:
        """Go on with a job that was stopped or failed.

        Raises:
            ConfigError: no such job, one that works or is done, or no room for it.
        """
        with self._lock:
            job = self._known(name)
            if not job.resumable:
                raise ConfigError(
                    f"{name!r} is {job.state}; expected one that stopped before its end; reload "
                    "the page"
                )
            self._check_room()
            record = self._record(name)
            try:
                self._launch(name, {**record, "cancelled": False})
            except OSError as error:
                raise _unwritten(error) from error

    def cancel(self, name: str) -> None:
        """Stop a job; what was counted is kept. A second time it stops less gently.

        Raises:
            ConfigError: no such job, or one that does not work.
        """
        with self._lock:
            job = self._known(name)
            if not job.live:
                raise ConfigError(f"{name!r} is {job.state} already; reload the page")
            record = self._record(name)
            self._write(name, {**record, "cancelled": True})
        processes.stop(record["pid"], record["identity"], patience=self._patience)

    def remove(self, name: str) -> None:
        """Forget a job, and delete what is unfinished of its run; a finished run stays.

        Raises:
            ConfigError: no such job, or one that works.
        """
        with self._lock:
            if self._known(name).live:
                raise ConfigError(f"{name!r} is at work; expected one that stopped; stop it first")
            shutil.rmtree(self._partial(name), ignore_errors=True)
            shutil.rmtree(self._place(name), ignore_errors=True)

    def _check_room(self) -> None:
        live = [job.name for job in self.all() if job.live]
        if len(live) >= self._most:
            raise ConfigError(
                f"{', '.join(live)} is at work; expected at most {self._most} at once; wait for "
                "its end or stop it"
            )

    def _launch(self, name: str, record: dict) -> None:
        place = self._place(name)
        with (place / _OUT).open("wb") as out, (place / _ERRORS).open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-c", self._program, *record["arguments"]],
                stdin=subprocess.DEVNULL, stdout=out, stderr=errors,
                cwd=Path(__file__).resolve().parents[2],
                start_new_session=True,
            )  # fmt: skip
        # Until it is reaped even one that ended at once has its number.
        known = processes.identity(process.pid) or "ended"
        try:
            self._write(name, {**record, "pid": process.pid, "identity": known})
        except OSError:
            process.kill()  # nobody could find it any more
            raise
        finally:
            processes.reap(process)

    def _job(self, name: str) -> Job | None:
        try:
            record = self._record(name)
            pid, known = record.get("pid"), record.get("identity")
            arguments, created = tuple(record["arguments"]), str(record["created"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        live = type(pid) is int and known is not None and processes.identity(pid) == known
        stopped, told = bool(record.get("cancelled")), ""
        if live:
            state = "stopping" if stopped else "running"
        elif (self.folder / name / RUN_FILE).is_file():
            state = "finished"
        elif stopped:
            state = "cancelled"
        else:
            state, told = "failed", self._last_word(name)
        done, total = self._progress(name)
        return Job(name, state, done, total, told, arguments, created)

    def _progress(self, name: str) -> tuple[int, int]:
        try:
            found = json.loads((self._partial(name) / "progress.json").read_text())
            done, total = int(found["done"]), int(found["total"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0, 0
        return (min(done, total), total) if done >= 0 and total > 0 else (0, 0)

    def _last_word(self, name: str) -> str:
        try:
            with (self._place(name) / _ERRORS).open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
                text = file.read().decode(errors="replace")
        except OSError:
            text = ""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        own = [line for line in lines if line.startswith("dissect: ")]
        if own or lines:
            return (own or lines)[-1].removeprefix("dissect: ")[:400]
        return "it ended without a word: killed, out of memory, or the machine was switched off"

    def _known(self, name: object) -> Job:
        job = self._job(name) if isinstance(name, str) and name in self._names() else None
        if job is None:
            raise ConfigError(f"no job is called {str(name)[:60]!r}; reload the page")
        return job

    def _names(self) -> list[str]:
        try:
            return sorted(path.name for path in (self.folder / JOBS).iterdir() if _is_slug(path))
        except OSError:
            return []

    def _place(self, name: str) -> Path:
        return self.folder / JOBS / check_name(name)

    def _partial(self, name: str) -> Path:
        return self.folder / f"{check_name(name)}.partial"

    def _record(self, name: str) -> dict:
        return json.loads((self._place(name) / _RECORD).read_text())

    def _write(self, name: str, record: dict) -> None:
        replace_file(self._place(name) / _RECORD, json.dumps(record, indent=1).encode())


def _is_slug(path: Path) -> bool:
    try:
        check_name(path.name)
    except ConfigError:
        return False
    return path.is_dir()


def _unwritten(error: OSError) -> RunError:
    return RunError(
        f"the folder of runs cannot be written ({error.strerror or error}); expected free space "
        "and the right to write"
    )
