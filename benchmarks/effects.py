"""Overhead of measuring a set of units over the necessary forward passes.

    python -m benchmarks.effects [--samples N] [--rounds R] [--json]

In one process, over the same blocks, alternating: generator and segmenter alone, then the effect of
twenty ablated units on every concept. Originals are labelled before, once for all sets.
``overhead_ratio`` is the median over rounds of the second time over the first. The case is
``small`` of ``benchmarks.overhead``.
"""

import argparse
import json
import statistics
import time

import torch

from benchmarks.overhead import forward_only, small_case
from dissect.config import RunConfig
from dissect.counting.samples import block_indices, n_blocks
from dissect.edits import Ablate
from dissect.studies.originals import Originals
from dissect.studies.pixels import measure

_LAYER, _UNITS = "b16.conv1", range(20)


def measure_overhead(n_samples: int, rounds: int) -> dict[str, object]:
    """Time both alternately, so that a slow phase of the machine affects both."""
    generator, segmenter, _, note = small_case()
    config = RunConfig(generator.name, segmenter.name, (_LAYER,), n_samples=n_samples)
    originals = Originals(generator, segmenter, config, n_samples=n_samples)
    edits = [Ablate(_LAYER, _UNITS)]
    measure(originals, edits)  # labels the originals; first calls allocate
    bare, whole = [], []
    for _ in range(rounds):
        blocks = [block_indices(number, config) for number in range(n_blocks(config))]
        bare.append(sum(forward_only(generator, segmenter, b, seed=config.seed) for b in blocks))
        started = time.perf_counter()
        measure(originals, edits)
        whole.append(time.perf_counter() - started)
    ratios = [one / other for one, other in zip(whole, bare, strict=True)]
    return {
        "weights": note,
        "layer": _LAYER,
        "units": len(_UNITS),
        "concepts": len(segmenter.vocabulary),
        "samples": n_samples,
        "threads": torch.get_num_threads(),
        "seconds": {
            "forward passes alone": round(statistics.median(bare), 3),
            "effect of a set": round(statistics.median(whole), 3),
        },
        "images_per_second": round(n_samples / statistics.median(whole), 1),
        "overhead_ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=256, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure_overhead(options.samples, options.rounds)
    print(json.dumps(found, indent=None if options.json else 1))


if __name__ == "__main__":
    main()
