"""The pass: samples to joint counts, once through the generator and once through the segmenter.

    run = dissect(load_generator("faces-dcgan"), load_segmenter("faces"), out="runs/faces")
    run.units("main.7")

A short pilot fixes the edges of each unit. Then every block of samples is generated, segmented and
counted; memory does not grow with the number of samples. Where not all layers fit into the memory
given, groups of them get a pass each. What is counted is saved every minute and when the pass is
interrupted, beside the folder to be; ``resume`` goes on from there and ends in the same bytes.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import numpy as np
import torch

from dissect.bases import NO_BASES, Basis, layer_info, open_bases, read_file_contents
from dissect.config import RunConfig, RunOptions, RunSettings
from dissect.counting.examples import Examples
from dissect.counting.fitting import prepare_bases
from dissect.counting.grouping import divide
from dissect.counting.pilot import KEPT_BYTES, KeptBlocks, pilot_edges
from dissect.counting.planes import PlaneStore, cache_folder
from dissect.counting.samples import Block, check_device, make_block, n_blocks
from dissect.counting.top_images import unit_strips
from dissect.counting.trust import trust_of_run
from dissect.generators import Generator, load_generator
from dissect.interrupt import deferred_interrupt
from dissect.progress import ProgressBar
from dissect.runs.lock import RunLock
from dissect.runs.partial import Workspace
from dissect.runs.read import Run, open_run
from dissect.runs.record import check_text
from dissect.runs.results import LayerResult, layer_results
from dissect.runs.schema import fingerprint
from dissect.runs.state import PassState
from dissect.runs.write import write_run
from dissect.settings import check_names, shows_settings
from dissect.sizes import parse_size
from dissect.statistics import BlockLabels, Counter, LayerCounts, TopImages
from dissect.statistics.edges import N_EDGES, quantile_edge
from dissect.statistics.gandissect import plane_rows
from dissect.statistics.presence import count_together
from dissect.tracing import resolve_layers
from segmenters import Segmenter, load_segmenter


@shows_settings(RunConfig, without=("generator", "segmenter", "layers"))
def dissect(
    generator: Generator | str,
    segmenter: Segmenter | str,
    *,
    out: str | Path,
    layers: str | Sequence[str] = "all",
    device: str = "cpu",
    resume: bool = False,
    progress: bool = True,
    memory: str | int | None = None,
    cache: str | Path | None = None,
    save_every: float = 60.0,
    **settings: Unpack[RunSettings],
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
        memory: What the process may take, such as ``"4GB"``; layers that do not fit together are
            counted in passes of their own. The bytes of the run do not depend on it.
        cache: Folder that keeps masks for later runs over the same samples, ``"user"`` for one
            in the user's cache. The bytes of the run do not depend on it.
        save_every: Seconds between saves of what is counted.
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
    RunOptions(
        layers=layers, device=device, resume=resume, progress=progress, memory=memory, cache=cache,
        save_every=save_every,
    )  # fmt: skip
    check_names(settings, [*RunSettings.__annotations__, *RunOptions.declared], of="dissect()")
    RunConfig(generator_spec, segmenter_spec, (), **settings)
    budget = None if memory is None else parse_size(memory)
    check_device(device)
    # Before models are loaded: who is refused should not wait for them.
    with RunLock(Path(out)) as lock:
        return _make_run(
            lock, generator, segmenter, (generator_spec, segmenter_spec), out=Path(out),
            layers=layers, device=device, resume=resume, progress=progress, budget=budget,
            cache=cache, save_every=save_every, settings=settings,
        )  # fmt: skip


def _make_run(
    lock: RunLock,
    generator: Generator | str,
    segmenter: Segmenter | str,
    specs: tuple[str, str],
    *,
    out: Path,
    layers: str | list[str],
    device: str,
    resume: bool,
    progress: bool,
    budget: int | None,
    cache: str | Path | None,
    save_every: float,
    settings: RunSettings,
) -> Run:
    """Load the models and make the run, as its only owner; see ``dissect``."""
    if isinstance(generator, str):
        generator = load_generator(generator, device=device)
    if isinstance(segmenter, str):
        segmenter = load_segmenter(segmenter, device=device)
    config = RunConfig(*specs, resolve_layers(generator, layers), **settings)
    check_text(config, generator, segmenter)
    bases = open_bases(generator, config.layers)
    key = fingerprint(config, generator, segmenter, read_file_contents(bases))
    workspace = Workspace(out, key, lock)
    if workspace.finished():
        return open_run(out)
    with workspace.claim(resume=resume):
        saved = workspace.saved_passes()
        groups = divide(generator, segmenter, config, bases, saved, budget)
        # Of several passes, the later ones find the masks of the first.
        shared = workspace.folder / "planes" if len(groups) > 1 else None
        planes = PlaneStore(generator, segmenter, config, cache_folder(cache) or shared)
        for number, group in enumerate(groups):
            if number < len(saved) and saved[number].next_block == n_blocks(config):
                continue
            part = replace(config, layers=group.layers)
            room = KEPT_BYTES if group.spare is None else min(KEPT_BYTES, group.spare)
            with KeptBlocks(room, folder=workspace.folder) as kept:
                state = workspace.load(number) or start_pass(
                    generator, segmenter, part, kept, bases, progress=progress
                )
                count_pass(
                    generator, segmenter, part, state, kept, workspace,
                    number=number, n_passes=len(groups), save_every=save_every, progress=progress,
                    planes=planes,
                )  # fmt: skip
            del state  # the next pass and the scores need its room
        finished = workspace.finished_state(config.layers)
        results = layer_results(finished, config, segmenter.vocabulary)
        parts = [replace(config, layers=group.layers) for group in groups]
        strips = _strips(
            generator, segmenter, parts, finished.bases, results, workspace, progress=progress
        )
        examples = Examples(segmenter.vocabulary)
        trust = trust_of_run(
            generator, segmenter, config, watch=examples.add, progress=progress
        )  # fmt: skip
        write_run(
            workspace, config, generator, segmenter, finished, results, strips, trust,
            examples.strips(),
        )  # fmt: skip
    return open_run(out)


def _strips(
    generator: Generator,
    segmenter: Segmenter,
    parts: list[RunConfig],
    bases: Mapping[str, Basis],
    results: dict[str, LayerResult],
    workspace: Workspace,
    *,
    progress: bool,
) -> Iterator[tuple[str, list[bytes]]]:
    """The strips of each layer, group after group as they were counted."""
    for part in parts:
        chosen = {layer: results[layer] for layer in part.layers}
        yield from unit_strips(
            generator, part, chosen, bases,
            scratch=workspace.folder, progress=progress,
        )  # fmt: skip


def start_pass(
    generator: Generator,
    segmenter: Segmenter,
    config: RunConfig,
    kept: KeptBlocks | None = None,
    opened: Mapping[str, Basis] = NO_BASES,
    *,
    progress: bool,
) -> PassState:
    """Empty counts, the bases, and the edges of every unit from the pilot."""
    own = {text: basis for text, basis in opened.items() if text in config.layers}
    bases = prepare_bases(generator, config, own, progress=progress)
    edges = pilot_edges(generator, config, bases, kept, progress=progress)
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


def count_pass(
    generator: Generator,
    segmenter: Segmenter,
    config: RunConfig,
    state: PassState,
    kept: KeptBlocks,
    workspace: Workspace,
    *,
    number: int = 0,
    n_passes: int = 1,
    save_every: float = 60.0,
    progress: bool,
    planes: PlaneStore | None = None,
) -> None:
    """Count the blocks that are still to be counted into ``state``.

    Args:
        generator, segmenter: Models.
        config: Settings, with the layers of this pass.
        state: Of this pass; raised.
        kept: Blocks of the pilot that need not be made again.
        workspace: Where the state is saved.
        number: Of the pass, from 0.
        n_passes: How many there are.
        save_every: Seconds between saves.
        progress: Show a progress bar.
        planes: What labels blocks; None segments each of them.
    """
    planes = planes or PlaneStore(generator, segmenter, config)
    rows = plane_rows(segmenter.vocabulary) if config.compat else None
    saved = started = time.monotonic()
    before = state.seconds
    pool = ThreadPoolExecutor(torch.get_num_threads())
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
    bar = ProgressBar(
        total=config.n_samples,
        initial=min(config.n_samples, state.next_block * config.block),
        desc="dissect" if n_passes == 1 else f"dissect {number + 1}/{n_passes}",
        unit="image",
        disable=None if progress else True,
    )
    with pool, bar, deferred_interrupt() as stop_asked:
        for block_number in range(state.next_block, n_blocks(config)):
            block = kept.take(block_number) or make_block(
                generator, config, block_number, state.bases
            )
            labels = BlockLabels.prepare(
                planes.label(block.images, block.indices),
                block.indices,
                n_concepts=len(segmenter.vocabulary),
                n_samples=config.n_samples,
                count_planes=rows is not None,
            )
            state.together += count_together(labels, len(segmenter.vocabulary))
            if not config.native:  # which takes the codes as they are
                labels.group()
            _count_block(counters, block, labels, pool)
            for layer, maps in block.maps.items():
                peaks = maps.flatten(2).amax(dim=2).float().numpy()
                state.tops[layer] = state.tops[layer].add(peaks, block.indices)
            state.next_block = block_number + 1
            state.seconds = before + time.monotonic() - started
            bar.update(len(block.indices))
            counted = number * config.n_samples + min(
                config.n_samples, (block_number + 1) * config.block
            )
            workspace.tell(counted, n_passes * config.n_samples)
            if stop_asked() or time.monotonic() - saved > save_every:
                workspace.save(state, number)
                saved = time.monotonic()
            if stop_asked():
                raise KeyboardInterrupt
    # What follows can be interrupted too, and must not cost the pass.
    workspace.save(state, number)


def _count_block(
    counters: dict[str, Counter], block: Block, labels: BlockLabels, pool: ThreadPoolExecutor
) -> None:
    """Threads take shares of units of whichever layer, the long ones first."""
    shares = [(layer, share) for layer, counter in counters.items() for share in counter.shares]
    shares.sort(key=lambda one: one[1].start - one[1].stop)
    jobs = (
        pool.submit(counters[layer].add, block.maps[layer], labels, share)
        for layer, share in shares
    )
    for done in list(jobs):
        done.result()
