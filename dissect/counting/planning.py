"""What a run will take, said before it runs: passes, memory, time and disk.

    print(describe_plan(plan(generator, segmenter, config, budget=parse_size("4GB"))))

Bytes follow from shapes; times are measured on one real block, and on one more for each further
pass that the memory asks for.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TypeVar, Unpack

import numpy as np
import torch

from dissect.bases import Basis, layer_info, open_bases
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
from dissect.counting.pilot import KEPT_BYTES, KEPT_DISK_BYTES, PilotValues
from dissect.counting.samples import check_device, label_block, make_block, mask_grid, n_blocks
from dissect.generators import Generator, load_generator
from dissect.pictures import to_tile
from dissect.runs.strips import TILE, make_strip
from dissect.settings import check_names, shows_settings
from dissect.sizes import parse_size
from dissect.statistics import CLUSTER, Counter, LayerCounts
from dissect.statistics.edges import N_EDGES, quantile_edge
from dissect.tracing import resolve_layers
from segmenters import Segmenter, load_segmenter

_STORED_PAIR = 120  # bytes of a row of units.parquet at most
_T = TypeVar("_T")


@dataclass(frozen=True)
class LayerPlan:
    """A layer's shape, bytes of its counts, and the pass that counts it, from 1."""

    units: int
    height: int
    width: int
    counts_bytes: int
    in_pass: int


@dataclass(frozen=True)
class Plan:
    """What a run will take.

    Attributes:
        samples: Of the run.
        layers: Layer → its plan.
        passes: How often all samples are generated to be counted.
        forward_passes: Blocks through the generator in all: to be counted, for the pilot where its
            blocks are not kept, and at most for the top images.
        block: Samples of one forward pass.
        memory_bytes: The most that the process is expected to take.
        budget_bytes: The most that it may take, None if anything.
        seconds: Of each stage and in all; it was measured on the first block.
        disk_bytes: Of the run folder: ``arrays`` and ``table`` at most, ``images`` as one strip;
            ``unfinished`` beside it until it is done.
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
    """Say what a run will take; makes and counts one block for each pass.

    Raises:
        DissectError: a budget that no layer fits, or models that break their protocol.
    """
    n_concepts = len(segmenter.vocabulary)
    measured = measure(generator, segmenter, config)
    bases = sketch_bases(generator, config, open_bases(generator, config.layers))
    shapes = {layer: layer_info(generator, layer, bases) for layer in config.layers}
    needs = needs_of_layers(generator, segmenter, config, measured.n_codes, bases)
    units = [info.units for info in shapes.values()]
    finishing = finishing_bytes(units, n_concepts)
    groups = group_layers(needs, base=measured.base, finishing=finishing, budget=budget)
    times = [
        _time_block(generator, segmenter, replace(config, layers=group.layers), bases)
        for group in groups
    ]
    blocks, pilot = n_blocks(config), n_blocks(config, min(config.pilot, config.n_samples))
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
    shown = min(blocks, sum(units) * config.top_images)
    images = shown * len(groups)
    generate = float(np.mean([t.generate for t in times]))
    segment = float(np.mean([t.segment for t in times]))
    strip = float(np.mean([t.strip for t in times]))
    seconds = {
        "pilot": again * generate,
        "generate": len(groups) * blocks * generate,
        "segment": blocks * segment,  # later passes read the masks of the first
        "count": blocks * sum(t.count for t in times),
        "images": images * generate + sum(units) * strip,
    }
    pairs = sum(units) * n_concepts
    histogram = 4 * 3 * (n_concepts + 1) * sum(units) * BINS
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
        forward_passes=len(groups) * blocks + again + images,
        block=config.block,
        memory_bytes=measured.base + max(largest, finishing),
        budget_bytes=budget,
        seconds={name: round(value, 1) for name, value in seconds.items()}
        | {"total": round(sum(seconds.values()), 1)},
        disk_bytes={
            "arrays": histogram + pairs * 2 * 11 * 8,
            "table": pairs * _STORED_PAIR,
            "images": int(sum(units) * np.mean([t.strip_bytes for t in times])),
            "unfinished": waiting
            + sum(n.counts for n in needs.values())
            + TILE * TILE * 3 * min(config.n_samples, sum(units) * config.top_images),
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
    """``plan`` for what ``dissect`` takes: models by name, settings as keywords.

    Raises:
        DissectError: a mistake in what was given, in one line.
    """
    RunOptions(layers=layers, device=device, memory=memory)
    check_names(settings, [*RunSettings.__annotations__, *RunOptions.declared], of="plan_run()")
    RunConfig(generator, segmenter, (), **settings)
    budget = None if memory is None else parse_size(memory)
    check_device(device)
    opened, marks = (
        load_generator(generator, device=device),
        load_segmenter(segmenter, device=device),
    )
    config = RunConfig(generator, segmenter, resolve_layers(opened, layers), **settings)
    return plan(opened, marks, config, budget=budget)


@dataclass(frozen=True)
class _BlockTimes:
    generate: float
    segment: float
    count: float
    strip: float
    strip_bytes: int


def _time_block(
    generator: Generator, segmenter: Segmenter, config: RunConfig, bases: Mapping[str, Basis]
) -> _BlockTimes:
    """Seconds of each stage for one block; first calls, which are slow, are left out."""
    grid = mask_grid(generator, config)
    n_concepts = len(segmenter.vocabulary)
    generate, block = _timed(lambda: make_block(generator, config, 0, bases))
    segment, planes = _timed(lambda: label_block(segmenter, block.images, grid))
    units = {layer: maps.shape[1] for layer, maps in block.maps.items()}
    values = PilotValues(
        units, grid=grid, n_pilot=len(block.indices), seed=config.seed, nearest=config.native
    )
    values.add(block)
    edges = values.edges(config.tail)
    count = 0.0
    for layer, maps in block.maps.items():
        empty = LayerCounts.empty(n_concepts=n_concepts, n_units=units[layer], n_edges=N_EDGES)
        counter = Counter(
            empty,
            edges[layer],
            quantile_edge=quantile_edge(config.tail),
            native=config.native,
        )
        first = evaluation_labels(planes[:CLUSTER], block.indices[:CLUSTER], n_concepts, config)
        counter.add(maps[:CLUSTER], first)  # compiles, and chooses edges
        count += _timed(
            lambda counter=counter, maps=maps: counter.add(
                maps, evaluation_labels(planes, block.indices, n_concepts, config)
            )
        )[0]
    picture = np.stack([to_tile(block.images[0])] * config.top_images)
    masks = np.zeros(picture.shape[:3], bool)
    masks[:, TILE // 4 : TILE // 2, TILE // 4 : TILE // 2] = True
    make_strip(picture, masks)  # the first one loads what writes WebP
    strip, drawn = _timed(lambda: make_strip(picture, masks))
    strip /= torch.get_num_threads()  # as many are drawn at once
    return _BlockTimes(generate, segment, count, strip, len(drawn.picture) + len(drawn.mask))


def _timed(work: Callable[[], _T]) -> tuple[float, _T]:
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found
