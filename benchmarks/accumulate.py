"""Speed of counting maps against labels, compared with plain tensor code.

    python -m benchmarks.accumulate [--images 32] [--units 256] [--json]

Smooth random maps at several resolutions are counted against the labels of drawn scenes. The
reference resizes with ``interpolate``, compares with one threshold per unit and sums within each
concept's mask. The reference and the kernel use the same threads and alternate; medians are
compared. Times are wall time per unit and pixel of the mask grid, over all resolutions.

``speedup`` is the time of the reference over that of the kernel with the same threshold.
``speedup_64`` is the same reference over the kernel with 64 edges spread over all of a unit's
values. A second reference, one matrix product instead of the sums, is carefully written tensor
code.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numba
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from dissect.statistics.codes import encode
from dissect.statistics.edges import edges_from_values, tail_fractions
from dissect.statistics.groups import GroupedCodes
from dissect.statistics.kernel import tally
from dissect.statistics.resize import resize
from dissect.statistics.scores import above
from dissect.worlds import render_scenes

GRID = 64
LAYERS = (4, 8, 16, 32, 64)
TAIL = 0.005


@dataclass(frozen=True)
class Case:
    """One layer's maps and each unit's edges: one, as many as in a pass, and 64."""

    maps: Tensor
    one: Tensor
    tail: Tensor
    whole: Tensor


def make_case(size: int, n_images: int, n_units: int) -> Case:
    """Smooth maps with some noise, similar to a generator's."""
    draw = torch.Generator().manual_seed(size)
    coarse = torch.randn(n_images, n_units, max(2, size // 4), max(2, size // 4), generator=draw)
    maps = functional.interpolate(coarse, size=(size, size), mode="bilinear")
    maps = maps + 0.3 * torch.randn(maps.shape, generator=draw)
    values = resize(maps, (GRID, GRID)).transpose(0, 1).reshape(n_units, -1).numpy()

    def edges(fractions: np.ndarray) -> Tensor:
        return edges_from_values(values.copy(), fractions)

    whole = np.linspace(1, 0, 66)[1:-1]
    return Case(maps, edges(np.array([TAIL])), edges(tail_fractions(TAIL)), edges(whole))


def count_in_tensors(maps: Tensor, masks: Tensor, thresholds: Tensor) -> Tensor:
    """Plain code: pixels of each concept at which each unit is above its threshold."""
    fires = (
        functional.interpolate(maps, size=(GRID, GRID), mode="bilinear") > thresholds[:, :, None]
    )
    return torch.stack([(fires & mask[:, None]).sum(dim=(0, 2, 3)) for mask in masks])


def count_by_product(maps: Tensor, masks: Tensor, thresholds: Tensor) -> Tensor:
    """The same as one matrix product, which is faster for many concepts."""
    fires = (
        functional.interpolate(maps, size=(GRID, GRID), mode="bilinear") > thresholds[:, :, None]
    )
    # Sums of at most 2²⁴ ones are exact in float32.
    return torch.einsum("bup,cbp->cu", fires.flatten(2).float(), masks.flatten(2).float())


def measure(n_images: int, n_units: int, repetitions: int) -> dict[str, object]:
    """Run the benchmark once."""
    planes = render_scenes(range(n_images + 1), seed=0, size=GRID).planes
    n_concepts = int(planes.max())
    all_codes, members = encode(planes)
    own = all_codes[1:][None].contiguous()
    both = torch.stack([all_codes[1:], all_codes[:-1]])
    masks = torch.stack([(planes[1:] == c).any(dim=1) for c in range(1, n_concepts + 1)])
    cases = [make_case(size, n_images, n_units) for size in LAYERS]
    n_codes = len(members)
    disagreement = max(largest_difference(case, own, members, masks) for case in cases)

    def count(maps: Tensor, codes: Tensor, edges: Tensor) -> np.ndarray:
        # A pass groups the codes once for all layers; here they are grouped for each.
        return tally(maps, GroupedCodes.of(codes, n_codes=n_codes), edges)

    ways: dict[str, Callable[[Case], object]] = {
        "reference": lambda case: count_in_tensors(case.maps, masks, case.one),
        "matrix_product": lambda case: count_by_product(case.maps, masks, case.one),
        "1": lambda case: count(case.maps, own, case.one),
        "48": lambda case: count(case.maps, own, case.tail),
        "48_two_sets": lambda case: count(case.maps, both, case.tail),
        "64": lambda case: count(case.maps, own, case.whole),
    }
    seconds = {name: {size: [] for size in LAYERS} for name in ways}
    for _ in range(repetitions):
        for size, case in zip(LAYERS, cases, strict=True):
            for name, way in ways.items():
                started = time.perf_counter()
                way(case)
                seconds[name][size].append(time.perf_counter() - started)

    unit_pixels = n_images * n_units * GRID * GRID
    by_layer = {
        name: {size: statistics.median(times) / unit_pixels * 1e9 for size, times in found.items()}
        for name, found in seconds.items()
    }
    ns = {name: statistics.mean(found.values()) for name, found in by_layer.items()}
    return {
        "speedup": round(ns["reference"] / ns["1"], 1),
        "speedup_64": round(ns["reference"] / ns["64"], 1),
        "speedup_over_matrix_product": round(ns["matrix_product"] / ns["1"], 1),
        "reference_ns_per_unit_pixel": round(ns["reference"], 2),
        "matrix_product_ns_per_unit_pixel": round(ns["matrix_product"], 2),
        "ns_per_unit_pixel": round(ns["1"], 3),
        "ns_per_unit_pixel_48": round(ns["48"], 3),
        "ns_per_unit_pixel_48_two_sets": round(ns["48_two_sets"], 3),
        "ns_per_unit_pixel_64": round(ns["64"], 3),
        "by_layer_size": {
            name: {str(size): round(value, 3) for size, value in found.items()}
            for name, found in by_layer.items()
        },
        "largest_disagreement_of_a_count": disagreement,
        "sizes": {
            "images": n_images,
            "units": n_units,
            "layers": list(LAYERS),
            "grid": GRID,
            "concepts": n_concepts,
            "codes": n_codes,
        },
        "repetitions": repetitions,
        "threads": torch.get_num_threads(),
        "machine": {
            "processor": platform.machine(),
            "vectors": torch.backends.cpu.get_cpu_capability(),
            "system": platform.platform(terse=True),
            "torch": torch.__version__,
            "numba": numba.__version__,
        },
    }


def largest_difference(case: Case, codes: Tensor, members: np.ndarray, masks: Tensor) -> int:
    """Pixels by which the two counts differ, out of all pixels of the block.

    May be above 0: ``interpolate`` rounds positions, and a threshold is one of the values. So
    values equal to it (all of a corner, in a small layer) may fall on either side.
    """
    table = tally(case.maps, GroupedCodes.of(codes, n_codes=len(members)), case.one)
    counts = above(table[0])[:, :, 0]
    found = np.stack(
        [counts[(members == c).any(axis=1)].sum(axis=0) for c in range(1, len(masks) + 1)]
    )
    expected = count_in_tensors(case.maps, masks, case.one).numpy()
    return int(np.abs(found - expected).max())


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--units", type=int, default=256)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="on one line")
    options = parser.parse_args()
    found = measure(options.images, options.units, options.repetitions)
    print(json.dumps(found) if options.json else json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
