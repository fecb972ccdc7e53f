"""Estimates the cost of a run before it starts: passes, memory, time and disk.

    print(describe_plan(plan(generator, segmenter, config, budget=parse_size("4GB"))))

Bytes follow from shapes. Times are measured on one real block, and on one more for each further
pass that the memory limit requires.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar, Unpack

import numpy as np
import torch

from dissect.config import RunConfig, RunOptions, RunSettings
from dissect.counting.grouping import (
    BINS,
    evaluation_labels,
    finishing_bytes,
    group_bytes,
    group_layers,
    measure,
    needs_of_layers,
    sketch_bases,
)
from dissect.counting.kept_pictures import pictures_bytes
from dissect.counting.pilot import KEPT_BYTES, KEPT_DISK_BYTES, PilotValues
from dissect.counting.samples import check_device
from dissect.counting.subject import Subject
from dissect.generators import Generator, load_generator
from dissect.pictures import to_tile
from dissect.runs.strips import make_strip, tile_size
from dissect.settings import check_names, shows_settings
from dissect.sizes import parse_size
from dissect.statistics import CLUSTER, Counter, LayerCounts
from dissect.statistics.edges import N_EDGES
from dissect.statistics.units import empty_statistics
from dissect.tracing import resolve_layers
from segmenters import Segmenter, load_segmenter

_STORED_PAIR = 120  # largest size in bytes of a row of units.parquet
_T = TypeVar("_T")


@dataclass(frozen=True)
class LayerPlan:
    """A layer's shape, bytes of its counts, and the number of its pass, from 1."""

    units: int
    height: int
    width: int
    counts_bytes: int
    in_pass: int


@dataclass(frozen=True)
class Plan:
    """Estimated cost of a run.

    Attributes:
        samples: Number of samples.
        layers: Layer → its plan.
        passes: How often all samples are generated for counting.
        forward_passes: Total number of blocks through the generator, including the pilot if its
            blocks are not kept.
        block: Samples per forward pass.
        memory_bytes: Expected peak memory of the process.
        budget_bytes: Memory limit, None without one.
        seconds: Seconds of each stage and in total, measured on the first block.
        disk_bytes: Size of the run folder: ``arrays`` and ``table`` at most, ``images`` from one
            strip; ``unfinished`` is the space beside it until it is done.
    """

    samples: int
    layers: dict[str, LayerPlan]
    passes: int
    forward_passes: int
    block: int
    memory_bytes: int
    budget_bytes: int | None
    seconds: dict[str, float]
    disk_bytes: dict[str, int]

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


def plan(
    generator: Generator, segmenter: Segmenter, config: RunConfig, *, budget: int | None = None
) -> Plan:
    """Estimate the cost of a run; generates and counts one block for each pass.

    Raises:
        DissectError: a budget too small for a layer, or models that break their protocol.
    """
    subject = Subject.of(generator, segmenter, config)
    measured, subject = measure(subject), sketch_bases(subject)
    shapes = subject.shapes
    needs = needs_of_layers(subject, measured.n_codes)
    units = [shapes[layer].units for layer in config.layers]
    finishing = finishing_bytes(subject)
    groups = group_layers(needs, base=measured.base, finishing=finishing, budget=budget)
    times = [_time_block(subject.only(group.layers)) for group in groups]
    blocks, pilot = subject.n_blocks, len(subject.blocks_of(subject.n_pilot))
    again, largest, waiting = 0, 0, 0
    for group in groups:
        maps = sum(needs[layer].maps for layer in group.layers)
        one = maps + 4 * config.block * generator.channels * generator.image_size**2
        limit = KEPT_BYTES if group.spare is None else min(KEPT_BYTES, group.spare)
        kept = min(pilot, limit // one)
        on_disk = min(pilot - kept, KEPT_DISK_BYTES // one)
        waiting = max(waiting, on_disk * one)
        again += pilot - kept - on_disk
        largest = max(largest, kept * one + group_bytes([needs[layer] for layer in group.layers]))
    generate = float(np.mean([t.generate for t in times]))
    segment = float(np.mean([t.segment for t in times]))
    strip = float(np.mean([t.strip for t in times]))
    seconds: dict[str, float] = {
        "pilot": again * generate,
        "generate": len(groups) * blocks * generate,
        "segment": blocks * segment,  # later passes read the masks of the first
        "count": blocks * sum(t.count for t in times),
        "images": sum(units) * strip,
    }
    pairs = sum(units) * subject.n_concepts
    histogram = 4 * 3 * (subject.n_concepts + 1) * sum(units) * BINS
    return Plan(
        samples=config.n_samples,
        layers={
            layer: LayerPlan(
                shapes[layer].units,
                shapes[layer].height,
                shapes[layer].width,
                needs[layer].counts,
                1 + next(n for n, group in enumerate(groups) if layer in group.layers),
            )
            for layer in config.layers
        },
        passes=len(groups),
        forward_passes=len(groups) * blocks + again,
        block=config.block,
        memory_bytes=measured.base + max(largest, finishing),
        budget_bytes=budget,
        seconds={name: round(value, 1) for name, value in seconds.items()}
        | {"total": round(sum(seconds.values()), 1)},
        disk_bytes={
            "arrays": histogram + pairs * 2 * 11 * 8,
            "table": pairs * _STORED_PAIR,
            "images": int(sum(units) * np.mean([t.strip_bytes for t in times])),
            "unfinished": waiting + sum(n.counts for n in needs.values()) + pictures_bytes(subject),
        },
    )


@shows_settings(RunConfig, without=("generator", "segmenter", "layers"))
def plan_run(
    generator: str,
    segmenter: str,
    *,
    layers: str | Sequence[str] = "all",
    device: str = "cpu",
    memory: str | int | None = None,
    **settings: Unpack[RunSettings],
) -> Plan:
    """``plan`` with the arguments of ``dissect``: models by name, settings as keywords.

    Raises:
        DissectError: an invalid argument; the message is one line.
    """
    given: dict[str, Any] = {"layers": layers, "device": device, "memory": memory}
    RunOptions(**given)  # checks them, for any types
    check_names(settings, [*RunSettings.__annotations__, *RunOptions.declared], of="plan_run()")
    RunConfig(generator, segmenter, (), **settings)
    budget = None if memory is None else parse_size(memory)
    check_device(device)
    opened, marks = (
        load_generator(generator, device=device),
        load_segmenter(segmenter, device=device),
    )
    chosen = tuple(map(str, resolve_layers(opened, layers)))
    config = RunConfig(generator, segmenter, chosen, **settings)
    return plan(opened, marks, config, budget=budget)


@dataclass(frozen=True)
class _BlockTimes:
    generate: float
    segment: float
    count: float
    strip: float
    strip_bytes: int


def _time_block(subject: Subject) -> _BlockTimes:
    """Seconds of each stage for one block, without the slow first calls."""
    config = subject.config
    generate, block = _timed(lambda: subject.block(0))
    segment, planes = _timed(lambda: subject.planes(block))
    units = {layer: maps.shape[1] for layer, maps in block.maps.items()}
    values = PilotValues(
        units, grid=subject.grid, n_pilot=len(block.indices), seed=config.seed,
        nearest=config.native,
    )  # fmt: skip
    values.add(block)
    edges = values.edges(config.tail)
    count = 0.0
    for layer, maps in block.maps.items():
        empty = LayerCounts.empty(
            n_concepts=subject.n_concepts, n_units=units[layer], n_edges=N_EDGES,
            statistics=empty_statistics(subject.setup(layer)),
        )  # fmt: skip
        counter = Counter(
            empty, edges[layer], quantile_edge=subject.quantile_edge, native=config.native
        )
        first = evaluation_labels(subject, planes[:CLUSTER], block.indices[:CLUSTER])
        counter.add(maps[:CLUSTER], first)  # compiles, and chooses edges
        count += _timed(
            lambda counter=counter, maps=maps: counter.add(
                maps, evaluation_labels(subject, planes, block.indices)
            )
        )[0]
    tile = tile_size(subject.generator.image_size)
    picture = np.stack([to_tile(block.images[0], tile)] * config.top_images)
    masks = np.zeros(picture.shape[:3], bool)
    masks[:, tile // 4 : tile // 2, tile // 4 : tile // 2] = True
    make_strip(picture, masks)  # the first call loads the WebP writer
    strip, drawn = _timed(lambda: make_strip(picture, masks))
    strip /= torch.get_num_threads()  # as many are drawn in parallel
    n_bytes = len(drawn.picture) + len(drawn.mask or b"")
    return _BlockTimes(generate, segment, count, strip, n_bytes)


def _timed(work: Callable[[], _T]) -> tuple[float, _T]:
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found
