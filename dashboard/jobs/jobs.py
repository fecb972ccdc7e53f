"""The jobs of a folder of runs: started, waiting for their turn, stopped, gone on with."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from dashboard import leash
from dashboard.jobs import processes, queue
from dashboard.jobs.asking import RunRequest
from dashboard.jobs.records import ERRORS, JOBS, OUT, Job, Records
from dissect.errors import ConfigError, RunError
from dissect.progress import LINES, PROGRESS_VARIABLE
from dissect.runs.schema import RUN_FILE

__all__ = ["JOBS", "Job", "Jobs"]

MOST_WAITING = 50
# A server that a shell put into the background ignores Ctrl-C, and so would its children.
_PROGRAM = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from dissect.cli import main; sys.exit(main())"
)


class Jobs:
    """The jobs of a folder. Threads, and dashboards of one machine, may share it.

    One works at a time; others wait for their turn, in the order in which they were asked for.

    Args:
        folder: Holds the runs.
        patience: Seconds between a stop that is asked for and a kill.
        program: Python text that takes the command line's arguments; ``dissect`` itself.
    """

    def __init__(
        self, folder: str | Path, *, patience: float = 20.0, program: str = _PROGRAM
    ) -> None:
        self.folder = Path(folder).resolve()
        self.place = self.folder / JOBS
        self._records = Records(self.folder)
        self._patience = patience
        self._program = program

    def all(self) -> list[Job]:
        """Every job there is, the newest first; those that finished as long as they are kept."""
        return self._records.all()

    def find(self, name: object) -> Job:
        """The job of a name. Untrusted.

        Raises:
            ConfigError: there is none.
        """
        for job in self.all():
            if job.name == name:
                return job
        raise ConfigError(f"no job is called {str(name)[:60]!r}; reload the page")

    def start(self, request: RunRequest) -> Job:
        """Begin a run, or let it wait for its turn; gives how it stands.

        Raises:
            ConfigError: the name is taken, or too many wait.
            RunError: the folder is itself a run, or cannot be written.
        """
        if (self.folder / RUN_FILE).is_file():
            raise RunError(
                f"{self.folder.name} is a run; expected a folder of runs to put another in; "
                "dissect serve FOLDER"
            )
        name = request.name
        with self._deciding():
            out, own = self._records.out(name), self._records.place(name)
            if any(path.exists() for path in (out, self._records.partial(name), own)):
                raise ConfigError(
                    f"name is {name!r}, which a run or an unfinished one has; expected a new "
                    "name; choose another, or remove that one"
                )
            turn = self._next_turn()
            record = {
                "version": 1,
                "arguments": request.arguments(out),
                "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "waiting": turn,
            }
            try:
                own.mkdir()
                self._records.write(name, record)
                self._advance()
            except OSError:
                shutil.rmtree(own, ignore_errors=True)
                raise
        return self.find(name)

    def resume(self, name: str) -> Job:
        """Go on with a job that was stopped or failed, when its turn comes; gives how it stands.

        Raises:
            ConfigError: no such job, one that works or is done, or too many wait.
            RunError: the folder cannot be written.
        """
        with self._deciding():
            job = self.find(name)
            if not job.resumable:
                raise ConfigError(
                    f"{name!r} is {job.state}; expected one that stopped before its end; reload "
                    "the page"
                )
            record = self._records.read(name)
            record.pop("told", None)
            self._records.write(name, {**record, "cancelled": False, "waiting": self._next_turn()})
            try:
                self._advance()
            except OSError:
                self._records.write(name, record)
                raise
        return self.find(name)

    def cancel(self, name: str) -> None:
        """Stop a job; what was counted is kept. A second time it stops less gently.

        One that waits is taken out of the queue, and forgotten if it never began.

        Raises:
            ConfigError: no such job, or one that neither works nor waits.
            RunError: the folder cannot be written.
        """
        with self._deciding():
            job = self.find(name)
            if not job.live and job.state != "waiting":
                raise ConfigError(f"{name!r} is {job.state} already; reload the page")
            record = self._records.read(name)
            if job.state == "waiting" and "pid" not in record:
                shutil.rmtree(self._records.place(name), ignore_errors=True)
                return
            record.pop("waiting", None)
            self._records.write(name, {**record, "cancelled": True})
        if job.live:
            processes.stop(record["pid"], record["identity"], patience=self._patience)

    def remove(self, name: str) -> None:
        """Forget a job, and delete what is unfinished of its run; a finished run stays.

        Raises:
            ConfigError: no such job, or one that works or waits.
            RunError: the folder cannot be written.
        """
        with self._deciding():
            job = self.find(name)
            if job.live or job.state == "waiting":
                raise ConfigError(f"{name!r} is at work; expected one that stopped; stop it first")
            if "pid" in self._records.read(name):  # else what lies there is another one's
                shutil.rmtree(self._records.partial(name), ignore_errors=True)
            shutil.rmtree(self._records.place(name), ignore_errors=True)

    def go_on(self, *, last: Callable[[], None] | None = None) -> bool:
        """Begin the next one if nothing works; whether others still wait.

        Args:
            last: Called where none waits, before another one can be added.

        Raises:
            RunError: the folder cannot be written.
        """
        if not self._records.waiting():
            if last is None:
                return False  # no lock where nothing is to be decided, nor a folder for it
            if not self.place.is_dir():
                return False
        with self._deciding():
            self._advance(watch=last is None)
            left = bool(self._records.waiting())
            if not left and last is not None:
                last()
        return left

    @contextmanager
    def _deciding(self) -> Iterator[None]:
        try:
            with queue.locked(self.place):
                yield
        except OSError as error:
            raise RunError(
                f"the folder of runs cannot be written ({error.strerror or error}); expected free "
                "space and the right to write"
            ) from error

    def _next_turn(self) -> int:
        waiting = self._records.waiting()
        if len(waiting) >= MOST_WAITING:
            raise ConfigError(
                f"{len(waiting)} runs wait; expected at most {MOST_WAITING}; wait for the next one "
                "to begin, or take one out"
            )
        turns = (int(self._records.read(job.name)["waiting"]) for job in waiting)
        return max(turns, default=0) + 1

    def _advance(self, *, watch: bool = True) -> None:
        """Begin the next one if nothing works; whoever calls it holds the lock."""
        for job in self._records.waiting():
            if any(other.live for other in self.all()):
                break
            self._begin(job.name)
        if watch and self._records.waiting():
            with suppress(OSError):  # an open page looks after them as well
                queue.ensure_watch(self.folder, self.place, self._program)

    def _begin(self, name: str) -> None:
        record = self._records.read(name)
        del record["waiting"]
        new = "pid" not in record
        if new and (self._records.out(name).exists() or self._records.partial(name).exists()):
            told = "while it waited, another run of this name was made; remove this one"
            self._records.write(name, {**record, "told": told})
            return
        place = self._records.place(name)
        with (place / OUT).open("wb") as out, (place / ERRORS).open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-c", self._program, *record["arguments"]],
                stdin=subprocess.DEVNULL, stdout=out, stderr=errors,
                env=leash.environment() | {PROGRESS_VARIABLE: LINES},
                start_new_session=True,
            )  # fmt: skip
        # Until it is reaped even one that ended at once has its number.
        known = processes.identity(process.pid) or "ended"
        try:
            self._records.write(name, {**record, "pid": process.pid, "identity": known})
        except OSError:
            process.kill()  # nobody could find it any more
            raise
        finally:
            processes.reap(process)
