"""The pass: samples to joint counts, once through the generator and once through the segmenter.

    run = dissect(load_generator("faces-dcgan"), load_segmenter("faces"), out="runs/faces")
    run.units("main.7")

A short pilot fixes the edges of each unit. Then every block of samples is generated, segmented and
counted, whatever the number of layers; memory does not grow with the number of samples. What is
counted is saved every minute and when the pass is interrupted, beside the folder to be; ``resume``
goes on from there and ends in the same bytes.
"""

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from dissect.bases import NO_BASES, Basis, layer_info, open_bases, read_file_contents
from dissect.bases.fitting import prepare_bases
from dissect.config import RunConfig
from dissect.errors import ConfigError
from dissect.generators import Generator, load_generator
from dissect.interrupt import deferred_interrupt
from dissect.runs.images import unit_strips
from dissect.runs.partial import PassState, Workspace
from dissect.runs.read import Run, open_run
from dissect.runs.results import layer_results
from dissect.runs.schema import fingerprint
from dissect.runs.write import write_run
from dissect.samples import label_block, make_block, mask_grid, n_blocks
from dissect.statistics import BlockLabels, Counter, LayerCounts, TopImages
from dissect.statistics.edges import (
    N_EDGES,
    VALUES_PER_UNIT,
    edges_from_values,
    pilot_pixels,
    quantile_edge,
    tail_fractions,
)
from dissect.statistics.gandissect import plane_rows
from dissect.statistics.presence import count_together
from dissect.statistics.resize import values_at
from dissect.tracing import resolve_layers
from segmenters import Segmenter, load_segmenter

_SAVE_EVERY = 60.0  # seconds


def dissect(
    generator: Generator | str,
    segmenter: Segmenter | str,
    *,
    out: str | Path,
    layers: str | list[str] = "all",
    device: str = "cpu",
    resume: bool = False,
    progress: bool = True,
    **settings: object,
) -> Run:
    """Dissect a generator: find the concept that each unit of its layers matches best.

    Args:
        generator: A generator, or how ``load_generator`` finds one.
        segmenter: A segmenter, or how ``load_segmenter`` finds one.
        out: Folder to write. Where it already holds this very run, that run is returned.
        layers: Names of layers, or ``"all"``; ``layer@basis`` reads a layer in other coordinates.
        device: Where models that are given by name are loaded.
        resume: Go on with an interrupted pass of the same settings, if there is one.
        progress: Show progress bars on stderr.
        **settings: Further fields of ``RunConfig``: ``n_samples``, ``seed``, ``threshold``, …

    Returns:
        The finished run.

    Raises:
        DissectError: a mistake in what was given, in one line; nothing that existed is lost.

    Example:
        >>> run = dissect("dissect.worlds.planted:generator", "colour", out="runs/planted",
        ...               n_samples=64)
        >>> run.units("units").concept[0]
        'red'
    """
    generator_spec = generator if isinstance(generator, str) else generator.name
    segmenter_spec = segmenter if isinstance(segmenter, str) else segmenter.name
    # Settings first: a wrong one should not wait for a model to load.
    RunConfig(generator_spec, segmenter_spec, (), **settings)
    check_device(device)
    if isinstance(generator, str):
        generator = load_generator(generator, device=device)
    if isinstance(segmenter, str):
        segmenter = load_segmenter(segmenter, device=device)
    config = RunConfig(
        generator_spec, segmenter_spec, resolve_layers(generator, layers), **settings
    )
    bases = open_bases(generator, config.layers)
    key = fingerprint(config, generator, segmenter, read_file_contents(bases))
    workspace = Workspace(Path(out), key)
    if workspace.finished():
        return open_run(out)
    with workspace.claim(resume=resume):
        state = workspace.load() or _start(generator, segmenter, config, bases, progress=progress)
        _count(generator, segmenter, config, state, workspace, progress=progress)
        results = layer_results(state, config, segmenter.vocabulary)
        strips = unit_strips(
            generator, config, segmenter.vocabulary, results, state.bases, progress=progress
        )
        write_run(workspace, config, generator, segmenter, state, results, strips)
    return open_run(out)


def check_device(device: str) -> None:
    """Refuse a device that torch does not have here.

    Raises:
        ConfigError: no such device.
    """
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"device {device!r} cannot be used ({reason}); expected cpu or one that torch has here"
        ) from error


def _start(
    generator: Generator,
    segmenter: Segmenter,
    config: RunConfig,
    opened: Mapping[str, Basis],
    *,
    progress: bool,
) -> PassState:
    """Empty counts, the bases, and the edges of every unit from the pilot."""
    bases = prepare_bases(generator, config, opened, progress=progress)
    edges = pilot_edges(generator, config, bases, progress=progress)
    counts, tops = {}, {}
    for layer in config.layers:
        n_units = layer_info(generator, layer, bases).units
        counts[layer] = LayerCounts.empty(
            n_concepts=len(segmenter.vocabulary),
            n_units=n_units,
            n_edges=N_EDGES,
            n_planes=len(segmenter.vocabulary.planes) if config.compat else 0,
            coactivation=config.coactivation,
        )
        tops[layer] = TopImages.empty(n_units=n_units, k=config.top_images)
    n_concepts = len(segmenter.vocabulary)
    together = np.zeros((n_concepts, n_concepts), np.int64)
    return PassState(0, edges, counts, tops, seconds=0.0, together=together, bases=bases)


def pilot_edges(
    generator: Generator,
    config: RunConfig,
    bases: Mapping[str, Basis] = NO_BASES,
    *,
    progress: bool,
) -> dict[str, Tensor]:
    """Run the first samples and take each unit's edges from its values on the mask grid.

    A fixed choice of pixels by (seed, index) bounds the memory: about 65,536 values for each unit,
    however many samples the pilot has.

    Returns:
        Layer → Float[unit edge].
    """
    n_pilot = min(config.pilot, config.n_samples)
    grid = mask_grid(generator, config)
    per_image = min(grid * grid, -(-VALUES_PER_UNIT // n_pilot))
    values = {
        layer: np.empty(
            (layer_info(generator, layer, bases).units, n_pilot * per_image), np.float32
        )
        for layer in config.layers
    }
    numbers = range(n_blocks(config, n_pilot))
    for number in tqdm(
        numbers, desc="pilot", unit="block", disable=None if progress else True, leave=False
    ):
        block = make_block(generator, config, number, bases)
        for row, index in enumerate(block.indices):
            if index >= n_pilot:
                break
            chosen = torch.from_numpy(
                pilot_pixels(index, seed=config.seed, n_pixels=grid * grid, per_image=per_image)
            )
            place = slice(index * per_image, (index + 1) * per_image)
            for layer, maps in block.maps.items():
                sampled = values_at(maps[row].float(), chosen, (grid, grid), nearest=config.native)
                values[layer][:, place] = sampled.numpy()
    fractions = tail_fractions(config.tail)
    return {layer: edges_from_values(values.pop(layer), fractions) for layer in config.layers}


def _count(
    generator: Generator,
    segmenter: Segmenter,
    config: RunConfig,
    state: PassState,
    workspace: Workspace,
    *,
    progress: bool,
) -> None:
    """Count the blocks that are still to be counted into ``state``."""
    grid = mask_grid(generator, config)
    rows = plane_rows(segmenter.vocabulary) if config.compat else None
    saved = started = time.monotonic()
    before = state.seconds
    counters = {
        layer: Counter(
            counts,
            state.edges[layer],
            quantile_edge=quantile_edge(config.tail),
            native=config.native,
            plane_rows=rows,
        )
        for layer, counts in state.counts.items()
    }
    bar = tqdm(
        total=config.n_samples,
        initial=min(config.n_samples, state.next_block * config.block),
        desc="dissect",
        unit="image",
        disable=None if progress else True,
    )
    with bar, deferred_interrupt() as stop_asked:
        for number in range(state.next_block, n_blocks(config)):
            block = make_block(generator, config, number, state.bases)
            planes = label_block(segmenter, block.images, grid)
            labels = BlockLabels.prepare(
                planes,
                block.indices,
                n_concepts=len(segmenter.vocabulary),
                n_samples=config.n_samples,
                count_planes=rows is not None,
            )
            state.together += count_together(labels, len(segmenter.vocabulary))
            for layer, maps in block.maps.items():
                counters[layer].add(maps, labels)
                peaks = maps.flatten(2).amax(dim=2).numpy().astype(np.float32)
                state.tops[layer] = state.tops[layer].add(peaks, block.indices)
            state.next_block = number + 1
            state.seconds = before + time.monotonic() - started
            bar.update(len(block.indices))
            if stop_asked() or time.monotonic() - saved > _SAVE_EVERY:
                workspace.save(state)
                saved = time.monotonic()
            if stop_asked():
                raise KeyboardInterrupt
    # What follows can be interrupted too, and must not cost the pass.
    workspace.save(state)
