"""The controlling side: a crew of processes, each of which may die and be replaced.

    with LocalCrew("dissect.counting.worker", {}, n_workers=2, n_threads=1) as crew:
        crew.folder = folder
        crew.send(0, do="count", block=7, needs=["beginning.npz"])
        for worker, answer in crew.answers(0.5):
            ...                                  # None: that process is dead

Orders and answers are short JSON. Large arrays are files of one folder, by name: ``needs`` of an
order lists files that it reads, ``made`` of an answer those that it wrote. Local processes use the
folder itself (``LocalCrew``). Processes on other machines have a folder of their own, and the crew
copies these files (``RayCrew``).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

Answer = dict[str, Any]


class Crew(Protocol):
    """Some processes that run the same module.

    Attributes:
        folder: Folder of the files of orders and answers.
    """

    folder: Path | None

    @property
    def n_wanted(self) -> int:
        """Intended number of processes."""
        ...

    @property
    def n_here(self) -> int:
        """Number of processes among which this machine's memory is divided."""
        ...

    @property
    def workers(self) -> list[int]:
        """Numbers of the live processes that take orders; numbers are never reused."""
        ...

    def refill(self) -> None:
        """Start processes until the intended number is reached."""
        ...

    def tell_all(self, **order: object) -> None:
        """Send an order to all processes, and to those started later."""
        ...

    def send(self, worker: int, **order: object) -> None:
        """Send an order; for a dead process it is lost, and ``answers`` reports the end."""
        ...

    def answers(self, seconds: float) -> Iterator[tuple[int, Answer | None]]:
        """Answers that arrive until the time has passed or something arrived.

        Args:
            seconds: Time to wait for the first answer.

        Yields:
            A worker and its answer; None if it ended, after which it is dismissed.
        """
        ...
