"""Memory of a run: it does not grow with the samples, and freed memory is used again."""

import json
import os
import subprocess
import sys

import pytest

_CODE = """
import json, sys
from dissect import dissect
from dissect.memory import highest_memory
dissect("dissect.worlds.planted:generator", "colour", out=sys.argv[1], n_samples=int(sys.argv[2]),
        grid=8, progress=False)
print(json.dumps(highest_memory()))
"""


def highest(out, n_samples):
    """The most bytes that a process of its own takes for a run."""
    done = subprocess.run(
        [sys.executable, "-c", _CODE, str(out), str(n_samples)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return json.loads(done.stdout)


_FAULTS = """
import json, os, resource, torch
from contextlib import nullcontext
from dissect.memory import reused_memory

def faults(context, n_blocks=24, n_numbers=9 << 20):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    with context:
        for _ in range(n_blocks):
            torch.empty(n_numbers).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

found = [faults(nullcontext()), faults(reused_memory())]
# More pages, in a few large blocks: no hole that is left between other blocks of the heap is
# large enough for one, and holes are used whatever the thresholds are.
found.append(faults(nullcontext(), 6, 64 << 20))
os.environ["MALLOC_TRIM_THRESHOLD_"] = "1"
print(json.dumps([*found, faults(reused_memory(), 6, 64 << 20)]))
"""


@pytest.mark.skipif(
    "CS_GNU_LIBC_VERSION" not in getattr(os, "confstr_names", ()), reason="another C library"
)
def test_freed_memory_is_used_again_inside_and_given_back_after():
    done = subprocess.run(
        [sys.executable, "-c", _FAULTS], check=True, capture_output=True, text=True
    )
    before, inside, after, with_a_choice_of_the_user = json.loads(done.stdout)
    assert inside < before / 3
    assert after > before
    assert with_a_choice_of_the_user > before


@pytest.mark.slow
def test_a_hundred_times_the_samples_take_no_more_memory(tmp_path):
    few = highest(tmp_path / "few", 1000)
    many = highest(tmp_path / "many", int(os.environ.get("TEST_SAMPLES", "100000")))
    print(f"{few / 1e6:.0f} MB and {many / 1e6:.0f} MB")
    assert many < 1.1 * few
