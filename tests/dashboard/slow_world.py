"""The planted world, but so slow that a person can stop it; for processes that tests start.

Of 640 samples the pilot makes 8 batches, and the pass the 12 others: those are slow. Or all wait
until there is a file.
"""

import itertools
import os
import time

from dissect.worlds import planted

SPEC = "tests.dashboard.slow_world:generator"
SECONDS, GATE = "SECONDS_OF_A_BATCH", "FILE_THAT_BATCHES_WAIT_FOR"
_QUICK = 10  # batches


def generator():
    slow, made, gate = planted.generator(), itertools.count(), os.environ.get(GATE)
    synthesize = slow.synthesize

    def late(*arguments, **options):
        if next(made) >= _QUICK:
            time.sleep(float(os.environ.get(SECONDS, "0")))
        while gate and not os.path.exists(gate):
            time.sleep(0.01)
        return synthesize(*arguments, **options)

    slow.synthesize = late
    return slow
