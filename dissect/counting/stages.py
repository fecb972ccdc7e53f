"""Measures how long each stage of a run takes.

    stages = Stages()
    with stages.stage("generate"):
        ...
    stages.times["generate"]

What a stage does inside another one is its own and not counted twice.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Time:
    """Of a stage.

    Attributes:
        wall: Seconds that passed.
        processor: Seconds of processor time of the whole process, all threads together.
        times: How often it was entered.
    """

    wall: float = 0.0
    processor: float = 0.0
    times: int = 0

    def plus(self, other: "Time") -> "Time":
        """Of both together."""
        return Time(
            self.wall + other.wall, self.processor + other.processor, self.times + other.times
        )


@dataclass(frozen=True)
class Span:
    """One stay in a stage: when it began, in seconds of ``time.perf_counter``, and how long."""

    stage: str
    begin: float
    seconds: float


@dataclass
class _Open:
    """A stage that is entered, when, and the time that stages inside it took."""

    name: str
    begin: float
    processor: float
    other_wall: float = 0.0
    other_processor: float = 0.0

    def own(self) -> Time:
        """Its time so far, without the stages inside it."""
        return Time(
            time.perf_counter() - self.begin - self.other_wall,
            time.process_time() - self.processor - self.other_processor,
            1,
        )


class Stages:
    """The stages of one process; one thread enters them.

    Args:
        keep_spans: Keep every stay.

    Attributes:
        spans: Every stay so far, where they are kept.
    """

    def __init__(self, *, keep_spans: bool = False) -> None:
        self.spans: list[Span] = []
        self._keep_spans = keep_spans
        self._times: dict[str, Time] = {}
        self._open: list[_Open] = []

    @property
    def times(self) -> dict[str, Time]:
        """Stage → its time so far, in the order in which they were left first."""
        found = dict(self._times)
        for one in self._open:
            found[one.name] = found.get(one.name, Time()).plus(one.own())
        return found

    def to_json(self) -> dict[str, dict[str, float]]:
        """Stage → ``wall`` and ``processor`` seconds."""
        return {
            name: {"wall": round(one.wall, 3), "processor": round(one.processor, 3)}
            for name, one in self.times.items()
        }

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure what is done inside.

        Args:
            name: Of the stage.
        """
        opened = _Open(name, time.perf_counter(), time.process_time())
        self._open.append(opened)
        try:
            yield
        finally:
            self._open.remove(opened)
            own = opened.own()
            self._times[name] = self._times.get(name, Time()).plus(own)
            wall = own.wall + opened.other_wall
            if self._open:
                self._open[-1].other_wall += wall
                self._open[-1].other_processor += own.processor + opened.other_processor
            if self._keep_spans:
                self.spans.append(Span(name, opened.begin, wall))
