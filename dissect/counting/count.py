"""Counting: blocks of samples into the state of a pass.

    part = count_range(subject, empty_state(subject, state), range(8, 16))
    state = state.merge(part)

The counts of a block depend only on the subject, the edges and the chosen thresholds. So parts of a
pass may be counted in any process and merged in any order. Thresholds of pairs are chosen on the
calibration fold, the first samples: its blocks come before all others, and a block with samples of
both folds is counted after all blocks before it.
"""

import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType
from typing import Self

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from dissect.counting.batches import make_in_batches
from dissect.counting.kept_pictures import KeptPictures
from dissect.counting.pilot import KeptBlocks
from dissect.counting.planes import PlaneStore
from dissect.counting.samples import at_grid
from dissect.counting.stages import Stages
from dissect.counting.subject import Block, Subject
from dissect.counting.trust import TrustOfRun
from dissect.errors import GeneratorError
from dissect.progress import ProgressBar
from dissect.runs.coverage import Coverage
from dissect.runs.state import PassState
from dissect.statistics import BlockLabels, Counter, LayerCounts, calibration_size
from dissect.statistics.device import counts_there
from dissect.statistics.edges import N_EDGES
from dissect.statistics.presence import count_overlap, count_together
from dissect.statistics.units import empty_statistics
from dissect.statistics.units.top_images import TopImages


def empty_state(subject: Subject, start: PassState) -> PassState:
    """State of zero samples, with the edges, bases and thresholds of a pass.

    Args:
        subject: Subject with all bases of its layers.
        start: State of the pass, or of a part of it.
    """
    return replace(
        start,
        counts={layer: _empty_counts(subject, layer) for layer in start.edges},
        together=np.zeros((subject.n_concepts, subject.n_concepts), np.int64),
        overlap=np.zeros((subject.n_concepts, subject.n_concepts), np.int64),
        covered=Coverage(),
        seconds=0.0,
        skipped=Coverage(),
        halved=Coverage(),
    )


def _empty_counts(subject: Subject, layer: str) -> LayerCounts:
    return LayerCounts.empty(
        n_concepts=subject.n_concepts,
        n_units=subject.shapes[layer].units,
        n_edges=N_EDGES,
        n_planes=subject.n_planes,
        statistics=empty_statistics(subject.setup(layer)),
    )


def count_range(subject: Subject, state: PassState, blocks: Iterable[int]) -> PassState:
    """Count further blocks; returns a new state and does not change the given one.

    Args:
        subject: The subject.
        state: State of the pass so far, or an empty one of a part. It needs chosen thresholds or
            the whole calibration fold before the first block after that.
        blocks: Numbers of blocks that it does not contain yet.

    Raises:
        ValueError: a block that was counted already, or one of the evaluation fold before the
            calibration fold is complete.
        GeneratorError, SegmenterError, LayerError: models that break their protocol.
    """
    with PassCounter(subject, state.copy()) as counter:
        for number in blocks:
            counter.add(number)
        return counter.state


def choose_thresholds(subject: Subject, state: PassState) -> PassState:
    """The state with the thresholds of pairs, for parts of the evaluation fold.

    Args:
        subject: The subject.
        state: State with the calibration fold, merged from its parts.

    Raises:
        ValueError: the calibration fold is incomplete.
    """
    with PassCounter(subject, state) as counter:
        counter.check_calibrated()
        if not state.chosen:
            counter.choose()
        return counter.state


class PassCounter:
    """Counts blocks into a state, in place; the caller must not use the state meanwhile.

    Args:
        subject: The subject.
        state: State to count into; the attribute ``state`` is the current one.
        kept: Blocks of the pilot that need not be generated again.
        masks: Labels blocks; None segments them without a cache.
        pictures: Keeps the pictures for strips.
        trust: Measures agreement on the first blocks too.
        stages: Measures the time of each stage.
    """

    def __init__(
        self,
        subject: Subject,
        state: PassState,
        *,
        kept: KeptBlocks | None = None,
        masks: PlaneStore | None = None,
        pictures: KeptPictures | None = None,
        trust: TrustOfRun | None = None,
        stages: Stages | None = None,
    ) -> None:
        self.subject, self.state = subject, state
        self._kept, self._masks = kept, masks or PlaneStore(subject)
        self._pictures, self._trust = pictures, trust
        self._stages = stages or Stages()
        self._batch = subject.batch  # smaller batch size after memory ran out
        self._before, self._started = state.seconds, time.monotonic()
        self._counters = {
            layer: Counter(
                counts,
                state.edges[layer],
                quantile_edge=subject.quantile_edge,
                native=subject.config.native,
                plane_rows=subject.plane_rows,
                chosen=state.chosen.get(layer),
            )
            for layer, counts in state.counts.items()
        }

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(torch.get_num_threads())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown()

    def add(self, number: int) -> Block:
        """Count a block and return it.

        Raises:
            ValueError: see ``count_range``.
        """
        covered = self.state.covered.merge(Coverage.of([number]))
        kept = None if self._kept is None else self._kept.take(number)
        with self._stages.stage("generate"):
            block = kept or self.subject.block(number)
        halved = self._note_batch(block.batch, "making", len(block.indices) + len(block.skipped))
        if block.indices:
            planes, batch = self._label(number, block)
            halved |= self._note_batch(batch, "segmenting", len(block.indices))
            with self._stages.stage("count"):
                self._count_labelled(number, block, planes)
        self._cover(number, block, covered, halved=halved)
        if self._pictures is not None and block.indices:
            with self._stages.stage("keep pictures"):
                self._pictures.keep(block, self._tops())
        return block

    def _note_batch(self, batch: int | None, doing: str, n_images: int) -> bool:
        """Whether the batch size was smaller than the run's; logs the first time."""
        size = self.subject.config.block
        if batch is None or batch >= n_images:
            return False
        if self._batch is None or batch < self._batch:
            ProgressBar.write(
                f"dissect: memory ran out while {doing} {size} images at a time; going on with "
                f"{batch}, which may round differently; run.json says for which blocks",
                file=sys.stderr,
            )
            self._batch = batch
            # The next block starts with this size, so it does not run out of memory again.
            self.subject = replace(self.subject, batch=batch)
        return True

    def _label(self, number: int, block: Block) -> tuple[Int[Tensor, "batch plane grid grid"], int]:
        """Masks of a block on the mask grid, and the batch size of the segmentation.

        Trust gets them at the images' size.
        """
        wanted = self._trust is not None and self._trust.wants(number)
        whole = wanted and self.subject.grid != block.images.shape[-1]
        make = self._masks.label_whole if whole else self._masks.label
        with self._stages.stage("segment"):
            parts, batch = make_in_batches(
                len(block.indices),
                self._batch or self.subject.config.block,
                lambda rows: make(block.images[rows], block.indices[rows]),
                f"segmenting block {number}",
            )
        planes = torch.cat(parts) if len(parts) > 1 else parts[0]
        if self._trust is not None and wanted:
            with self._stages.stage("trust"):
                self._trust.add(number, block.indices, block.images, planes)
        return (at_grid(planes, self.subject.grid) if whole else planes), batch

    def _tops(self) -> dict[str, TopImages]:
        """The top images of every layer that has strips."""
        found = {
            layer: self.state.counts[layer].statistic(TopImages)
            for layer in self.subject.config.layers
        }
        return {layer: top for layer, top in found.items() if top is not None}

    def _count_labelled(
        self,
        number: int,
        block: Block,
        planes: Int[Tensor, "batch plane grid grid"],
    ) -> None:
        """Count a block with known masks."""
        labels = self.subject.labels(block, planes)
        if not self.state.chosen and any(cluster.scored for cluster in labels.clusters):
            self.check_calibrated(but=number)
        self.state.together[...] += count_together(labels, self.subject.n_concepts)
        self.state.overlap[...] += count_overlap(labels, self.subject.n_concepts)
        # For maps of the layer's own size and on an accelerator, codes are used directly.
        if not self.subject.config.native and not counts_there(block.images.device):
            labels.group()
        _ = labels.scored_masks  # before several threads need them
        self._count(block, labels)

    def _cover(self, number: int, block: Block, covered: Coverage, *, halved: bool) -> None:
        """Record a counted block; chooses thresholds after the calibration fold."""
        self.state = replace(
            self.state,
            covered=covered,
            seconds=self._before + time.monotonic() - self._started,
            skipped=self.state.skipped.merge(Coverage.of(block.skipped)),
            halved=self.state.halved.merge(Coverage.of([number] if halved else [])),
        )
        if not self.state.chosen and covered.holds(self._last_calibration + 1):
            self.choose()

    def choose(self) -> None:
        """Choose the thresholds of pairs after the calibration fold.

        Raises:
            GeneratorError: all samples of the fold were skipped.
        """
        fold = calibration_size(self.subject.config.n_samples)
        if next(self.state.skipped.missing(fold), None) is None:
            raise GeneratorError(
                f"all {fold} samples that thresholds are chosen on gave NaN or infinity and were "
                "skipped; expected some that are finite; check the weights"
            )
        self._each_share(lambda layer, share: self._counters[layer].choose(share))
        chosen = {layer: counter.chosen for layer, counter in self._counters.items()}
        self.state = replace(self.state, chosen=chosen)

    @property
    def _last_calibration(self) -> int:
        """The last block with a sample of the calibration fold."""
        config = self.subject.config
        return (calibration_size(config.n_samples) - 1) // config.block

    def check_calibrated(self, *, but: int | None = None) -> None:
        """Raise an error for a state without the whole calibration fold.

        Args:
            but: A block that will be counted now.

        Raises:
            ValueError: blocks are missing.
        """
        last, covered = self._last_calibration, self.state.covered
        if not covered.holds(last) or not (but == last or last in covered):
            given = "thresholds were asked for" if but is None else f"block {but} was given"
            raise ValueError(
                f"{given} before the calibration fold was counted; expected the blocks 0 to {last} "
                "first"
            )

    def _count(self, block: Block, labels: BlockLabels) -> None:
        self._each_share(
            lambda layer, share: self._counters[layer].add(block.maps[layer], labels, share),
            block.images.device,
        )

    def _each_share(
        self, work: Callable[[str, slice], None], device: torch.device | None = None
    ) -> None:
        """Threads take shares of units of any layer, longest first."""
        shares = [
            (layer, share)
            for layer, counter in self._counters.items()
            for share in counter.shares(device)
        ]
        shares.sort(key=lambda one: one[1].start - one[1].stop)
        jobs = [self._pool.submit(work, layer, share) for layer, share in shares]
        for done in jobs:
            done.result()
