"""Time that a cache of masks saves when more layers of the same samples are dissected.

    python -m benchmarks.planes [--case small|real] [--samples N] [--json]

Three whole runs in one process: the first reads half of the layers and fills the cache; the second
reads the other half with the cache, and again without it. ``second_over_first`` and
``second_over_uncached`` are ratios of seconds; ``same_bytes`` says whether both runs of the other
half have the same arrays. The cases are those of ``benchmarks.overhead``.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from benchmarks.overhead import CASES
from dissect.counting.driver import dissect
from dissect.generators import Generator
from dissect.runs.schema import ARRAYS
from segmenters import Segmenter


def timed_run(
    generator: Generator, segmenter: Segmenter, out: Path, layers: list[str], **settings: object
) -> float:
    """Seconds of a whole run."""
    started = time.perf_counter()
    dissect(generator, segmenter, out=out, layers=layers, progress=False, **settings)
    return time.perf_counter() - started


def same_arrays(one: Path, other: Path) -> bool:
    """Whether two runs have the same array files, byte for byte."""
    contents = [
        {
            path.relative_to(run).as_posix(): path.read_bytes()
            for path in (run / ARRAYS).rglob("*")
            if path.is_file()
        }
        for run in (one, other)
    ]
    return contents[0] == contents[1]


def measure(case: str, n_samples: int | None) -> dict[str, object]:
    """Run one case once."""
    make, usual = CASES[case]
    generator, segmenter, layers, note = make()
    halves = list(layers[::2]), list(layers[1::2])
    settings = {"n_samples": n_samples or usual}
    with tempfile.TemporaryDirectory() as folder:
        root, cache = Path(folder), Path(folder) / "cache"
        # First calls compile and allocate.
        timed_run(generator, segmenter, root / "warm", list(layers), n_samples=16)
        first = timed_run(generator, segmenter, root / "first", halves[0], cache=cache, **settings)
        cached = timed_run(
            generator, segmenter, root / "cached", halves[1], cache=cache, **settings
        )
        uncached = timed_run(generator, segmenter, root / "uncached", halves[1], **settings)
        same = same_arrays(root / "cached", root / "uncached")
        kept = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    return {
        "case": case,
        "weights": note,
        "samples": settings["n_samples"],
        "seconds": {
            "first": round(first, 2),
            "second": round(cached, 2),
            "second without cache": round(uncached, 2),
        },
        "second_over_first": round(cached / first, 3),
        "second_over_uncached": round(cached / uncached, 3),
        "cache_bytes_per_image": round(kept / settings["n_samples"]),
        "same_bytes": same,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=CASES, help="both if left out")
    parser.add_argument("--samples", type=int, help="default: that of the case")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cases = [options.case] if options.case else list(CASES)
    found = {case: measure(case, options.samples) for case in cases}
    print(json.dumps(found, indent=None if options.json else 1))


if __name__ == "__main__":
    main()
