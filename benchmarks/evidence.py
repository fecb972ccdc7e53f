"""Whether named units show their labels, and the cost of the evidence.

    python -m benchmarks.evidence [--samples N] [--fresh N] [--json]

Dissects ``scenes-stylegan2`` twice, with seeds 0 and 1, and examines samples of the first seed
after the run's own. The code shares only the models with the pass:

- ``same_label``: of the units named in both runs, the share with the same label;
- ``shown_when_fresh``: of the named convolution units, the share whose label fills half of the
  outlined area in at least 5 of the 8 fresh samples with the highest activations.

``--cost`` times the pass (pilot and count) with and without mixtures instead, in turns.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import interpolate

from benchmarks.overhead import small_case, whole_pass
from dissect import dissect, load_generator, load_segmenter, trace
from dissect.config import RunConfig
from dissect.runs import Run
from dissect.runs.summary import compare_axes, output_layers, plain_axes
from dissect.statistics.ladder import MATCHES, NAMED

GENERATOR, SEGMENTER = "scenes-stylegan2", "scenes"
_BLOCK, _SHOWN, _ENOUGH = 32, 8, 5


@torch.no_grad()
def shown_when_fresh(run: Run, n_fresh: int) -> tuple[int, int]:
    """Number of named units that show their label in fresh samples, and of all; without outputs."""
    generator, segmenter = load_generator(GENERATOR), load_segmenter(SEGMENTER)
    layers = [layer for layer in run.layers if layer not in output_layers(run)]
    named = {layer: run.units(layer)[lambda table: table.rung >= NAMED] for layer in layers}
    ids = {name: number + 1 for number, name in enumerate(run.vocabulary.names)}
    best: dict[tuple[str, int], list[tuple[float, float]]] = {}
    first = run.config.n_samples
    for start in range(first, first + n_fresh, _BLOCK):
        indices = range(start, min(start + _BLOCK, first + n_fresh))
        with trace(generator, layers) as maps:
            images = generator.synthesize(generator.sample(indices, seed=run.config.seed))
        planes = segmenter.segment(images)
        for layer in layers:
            for row in named[layer].itertuples():
                own = maps[layer][:, row.unit].float()
                large = interpolate(own[:, None], planes.shape[2:], mode="bilinear")[:, 0]
                marked = (planes == ids[row.concept]).any(dim=1)
                outlined = large > row.threshold
                share = (outlined & marked).sum(dim=(1, 2)) / outlined.sum(dim=(1, 2)).clamp(min=1)
                peaks = own.amax(dim=(1, 2))
                seen = best.setdefault((layer, row.unit), [])
                seen += zip(peaks.tolist(), share.tolist(), strict=True)
    right = 0
    for seen in best.values():
        top = sorted(seen, reverse=True)[:_SHOWN]
        right += sum(share >= 0.5 for _, share in top) >= _ENOUGH
    return right, len(best)


def same_label(one: Run, other: Run) -> tuple[int, int]:
    """Number of units named in both runs with the same label, and of all such units."""
    same = both = 0
    for layer in one.layers:
        first, second = one.units(layer), other.units(layer)
        named = (first.rung >= NAMED) & (second.rung >= NAMED)
        both += int(named.sum())
        same += int((named & (first.concept == second.concept)).sum())
    return same, both


def measure(n_samples: int, n_fresh: int, runs: Mapping[int, Run]) -> dict[str, object]:
    """Everything except the cost.

    Args:
        n_samples: Samples of each run.
        n_fresh: Samples to examine after those of the first run.
        runs: Seed → run, 0 and 1.
    """
    same, both = same_label(runs[0], runs[1])
    right, named = shown_when_fresh(runs[0], n_fresh)
    inner = [layer for layer in runs[0].layers if layer not in output_layers(runs[0])]
    tables = {layer: runs[0].units(layer) for layer in inner}
    return {
        "samples": n_samples,
        "fresh": n_fresh,
        "units": sum(map(len, tables.values())),
        "matches": sum(int((table.rung >= MATCHES).sum()) for table in tables.values()),
        "named": sum(int((table.rung >= NAMED).sum()) for table in tables.values()),
        "named_in_both": both,
        "same_label": round(same / max(both, 1), 3),
        "shown_when_fresh": round(right / max(named, 1), 3),
        "axes": plain_axes(compare_axes(runs[0], inner)),
        "layers": {layer: plain_axes(compare_axes(runs[0], [layer])) for layer in inner},
    }


def cost(n_samples: int, rounds: int) -> dict[str, object]:
    """Seconds of the pass with and without mixtures, alternating."""
    generator, segmenter, layers, note = small_case()
    seconds: dict[int, list[float]] = {4: [], 0: []}
    for mixtures in (4, 0):
        whole_pass(generator, segmenter, _config(generator.name, layers, 16, mixtures))
    for _ in range(rounds):
        for mixtures, found in seconds.items():
            _, parts = whole_pass(
                generator, segmenter, _config(generator.name, layers, n_samples, mixtures)
            )
            found.append(sum(parts.values()))
    ratios = np.array(seconds[4]) / np.array(seconds[0])
    return {
        "weights": note,
        "seconds": seconds,
        "mixtures_ratio": round(float(np.median(ratios)), 3),
    }


def _config(name: str, layers: tuple[str, ...], n_samples: int, mixtures: int) -> RunConfig:
    return RunConfig(name, SEGMENTER, layers, n_samples=n_samples, mixtures=mixtures)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--fresh", type=int, default=1000)
    parser.add_argument("--cost", action="store_true", help="time the pass instead")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.cost:
        found = cost(options.samples, options.rounds)
    else:
        with tempfile.TemporaryDirectory() as folder:
            runs = {
                seed: dissect(
                    GENERATOR, SEGMENTER, out=Path(folder) / str(seed), n_samples=options.samples,
                    seed=seed, progress=False,
                )
                for seed in (0, 1)
            }  # fmt: skip
            found = measure(options.samples, options.fresh, runs)
    print(json.dumps(found, indent=None if options.json else 1))


if __name__ == "__main__":
    main()
