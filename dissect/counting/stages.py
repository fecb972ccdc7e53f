"""Measures how long each stage of a run takes.

    stages = Stages()
    with stages.stage("generate"):
        ...
    stages.times["generate"]

The time of a stage inside another one is counted only for the inner one.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dissect.runs.replacing import write_named_file

HERE = "this process"


@dataclass(frozen=True)
class Time:
    """Time of a stage.

    Attributes:
        wall: Elapsed seconds.
        processor: Seconds of processor time of the whole process, all threads together.
        times: Number of entries.
    """

    wall: float = 0.0
    processor: float = 0.0
    times: int = 0

    def plus(self, other: "Time") -> "Time":
        """Sum of both."""
        return Time(
            self.wall + other.wall, self.processor + other.processor, self.times + other.times
        )


@dataclass(frozen=True)
class Span:
    """One stay in a stage: its start, in seconds of ``time.perf_counter``, and its duration."""

    stage: str
    begin: float
    seconds: float


@dataclass
class _Open:
    """An entered stage: its start, and the time of the stages inside it."""

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
    """The stages of one process; only one thread may enter them.

    Args:
        keep_spans: Record every stay.

    Attributes:
        spans_of: Process → every stay so far, if recorded.
    """

    def __init__(self, *, keep_spans: bool = False) -> None:
        self.spans_of: dict[str, list[Span]] = {HERE: []}
        self._keep_spans = keep_spans
        self._times: dict[str, Time] = {}
        self._open: list[_Open] = []
        self._others: dict[str, dict[str, Time]] = {}

    @property
    def times(self) -> dict[str, Time]:
        """Stage → its total time over all processes, in the order of first exit."""
        found = dict(self._times)
        for times in self._others.values():
            for name, own in times.items():
                found[name] = found.get(name, Time()).plus(own)
        for one in self._open:
            found[one.name] = found.get(one.name, Time()).plus(one.own())
        return found

    def replace_part(
        self,
        who: str,
        times: Mapping[str, Mapping[str, float]],
        spans: Sequence[tuple[str, float, float]] = (),
    ) -> None:
        """Store the measurements of another process; replaces its earlier ones.

        Args:
            who: The process.
            times: Result of ``to_json``.
            spans: Its stays in stages, as the fields of ``Span``.
        """
        self._others[who] = {
            name: Time(one["wall"], one["processor"], 1) for name, one in times.items()
        }
        if spans:
            self.spans_of[who] = [Span(*one) for one in spans]

    def to_json(self) -> dict[str, dict[str, float]]:
        """Stage → ``wall`` and ``processor`` seconds."""
        return {
            name: {"wall": round(one.wall, 3), "processor": round(one.processor, 3)}
            for name, one in self.times.items()
        }

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure the time of the ``with`` block.

        Args:
            name: Name of the stage.
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
                self.spans_of[HERE].append(Span(name, opened.begin, wall))


def clock() -> float:
    """Seconds of the wall clock when ``time.perf_counter`` was zero, which differs by machine."""
    return time.time() - time.perf_counter()


def write_trace(path: Path, stages: Stages) -> None:
    """Write every stay of every process as a trace for a browser's trace viewer.

    References:
        Trace Event Format, Google, 2016: complete events.
    """
    events: list[dict[str, object]] = []
    for number, (who, spans) in enumerate(stages.spans_of.items()):
        about: dict[str, object] = {
            "name": "process_name",
            "ph": "M",
            "pid": number,
            "args": {"name": who},
        }
        events += [about, *(_event(one, number) for one in spans)]
    content = json.dumps({"traceEvents": events, "displayTimeUnit": "ms"})
    write_named_file(path, content.encode())


def _event(one: Span, process: int) -> dict[str, object]:
    return {
        "name": one.stage, "ph": "X", "pid": process, "tid": 0,
        "ts": round(one.begin * 1e6), "dur": round(one.seconds * 1e6),
    }  # fmt: skip
