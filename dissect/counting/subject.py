"""The subject of a run: layers of a generator, a segmenter, and the run's settings.

    subject = Subject.of(generator, segmenter, config)
    block = subject.block(0)                       # images and maps of the first samples
    labels = subject.labels(block, subject.planes(block))

It is a value without any counts: it generates the same blocks in any process, any number of times.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from dissect.bases import NO_BASES, Basis, LayerSpec, layer_info, open_bases, read_file_contents
from dissect.bases.mixture import mixture_of
from dissect.config import RunConfig
from dissect.counting.batches import make_in_batches
from dissect.counting.samples import (
    block_indices,
    check_finite,
    finite_rows,
    label_block,
    mask_grid,
    n_blocks,
    synthesize,
)
from dissect.generators.base import Generator, LayerInfo
from dissect.runs.schema import fingerprint
from dissect.statistics.edges import quantile_edge
from dissect.statistics.gandissect import plane_rows
from dissect.statistics.labels import BlockLabels
from dissect.statistics.thresholds import THRESHOLDS
from dissect.statistics.units import Setup
from dissect.tracing import trace
from segmenters import Segmenter


def setup_of(config: RunConfig, *, n_units: int, n_concepts: int) -> Setup:
    """The setup of unit statistics for a layer with this number of units."""
    return Setup(
        n_units=n_units,
        n_concepts=n_concepts,
        top_images=config.top_images,
        coactivation=config.coactivation,
        threshold=THRESHOLDS.index(config.threshold),
    )


@dataclass(frozen=True)
class Block:
    """Consecutive samples with their images and maps.

    Attributes:
        indices: Sample indices, without skipped ones.
        images: RGB or grey, [-1, 1].
        maps: Layer → its output in its basis, on the generator's device, which also counts
            it.
        skipped: Samples left out because their images or maps contain NaN or infinity.
        batch: Images per forward pass; fewer than the run's after memory ran out.
    """

    indices: list[int]
    images: Float[Tensor, "batch channels height width"]
    maps: dict[str, Float[Tensor, "batch unit h w"]]
    skipped: tuple[int, ...] = ()
    batch: int | None = None

    def rows(self, chosen: Int[Tensor, " row"]) -> "Block":
        """Keep only some of its samples; the others count as skipped."""
        kept = set(chosen.tolist())
        if len(kept) == len(self.indices):
            return self
        places = chosen.to(self.images.device)
        return Block(
            [self.indices[row] for row in chosen.tolist()],
            self.images[places],
            {layer: maps[places] for layer, maps in self.maps.items()},
            (
                *self.skipped,
                *(one for row, one in enumerate(self.indices) if row not in kept),
            ),
            self.batch,
        )

    @classmethod
    def join(cls, parts: list["Block"], batch: int) -> "Block":
        """Join a block from parts of at most ``batch`` images."""
        first = parts[0]
        if len(parts) == 1:
            return replace(first, batch=batch)
        return cls(
            [index for part in parts for index in part.indices],
            torch.cat([part.images for part in parts]),
            {layer: torch.cat([part.maps[layer] for part in parts]) for layer in first.maps},
            tuple(index for part in parts for index in part.skipped),
            batch,
        )


@dataclass(frozen=True, eq=False)
class Subject:
    """The subject of a run.

    Attributes:
        generator: The generator of the images.
        segmenter: The segmenter of the concepts.
        config: Settings of the run.
        bases: Basis of each layer that is not read in its channels; principal components are
            missing until they are fitted.
        mixed: Whether mixtures of its layers are also read.
        watched: If samples may be skipped, the layers whose outputs must be finite: those of the
            whole run, so that every pass skips the same samples.
        batch: Images per forward pass, if the run's own number needed too much memory.
    """

    generator: Generator
    segmenter: Segmenter
    config: RunConfig
    bases: Mapping[str, Basis] = field(default_factory=lambda: NO_BASES)
    mixed: bool = True
    watched: tuple[str, ...] = ()
    batch: int | None = None

    @classmethod
    def of(cls, generator: Generator, segmenter: Segmenter, config: RunConfig) -> "Subject":
        """The subject with those bases that need no samples.

        Raises:
            ConfigError: more components than a layer has channels.
            CheckpointError: a file without a sparse autoencoder for its layer.
        """
        subject = cls(generator, segmenter, config)
        bases = open_bases(generator, subject.specs.values())
        skips = config.on_nan == "skip"
        layers = dict.fromkeys(spec.layer for spec in subject.specs.values())
        return replace(subject, bases=bases, watched=tuple(layers) if skips else ())

    def only(self, layers: Iterable[str]) -> "Subject":
        """The subject with some of its layers, and their mixtures."""
        own = set(self.mixtures.values())
        chosen = tuple(layer for layer in layers if layer not in own)
        found = replace(self, config=replace(self.config, layers=chosen))
        bases = {layer: basis for layer, basis in self.bases.items() if layer in found.specs}
        return replace(found, bases=bases)

    def unmixed(self) -> "Subject":
        """The subject without mixtures."""
        found = replace(self, mixed=False)
        bases = {layer: basis for layer, basis in self.bases.items() if layer in found.specs}
        return replace(found, bases=bases)

    def with_bases(self, bases: Mapping[str, Basis]) -> "Subject":
        """The subject with other bases."""
        return replace(self, bases=bases)

    @cached_property
    def specs(self) -> dict[str, LayerSpec]:
        """Layer as written in the settings, and its mixtures → the layer and its basis."""
        return {
            **self._own_specs,
            **{
                text: mixture_of(layer, self.config.mixtures)
                for layer, text in self.mixtures.items()
            },
        }

    @cached_property
    def _own_specs(self) -> dict[str, LayerSpec]:
        names = self.generator.layers
        return {text: LayerSpec.parse(text, names) for text in self.config.layers}

    @cached_property
    def mixtures(self) -> dict[str, str]:
        """Layer → name of its mixtures, for layers that are compared with some.

        These are layers that are read in their channels and have more of them than an image: the
        network does not choose the axes of colours.
        """
        if not self.mixed or not self.config.mixtures or self.config.compat:
            return {}
        return {
            text: str(mixture_of(spec.layer, self.config.mixtures))
            for text, spec in self._own_specs.items()
            if spec.basis is None
            and self.generator.layers[spec.layer].units > self.generator.channels
        }

    @cached_property
    def shapes(self) -> dict[str, LayerInfo]:
        """Layer → its units in its basis, and the size of its maps."""
        return {
            text: layer_info(self.generator, spec, self.bases) for text, spec in self.specs.items()
        }

    @cached_property
    def grid(self) -> int:
        """Height and width of the mask grid."""
        return mask_grid(self.generator, self.config)

    @cached_property
    def plane_rows(self) -> Int[np.ndarray, " concept"] | None:
        """Rows of planes in the histogram, for the counts of ``dissect.statistics.gandissect``."""
        return plane_rows(self.segmenter.vocabulary) if self.config.compat else None

    @property
    def n_concepts(self) -> int:
        """Length of the vocabulary."""
        return len(self.segmenter.vocabulary)

    @property
    def n_planes(self) -> int:
        """Planes whose images are counted too, for the original's rules."""
        return len(self.segmenter.vocabulary.planes) if self.config.compat else 0

    @property
    def n_blocks(self) -> int:
        """Number of blocks of the run."""
        return n_blocks(self.config)

    @property
    def n_pilot(self) -> int:
        """Samples of the pilot."""
        return min(self.config.pilot, self.config.n_samples)

    def blocks_of(self, n_samples: int) -> range:
        """Blocks with the first samples."""
        return range(n_blocks(self.config, n_samples))

    @property
    def quantile_edge(self) -> int:
        """Index of the edge that is the quantile threshold."""
        return quantile_edge(self.config.tail)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything that determines a run's arrays; see ``schema.fingerprint``."""
        contents = read_file_contents(self.bases)
        return fingerprint(self.config, self.generator, self.segmenter, contents)

    def setup(self, layer: str) -> Setup:
        """The setup of a layer's unit statistics."""
        return setup_of(self.config, n_units=self.shapes[layer].units, n_concepts=self.n_concepts)

    @torch.no_grad()
    def block(self, number: int) -> Block:
        """Generate the samples of a block and read the layers.

        The batch size is halved whenever memory runs out.

        Args:
            number: Number of the block, from 0.

        Raises:
            GeneratorError: images or maps that are not finite, or of the wrong shape.
            LayerError: a layer whose output is not a map.
            RunError: not enough memory for a single image.
        """
        indices = block_indices(number, self.config)
        parts, batch = make_in_batches(
            len(indices),
            self.batch or self.config.block,
            lambda rows: self._samples(indices[rows]),
            f"making block {number}",
        )
        return Block.join(parts, batch)

    def images(self, number: int) -> tuple[list[int], Float[Tensor, "batch channels height width"]]:
        """The samples of a block that are not skipped, and their images, without reading layers.

        Args:
            number: Number of the block, from 0.

        Raises:
            GeneratorError, RunError: the errors of ``block``.
        """
        block = replace(self, config=replace(self.config, layers=())).block(number)
        return block.indices, block.images

    def _samples(self, indices: list[int]) -> Block:
        """Samples of one forward pass."""
        specs = list(self.specs.values())
        recording = trace(self.generator, specs, bases=self.bases) if specs else nullcontext({})
        with self._watch(len(indices)) as finite, recording as recorded:
            images = synthesize(self.generator, self.config, indices)
            maps = {layer: recorded[layer].detach() for layer in self.specs}
        block = Block(indices, images, maps)
        if self.watched:
            finite &= finite_rows(images)
            block = block.rows(finite.nonzero()[:, 0])
        named = {"images": block.images}
        named |= {f"layer {layer!r}": values for layer, values in block.maps.items()}
        check_finite(
            self.generator, self.config, block.indices, named,
            advice="check the weights, or leave such samples out (--on-nan skip)",
        )  # fmt: skip
        return block

    @contextmanager
    def _watch(self, n_samples: int) -> Iterator[Bool[Tensor, " batch"]]:
        """Which samples had only finite values in the watched layers, after these ran."""
        finite = torch.ones(n_samples, dtype=torch.bool)

        def look(module: nn.Module, given: object, output: object) -> None:
            if isinstance(output, Tensor) and len(output) == n_samples:
                finite.logical_and_(finite_rows(output))

        handles = []
        try:
            for layer in self.watched:
                module = self.generator.module.get_submodule(self.generator.layers[layer].module)
                handles.append(module.register_forward_hook(look))
            yield finite
        finally:
            for handle in handles:
                handle.remove()

    def planes(self, block: Block) -> Int[Tensor, "batch plane grid grid"]:
        """Masks of a block on the mask grid.

        Raises:
            SegmenterError: the errors of ``label_block``.
        """
        return label_block(self.segmenter, block.images, self.grid)

    def labels(self, block: Block, planes: Int[Tensor, "batch plane grid grid"]) -> BlockLabels:
        """Masks of a block, prepared for counting."""
        return BlockLabels.prepare(
            planes,
            block.indices,
            n_concepts=self.n_concepts,
            n_samples=self.config.n_samples,
            count_planes=self.config.compat is not None,
        )
