"""Cost of a dissection at sizes too large for one machine: a cost model and its checks.

    python -m benchmarks.scale [--growth GROWTH.json] [--json]

Bytes follow from shapes, with the formulas of ``dissect run --dry-run``. ``fit`` takes the results
of ``benchmarks.growth --json`` and finds, by non-negative least squares,

    processor seconds = fixed + samples · (a + forward · width² + count · units)
                        + score · units · concepts

at its mask grid of 32 × 32, with mixtures counted as units. ``off`` is the deviation of each
measurement from the model, as a share, and ``held_out_off`` the same for two new runs that were not
fitted. ``stylegan2_1024`` applies the bytes to a StyleGAN2 of 1,024 pixels; its times depend on
assumptions, which are printed with them.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from benchmarks import growth
from dissect.bases.mixture import directions_of_a_draw
from dissect.config import RunConfig
from dissect.counting.grouping import BINS, layer_needs
from dissect.generators.shapes import LayerInfo
from dissect.statistics import CLUSTER

GRID = 128
SETS = 3  # own masks, those of another image, and the image number
CODES = {150: 60, 1200: 200}
"""Assumed: combinations of concepts that occur in eight images, by length of the vocabulary."""
HELD_OUT = (
    {"n_samples": 512, "n_units": 96, "n_concepts": 60, "n_layers": 4},
    {"n_samples": 768, "n_units": 48, "n_concepts": 30, "n_layers": 6},
)
ASSUMED = {
    "forwards_ms": 40.0,  # generator of 1,024 pixels and a segmenter at 512, both in half precision
    "count_ns_per_unit_pixel": 0.02,  # 64 comparisons and additions, at a third of the peak rate
    "bus_gb_per_s": 20.0,
    "network_gb_per_s": 3.0,
    "disk_gb_per_s": 1.0,
    "collect_gb_per_s": 4.0,  # tables added to counts by eight cores
    "gpus_per_machine": 8,
}


def stylegan2_1024() -> list[LayerInfo]:
    """The convolutions of the network of Karras et al., CVPR 2020, config F."""
    units = {4: 512, 8: 512, 16: 512, 32: 512, 64: 512, 128: 256, 256: 128, 512: 64, 1024: 32}
    return [
        LayerInfo(n, size, size, f"b{size}.conv{which}")
        for size, n in units.items()
        for which in ((1,) if size == 4 else (0, 1))
    ]


def bytes_of(layers: list[LayerInfo], n_concepts: int) -> dict[str, float]:
    """Gigabytes of one worker, without mixtures."""
    config = RunConfig("g", "s", tuple(info.module for info in layers), mixtures=0)
    needs = [
        layer_needs(
            info, n_concepts=n_concepts, n_codes=CODES[n_concepts], grid=GRID, config=config
        )
        for info in layers
    ]
    n_units = sum(info.units for info in layers)
    table = SETS * CODES[n_concepts] * n_units * BINS * 4
    found = {
        "maps_of_a_block": sum(one.maps for one in needs),
        "maps_of_the_largest_layer": max(one.maps for one in needs),
        "pilot": sum(one.pilot for one in needs),
        "counts": sum(one.counts for one in needs),
        "table_of_a_cluster": table,
        "table_per_image": table / CLUSTER,
    }
    return {name: round(value / 1e9, 3) for name, value in found.items()}


def times(n_units: int, n_concepts: int, n_images: int, n_gpus: int) -> dict[str, float]:
    """Hours and seconds under the assumptions; steps of an image do not overlap."""
    sizes = bytes_of(stylegan2_1024(), n_concepts)
    ms = {
        "forwards": ASSUMED["forwards_ms"],
        "count": ASSUMED["count_ns_per_unit_pixel"] * n_units * GRID**2 / 1e6,
        "tables_over_the_bus": 1000 * sizes["table_per_image"] / ASSUMED["bus_gb_per_s"],
        "collect": 1000 * sizes["table_per_image"] / ASSUMED["collect_gb_per_s"],
    }
    rounds = int(np.ceil(np.log2(n_gpus))) if n_gpus > 1 else 0
    return {
        "ms_per_image": round(sum(ms.values()), 1),
        **{f"ms_{name}": round(value, 1) for name, value in ms.items()},
        "hours": round(n_images * sum(ms.values()) / n_gpus / 3.6e6, 2),
        "merge_s": round(rounds * sizes["counts"] / ASSUMED["network_gb_per_s"], 1),
        "save_s": round(sizes["counts"] / ASSUMED["disk_gb_per_s"], 1),
        "host_gb_per_machine": round(
            min(n_gpus, ASSUMED["gpus_per_machine"]) * (sizes["counts"] + sizes["pilot"]), 1
        ),
    }


def units_of(row: dict[str, float]) -> int:
    """Units of a run of ``benchmarks.growth``, including mixtures."""
    draws = RunConfig("g", "s", ()).mixtures
    generator = growth.build_generator(int(row["n_units"]))
    units = [info.units for info in generator.layers.values()][-int(row["n_layers"]) :]
    mixed = [draws * directions_of_a_draw(n) for n in units if n > generator.channels]
    return sum(units) + sum(mixed)


def terms_of(row: dict[str, float]) -> list[float]:
    """The factors of the model's terms."""
    n_units = units_of(row)
    n = row["n_samples"]
    return [1.0, n, n * row["n_units"] ** 2, n * n_units, n_units * row["n_concepts"]]


def fit(
    rows: list[dict[str, float]], held_out: list[dict[str, float]]
) -> dict[str, float | list[float]]:
    """The cost model fitted to runs of ``benchmarks.growth``, and the deviations of runs."""
    terms = np.array([terms_of(row) for row in rows])
    seconds = np.array([row["cpu_seconds"] for row in rows])
    # Weighted for relative errors.
    scale = np.abs(terms).max(axis=0)
    parts, _ = nnls(terms / scale / seconds[:, None], np.ones(len(rows)))
    parts = parts / scale

    def off(measured: list[dict[str, float]]) -> list[float]:
        return [
            round(row["cpu_seconds"] / float(np.dot(terms_of(row), parts)) - 1, 3)
            for row in measured
        ]

    return {
        "seconds_fixed": round(float(parts[0]), 2),
        "ms_per_sample": round(1000 * float(parts[1]), 3),
        "us_per_sample_and_square_of_width": round(1e6 * float(parts[2]), 3),
        "us_per_sample_and_unit": round(1e6 * float(parts[3]), 3),
        "us_per_unit_and_concept": round(1e6 * float(parts[4]), 3),
        "off": off(rows),
        "held_out_off": off(held_out),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--growth", type=Path, help="what benchmarks.growth --json printed")
    parser.add_argument("--json", action="store_true", help="on one line")
    options = parser.parse_args()
    layers = stylegan2_1024()
    n_units = sum(info.units for info in layers)
    found: dict[str, object] = {
        "units": n_units,
        "gigabytes": {str(n): bytes_of(layers, n) for n in CODES},
        "assumed": ASSUMED | {"codes": CODES, "grid": GRID},
        "times": {
            f"{concepts} concepts, {images} images, {gpus} GPUs": times(
                n_units, concepts, images, gpus
            )
            for concepts in CODES
            for images in (10_000, 1_000_000)
            for gpus in (1, 8, 64)
        },
    }
    if options.growth:
        measured = json.loads(options.growth.read_text())
        rows = [
            row for name in ("samples", "units", "concepts", "layers") for row in measured[name]
        ]
        held_out = [growth.measure(**asked) for asked in HELD_OUT]
        found["fit"] = {**fit(rows, held_out), "held_out": held_out}
    print(json.dumps(found) if options.json else json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
