"""Checks that an accelerator counts the same as the processor, and measures its overhead.

    python -m benchmarks.device [--device auto] [--minutes 5.5] [--json]

One command for any GPU, in less than six minutes. It checks, bit by bit:

- ``kernels``: Triton's kernel and plain torch operations against the processor's kernel, on odd
  sizes, on values equal to edges, on 1 × 1 maps, on 1,200 concepts, at layers' own resolution;
- ``pass``: a pilot and a pass over blocks counted on the device, against the same blocks moved to
  the processor.

And it measures, each as a ratio in one process:

- ``count``: nanoseconds per unit and pixel of the mask grid, for each of the three ways; the last
  one includes moving the maps to the processor;
- ``overhead``: pilot and pass, and a whole run, over generating and segmenting every sample once
  (case ``real`` of ``benchmarks.overhead``);
- ``precision``: time and largest deviation of generator and segmenter with ``channels_last`` and
  under autocast, relative to the unchanged models;
- ``peer``: ``benchmarks.peer``.

Parts that do not fit into the time are listed under ``left_out``. Without a GPU the checks run on
the processor (Triton's kernel in its interpreter), with small budgets, and nothing is measured.
"""

import argparse
import json
import multiprocessing
import os
import platform
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks import overhead, peer
from dissect import RunConfig, dissect, load_generator, load_segmenter
from dissect.counting.count import count_range
from dissect.counting.driver import start_pass
from dissect.counting.samples import make_latent
from dissect.counting.subject import Block, Subject
from dissect.statistics.device import tally_torch
from dissect.statistics.edges import snap
from dissect.statistics.groups import GroupedCodes
from dissect.statistics.kernel import tally
from dissect.statistics.native import tally_native
from segmenters.devices import find_device

CASES = {  # map, mask grid, codes
    "odd sizes": ((7, 5), (33, 17), 9),
    "1 × 1": ((1, 1), (8, 8), 3),
    "larger than the grid": ((40, 21), (8, 9), 5),
    "1,200 concepts": ((6, 6), (12, 11), 1200),
}


def random_case(size: tuple[int, int], grid: tuple[int, int], n_codes: int, n_units: int):  # noqa: ANN201
    """Maps, codes and edges; some edges equal values, where rounding decides."""
    draw = torch.Generator().manual_seed(0)
    maps = (torch.randn(3, n_units, *size, generator=draw) * 16).round() / 16
    codes = torch.randint(0, n_codes, (3, 3, *grid), generator=draw).to(torch.int32)
    edges = torch.randn(n_units, 48, generator=draw)
    edges[:, ::3] = (edges[:, ::3] * 16).round() / 16
    return maps, codes, torch.from_numpy(snap(edges.sort(dim=1).values.numpy()))


def by_triton(maps: Tensor, codes: Tensor, edges: Tensor, *, n_codes: int, nearest: bool = False):  # noqa: ANN201
    from dissect.statistics.triton_kernel import tally_triton  # noqa: PLC0415, needs Triton

    return tally_triton(maps, GroupedCodes.of(codes, n_codes=n_codes), edges, nearest=nearest)


def check_kernels(device: torch.device, n_units: int) -> dict[str, dict[str, bool | str]]:
    """Case → way → whether it counts the same as the processor, or why it failed."""
    found: dict[str, dict[str, bool | str]] = {}
    for name, (size, grid, n_codes) in CASES.items():
        maps, codes, edges = random_case(size, grid, n_codes, n_units)
        for nearest in (False, True):
            count = tally_native if nearest else tally
            expected = count(maps, GroupedCodes.of(codes, n_codes=n_codes), edges)
            row = found[f"{name}, own resolution" if nearest else name] = {}
            for way, function in (("triton", by_triton), ("torch", tally_torch)):
                try:
                    counts = function(
                        maps.to(device), codes, edges, n_codes=n_codes, nearest=nearest
                    )
                    row[way] = bool(np.array_equal(counts, expected))
                except Exception as error:  # failing kernels are a result
                    row[way] = f"{type(error).__name__}: {error}"[:300]
    return found


def check_kernels_apart(device: torch.device, n_units: int) -> dict[str, dict[str, bool | str]]:
    """``check_kernels`` in the interpreter, which must be enabled before Triton is imported."""
    os.environ["TRITON_INTERPRET"] = "1"
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
        return fresh.submit(check_kernels, device, n_units).result()


class OnProcessor(Subject):
    """The same blocks, moved to the processor."""

    def block(self, number: int) -> Block:
        block = super().block(number)
        maps = {layer: values.cpu() for layer, values in block.maps.items()}
        return Block(block.indices, block.images.cpu(), maps)


def check_pass(subject: Subject) -> dict[str, bool]:
    """Whether pilot and pass give the same numbers on the device and on the processor."""
    moved = OnProcessor(subject.generator, subject.segmenter, subject.config, subject.bases)
    states = []
    for one in (subject, moved):
        start = start_pass(one, progress=False)
        states.append(count_range(one.with_bases(start.bases), start, range(one.n_blocks)))
    here, there = states
    return {
        "edges": all(torch.equal(here.edges[n], there.edges[n]) for n in here.edges),
        "counts": all(
            np.array_equal(array, there.counts[layer].to_arrays()[name])
            for layer, counts in here.counts.items()
            for name, array in counts.to_arrays().items()
        ),
    }


def real_models(device: torch.device):  # noqa: ANN201
    """Generator, segmenter and layers of the case ``real``."""
    generator, segmenter, layers, _ = overhead.real_case()
    generator.module.to(device)
    segmenter.network.to(device)
    segmenter.device = device
    return generator, segmenter, layers


def measure_count(device: torch.device) -> dict[str, dict[str, float]]:
    """Size of a layer → way → nanoseconds per unit and pixel of the grid."""
    found = {}
    for size in (8, 32, 128):
        maps, codes, edges = random_case((size, size), (128, 128), 20, 256)
        # Masks are in pieces, not noise: twenty tall stripes.
        codes[:] = (torch.arange(128) * 20 // 128).to(torch.int32)
        there = maps.to(device)
        groups = GroupedCodes.of(codes, n_codes=20)
        ways: dict[str, Callable[[], object]] = {
            "triton": lambda m=there, c=codes, e=edges: by_triton(m, c, e, n_codes=20),
            "torch": lambda m=there, c=codes, e=edges: tally_torch(m, c, e, n_codes=20),
            "moved": lambda m=there, g=groups, e=edges: tally(m.cpu(), g, e),
        }
        found[str(size)] = {}
        for way, work in ways.items():
            work()
            least = min(peer.seconds(work, device) for _ in range(5))
            found[str(size)][way] = round(least / (3 * 256 * 128 * 128) * 1e9, 4)
    return found


def measure_overhead(device: torch.device, n_samples: int) -> dict[str, float]:
    """Pilot and pass, and a whole run, over generating and segmenting once."""
    generator, segmenter, layers = real_models(device)

    def subject(n: int) -> Subject:
        return Subject.of(
            generator, segmenter, RunConfig(generator.name, segmenter.name, layers, n_samples=n)
        )

    def whole() -> None:
        with tempfile.TemporaryDirectory() as folder:
            dissect(
                generator, segmenter, out=Path(folder) / "run", layers=layers,
                n_samples=n_samples, progress=False,
            )  # fmt: skip

    peer.bare(subject(32), 32)
    peer.ours(subject(64))
    bare = peer.seconds(lambda: peer.bare(subject(n_samples), n_samples), device)
    counted = peer.seconds(lambda: peer.ours(subject(n_samples)), device)
    return {
        "samples": n_samples,
        "images_per_second_alone": round(n_samples / bare, 1),
        "pass_over_forwards": round(counted / bare, 3),
        "whole_run_over_forwards": round(peer.seconds(whole, device) / bare, 3),
    }


def measure_precision(device: torch.device, n_images: int) -> dict[str, dict[str, float]]:
    """Way → time relative to the unchanged models, and deviation of the results."""
    generator, segmenter, layers = real_models(device)
    config = RunConfig(generator.name, segmenter.name, layers)
    latent = make_latent(generator, config, list(range(n_images)))
    half = torch.float16 if device.type != "cpu" else torch.bfloat16

    @torch.no_grad()
    def run(dtype: torch.dtype | None, images: Tensor | None) -> tuple[Tensor, Tensor, list[float]]:
        """Images, masks of the images given, and seconds of either."""
        with torch.autocast(device.type, dtype=dtype or half, enabled=dtype is not None):
            made = generator.synthesize(latent).float()
            looked_at = made if images is None else images
            masks = segmenter.segment(looked_at)
            times = [
                min(peer.seconds(work, device) for _ in range(3))
                for work in (
                    lambda: generator.synthesize(latent),
                    lambda: segmenter.segment(looked_at),
                )
            ]
        return made, masks, times

    plain_images, plain_masks, plain_times = run(None, None)
    found = {}
    for name, layout, dtype in (
        ("channels_last", torch.channels_last, None),
        ("autocast", torch.contiguous_format, half),
        ("channels_last and autocast", torch.channels_last, half),
    ):
        generator.module.to(memory_format=layout)
        segmenter.network.to(memory_format=layout)
        images, masks, times = run(dtype, plain_images)
        found[name] = {
            "generator_time": round(times[0] / plain_times[0], 3),
            "segmenter_time": round(times[1] / plain_times[1], 3),
            "largest_deviation_of_a_pixel": float(f"{(images - plain_images).abs().max():.3g}"),
            "share_of_mask_pixels_that_differ": float(
                f"{(masks != plain_masks).float().mean():.3g}"
            ),
        }
    return found


def measure(device: torch.device, minutes: float) -> dict[str, object]:
    """Everything that fits into the time."""
    started, gpu = time.monotonic(), device.type != "cpu"
    found: dict[str, object] = {
        "measured_on_a_gpu": gpu,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "torch": torch.__version__,
        "system": platform.platform(terse=True),
    }
    generator = load_generator("faces-dcgan", device=device)
    segmenter = load_segmenter("faces", device=device)
    config = RunConfig(
        "faces-dcgan", "faces", tuple(generator.layers), n_samples=256 if gpu else 32,
        pilot=64 if gpu else 16,
    )  # fmt: skip
    check = check_kernels if gpu else check_kernels_apart
    parts: dict[str, Callable[[], object]] = {
        "kernels": lambda: check(device, 33 if gpu else 2),
        "pass": lambda: check_pass(Subject.of(generator, segmenter, config)),
    }
    if gpu:
        parts |= {
            "count": lambda: measure_count(device),
            "overhead": lambda: measure_overhead(device, 512),
            "precision": lambda: measure_precision(device, 32),
            "peer": lambda: peer.measure("faces-dcgan", "faces", 500, 50, 1, str(device)),
        }
    else:
        found["note"] = "there is no GPU here: nothing was measured on one"
    left_out, failed = [], []
    for name, work in parts.items():
        if time.monotonic() - started > 60 * minutes * 0.75:
            left_out.append(name)
            continue
        try:
            found[name] = work()
        except Exception as error:  # continue with the other parts
            found[name] = f"{type(error).__name__}: {error}"[:300]
            failed.append(name)
    return found | {
        "left_out": left_out,
        "failed": failed,
        "all_equal": _all_true(found.get("kernels")) and _all_true(found.get("pass")),
        "seconds": round(time.monotonic() - started, 1),
    }


def _all_true(found: object) -> bool:
    if isinstance(found, dict):
        return all(_all_true(value) for value in found.values())
    return found is True


def main() -> None:
    """Command line; exits with 1 if a count differs or a part fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--minutes", type=float, default=5.5, help="the most it may take")
    parser.add_argument("--json", action="store_true", help="on one line")
    options = parser.parse_args()
    device = find_device(options.device)
    found = measure(device, options.minutes)
    print(json.dumps(found) if options.json else json.dumps(found, indent=1))
    if found["failed"] or not found["all_equal"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
