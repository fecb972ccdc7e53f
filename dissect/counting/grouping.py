"""Which layers are counted together: as many as fit into the memory that the process may take.

Each group of layers gets a pass of its own over the same blocks of samples, so the bytes of a run
do not depend on how its layers were grouped. What shapes cannot tell, how much the models take in a
forward pass and how many combinations of concepts occur, is measured on one block.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from jaxtyping import Int
from torch import Tensor

from dissect.bases import NO_BASES, Basis, layer_info, split_layer
from dissect.config import RunConfig
from dissect.counting.fitting import prepare_bases
from dissect.counting.pilot import PilotValues, values_per_image
from dissect.counting.samples import label_block, make_block, mask_grid, n_blocks
from dissect.errors import ConfigError
from dissect.generators.base import Generator, LayerInfo
from dissect.memory import peak_memory
from dissect.runs.partial import SavedPass
from dissect.sizes import format_size
from dissect.statistics import CLUSTER, BlockLabels, Counter, LayerCounts, calibration_size
from dissect.statistics.edges import N_EDGES, quantile_edge
from segmenters import Segmenter

BINS = N_EDGES + 1
_PAIR_ARRAYS = 22  # arrays (threshold, unit, concept) of 8 bytes while a run is scored
_WRITERS = 200 * 10**6  # parquet, zarr and WebP as they are loaded and at work
_TABLE_ROW = 400  # bytes of a pair in units.parquet's table while it is written


@dataclass(frozen=True)
class LayerNeeds:
    """Bytes that a layer takes while its pass runs.

    Attributes:
        maps: Its output for one block.
        pilot: Values of the pilot, before anything is counted.
        counts: All that is counted.
        scratch: What counting a block takes for as long as it lasts.
    """

    maps: int
    pilot: int
    counts: int
    scratch: int


@dataclass(frozen=True)
class Group:
    """Layers that are counted in one pass; ``spare`` is memory left, None without a budget."""

    layers: tuple[str, ...]
    spare: int | None = None


def counts_bytes(
    n_units: int, n_concepts: int, *, n_planes: int = 0, coactivation: bool = False
) -> int:
    """Size of the counts of a layer in memory. They do not grow with the samples.

    Args:
        n_units, n_concepts: Of the layer and of the vocabulary.
        n_planes: Planes whose images are counted as well (``compat``).
        coactivation: Whether units are counted against each other.
    """
    one, two = (
        sum(
            array.nbytes
            for array in LayerCounts.empty(
                n_concepts=n_concepts, n_units=n, n_edges=N_EDGES, n_planes=n_planes
            )
            .to_arrays()
            .values()
        )
        for n in (1, 2)
    )
    pairs_of_units = 8 * n_units**2 if coactivation else 0
    return one + (n_units - 1) * (two - one) + pairs_of_units


def layer_needs(
    info: LayerInfo,
    *,
    n_concepts: int,
    n_codes: int,
    grid: int,
    config: RunConfig,
    n_planes: int = 0,
) -> LayerNeeds:
    """What a layer of this shape takes.

    Args:
        info: The layer.
        n_concepts: Length of the vocabulary.
        n_codes: Combinations of concepts in one cluster.
        grid: Height and width of the mask grid.
        config: Settings.
        n_planes: See ``counts_bytes``.
    """
    n_pilot = min(config.pilot, config.n_samples)
    image = 4 * info.units * info.height * info.width
    counts = counts_bytes(
        info.units, n_concepts, n_planes=n_planes, coactivation=config.coactivation
    )
    table = 2 * n_codes * info.units * BINS * 4
    return LayerNeeds(
        maps=config.block * image,
        pilot=4 * info.units * n_pilot * values_per_image(grid, n_pilot),
        counts=counts,
        scratch=max(table + CLUSTER * image, counts),  # a save copies one layer's counts
    )


def group_bytes(needs: Sequence[LayerNeeds]) -> int:
    """The most that layers counted together take at once, beside the models."""
    counting = sum(n.counts for n in needs) + max(n.scratch for n in needs)
    return sum(n.maps for n in needs) + max(sum(n.pilot for n in needs), counting)


def finishing_bytes(units: Sequence[int], n_concepts: int) -> int:
    """What scoring and writing take beside the models; the counts come one layer at a time."""
    pairs = sum(units) * n_concepts
    largest = counts_bytes(max(units), n_concepts)
    return pairs * (2 * 8 * _PAIR_ARRAYS + _TABLE_ROW) + 2 * largest + _WRITERS


def group_layers(
    needs: dict[str, LayerNeeds], *, base: int, finishing: int, budget: int | None
) -> list[Group]:
    """Put layers together into as few passes as fit, largest first.

    Args:
        needs: Layer → bytes.
        base: What the process takes with both models and a block of images.
        finishing: See ``finishing_bytes``.
        budget: Bytes the process may take, or None.

    Returns:
        Groups in the order of their first layer, each in the order of ``needs``.

    Raises:
        ConfigError: one layer alone does not fit; says the least that would do.
    """
    if budget is None:
        return [Group(tuple(needs))]
    least = base + max(finishing, *(group_bytes([n]) for n in needs.values()))
    if budget < least:
        raise ConfigError(
            f"memory is {format_size(budget)}; expected at least {_round_up(least)} for the "
            "largest layer alone; give that, or fewer --layers, a smaller --batch or --grid"
        )
    chosen: list[list[str]] = []
    for name in sorted(needs, key=lambda name: -group_bytes([needs[name]])):
        for names in chosen:
            if base + group_bytes([needs[n] for n in (*names, name)]) <= budget:
                names.append(name)
                break
        else:
            chosen.append([name])
    order = list(needs)
    ordered = [sorted(names, key=order.index) for names in chosen]
    ordered.sort(key=lambda names: order.index(names[0]))
    return [
        Group(tuple(names), budget - base - group_bytes([needs[n] for n in names]))
        for names in ordered
    ]


def _round_up(n_bytes: int) -> str:
    """A size that is not below ``n_bytes`` as ``--memory`` takes it, in whole MB."""
    return f"{-(-n_bytes // 10**6)}MB"


@dataclass(frozen=True)
class Measured:
    """Bytes of the process with both models at work, and combinations of concepts in a cluster."""

    base: int
    n_codes: int


def measure(generator: Generator, segmenter: Segmenter, config: RunConfig) -> Measured:
    """One block through both models, reading no more than the smallest layer."""
    sizes = generator.layers
    plain = {split_layer(text, sizes)[0] for text in config.layers}
    least = min(plain, key=lambda n: sizes[n].units * sizes[n].height * sizes[n].width)
    grid = mask_grid(generator, config)

    n_concepts = len(segmenter.vocabulary)

    def work() -> int:
        block = make_block(generator, replace(config, layers=(least,)), 0)
        planes = label_block(segmenter, block.images, grid)
        labels = evaluation_labels(planes, block.indices, n_concepts, config)
        # Counting loads compiled code, tens of megabytes of it.
        units = {least: sizes[least].units}
        values = PilotValues(units, grid=grid, n_pilot=len(block.indices), seed=config.seed)
        values.add(block)
        edges = values.edges(config.tail)[least]
        counts = LayerCounts.empty(n_concepts=n_concepts, n_units=len(edges), n_edges=N_EDGES)
        counter = Counter(counts, edges, quantile_edge=quantile_edge(config.tail))
        counter.add(block.maps[least], labels)
        return max(len(cluster.members) for cluster in labels.clusters)

    n_codes, base = peak_memory(work)
    # Other blocks may hold more combinations than the first one.
    return Measured(base, 2 * n_codes)


def evaluation_labels(
    planes: Int[Tensor, "batch plane grid grid"],
    indices: list[int],
    n_concepts: int,
    config: RunConfig,
) -> BlockLabels:
    """Labels of a block as if it lay in the evaluation fold, where counting takes longer."""
    first = calibration_size(config.n_samples)
    moved = [first + index for index in indices]
    return BlockLabels.prepare(
        planes, moved, n_concepts=n_concepts, n_samples=first + config.n_samples
    )


def needs_of_layers(
    generator: Generator,
    segmenter: Segmenter,
    config: RunConfig,
    n_codes: int,
    bases: Mapping[str, Basis] = NO_BASES,
) -> dict[str, LayerNeeds]:
    return {
        layer: layer_needs(
            layer_info(generator, layer, bases),
            n_concepts=len(segmenter.vocabulary),
            n_codes=n_codes,
            grid=mask_grid(generator, config),
            config=config,
            n_planes=len(segmenter.vocabulary.planes) if config.compat else 0,
        )
        for layer in config.layers
    }


def sketch_bases(
    generator: Generator, config: RunConfig, opened: Mapping[str, Basis]
) -> dict[str, Basis]:
    """Bases of the right size: components are fitted to one block, for want of the pilot."""
    short = replace(config, pilot=CLUSTER)
    return prepare_bases(generator, short, opened, progress=False)


def divide(
    generator: Generator,
    segmenter: Segmenter,
    config: RunConfig,
    opened: Mapping[str, Basis],
    saved: Sequence[SavedPass],
    budget: int | None,
) -> list[Group]:
    """The passes of a run: those that were begun, then groups of the layers that are left.

    Raises:
        ConfigError: the budget is too small for a layer, or for an unfinished pass.
    """
    begun = [Group(one.layers, None if budget is None else 0) for one in saved]
    left = tuple(n for n in config.layers if not any(n in group.layers for group in begun))
    if budget is None:
        return [*begun, Group(left)] if left else begun
    measured = measure(generator, segmenter, config)
    bases = sketch_bases(generator, config, opened)
    needs = needs_of_layers(generator, segmenter, config, measured.n_codes, bases)
    for one in saved:
        wanted = measured.base + group_bytes([needs[layer] for layer in one.layers])
        if one.next_block < n_blocks(config) and wanted > budget:
            raise ConfigError(
                f"memory is {format_size(budget)}; expected at least {_round_up(wanted)} for the "
                f"{len(one.layers)} layers that the unfinished run counts together; give that, or "
                "delete what is unfinished"
            )
    units = [layer_info(generator, layer, bases).units for layer in config.layers]
    finishing = finishing_bytes(units, len(segmenter.vocabulary))
    rest = {layer: needs[layer] for layer in left}
    if not rest:
        return begun
    return begun + group_layers(rest, base=measured.base, finishing=finishing, budget=budget)
