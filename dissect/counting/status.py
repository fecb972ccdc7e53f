"""Progress, speed and memory of a run in ``status.json``, beside the future run folder.

    {"done": 320, "total": 1000, "unit": "image", "rate": 21.4, "seconds_left": 32,
     "memory": {"this process": 1400000000}, "stages": {"count": {"wall": 4.1, "processor": 8.0}}}

Programs that watch a run read it. It is replaced as a whole, at most once a second. ``aside``
lists skipped blocks, if there are some: then the run will be partial.
"""

import math
import time
from collections.abc import Mapping, Sequence

from dissect.counting.stages import Stages
from dissect.memory import resident_memory
from dissect.runs.partial import Workspace

_EVERY = 1.0  # seconds between two writes


class Status:
    """Status of one pass.

    Args:
        workspace: Workspace of the run.
        stages: Stages of the run.
        counted: Samples that were counted before.
        total: Samples to count.
        before: Samples of earlier passes, and of all passes.
    """

    def __init__(
        self,
        workspace: Workspace,
        stages: Stages,
        *,
        counted: int,
        total: int,
        before: int = 0,
        overall: int | None = None,
    ) -> None:
        self._workspace, self._stages = workspace, stages
        self._first, self._counted, self._before = counted, counted, before
        self._overall = total if overall is None else overall
        self._began = time.monotonic()
        self._written = -math.inf
        self._memory: dict[str, int] = {}

    def add(
        self, n_samples: int, memory: Mapping[str, int] | None = None, *, aside: Sequence[int] = ()
    ) -> None:
        """Record counted samples, and write the file if the last write was long enough ago.

        Args:
            n_samples: Number of samples.
            memory: Process → its memory in bytes, for other processes.
            aside: Skipped blocks.
        """
        self._counted += n_samples
        self._memory = dict(memory or {})
        now = time.monotonic()
        if now - self._written >= _EVERY or self._before + self._counted >= self._overall:
            self._written = now
            self.write(aside=aside)

    def write(self, *, aside: Sequence[int] = ()) -> None:
        """Write the file.

        Args:
            aside: Skipped blocks.
        """
        done = self._before + self._counted
        rate = (self._counted - self._first) / max(1e-9, time.monotonic() - self._began)
        self._workspace.write_status(
            {
                "done": done,
                "total": self._overall,
                "unit": "image",
                "rate": round(rate, 3),
                "seconds_left": round((self._overall - done) / rate, 1) if rate else None,
                "memory": {"this process": resident_memory(), **self._memory},
                "stages": self._stages.to_json(),
                **({"aside": list(aside)} if aside else {}),
            }
        )
