"""The planted world, but so slow that a person can stop it; for processes that tests start.

Of 640 samples the pilot makes 8 batches, and the pass the 12 others: those are slow.
"""

import itertools
import os
import time

from dissect.worlds import planted

SPEC = "tests.dashboard.slow_world:generator"
SECONDS = "SECONDS_OF_A_BATCH"
_QUICK = 10  # batches


def generator():
    slow, made = planted.generator(), itertools.count()
    synthesize = slow.synthesize

    def late(*arguments, **options):
        if next(made) >= _QUICK:
            time.sleep(float(os.environ.get(SECONDS, "0")))
        return synthesize(*arguments, **options)

    slow.synthesize = late
    return slow
