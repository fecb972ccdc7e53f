"""Growth of time and peak memory with samples, units, concepts and layers.

    python -m benchmarks.growth [--samples 256 512 1024 2048] [--rounds 5] [--json]

Each measurement is a whole dissection in a separate process: a StyleGAN2 of 32 pixels with random
weights, all or some of its layers, and random masks of the given number of concepts. Samples are
measured in several rounds, all sizes in each. The least processor time of a size counts, since
other work on the machine can only add to it. ``seconds_fixed`` and ``seconds_per_sample`` describe
the fitted line, ``off_the_line`` the largest deviation from it, as a share of the line.
``memory_growth`` is the peak at the most samples over that at the fewest.
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dissect import dissect
from dissect.generators.stylegan2 import StyleGAN2, StyleGAN2Config, StyleGAN2Network
from dissect.memory import highest_memory
from segmenters import Vocabulary

SAMPLES = (256, 512, 1024, 2048)
_UNITS, _CONCEPTS, _N_LAYERS, _FIXED = 64, 20, 3, 256


class Stripes:
    """Marks the given number of concepts: one for each interval of brightness."""

    name = "stripes"

    def __init__(self, n_concepts: int) -> None:
        rows = [(f"level {n}", "object", "object", "#808080") for n in range(n_concepts)]
        self.vocabulary = Vocabulary.build(rows)
        self.fingerprint = f"stripes {n_concepts}"
        self.device = torch.device("cpu")

    def segment(self, images: Float[Tensor, "batch 3 h w"]) -> Int[Tensor, "batch 1 h w"]:
        n_concepts = len(self.vocabulary)
        level = (images.mean(dim=1, keepdim=True).sigmoid() * n_concepts).long()
        return 1 + level.clamp(0, n_concepts - 1)

    def score(self, images: Float[Tensor, "batch 3 h w"]) -> Float[Tensor, "batch concept h w"]:
        numbers = torch.arange(1, len(self.vocabulary) + 1)[:, None, None]
        return (self.segment(images) == numbers).float()


def build_generator(n_units: int) -> StyleGAN2:
    """StyleGAN2 with this number of units in each layer, except those that output colours."""
    torch.manual_seed(0)
    config = StyleGAN2Config(
        32, (n_units,) * 4, z_size=64, w_size=64, mapping_depth=2, use_noise=False
    )
    return StyleGAN2(StyleGAN2Network(config).eval().requires_grad_(False), name="random")


def run_once(n_samples: int, n_units: int, n_concepts: int, n_layers: int) -> dict[str, float]:
    """One dissection in this process; seconds of the pass and peak memory."""
    generator = build_generator(n_units)
    layers = list(generator.layers)[-n_layers:]
    settings = {"layers": layers, "pilot": 64, "progress": False}
    with tempfile.TemporaryDirectory() as folder:
        # The first run of a process compiles and allocates.
        out = Path(folder)
        dissect(generator, Stripes(n_concepts), out=out / "warm", n_samples=64, **settings)
        started, at_work = time.perf_counter(), time.process_time()
        dissect(generator, Stripes(n_concepts), out=out / "run", n_samples=n_samples, **settings)
        seconds, used = time.perf_counter() - started, time.process_time() - at_work
    return {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(used, 2),
        "peak_memory_mb": round(highest_memory() / 1e6),
    }


def measure(**asked: int) -> dict[str, float]:
    """``run_once`` in a fresh process, so that earlier memory does not count."""
    shape = {
        "n_samples": _FIXED, "n_units": _UNITS, "n_concepts": _CONCEPTS, "n_layers": _N_LAYERS,
    } | asked  # fmt: skip
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
        return shape | fresh.submit(run_once, **shape).result()


def line(samples: list[int], seconds: list[float]) -> dict[str, float]:
    """The least-squares line, with relative errors."""
    weights = 1 / np.asarray(seconds)
    slope, fixed = np.polyfit(samples, seconds, 1, w=weights)
    expected = fixed + slope * np.asarray(samples)
    return {
        "off_the_line": round(float(np.abs(seconds / expected - 1).max()), 4),
        "seconds_fixed": round(float(fixed), 2),
        "seconds_per_sample": round(float(slope), 5),
    }


def grow(samples: list[int], rounds: int) -> dict[str, object]:
    """All measurements."""
    by_round = [[measure(n_samples=n) for n in samples] for _ in range(rounds)]
    by_samples = [
        min(found, key=lambda row: row["cpu_seconds"]) for found in zip(*by_round, strict=True)
    ]
    found: dict[str, object] = {
        "samples": by_samples,
        "units": [measure(n_units=n) for n in (32, 64, 128)],
        "concepts": [measure(n_concepts=n) for n in (10, 40, 160)],
        "layers": [measure(n_layers=n) for n in (1, 3, 6)],
    }
    peaks = [row["peak_memory_mb"] for row in by_samples]
    return (
        found
        | line(samples, [row["cpu_seconds"] for row in by_samples])
        | {"memory_growth": round(peaks[-1] / peaks[0], 3)}
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, nargs="+", default=list(SAMPLES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = grow(options.samples, options.rounds)
    print(json.dumps(found, indent=None if options.json else 1))


if __name__ == "__main__":
    main()
