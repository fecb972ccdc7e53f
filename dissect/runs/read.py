"""Opens a run folder, after a check of all its files."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
import zarr

from dissect.bases.spec import LayerSpec
from dissect.config import RunConfig
from dissect.errors import ConfigError, DissectError, LayerError, RunError
from dissect.runs import schema
from dissect.runs.examples import ConceptStrip, read_examples
from dissect.runs.integrity import check_files
from dissect.runs.notebook import ShownRun
from dissect.runs.record import ADVICE, layers_of, read_record
from dissect.runs.stored import open_group, read_array, read_table
from dissect.runs.strips import UNLABELLED, Strip, read_strips
from dissect.runs.summary import summarise
from dissect.runs.texts import prompts_of
from dissect.statistics.columns import IS_NAMED, NAMED, Column, Place
from dissect.statistics.folds import SETS
from dissect.statistics.ladder import MATCHES, NONE
from dissect.statistics.ladder import NAMED as NAMED_RUNG
from dissect.statistics.registry import all_columns, columns_in, required_columns
from dissect.statistics.spread import value_spread
from dissect.statistics.thresholds import THRESHOLDS
from dissect.statistics.units.coactivation import Coactivation
from segmenters.nearest import did_you_mean
from segmenters.received import read_json, reading
from segmenters.vocabulary import Vocabulary

if TYPE_CHECKING:
    from dissect.bases import Basis

RUNG = "rung"


def open_run(
    path: str | Path, *, generator: str | None = None, segmenter: str | None = None
) -> "Run":
    """Open a finished run.

    Every file is checked against its recorded size and, except for images, its digest.

    Args:
        path: Its folder.
        generator, segmenter: Specs to load its models, for ``load_generator`` and
            ``load_segmenter``. From a run that was made elsewhere, only models of this package
            are loaded without these (``dissect.runs.origin``).

    Raises:
        RunError: no run in the folder, a damaged one (names the file), or one of a newer version.
    """
    path = Path(path)
    file = path / schema.RUN_FILE
    if not file.is_file():
        hint = (
            " (an unfinished run lies beside it; dissect run … --resume goes on)"
            if path.with_name(path.name + ".partial").exists()
            else ""
        )
        raise RunError(
            f"{path} is not a run: it has no {schema.RUN_FILE}{hint}; expected a folder "
            "that dissect run wrote"
        )
    given = {"generator": generator, "segmenter": segmenter}
    named = {kind: spec for kind, spec in given.items() if spec is not None}
    return Run(path, read_record(path), named)


class Run(ShownRun):
    """One finished analysis.

    Attributes:
        path: Its folder.
        record: Content of run.json.
        config: Settings of the run.
        vocabulary: Concepts of its segmenter.
        layers: Layer → shape of its maps.
        named: ``generator``, ``segmenter`` → specs of the user, if given.

    Raises:
        RunError: a damaged file, or a record that does not describe a run.

    Example:
        >>> run = open_run("runs/demo")
        >>> float(run.iou("units").sel(concept="red").max())
        1.0
    """

    def __init__(
        self, path: Path, record: dict[str, Any], named: Mapping[str, str] | None = None
    ) -> None:
        self.path = path
        self.record = record
        self.named = dict(named or {})
        self._groups: dict[str, zarr.Group] = {}
        check_files(path, record["files"])
        with reading(path / schema.RUN_FILE, RunError, ADVICE):
            try:
                self.config = RunConfig.from_json(record["config"])
                rows = [tuple(row) for row in record["segmenter"]["vocabulary"]]
                # Runs of the first versions do not name parts of concepts.
                part_of = record["segmenter"].get("part_of")
                self.vocabulary = Vocabulary.build(rows, part_of=part_of)
            except DissectError as error:
                raise ValueError(str(error)) from error
            self.layers = layers_of(record)

    def prompts_of(self, samples: Sequence[int]) -> list[str]:
        """The text that each sample was drawn for; empty if the generator takes none."""
        return prompts_of(self.record, self.config, samples)

    def array(self, layer: str, name: str) -> xr.DataArray:
        """A stored array of a layer: ``histogram``, ``edges``, ``top_indices``, ``iou``, …

        Raises:
            LayerError: a layer that the run did not read.
        """
        return self._read(self.group(layer), name)

    def group(self, layer: str) -> zarr.Group:
        """The stored arrays of a layer, checked against run.json.

        Raises:
            LayerError: a layer that the run did not read.
            RunError: arrays that are damaged.
        """
        self._check_layer(layer)
        units = self.layers[layer].units
        return self._group(schema.layer_key(layer), {"unit": units, "other": units})

    def _group(self, key: str, lengths: Mapping[str, int | Sequence[str]]) -> zarr.Group:
        if key not in self._groups:
            concepts = list(self.vocabulary.names)
            planes = [schema.plane_row(plane) for plane in self.vocabulary.planes]
            expected = {
                "concept": concepts,
                "set": SETS,
                "threshold": THRESHOLDS,
                "row": [schema.ALL_PIXELS, *concepts, *planes],
                **lengths,
            }
            self._groups[key] = open_group(self.path, key, expected)
        return self._groups[key]

    def _read(self, group: zarr.Group, name: str) -> xr.DataArray:
        with reading(self.path / schema.ARRAYS / group.path, RunError, ADVICE):
            return read_array(group, name)

    def basis(self, layer: str) -> "Basis":
        """The coordinates in which a layer's units were read.

        Raises:
            LayerError: a layer that the run did not read.
        """
        self._check_layer(layer)
        return read_basis(self, layer)

    def iou(self, layer: str, *, threshold: str | None = None) -> xr.DataArray:
        """IoU of every pair on the evaluation fold.

        Args:
            layer: A layer of the run.
            threshold: ``quantile`` or ``information``; the run's own if None.

        Returns:
            Dimensions unit and concept.
        """
        threshold = threshold or self.config.threshold
        if threshold not in THRESHOLDS:
            raise ConfigError(
                f"threshold is {threshold!r}; expected {' or '.join(map(repr, THRESHOLDS))}"
            )
        return self.array(layer, "iou").sel(threshold=threshold, drop=True)

    @cached_property
    def table(self) -> pd.DataFrame:
        """All pairs of all layers at the run's threshold, as in units.parquet."""
        columns = required_columns(self.record["schema_version"])
        table = read_table(self.path, self.layers, self.vocabulary, columns)
        if RUNG not in table:  # of the first version
            own = table.interpretable.groupby([table.layer, table.unit], sort=False)
            table[RUNG] = np.where(own.transform("any"), MATCHES, NONE)
        return table.assign(**{IS_NAMED.name: table[RUNG] >= self.label_rung})

    @property
    def label_rung(self) -> int:
        """The rung from which on units are named after their label.

        ``NAMED``, or ``MATCHES`` in a run without higher rungs: one of the first version of the
        schema, or one that counts like the original code.
        """
        known = self.record["schema_version"] > 1 and self.config.compat is None
        return NAMED_RUNG if known else MATCHES

    def mixtures(self, layer: str) -> pd.DataFrame | None:
        """The random mixtures with which a layer's units were compared; None if there are none.

        One row per mixture: ``concept`` (its label), ``selective`` and ``excess_information``, like
        the columns of ``units``.
        """
        group = self.group(layer)
        if "mixture_label" not in group:
            return None
        label, selective = (
            self._read(group, f"mixture_{name}").values for name in ("label", "selective")
        )
        excess = self._read(group, "mixture_excess_information").values
        names = np.array(self.vocabulary.names)
        with reading(self.path / schema.ARRAYS / group.path, RunError, ADVICE):
            if len(label) and not 0 <= label.min() <= label.max() < len(names):
                raise ValueError("its mixtures have labels that are not concepts")
            own = excess[np.arange(len(label)), label]
        return pd.DataFrame(
            {"concept": names[label], "selective": selective, "excess_information": own}
        )

    def overlap(self) -> xr.DataArray | None:
        """Pixels of the evaluation fold that two concepts both cover; on the diagonal, of one.

        None in a run of the first version.
        """
        group = self._concepts()
        return self._read(group, "overlap") if "overlap" in group else None

    @cached_property
    def specs(self) -> dict[str, LayerSpec]:
        """Name of a layer in the run → the generator's layer, and the basis it was read in.

        Raises:
            RunError: a run.json with an unknown kind of basis.
        """
        with reading(self.path / schema.RUN_FILE, RunError, ADVICE):
            of_basis = self.record.get("bases") or {}  # runs of the first versions have none
            return {
                text: LayerSpec.of_basis(text) if text in of_basis else LayerSpec(text)
                for text in self.layers
            }

    def rotations(self, layer: str) -> list[str]:
        """The random rotations in which a layer was read beside its channels; [] for a rotation."""
        plain = LayerSpec(layer)
        return [
            text
            for text, spec in self.specs.items()
            if LayerSpec(spec.layer) == plain == self.specs[layer]
            and spec.basis is not None
            and spec.basis.kind == "rotation"
        ]

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The declared columns of the table that have values."""
        return tuple(one for one in all_columns() if one.name in self.table)

    def _label_columns(self) -> list[str]:
        shown = [one.name for one in columns_in(Place.LABELS, list(self.table.columns))]
        return ["unit", "concept", "category", *shown]

    def pairs(self, concept: str) -> pd.DataFrame:
        """Every unit of every layer against one concept, in descending order of excess information.

        The column ``named`` holds the concept that the unit is named after, "" for none.

        Raises:
            SegmenterError: a concept that is not in the vocabulary.
        """
        labels = self.table[self.table.is_label].set_index(["layer", "unit"])
        named = labels.concept.where(labels.is_named, "").rename("named")
        pairs = self.table[self.table.concept == self.vocabulary[concept].name]
        pairs = pairs.sort_values("excess_information", ascending=False, kind="stable")
        columns = ["layer", *self._label_columns(), NAMED.name]
        return pairs.join(named, on=["layer", "unit"])[columns].reset_index(drop=True)

    def units(self, layer: str) -> pd.DataFrame:
        """One row per unit with the concept that it matches best, in the order of units."""
        self._check_layer(layer)
        chosen = self.table[(self.table.layer == layer) & self.table.is_label]
        return chosen[[*self._label_columns(), IS_NAMED.name]].reset_index(drop=True)

    def summary(self) -> dict[str, Any]:
        """The run's models and results, as plain values; see ``summarise``."""
        return summarise(self)

    @cached_property
    def trust(self) -> pd.DataFrame | None:
        """How well masks of a few samples agree with those of the same images, slightly changed.

        One row per concept, as in ``dissect.counting.trust.Trust.table``; None in a run of a
        version that did not measure it. ``attrs["images"]`` is the number of samples.
        """
        return read_trust(self)

    def areas(self) -> pd.Series:
        """Share of the evaluation fold's mask-grid pixels that each concept covers."""
        area = self._read(self._concepts(), "area").values
        with reading(self.path / schema.ARRAYS / schema.CONCEPTS, RunError, ADVICE):
            pixels = int(str(self._concepts().attrs["pixels"]))
            if pixels < 1:
                raise ValueError(f"it counts {pixels} pixels")
        return pd.Series(area / pixels, list(self.vocabulary.names))

    def _concepts(self) -> zarr.Group:
        """The stored arrays of concepts."""
        return self._group(schema.CONCEPTS, {"other": self.vocabulary.names})

    def co_occurrence(self) -> xr.DataArray:
        """Images of the evaluation fold in which both concepts cover at least one pixel.

        Returns:
            Dimensions concept and other; the diagonal holds the images with the concept.
        """
        found = self._read(self._concepts(), "together")
        return found.rename("co_occurrence").assign_attrs(
            images=self.record["coverage"]["evaluation"]
        )

    def activations(self, layer: str, unit: int) -> xr.Dataset:
        """Distribution of a unit's values over its bins; see ``value_spread``."""
        self._check_unit(layer, unit)
        names = list(self.vocabulary.names)
        histogram = self.array(layer, "histogram").sel(set="evaluation")[:, unit]
        # Rows of concepts that never occur are not stored.
        rows = {"row": [schema.ALL_PIXELS, *names]}
        # xarray infers the type of this parameter from its default, a marker for NaN.
        whole = histogram.reindex(rows, fill_value=0)  # pyright: ignore[reportArgumentType]
        return value_spread(whole.values, self.array(layer, "edges").values[unit], names)

    def correlation(self, layer: str) -> xr.DataArray:
        """Correlation of every unit with every concept over pixels of the evaluation fold."""
        return self.array(layer, "correlation")

    def coactivation(self, layer: str) -> xr.DataArray:
        """Correlation of units over images; see ``unit_correlation``.

        Raises:
            RunError: a run that did not count it.
        """
        self._check_layer(layer)
        return unit_correlation(read_coactivation(self, layer))

    def strips(self, layer: str, units: Iterable[int] | None = None) -> Iterator[Strip]:
        """Top images of units (all if None), pictures and masks separately, in the given order.

        Raises:
            LayerError: a layer or unit that the run does not have.
            RunError: images that are not there or cannot be read.
        """
        self._check_layer(layer)
        units = range(self.layers[layer].units) if units is None else list(units)
        for unit in units:
            self._check_unit(layer, unit)
        if not self.has_strips(layer):
            raise RunError(f"{self.path} holds no images of {layer}; make the run again with them")
        archive = self.path / schema.IMAGES / f"{schema.layer_key(layer)}.zip"
        return read_strips(archive, units, n_units=self.layers[layer].units)

    def has_strips(self, layer: str) -> bool:
        """Whether the run holds images of a layer's units."""
        self._check_layer(layer)
        return f"{schema.IMAGES}/{schema.layer_key(layer)}.zip" in self.record["files"]

    @property
    def has_concept_strips(self) -> bool:
        """Whether the run holds example masks of concepts."""
        return schema.EXAMPLES in self.record["files"]

    def concept_strips(self, *concepts: str) -> Iterator[ConceptStrip | None]:
        """Samples with the segmenter's mask of each concept (all if none is named), in the given
        order; None for a concept without a mask in the samples of ``trust``.

        Raises:
            SegmenterError: a concept that is not in the vocabulary.
            RunError: a run of a version without them, or images that cannot be read.
        """
        return read_concept_strips(self, concepts)

    def strip(self, layer: str, unit: int) -> bytes:
        """A unit's top images with its mask outlined in its concept's colour, as WebP.

        Raises:
            LayerError: a layer or unit that the run does not have.
            RunError: images that cannot be read.
        """
        (strip,) = self.strips(layer, [unit])
        label = self.units(layer).iloc[unit]
        named = label.is_named
        return strip.outlined(self.vocabulary[label.concept].colour if named else UNLABELLED)

    def _check_layer(self, layer: str) -> None:
        if layer not in self.layers:
            raise LayerError(
                f"layer {layer!r} is not in {self.path}; {did_you_mean(layer, self.layers)}"
                f"expected one of {', '.join(self.layers)}"
            )

    def _check_unit(self, layer: str, unit: int) -> None:
        self._check_layer(layer)
        if not 0 <= unit < self.layers[layer].units:
            raise LayerError(
                f"unit {unit} is not in {layer}; expected 0 to {self.layers[layer].units - 1}"
            )


def unit_correlation(sums: Coactivation) -> xr.DataArray:
    """The correlation matrix of units' means over images.

    Returns:
        Dimensions unit and other; the coordinate ``saturated`` counts the images in which a unit's
        mean was clamped at the limit of its scale.
    """
    return xr.DataArray(
        sums.correlation(),
        dims=("unit", "other"),
        coords={"saturated": ("unit", sums.saturated)},
        attrs={"images": int(sums.images)},
        name="coactivation",
    )


def read_trust(run: "Run") -> pd.DataFrame | None:
    """The table of ``Run.trust``; None if the run has none."""
    if schema.TRUST not in run.record["files"]:
        return None
    file = run.path / schema.TRUST
    stored = read_json(file, RunError, ADVICE)
    with reading(file, RunError, ADVICE):
        table = pd.DataFrame(stored["concepts"], columns=stored["columns"])
        numbers = table.columns.drop(["concept", "category"])
        table[numbers] = table[numbers].astype(float)
        missing = {"images", "lowest", *schema.CHANGES} - set(numbers)
        if missing or type(stored["images"]) is not int:
            raise ValueError(f"it has no {', '.join(sorted(missing)) or 'number of images'}")
        if tuple(table.concept) != run.vocabulary.names:
            raise ValueError("its concepts are other ones than those of run.json")
    table.attrs["images"] = stored["images"]
    return table


def read_coactivation(run: "Run", layer: str) -> Coactivation:
    """The counts for ``Run.coactivation``.

    Raises:
        RunError: a run that did not count it.
    """
    if not run.config.coactivation:
        raise RunError(
            f"{run.path} holds no co-activation; expected a run made with it; make one with "
            "--coactivation"
        )
    names = Coactivation.named_dimensions()
    found = Coactivation.from_named_arrays({name: run.array(layer, name).values for name in names})
    n_units = run.layers[layer].units
    with reading(run.path / schema.ARRAYS / schema.layer_key(layer), RunError, ADVICE):
        if (
            found is None
            or found.products.shape != (n_units, n_units)
            or found.sums.shape != (n_units,)
        ):
            raise ValueError(f"its co-activations are not those of {n_units} units")
        if found.images.shape != () or found.images < 1 or found.saturated.shape != (n_units,):
            raise ValueError("its co-activations are of no images")
    return found


def read_basis(run: "Run", layer: str) -> "Basis":
    """Basis of ``Run.basis``; the only value of a finished run that needs torch."""
    import torch  # noqa: PLC0415

    from dissect.bases import Channels, rebuild_basis  # noqa: PLC0415

    group, n_units = run.group(layer), run.layers[layer].units
    with reading(run.path / schema.ARRAYS / group.path, RunError, ADVICE):
        if "basis" not in group.attrs:
            return Channels(n_units)
        tensors = {
            name.removeprefix(schema.BASIS_PREFIX): torch.from_numpy(np.asarray(array[...]))
            for name, array in group.arrays()
            if name.startswith(schema.BASIS_PREFIX)
        }
        basis = rebuild_basis(str(group.attrs["basis"]), tensors)
        if basis.n_units != n_units:
            raise ValueError(f"its basis has {basis.n_units} units; expected {n_units}")
        return basis


def read_concept_strips(run: "Run", concepts: Sequence[str]) -> Iterator[ConceptStrip | None]:
    """Strips of ``Run.concept_strips``; errors are raised at once, not during iteration."""
    names = [run.vocabulary[name].name for name in concepts or run.vocabulary.names]
    if not run.has_concept_strips:
        raise RunError(
            f"{run.path} holds no example masks; expected a run made by this version; make it again"
        )
    return read_examples(run.path / schema.EXAMPLES, run.vocabulary, names)
