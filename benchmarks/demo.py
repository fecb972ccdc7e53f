"""Duration of the demo's pass, and its overhead over the forward passes.

    python -m benchmarks.demo [--samples 1000] [--json]

In one process: first the bare work (generate and segment every block without counting), then the
whole dissection of faces-dcgan with the ``faces`` segmenter over all four layers.
``overhead_ratio`` is the counting pass over the bare work; ``seconds`` lists the stages of the
dissection.
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import torch

from dissect import RunConfig, dissect, load_generator, load_segmenter
from dissect.counting.pilot import pilot_edges
from dissect.counting.samples import label_block
from dissect.counting.subject import Subject


def measure(n_samples: int) -> dict[str, object]:
    """Run the benchmark once."""
    generator, segmenter = load_generator("faces-dcgan"), load_segmenter("faces")
    config = RunConfig("faces-dcgan", "faces", tuple(generator.layers), n_samples=n_samples)
    subject = Subject.of(generator, segmenter, config)
    make_and_label(subject, 0)  # first calls are slow
    started = time.perf_counter()
    for number in range(subject.n_blocks):
        make_and_label(subject, number)
    bare = time.perf_counter() - started
    started = time.perf_counter()
    pilot_edges(subject, progress=False)
    pilot = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        run = dissect(
            generator, segmenter, out=Path(folder) / "run", n_samples=n_samples, progress=False
        )
        whole = time.perf_counter() - started
        counting = run.record["seconds"]
    return {
        "samples": n_samples,
        "units": sum(info.units for info in generator.layers.values()),
        "threads": torch.get_num_threads(),
        "seconds": {
            "bare": round(bare, 2),
            "pilot": round(pilot, 2),
            "pass": counting,
            "scores, images and files": round(whole - counting - pilot, 2),
            "whole": round(whole, 2),
        },
        "overhead_ratio": round(counting / bare, 3),
        "peak_memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
    }


def make_and_label(subject: Subject, number: int) -> None:
    """The bare work for one block."""
    images = subject.block(number).images
    label_block(subject.segmenter, images, subject.generator.image_size)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options.samples)
    print(json.dumps(found) if options.json else json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
