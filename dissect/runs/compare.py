"""Compares finished runs: their layers side by side, their concepts, gained and lost concepts.

Only the run folders are read, no generator. Runs are identified by letters, A first; *gained* and
*lost* are relative to A.

Units are counted once: a layer that was read in its channels is counted in them, and its other
bases (``layer@basis``) are left out. A layer that was read only in other bases is counted in the
first of these.
"""

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from dissect.errors import ConfigError
from dissect.generators.shapes import LayerInfo
from dissect.runs.read import Run


@dataclass(frozen=True)
class Caution:
    """A difference between runs that limits the comparison.

    Attributes:
        what: Name of the setting.
        values: Its value in each run, as text.
        consequence: Its effect on the comparison.
    """

    what: str
    values: tuple[str, ...]
    consequence: str


_SETTINGS: tuple[tuple[str, Callable[[Run], object], str], ...] = (
    ("segmenter", lambda r: str(r.record["segmenter"]["name"]),
     "concepts are compared by name where all runs have them, but what a segmenter calls by that "
     "name may differ"),
    ("samples", lambda r: f"{r.config.n_samples:,}",
     "with fewer samples fewer units can be told from chance, so fewer are named"),
    ("seed", lambda r: r.config.seed, "the runs saw other latents"),
    ("truncation", lambda r: f"{r.config.truncation:g}",
     "truncated images are more alike and show rare concepts less often"),
    ("class", lambda r: "any" if r.config.label is None else r.config.label,
     "the runs saw images of other classes"),
    ("threshold", lambda r: r.config.threshold,
     "IoU is taken at thresholds that were chosen in another way; IoUs cannot be compared"),
    ("tail", lambda r: f"{r.config.tail:g}" if r.config.threshold == "quantile" else "",
     "the quantile thresholds differ, and IoU with them"),
    ("least IoU", lambda r: f"{r.config.min_iou:g}",
     "units match by another measure"),
    ("least over chance", lambda r: f"{r.config.min_over_chance:g}",
     "units match by another measure"),
    ("false discovery rate", lambda r: f"{r.config.fdr:g}",
     "units match by another measure"),
    ("counted as", lambda r: r.config.compat or "dissect",
     "labels and scores follow other rules; only their kind can be compared"),
    ("mask grid", lambda r: f"{r.record['coverage']['grid']} px"
     + (", layers at their own size" if r.config.native else ""),
     "thin and small concepts lose pixels on a coarser grid"),
    ("image size", lambda r: f"{r.record['generator']['image_size']} px",
     "layers stand side by side by their share of the image’s side"),
)  # fmt: skip


def find_cautions(
    runs: Sequence[Run], letters: Sequence[str], layers: Sequence["LayerRow"]
) -> tuple[Caution, ...]:
    """Every difference in the settings and models of the runs.

    Args:
        runs: The runs to compare.
        letters: Their letters.
        layers: Aligned layers; a row without a layer of some run is a difference too.
    """
    cautions = []
    for what, read, consequence in _SETTINGS:
        values = tuple(str(read(run)) for run in runs)
        if len(set(values)) > 1:
            cautions.append(Caution(what, tuple(v or "–" for v in values), consequence))
    cautions += _same_names(runs)
    missing = [
        tuple(row.title for row in layers if not row.cells[position])
        for position in range(len(runs))
    ]
    if any(missing):
        cautions.append(
            Caution(
                "sizes not read",
                tuple(", ".join(titles) or "none" for titles in missing),
                "a concept may be missing because layers that draw it were not read",
            )
        )
    prints = [run.record["fingerprint"] for run in runs]
    if len(set(prints)) < len(prints):
        values = tuple(
            next(letters[p] for p, other in enumerate(prints) if other == own) for own in prints
        )
        cautions.append(Caution("same as", values, "runs of one fingerprint hold the same numbers"))
    return tuple(cautions)


def _same_names(runs: Sequence[Run]) -> list[Caution]:
    """Segmenters with the same name but other weights or another vocabulary."""
    names = {run.record["segmenter"]["name"] for run in runs}
    prints = tuple(run.record["segmenter"]["fingerprint"][:12] for run in runs)
    if len(names) > 1 or len(set(prints)) == 1:
        return []
    return [Caution("segmenter’s weights", prints, "masks of one name may differ")]


MOST_RUNS = 12
BY_NAME, BY_SIZE = "name", "size"


@dataclass(frozen=True)
class LayerFinding:
    """The results of a run for a layer.

    Attributes:
        layer: Its name.
        units, height, width: Shape of its maps.
        depth: Position among the run's counted layers, from 0 (first) to 1 (last).
        named: Units that are named after a concept.
        concepts: Concept → number of units that it labels, in descending order.
        rotated: Named units in random rotations of the layer, None without any.
    """

    layer: str
    units: int
    height: int
    width: int
    depth: float
    named: int
    concepts: dict[str, int]
    rotated: float | None


@dataclass(frozen=True)
class LayerRow:
    """One row of aligned layers: for each run those of one name or size, in their order."""

    title: str
    cells: tuple[tuple[LayerFinding, ...], ...]


@dataclass(frozen=True)
class BestUnit:
    """The unit with the most information about a concept; ``named`` if the concept labels it."""

    layer: str
    unit: int
    iou: float
    iou_low: float
    iou_high: float
    chance: float
    named: bool


@dataclass(frozen=True)
class ConceptInRun:
    """A concept in one run.

    Attributes:
        n_units: Units that it labels.
        share: The same as a fraction of all counted units.
        area: Fraction of the pixels that it covers.
        best: The labelled unit with the most information; without one, the best unit overall.
    """

    n_units: int
    share: float
    area: float
    best: BestUnit


@dataclass(frozen=True)
class ConceptRow:
    """A concept in every run, None where the run's segmenter does not have it."""

    name: str
    category: str
    colour: str
    cells: tuple[ConceptInRun | None, ...]

    @property
    def shared(self) -> bool:
        """Whether every run's segmenter has it."""
        return len(self.known) == len(self.cells)

    @property
    def known(self) -> tuple[ConceptInRun, ...]:
        """The concept in those runs whose segmenter has it."""
        return tuple(cell for cell in self.cells if cell is not None)

    @property
    def most_units(self) -> int:
        """Largest number of units that it labels in a run."""
        return max(cell.n_units for cell in self.known)

    def change(self, run: int) -> str:
        """``gained``, ``lost``, ``both`` or ``neither`` against the first run; "" if not shared."""
        first, other = self.cells[0], self.cells[run]
        if first is None or other is None:
            return ""
        changes = {(0, 1): "gained", (1, 0): "lost", (1, 1): "both", (0, 0): "neither"}
        return changes[int(first.n_units > 0), int(other.n_units > 0)]

    def clear(self, run: int) -> bool:
        """Whether the 95 % intervals of the best units of the first run and another do not overlap.

        The best of many units was selected, so this is a guide, not a test.
        """
        first, other = self.cells[0], self.cells[run]
        if first is None or other is None:
            return False
        a, b = first.best, other.best
        return bool(a.iou_high < b.iou_low or b.iou_high < a.iou_low)


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Attributes:
        runs: In the order given.
        letters: Their letters, A, B, …
        names: Their names: the generator, with the folder if that is not unique.
        aligned_by: ``name`` if all runs have layers of the same names and sizes, else ``size``.
        layers: Aligned layers, from the coarsest on, or in the generator's order.
        concepts: Every concept of some segmenter, in the order of the vocabularies.
        cautions: Differences of the runs that are not results.
        left_out: For each run the layers in other bases, which are not counted.
    """

    runs: tuple[Run, ...]
    letters: tuple[str, ...]
    names: tuple[str, ...]
    aligned_by: str
    layers: tuple[LayerRow, ...]
    concepts: tuple[ConceptRow, ...]
    cautions: tuple[Caution, ...]
    left_out: tuple[tuple[str, ...], ...]

    def findings(self, run: int) -> list[LayerFinding]:
        """The counted layers of a run."""
        return [finding for row in self.layers for finding in row.cells[run]]

    @cached_property
    def shared(self) -> tuple[ConceptRow, ...]:
        """Concepts that every segmenter has."""
        return tuple(row for row in self.concepts if row.shared)

    def changed(self, run: int, change: str) -> list[ConceptRow]:
        """Shared concepts with this change, in descending order of units; see ``change``."""
        found = [row for row in self.shared if row.change(run) == change]
        return sorted(found, key=lambda row: -row.most_units)


def compare_runs(runs: Sequence[Run]) -> Comparison:
    """Compare runs.

    Args:
        runs: At least two; the first one is the reference.

    Raises:
        ConfigError: fewer than two, or more than ``MOST_RUNS``.
    """
    if not 2 <= len(runs) <= MOST_RUNS:
        were = "1 run was" if len(runs) == 1 else f"{len(runs)} runs were"
        raise ConfigError(f"{were} given to compare; expected 2 to {MOST_RUNS}")
    letters = tuple(string.ascii_uppercase[: len(runs)])
    findings = [_findings(run) for run in runs]
    aligned_by, rows = _align(runs, findings)
    return Comparison(
        tuple(runs),
        letters,
        _names(runs),
        aligned_by,
        rows,
        _concept_rows(runs),
        find_cautions(runs, letters, rows),
        tuple(tuple(t for t in run.layers if t not in counted_layers(run)) for run in runs),
    )


def counted_layers(run: Run) -> dict[str, LayerInfo]:
    """One reading of each layer: its channels if the run has them, otherwise its first basis."""
    first: dict[str, str] = {}
    for text in run.layers:
        plain = run.specs[text].layer
        if text == plain or plain not in first:
            first[plain] = text
    kept = set(first.values())
    return {text: info for text, info in run.layers.items() if text in kept}


def labels(run: Run) -> pd.DataFrame:
    """The units of the counted layers; ``concept`` is "" where one is not named."""
    chosen = run.table[run.table.is_label & run.table.layer.isin(counted_layers(run))]
    named = chosen.concept.where(chosen.is_named, "")
    return chosen.assign(concept=named).reset_index(drop=True)


def _names(runs: Sequence[Run]) -> tuple[str, ...]:
    generators = [str(run.record["generator"]["name"]) for run in runs]
    folders = [run.path.resolve().name for run in runs]
    if len(set(generators)) == len(runs):
        return tuple(generators)
    if len(set(folders)) == len(runs):
        return tuple(f"{g} ({f})" for g, f in zip(generators, folders, strict=True))
    return tuple(f"{g} ({run.path})" for g, run in zip(generators, runs, strict=True))


def _findings(run: Run) -> list[LayerFinding]:
    found, summary = [], run.summary()["layers"]
    counted = counted_layers(run)
    for position, (layer, info) in enumerate(counted.items()):
        values = summary[layer]
        depth = position / (len(counted) - 1) if len(counted) > 1 else 0.0
        shape = info.units, info.height, info.width
        counts = values["named"], values["concepts"], values["rotated"]
        found.append(LayerFinding(layer, *shape, depth, *counts))
    return found


def _align(
    runs: Sequence[Run], findings: Sequence[list[LayerFinding]]
) -> tuple[str, tuple[LayerRow, ...]]:
    """Align layers by name if the names agree, otherwise by relative size.

    Sizes are shares of the image's side, to the nearest power of two. If all images have the same
    size, row titles give the size of the map in cells.
    """
    shapes = [[(f.layer, f.height, f.width) for f in of_run] for of_run in findings]
    if all(shape == shapes[0] for shape in shapes):
        rows = zip(*findings, strict=True)
        return BY_NAME, tuple(LayerRow(row[0].layer, tuple((f,) for f in row)) for row in rows)
    sizes = [run.record["generator"]["image_size"] for run in runs]
    scale = [
        [round(float(np.log2(size / max(1, f.height)))) for f in of_run]
        for size, of_run in zip(sizes, findings, strict=True)
    ]
    rows = []
    for step in sorted({s for of_run in scale for s in of_run}, reverse=True):
        cells = tuple(
            tuple(f for f, s in zip(of_run, steps, strict=True) if s == step)
            for of_run, steps in zip(findings, scale, strict=True)
        )
        rows.append(LayerRow(_size_title(step, sizes, cells), cells))
    return BY_SIZE, tuple(rows)


def _size_title(step: int, sizes: list[int], cells: tuple[tuple[LayerFinding, ...], ...]) -> str:
    shapes = {(f.height, f.width) for of_run in cells for f in of_run}
    if len(set(sizes)) == 1 and len(shapes) == 1:
        height, width = shapes.pop()
        return f"{height} × {width}"
    if step <= 0:
        return "the image’s size" if step == 0 else f"{2**-step} × the image’s side"
    return f"1/{2**step} of the image’s side"


def _concept_rows(runs: Sequence[Run]) -> tuple[ConceptRow, ...]:
    """Every concept, in the order of the first vocabulary that has it."""
    known = {c.name: c for run in reversed(runs) for c in run.vocabulary}
    names = dict.fromkeys(c.name for run in runs for c in run.vocabulary)
    cells = [_concepts(run) for run in runs]
    return tuple(
        ConceptRow(
            name,
            known[name].category,
            known[name].colour,
            tuple(of_run.get(name) for of_run in cells),
        )
        for name in names
    )


def _concepts(run: Run) -> dict[str, ConceptInRun]:
    counted = counted_layers(run)
    n_units = sum(info.units for info in counted.values())
    table = run.table[run.table.layer.isin(counted)]
    table = table.assign(labels=table.is_label & table.is_named)
    found = table[table.is_label & table.is_named].concept.value_counts()
    # Units that the concept labels first, then the units with the most information about it.
    ranked = table.sort_values(["labels", "excess_information"], ascending=False, kind="stable")
    areas = run.areas()
    numbers = ["iou", "iou_low", "iou_high", "chance"]
    cells = {}
    for row in ranked.drop_duplicates("concept").to_dict("records"):
        concept, count = str(row["concept"]), int(found.get(row["concept"], 0))
        scores = {name: float(row[name]) for name in numbers}
        named = bool(row["labels"])
        best = BestUnit(layer=row["layer"], unit=int(row["unit"]), named=named, **scores)
        cells[concept] = ConceptInRun(count, count / n_units, float(areas[concept]), best)
    return cells
