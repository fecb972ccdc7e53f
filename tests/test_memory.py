"""Memory of a run does not grow with the number of samples."""

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


@pytest.mark.slow
def test_a_hundred_times_the_samples_take_no_more_memory(tmp_path):
    few = highest(tmp_path / "few", 1000)
    many = highest(tmp_path / "many", int(os.environ.get("TEST_SAMPLES", "100000")))
    print(f"{few / 1e6:.0f} MB and {many / 1e6:.0f} MB")
    assert many < 1.1 * few
