"""The planted world, but so slow that a person can stop it; for processes that tests start."""

import os
import time

from dissect.worlds import planted

SPEC = "tests.dashboard.slow_world:generator"
SECONDS = "SECONDS_OF_A_BATCH"


def generator():
    slow = planted.generator()
    synthesize = slow.synthesize

    def late(*arguments, **options):
        time.sleep(float(os.environ.get(SECONDS, "0")))
        return synthesize(*arguments, **options)

    slow.synthesize = late
    return slow
