"""A pass shared by several processes: the same bytes as one process, even if processes die.

The processes are local ones or actors on a cluster (``counting.crews``), which makes no difference
here.

The method needs two barriers: edges depend on the whole pilot, and thresholds of pairs on the whole
calibration fold. Between them blocks are tasks that any process takes in any order, since counts
are integers that are summed. Each process saves its counts atomically as its own part, with a list
of its blocks. If a process dies, its saved part counts, its other blocks are counted again, and
another process replaces it. A block on which three processes failed is skipped: in the pilot or
the calibration fold this ends the run, as all scores depend on it; in the evaluation fold it makes
the run partial.

No large array passes through this process except the parts that are merged at a barrier.
"""

import json
import sys
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

import dissect.errors
from dissect.counting.count import PassCounter, choose_thresholds, empty_state
from dissect.counting.fitting import fit_bases
from dissect.counting.kept_pictures import KeptPictures
from dissect.counting.stages import Stages, clock
from dissect.counting.status import Status
from dissect.counting.subject import Subject
from dissect.counting.worker import (
    edges_file,
    pilot_file,
    remove_pilot_files,
    shares_of_units,
)
from dissect.errors import RunError
from dissect.interrupt import deferred_interrupt
from dissect.progress import ProgressBar
from dissect.runs.coverage import Coverage
from dissect.runs.partial import BEGINNING, FAILED, Workspace
from dissect.runs.state import PassState
from dissect.statistics import calibration_size
from dissect.statistics.edges import N_EDGES
from dissect.workers.crew import Crew
from segmenters.plain_text import one_line

MOST_FAILURES = 3
_IN_FLIGHT = 2  # tasks per process: the current one and the next
_WAIT = 0.5  # seconds
_Task = int


@dataclass
class Shared:
    """State that the processes of a run share over its passes.

    Attributes:
        crew: The processes.
        workspace: Workspace of the run.
        stages: Collects the times of all processes.
        own_pictures: Pictures of blocks that this process counts; None if no pictures are
            kept.
        pictures: Names of the complete picture files of the processes.
        aside: Block → why it was set aside.
    """

    crew: Crew
    workspace: Workspace
    stages: Stages
    own_pictures: KeptPictures | None
    pictures: set[str] = field(default_factory=set)
    aside: dict[_Task, str] = field(default_factory=dict)
    _failures: Counter[_Task] = field(default_factory=Counter)
    _idle_deaths: int = 0
    _faults: dict[int, str] = field(default_factory=dict)

    def share(
        self,
        tasks: Iterable[_Task],
        order: Callable[[_Task], dict[str, object]],
        *,
        begin: Callable[[int], None] = lambda worker: None,
        prefer: Callable[[int, _Task], int] = lambda worker, task: 0,
        lost: Callable[[int, Sequence[_Task]], Sequence[_Task]] = lambda worker, given: given,
        done: Callable[[int, dict[str, Any]], None] = lambda worker, answer: None,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        """Distribute tasks, each to one process.

        Args:
            tasks: Numbers of the tasks.
            order: The order to send.
            begin: Called with a process before its first task.
            prefer: Priority: a process gets tasks with a low number first.
            lost: Tasks to repeat, from a dead process's unanswered ones and its number, which
                determines the answered ones.
            done: Called with a process and its answer.
            interrupted: Stops the distribution when it returns True.
        """
        self._failures.clear()
        waiting, flying = list(tasks), dict[int, deque[_Task]]()
        while (waiting or any(flying.values())) and not interrupted():
            for worker in self.crew.workers:
                if worker not in flying:
                    begin(worker)
                own = flying.setdefault(worker, deque())
                while waiting and len(own) < _IN_FLIGHT:
                    task = min(waiting, key=lambda one, worker=worker: prefer(worker, one))
                    waiting.remove(task)
                    own.append(task)
                    self.crew.send(worker, **order(task))
            for worker, answer in self.crew.answers(_WAIT):
                if answer is None:
                    again = lost(worker, list(flying.pop(worker, ())))
                    waiting = [*self._after_death(worker, again), *waiting]
                    self.crew.refill()
                elif self._is_told(worker, answer) and "done" in answer:
                    flying[worker].remove(answer["done"])
                    done(worker, answer)

    def collect(
        self,
        do: str,
        key: str,
        lost: Callable[[int], Sequence[_Task]],
        workers: Collection[int],
    ) -> list[_Task]:
        """Send an order and wait for the answers; returns the tasks of dead processes.

        Args:
            do: The order.
            key: Key of its answer.
            lost: Tasks of a dead process to repeat.
            workers: Processes that get the order, if they are alive.
        """
        open_, again = {worker for worker in self.crew.workers if worker in workers}, []
        for worker in open_:
            self.crew.send(worker, do=do)
        while open_:
            for worker, answer in self.crew.answers(_WAIT):
                if answer is None:
                    again += self._after_death(worker, lost(worker))
                    open_.discard(worker)
                elif self._is_told(worker, answer) and key in answer and "done" not in answer:
                    open_.discard(worker)
                    self._take(worker, answer)
        self.crew.refill()
        return again

    def _take(self, worker: int, answer: dict[str, Any]) -> None:
        """Store the final results of a process."""
        if "finished" in answer:
            ahead = answer["clock"] - clock()  # clocks of other machines begin elsewhere
            spans = [(stage, begin + ahead, seconds) for stage, begin, seconds in answer["spans"]]
            self.stages.replace_part(f"worker {worker}", answer["stages"], spans)
            if self.own_pictures is not None:
                self.pictures.add(_pictures_name(worker))

    def _is_told(self, worker: int, answer: dict[str, Any]) -> bool:
        """Whether an answer is not a failure.

        Raises:
            DissectError: an error that every process would have.
        """
        if "mistake" in answer:
            kind = getattr(dissect.errors, answer["kind"], RunError)
            if kind is dissect.errors.SettingError:
                kind = dissect.errors.ConfigError
            raise kind(answer["mistake"])
        if "fault" in answer:
            self._faults[worker] = answer["fault"]
            return False
        return True

    def _after_death(self, worker: int, tasks: Sequence[_Task]) -> list[_Task]:
        """Tasks to repeat after a process died."""
        why = self._faults.pop(worker, "the process ended without a word: killed, or out of memory")
        if not tasks:
            self._idle_deaths += 1
            if self._idle_deaths >= MOST_FAILURES * self.crew.n_wanted:
                raise RuntimeError(f"processes end before they take anything up:\n{why}")
            return []
        first = tasks[0]
        self._failures[first] += 1
        ProgressBar.write(
            f"dissect: worker {worker} ended at block {first} ({why.strip().splitlines()[-1]}); "
            "another one takes its place",
            file=sys.stderr,
        )
        if self._failures[first] < MOST_FAILURES:
            return list(tasks)
        self.aside[first] = why
        return list(tasks[1:])


def _pictures_name(worker: int) -> str:
    return f"pictures-{worker}"


def count_shared(
    subject: Subject,
    shared: Shared,
    *,
    number: int = 0,
    n_passes: int = 1,
    progress: bool,
    meanwhile: Callable[[], object] = lambda: None,
) -> None:
    """Count a pass; the workspace has its whole state afterwards.

    Args:
        subject: Subject with the layers of the pass, and the bases that need no samples.
        shared: The processes.
        number: Number of the pass, from 0.
        n_passes: Number of passes.
        progress: Show progress bars.
        meanwhile: Runs in this process while others count.

    Blocks of the evaluation fold may have been skipped (``shared.aside``): they are not included.

    Raises:
        RunError: blocks of the pilot or the calibration fold were skipped; the other counts are
            saved.
        KeyboardInterrupt: what was counted is saved.
    """
    workspace = shared.workspace
    kept: dict[_Task, int] = {}
    state = workspace.load(number)
    if state is None:
        with shared.stages.stage("pilot"):
            state = _shared_pilot(subject, shared, kept, progress=progress)
        workspace.save(state, number)  # parts that processes save from now on belong to this state
    state = workspace.merge_parts(state, number)
    subject = subject.with_bases(state.bases)
    config = subject.config
    bar = ProgressBar(
        total=config.n_samples,
        initial=min(config.n_samples, len(state.covered) * config.block),
        desc="dissect" if n_passes == 1 else f"dissect {number + 1}/{n_passes}",
        unit="image",
        disable=None if progress else True,
    )

    status = Status(
        workspace, shared.stages, counted=bar.n, total=config.n_samples,
        before=number * config.n_samples, overall=n_passes * config.n_samples,
    )  # fmt: skip
    memory: dict[str, int] = {}

    def told(worker: int, answer: dict[str, Any]) -> None:
        bar.update(answer["samples"])
        memory[f"worker {worker}"] = answer["memory"]
        status.add(
            answer["samples"],
            {
                f"worker {one}": memory[f"worker {one}"]
                for one in shared.crew.workers
                if f"worker {one}" in memory
            },
            aside=sorted(shared.aside),
        )

    began = time.monotonic() - state.seconds

    def count(state: PassState, last: int) -> PassState:
        blocks = [block for block in state.covered.missing(last) if block not in shared.aside]
        if not blocks:
            return state
        return _count_blocks(subject, shared, state, blocks, number, kept, told, interrupted, began)

    with bar, deferred_interrupt() as interrupted, ThreadPoolExecutor(1) as beside:
        calibration = calibration_size(config.n_samples)
        whole, mixed = divmod(calibration, config.block)
        if not state.chosen:
            state = count(state, whole)
            check_aside(shared)
            if mixed and whole not in state.covered:
                # A block of both folds is counted after all calibration blocks.
                counter = PassCounter(
                    subject, state, pictures=shared.own_pictures, stages=shared.stages
                )
                with counter:
                    n_samples = len(counter.add(whole).indices)
                    bar.update(n_samples)
                    status.add(n_samples)
                    state = counter.state
            state = choose_thresholds(subject, state)
            workspace.save(state, number)
        job = beside.submit(meanwhile)
        state = count(state, subject.n_blocks)
        job.result()
    status.write(aside=sorted(shared.aside))


def _describe_aside(shared: Shared) -> str:
    """The skipped blocks and the reasons; the tracebacks are written beside the run."""
    path = shared.workspace.folder / FAILED
    told = {str(block): why for block, why in shared.aside.items()}
    path.write_text(json.dumps(told, indent=1))
    blocks = sorted(shared.aside)
    named = f"block {blocks[0]}" if len(blocks) == 1 else f"blocks {', '.join(map(str, blocks))}"
    why = one_line(next(iter(shared.aside.values())).strip().splitlines()[-1])[:200]
    return (
        f"{named} failed {MOST_FAILURES} times and {'was' if len(blocks) == 1 else 'were'} set "
        f"aside ({why}); {path} has the traceback"
    )


def check_aside(shared: Shared, why: str = "edges and thresholds rest on it") -> None:
    """Check that no blocks were skipped.

    Args:
        shared: Its ``aside`` lists the skipped blocks.
        why: Why scores are impossible without them.

    Raises:
        RunError: blocks were skipped.
    """
    if shared.aside:
        raise RunError(
            f"the run is partial and has no scores: {_describe_aside(shared)}; {why}; what was "
            "counted is kept; --resume tries again"
        )


def end_partial(shared: Shared, out: Path) -> str:
    """The message for a run that was published without some blocks; "" if none is missing.

    Removes everything beside the run except the files that a completion needs.
    """
    if not shared.aside:
        return ""
    shared.workspace.keep_counts()
    return (
        f"the run is partial: {_describe_aside(shared)}; {out} has what was counted of the other "
        "blocks; the same command with --resume tries again"
    )


def _shared_pilot(
    subject: Subject, shared: Shared, kept: dict[_Task, int], *, progress: bool
) -> PassState:
    """State of zero samples, with all bases, and the edges of every unit from the pilot."""
    fitted = fit_bases(subject, progress=progress)
    workspace, layers = shared.workspace, list(subject.config.layers)
    folder = workspace.folder
    unknown = {layer: torch.zeros(info.units, N_EDGES) for layer, info in fitted.shapes.items()}
    start = PassState(
        edges=unknown, counts={}, together=np.zeros((0, 0), np.int64),
        overlap=np.zeros((0, 0), np.int64), bases=fitted.bases,
    )  # fmt: skip
    workspace.save_beginning(start)
    blocks = fitted.blocks_of(fitted.n_pilot)
    bar = ProgressBar(
        total=len(blocks), desc="pilot", unit="block", disable=None if progress else True,
        leave=False,
    )  # fmt: skip

    def took(worker: int, answer: dict[str, Any]) -> None:
        kept[answer["done"]] = worker
        bar.update()

    with bar:
        shared.share(
            blocks,
            lambda block: {"do": "pilot", "block": block, "layers": layers, "needs": [BEGINNING]},
            done=took,
        )
        check_aside(shared)
        shares = shares_of_units(fitted)
        shared.share(
            range(len(shares)),
            lambda task: {
                "do": "edges", "task": task, "blocks": list(blocks),
                "needs": [pilot_file(block, task) for block in blocks],
            },
        )  # fmt: skip
    check_aside(shared)
    edges: dict[str, list[np.ndarray]] = {layer: [] for layer in fitted.specs}
    for task, (layer, _, _) in enumerate(shares):
        path = folder / edges_file(task)
        edges[layer].append(np.load(path, allow_pickle=False))
        path.unlink()
    remove_pilot_files(folder)
    found = {layer: torch.from_numpy(np.concatenate(parts)) for layer, parts in edges.items()}
    return empty_state(
        fitted,
        PassState(
            edges=found, counts={}, together=start.together, overlap=start.overlap,
            bases=fitted.bases,
        ),
    )  # fmt: skip


def _count_blocks(
    subject: Subject,
    shared: Shared,
    state: PassState,
    blocks: Sequence[_Task],
    number: int,
    kept: dict[_Task, int],
    told: Callable[[int, dict[str, Any]], None],
    interrupted: Callable[[], bool],
    began: float,
) -> PassState:
    """Count blocks of one fold; returns the state with them, which is saved.

    Records the seconds since ``began`` as the pass's time, since processes count at the same time.
    """
    workspace, layers = shared.workspace, list(subject.config.layers)
    workspace.save_beginning(state)
    given: dict[int, list[_Task]] = {}
    parts: dict[int, str] = {}

    def begin(worker: int) -> None:
        given.setdefault(worker, [])
        if worker not in parts:
            parts[worker] = f"{worker}-{uuid.uuid4().hex[:12]}"
            pictures = None if shared.own_pictures is None else _pictures_name(worker)
            shared.crew.send(
                worker, do="begin", layers=layers, part=parts[worker], pictures=pictures,
                needs=[BEGINNING], **{"pass": number},
            )  # fmt: skip

    def lost(worker: int, unanswered: Sequence[_Task] = ()) -> list[_Task]:
        saved = workspace.part_coverage(number, parts[worker]) if worker in parts else Coverage()
        # Its current task comes first: it may be the cause of the death.
        every = [*unanswered, *given.get(worker, [])]
        return [block for block in every if block not in saved]

    def done(worker: int, answer: dict[str, Any]) -> None:
        given[worker].append(answer["done"])
        told(worker, answer)

    def prefer(worker: int, block: _Task) -> int:
        owner = kept.get(block)
        return 0 if owner == worker else 1 if owner is None else 2

    todo = list(blocks)
    while todo and not interrupted():
        shared.share(
            todo, lambda block: {"do": "count", "block": block},
            begin=begin, prefer=prefer, lost=lost, done=done, interrupted=interrupted,
        )  # fmt: skip
        todo = shared.collect("finish", "finished", lost, parts)
    state = workspace.merge_parts(state, number, seconds=time.monotonic() - began)
    if interrupted():
        raise KeyboardInterrupt
    return state
