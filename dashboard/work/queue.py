"""The queue of a folder of runs: starts, queues, stops and resumes jobs."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dashboard import child_process
from dashboard.work import locks, processes
from dashboard.work.records import EFFECT, ERRORS, OUT, RUN, VERSION, Job, Records
from dissect.errors import ConfigError, RunError
from dissect.progress import LINES, PROGRESS_VARIABLE
from dissect.runs.schema import RUN_FILE

if TYPE_CHECKING:
    from dashboard.work.requests import EffectRequest, RunRequest

__all__ = ["Job", "Work"]

MOST_WAITING = 50
_MOST_FINISHED = 200  # number of finished jobs whose records are kept
# A server started in the background by a shell ignores Ctrl-C, and so would its children.
_PROGRAM = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from dissect.cli import main; sys.exit(main())"
)


class Work:
    """The jobs of a folder of runs. Threads, and dashboards of one machine, may share it.

    One run and one effect are active at a time; others wait, in the order of their requests.

    Args:
        folder: A folder of runs, or one run, whose effects can be measured too.
        patience: Seconds between a request to stop and a kill.
        program: Python code that gets the command line's arguments; ``dissect`` itself.
    """

    def __init__(
        self, folder: str | Path, *, patience: float = 20.0, program: str = _PROGRAM
    ) -> None:
        given = Path(folder).resolve()
        self._is_run = (given / RUN_FILE).is_file()
        self.folder = given.parent if self._is_run else given
        self._records = Records(self.folder)
        self._patience = patience
        self._program = program

    @property
    def place(self) -> Path:
        """Folder of the records, in the user's state folder."""
        return self._records.place

    def all(self, kind: str | None = None, *, run: str | None = None) -> list[Job]:
        """Jobs, newest first; finished ones as long as they are kept.

        Args:
            kind: Only of this kind.
            run: Only of the run with this folder name.
        """
        return [
            job
            for job in self._records.all()
            if kind in (None, job.kind) and run in (None, job.run)
        ]

    def find(self, job_id: object) -> Job:
        """The job with an id. Untrusted.

        Raises:
            ConfigError: there is none.
        """
        for job in self.all():
            if job.id == job_id:
                return job
        raise ConfigError(f"no job is called {str(job_id)[:60]!r}; reload the page")

    def start(self, request: "RunRequest | EffectRequest") -> Job:
        """Start a job, or queue it; returns its state.

        Raises:
            ConfigError: the name is in use, or too many jobs wait.
            RunError: the folder is itself a run, or the records cannot be written.
        """
        if request.kind == RUN and self._is_run:
            raise RunError(
                "the dashboard shows one run; expected a folder of runs to put another in; "
                "dissect serve FOLDER"
            )
        with self._locked():
            self._check_free(request)
            place = self._records.place_of(request.id)
            record = {
                "version": VERSION,
                "id": request.id,
                "kind": request.kind,
                "run": request.run,
                "name": request.name,
                "arguments": request.arguments(self.folder),
                "cwd": str(Path.cwd()),
                "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "waiting": self._next_turn(),
            }
            try:
                place.mkdir(mode=0o700)
                self._records.write(request.id, record)
                self._advance()
            except OSError:
                shutil.rmtree(place, ignore_errors=True)
                raise
            self._forget_oldest()
        return self.find(request.id)

    def resume(self, job_id: str) -> Job:
        """Continue a stopped or failed job when its turn comes; returns its state.

        An effect starts again from the beginning: nothing of it was stored.

        Raises:
            ConfigError: no such job, one that is running or finished, or too many wait.
            RunError: the records cannot be written.
        """
        with self._locked():
            job = self.find(job_id)
            if not job.resumable:
                raise ConfigError(
                    f"{job.name!r} is {job.state}; expected one that stopped before its end; "
                    "reload the page"
                )
            record = self._records.read(job.id)
            record.pop("error", None)
            fresh = {**record, "cancelled": False, "waiting": self._next_turn()}
            self._records.write(job.id, fresh)
            try:
                self._advance()
            except OSError:
                self._records.write(job.id, record)
                raise
        return self.find(job_id)

    def cancel(self, job_id: str) -> None:
        """Stop a job; a run keeps its counts. A second call stops it by force.

        A waiting job is taken out of the queue, and removed if it never started.

        Raises:
            ConfigError: no such job, or one that is neither running nor waiting.
            RunError: the records cannot be written.
        """
        with self._locked():
            job = self.find(job_id)
            if not job.live and job.state != "waiting":
                raise ConfigError(f"{job.name!r} is {job.state} already; reload the page")
            record = self._records.read(job.id)
            if job.state == "waiting" and "pid" not in record:
                shutil.rmtree(self._records.place_of(job.id), ignore_errors=True)
                return
            record.pop("waiting", None)
            self._records.write(job.id, {**record, "cancelled": True})
        if job.live:
            processes.stop(record["pid"], record["identity"], patience=self._patience)

    def remove(self, job_id: str) -> None:
        """Remove a job, and the unfinished part of its run; finished results stay.

        Raises:
            ConfigError: no such job, or one that is running or waiting.
            RunError: the records cannot be written.
        """
        with self._locked():
            job = self.find(job_id)
            if job.live or job.state == "waiting":
                raise ConfigError(
                    f"{job.name!r} is at work; expected one that stopped; stop it first"
                )
            # If this run never started, the folder belongs to another one.
            if job.kind == RUN and "pid" in self._records.read(job.id):
                shutil.rmtree(self._records.partial(job.name), ignore_errors=True)
            shutil.rmtree(self._records.place_of(job.id), ignore_errors=True)

    def advance(self, *, last: Callable[[], None] | None = None) -> bool:
        """Start the jobs that can start; returns whether others still wait.

        Args:
            last: Called if none waits, before another one can be added.

        Raises:
            RunError: the records cannot be written.
        """
        if not self._records.waiting():
            if last is None:
                return False  # without waiting jobs, neither the lock nor its folder is needed
            if not self.place.is_dir():
                return False
        with self._locked():
            self._advance(watch=last is None)
            left = bool(self._records.waiting())
            if not left and last is not None:
                last()
        return left

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            with locks.locked(self.place):
                yield
        except OSError as error:
            raise RunError(
                f"the list of jobs cannot be written ({error.strerror or error}); expected free "
                "space and the right to write"
            ) from error

    def _check_free(self, request: "RunRequest | EffectRequest") -> None:
        """Raise an error for a name in use; a finished effect may be measured again."""
        place = self._records.place_of(request.id)
        if request.kind == EFFECT:
            known = [job for job in self.all(EFFECT) if job.id == request.id]
            if any(job.live or job.turn for job in known):
                raise ConfigError(
                    f"{request.name!r} is being measured already; wait for it or stop it"
                )
            shutil.rmtree(place, ignore_errors=True)
            return
        taken = (self._records.out(request.name), self._records.partial(request.name), place)
        if any(path.exists() for path in taken):
            raise ConfigError(
                f"name is {request.name!r}, which a run or an unfinished one has; expected a new "
                "name; choose another, or remove that one"
            )

    def _next_turn(self) -> int:
        waiting = self._records.waiting()
        if len(waiting) >= MOST_WAITING:
            raise ConfigError(
                f"{len(waiting)} jobs wait; expected at most {MOST_WAITING}; wait for the next one "
                "to begin, or take one out"
            )
        turns = (int(self._records.read(job.id)["waiting"]) for job in waiting)
        return max(turns, default=0) + 1

    def _advance(self, *, watch: bool = True) -> None:
        """Start the next job of each idle kind; the caller holds the lock."""
        for job in self._records.waiting():
            if not any(other.live for other in self.all(job.kind)):
                self._begin(job)
        if watch and self._records.waiting():
            with suppress(OSError):  # an open page advances the queue too
                locks.ensure_watcher(self.folder, self.place, self._program)

    def _begin(self, job: Job) -> None:
        record = self._records.read(job.id)
        del record["waiting"]
        if job.kind == RUN and "pid" not in record:
            paths = (self._records.out(job.name), self._records.partial(job.name))
            if any(path.exists() for path in paths):
                error = "while it waited, another run of this name was made; remove this one"
                self._records.write(job.id, {**record, "error": error})
                return
        place = self._records.place_of(job.id)
        with (place / OUT).open("wb") as out, (place / ERRORS).open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-c", self._program, *record["arguments"]],
                stdin=subprocess.DEVNULL, stdout=out, stderr=errors,
                env=child_process.environment() | {PROGRESS_VARIABLE: LINES},
                cwd=record["cwd"] if os.path.isdir(record["cwd"]) else None,
                start_new_session=True,
            )  # fmt: skip
        # Until it is reaped, even a process that ended at once keeps its number.
        known = processes.identity(process.pid) or "ended"
        try:
            self._records.write(job.id, {**record, "pid": process.pid, "identity": known})
        except OSError:
            process.kill()  # no record would point to it
            raise
        finally:
            processes.reap(process)

    def _forget_oldest(self) -> None:
        """Delete the oldest records of finished jobs."""
        finished = [job for job in self.all() if job.state == "finished"]
        for job in finished[_MOST_FINISHED:]:
            shutil.rmtree(self._records.place_of(job.id), ignore_errors=True)
