"""Groups layers into passes: as many together as fit into the memory limit.

Each group of layers gets a separate pass over the same blocks of samples, so the bytes of a run do
not depend on the grouping. Two values do not follow from shapes: the models' memory in a forward
pass, and the number of combinations of concepts. They are measured on one block.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jaxtyping import Int
from torch import Tensor

from dissect.config import RunConfig
from dissect.counting.fitting import fit_bases
from dissect.counting.pilot import PilotValues, values_per_image
from dissect.counting.subject import Subject, setup_of
from dissect.errors import ConfigError
from dissect.generators.shapes import LayerInfo
from dissect.memory import peak_memory
from dissect.runs.state import SavedPass
from dissect.sizes import format_size
from dissect.statistics import CLUSTER, BlockLabels, Counter, LayerCounts, calibration_size
from dissect.statistics.edges import N_EDGES
from dissect.statistics.units import Setup, empty_statistics

BINS = N_EDGES + 1
_PAIR_ARRAYS = 22  # arrays (threshold, unit, concept) of 8 bytes while a run is scored
_WRITERS = 200 * 10**6  # bytes of parquet, zarr and WebP, loaded and running
_TABLE_ROW = 400  # bytes of a pair in units.parquet's table while it is written


@dataclass(frozen=True)
class LayerNeeds:
    """Memory of a layer during its pass, in bytes.

    Attributes:
        maps: Its output for one block.
        pilot: Values of the pilot, before counting begins.
        counts: All its counts.
        scratch: Temporary memory for counting one block.
    """

    maps: int
    pilot: int
    counts: int
    scratch: int

    def together(self, other: "LayerNeeds") -> "LayerNeeds":
        """Memory of both layers, counted in the same pass."""
        return LayerNeeds(
            self.maps + other.maps,
            self.pilot + other.pilot,
            self.counts + other.counts,
            max(self.scratch, other.scratch),
        )


@dataclass(frozen=True)
class Group:
    """Layers of one pass; ``spare`` is the memory left, None without a budget."""

    layers: tuple[str, ...]
    spare: int | None = None


def counts_bytes(setup: Setup, *, n_planes: int = 0) -> int:
    """Size of the counts of a layer in memory. They do not grow with the samples.

    Args:
        setup: Setup of the layer.
        n_planes: Planes whose images are counted as well (``compat``).
    """
    one, two, three = (_empty_bytes(replace(setup, n_units=n), n_planes) for n in (1, 2, 3))
    # Arrays have one or two dimensions of units, so bytes are a quadratic polynomial.
    beyond = setup.n_units - 1
    return one + beyond * (two - one) + beyond * (beyond - 1) // 2 * (three - 2 * two + one)


def _empty_bytes(setup: Setup, n_planes: int) -> int:
    empty = LayerCounts.empty(
        n_concepts=setup.n_concepts,
        n_units=setup.n_units,
        n_edges=N_EDGES,
        n_planes=n_planes,
        statistics=empty_statistics(setup),
    )
    return sum(array.nbytes for array in empty.to_arrays().values())


def layer_needs(
    info: LayerInfo,
    *,
    n_concepts: int,
    n_codes: int,
    grid: int,
    config: RunConfig,
    n_planes: int = 0,
) -> LayerNeeds:
    """Memory needs of a layer of this shape.

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
    setup = setup_of(config, n_units=info.units, n_concepts=n_concepts)
    counts = counts_bytes(setup, n_planes=n_planes)
    table = 3 * n_codes * info.units * BINS * 4
    return LayerNeeds(
        maps=config.block * image,
        pilot=4 * info.units * n_pilot * values_per_image(grid, n_pilot),
        counts=counts,
        scratch=max(table + CLUSTER * image, counts),  # a save copies one layer's counts
    )


def group_bytes(needs: Sequence[LayerNeeds]) -> int:
    """Peak memory of layers counted together, without the models."""
    counting = sum(n.counts for n in needs) + max(n.scratch for n in needs)
    return sum(n.maps for n in needs) + max(sum(n.pilot for n in needs), counting)


def finishing_bytes(subject: Subject) -> int:
    """Memory for scoring and writing, without the models; counts are read one layer at a time."""
    setups = [subject.setup(layer) for layer in subject.config.layers]
    pairs = sum(setup.n_units for setup in setups) * subject.n_concepts
    largest = max(counts_bytes(setup, n_planes=subject.n_planes) for setup in setups)
    return pairs * (2 * 8 * _PAIR_ARRAYS + _TABLE_ROW) + 2 * largest + _WRITERS


def group_layers(
    needs: dict[str, LayerNeeds], *, base: int, finishing: int, budget: int | None
) -> list[Group]:
    """Group layers into as few passes as fit, largest first.

    Args:
        needs: Layer → bytes.
        base: Bytes of the process with both models and a block of images.
        finishing: See ``finishing_bytes``.
        budget: Bytes that the process may use, or None.

    Returns:
        Groups in the order of their first layer, each in the order of ``needs``.

    Raises:
        ConfigError: a single layer does not fit; the message gives the least sufficient budget.
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
    """Round a size up to whole MB, in the format of ``--memory``."""
    return f"{-(-n_bytes // 10**6)}MB"


@dataclass(frozen=True)
class Measured:
    """Bytes of the process with both models running, and combinations of concepts in a cluster."""

    base: int
    n_codes: int


def measure(subject: Subject) -> Measured:
    """Run one block through both models, reading only the smallest layer."""
    sizes = subject.generator.layers
    plain = {spec.layer for spec in subject.specs.values()}
    least = min(plain, key=lambda n: sizes[n].units * sizes[n].height * sizes[n].width)
    small, config = subject.only([least]), subject.config

    def work() -> int:
        block = small.block(0)
        labels = evaluation_labels(small, small.planes(block), block.indices)
        # Counting loads compiled code, tens of megabytes of it.
        units = {least: sizes[least].units}
        values = PilotValues(units, grid=small.grid, n_pilot=len(block.indices), seed=config.seed)
        values.add(block)
        edges = values.edges(config.tail)[least]
        counts = LayerCounts.empty(n_concepts=small.n_concepts, n_units=len(edges), n_edges=N_EDGES)
        counter = Counter(counts, edges, quantile_edge=small.quantile_edge)
        counter.add(block.maps[least], labels)
        return max(len(cluster.members) for cluster in labels.clusters)

    n_codes, base = peak_memory(work)
    # Other blocks may hold more combinations than the first one.
    return Measured(base, 2 * n_codes)


def evaluation_labels(
    subject: Subject, planes: Int[Tensor, "batch plane grid grid"], indices: Sequence[int]
) -> BlockLabels:
    """Labels of a block as if it belonged to the evaluation fold, where counting takes longer."""
    n_samples = subject.config.n_samples
    first = calibration_size(n_samples)
    moved = [first + index for index in indices]
    return BlockLabels.prepare(
        planes, moved, n_concepts=subject.n_concepts, n_samples=first + n_samples
    )


def needs_of_layers(subject: Subject, n_codes: int) -> dict[str, LayerNeeds]:
    """Memory needs of each layer of a subject.

    Args:
        subject: Subject with all bases of its layers.
        n_codes: Combinations of concepts in one cluster.
    """
    found = {
        layer: layer_needs(
            info,
            n_concepts=subject.n_concepts,
            n_codes=n_codes,
            grid=subject.grid,
            config=subject.config,
            n_planes=subject.n_planes,
        )
        for layer, info in subject.shapes.items()
    }
    for layer, mixtures in subject.mixtures.items():
        found[layer] = found[layer].together(found.pop(mixtures))
    return found


def sketch_bases(subject: Subject) -> Subject:
    """Bases of the final size, with components fitted to a few samples, before the pilot."""
    return fit_bases(subject, n_samples=CLUSTER, progress=False)


def divide(subject: Subject, saved: Sequence[SavedPass], budget: int | None) -> list[Group]:
    """The passes of a run: those that were begun, then groups of the remaining layers.

    Args:
        subject: Subject with the bases that need no samples.
        saved: Saved passes.
        budget: Bytes that the process may use; None: no limit.

    Raises:
        ConfigError: the budget is too small for a layer, or for an unfinished pass.
    """
    begun = [Group(one.layers, None if budget is None else 0) for one in saved]
    layers = subject.config.layers
    left = tuple(n for n in layers if not any(n in group.layers for group in begun))
    if budget is None:
        return [*begun, Group(left)] if left else begun
    measured = measure(subject)
    sketched = sketch_bases(subject)
    needs = needs_of_layers(sketched, measured.n_codes)
    for one in saved:
        own = [layer for layer in one.layers if layer in needs]  # including their mixtures
        wanted = measured.base + group_bytes([needs[layer] for layer in own])
        if not one.covered.holds(subject.n_blocks) and wanted > budget:
            raise ConfigError(
                f"memory is {format_size(budget)}; expected at least {_round_up(wanted)} for the "
                f"{len(own)} layers that the unfinished run counts together; give that, or "
                "delete what is unfinished"
            )
    rest = {layer: needs[layer] for layer in left}
    if not rest:
        return begun
    finishing = finishing_bytes(sketched)
    return begun + group_layers(rest, base=measured.base, finishing=finishing, budget=budget)
