"""Opens a run folder, whole or not at all."""

import json
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import xarray as xr
import zarr

from dissect.config import RunConfig
from dissect.errors import ConfigError, DissectError, LayerError, RunError
from dissect.generators.shapes import LayerInfo
from dissect.runs import readings, schema
from dissect.runs.examples import ConceptStrip
from dissect.runs.integrity import check_files
from dissect.runs.strips import UNLABELLED, Strip, read_strips
from dissect.statistics.thresholds import THRESHOLDS
from segmenters.vocabulary import Vocabulary

if TYPE_CHECKING:
    from dissect.bases import Basis

_LABEL_COLUMNS = [
    "unit",
    "concept",
    "category",
    "iou",
    "iou_low",
    "iou_high",
    "chance",
    "over_chance",
    "q_value",
    "same_in_halves",
    "threshold",
    "information_quality_ratio",
    "excess_information",
    "precision",
    "recall",
    "interpretable",
]


def open_run(path: str | Path) -> "Run":
    """Open a finished run.

    Every file is checked against the size and, but for the images, the digest written with it.

    Raises:
        RunError: no run there, a damaged one (says which file), or one of a newer version.
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
    try:
        record = json.loads(file.read_text())
        kind, schema_version = record["kind"], record["schema_version"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RunError(f"{file} is damaged ({error}); make the run again") from error
    if kind != schema.KIND:
        raise RunError(f"{file} describes a {kind!r}; expected a {schema.KIND!r}")
    if schema_version > schema.SCHEMA_VERSION:
        raise RunError(
            f"{path} has schema version {schema_version}; this version reads up to "
            f"{schema.SCHEMA_VERSION}; update gan-dissection"
        )
    return Run(path, record)


class Run:
    """One finished analysis.

    Attributes:
        path: Its folder.
        record: Content of run.json.
        config: Settings it was made with.
        vocabulary: Concepts of its segmenter.
        layers: Layer → shape of its maps.

    Example:
        >>> run = open_run("runs/faces")
        >>> run.iou("main.7").sel(concept="nose").max()
    """

    def __init__(self, path: Path, record: dict) -> None:
        self.path = path
        self.record = record
        try:
            check_files(path, record["files"])
            self.config = RunConfig.from_json(record["config"])
            rows = [tuple(row) for row in record["segmenter"]["vocabulary"]]
            # Runs of the first versions say nothing of parts.
            part_of = record["segmenter"].get("part_of")
            self.vocabulary = Vocabulary.build(rows, part_of=part_of)
            self.layers = {
                name: LayerInfo(units, height, width, name)
                for name, (units, height, width) in record["generator"]["layers"].items()
            }
        except (KeyError, TypeError, ValueError, DissectError) as error:
            raise RunError(
                f"{path / schema.RUN_FILE} is damaged ({error}); make the run again"
            ) from error

    def array(self, layer: str, name: str) -> xr.DataArray:
        """A stored array of a layer: ``histogram``, ``edges``, ``top_indices``, ``iou``, …

        Raises:
            LayerError: a layer that the run did not read.
        """
        self._check_layer(layer)
        return self._read(schema.layer_key(layer), name)

    def _read(self, key: str, name: str) -> xr.DataArray:
        group = zarr.open_group(self.path / schema.ARRAYS, mode="r")[key]
        stored = group[name]
        dimensions = stored.metadata.dimension_names or ()  # None for a single number
        names = {key: list(group.attrs[key]) for key in dimensions if key in group.attrs}
        return xr.DataArray(stored[...], dims=dimensions, coords=names, name=name)

    def basis(self, layer: str) -> "Basis":
        """The coordinates in which a layer's units were read, as the pass had them.

        Raises:
            LayerError: a layer that the run did not read.
        """
        self._check_layer(layer)
        return readings.read_basis(self, layer)

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
        return pd.read_parquet(self.path / schema.TABLE)

    def pairs(self, concept: str) -> pd.DataFrame:
        """Every unit of every layer against one concept, those that tell most about it first.

        The column ``named`` holds the concept that the unit is named after, "" for none.

        Raises:
            SegmenterError: a concept that is not in the vocabulary.
        """
        labels = self.table[self.table.is_label].set_index(["layer", "unit"])
        named = labels.concept.where(labels.interpretable, "").rename("named")
        pairs = self.table[self.table.concept == self.vocabulary[concept].name]
        pairs = pairs.sort_values("excess_information", ascending=False, kind="stable")
        columns = ["layer", *_LABEL_COLUMNS[:-1], "named"]
        return pairs.join(named, on=["layer", "unit"])[columns].reset_index(drop=True)

    def units(self, layer: str) -> pd.DataFrame:
        """One row for each unit with the concept it matches best, in the order of units."""
        self._check_layer(layer)
        chosen = self.table[(self.table.layer == layer) & self.table.is_label]
        return chosen[_LABEL_COLUMNS].reset_index(drop=True)

    def summary(self) -> dict[str, object]:
        """What was dissected and what was found, as plain values; see ``readings.summarise``."""
        return readings.summarise(self)

    @cached_property
    def trust(self) -> pd.DataFrame | None:
        """How well masks of a few samples agree with those of the same images changed a little.

        One row for each concept, as ``dissect.trust.agreement_table`` has them; None in a run of
        a version that did not measure it. ``attrs["images"]`` says how many samples.
        """
        return readings.read_trust(self)

    def areas(self) -> pd.Series:
        """Share of the evaluation fold's mask-grid pixels that each concept covers."""
        group = zarr.open_group(self.path / schema.ARRAYS, mode="r")[schema.CONCEPTS]
        return pd.Series(group["area"][:] / group.attrs["pixels"], list(self.vocabulary.names))

    def co_occurrence(self) -> xr.DataArray:
        """Images of the evaluation fold in which both concepts cover at least one pixel.

        Returns:
            Dimensions concept and other; the diagonal holds the images with the concept.
        """
        found = self._read(schema.CONCEPTS, "together")
        return found.rename("co_occurrence").assign_attrs(
            images=self.record["coverage"]["evaluation"]
        )

    def activations(self, layer: str, unit: int) -> xr.Dataset:
        """How a unit's values are spread over its bins; see ``readings.activations``."""
        self._check_unit(layer, unit)
        names = list(self.vocabulary.names)
        histogram = self.array(layer, "histogram").sel(set="evaluation")[:, unit]
        # Rows of concepts that never occur are not stored.
        whole = histogram.reindex(row=[schema.ALL_PIXELS, *names], fill_value=0)
        return readings.activations(whole.values, self.array(layer, "edges").values[unit], names)

    def correlation(self, layer: str) -> xr.DataArray:
        """Correlation of every unit with every concept over pixels of the evaluation fold."""
        return self.array(layer, "correlation")

    def coactivation(self, layer: str) -> xr.DataArray:
        """Correlation of units over images; see ``readings.unit_correlation``.

        Raises:
            RunError: a run that did not count it.
        """
        self._check_layer(layer)
        return readings.unit_correlation(readings.read_coactivation(self, layer))

    def strips(self, layer: str, units: Iterable[int] | None = None) -> Iterator[Strip]:
        """Top images of units (all if None), pictures and masks apart, in the order asked for.

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
        return read_strips(archive, units)

    def has_strips(self, layer: str) -> bool:
        """Whether the run holds images of a layer's units."""
        self._check_layer(layer)
        return f"{schema.IMAGES}/{schema.layer_key(layer)}.zip" in self.record["files"]

    @property
    def has_concept_strips(self) -> bool:
        """Whether the run holds example masks of concepts."""
        return schema.EXAMPLES in self.record["files"]

    def concept_strips(self, *concepts: str) -> Iterator[ConceptStrip | None]:
        """Samples with the segmenter's mask of each concept (all if none is named), in the order
        asked for; None for a concept without a mask in the samples that ``trust`` looked at.

        Raises:
            SegmenterError: a concept that is not in the vocabulary.
            RunError: a run of a version that kept none, or images that cannot be read.
        """
        return readings.read_concept_strips(self, concepts)

    def strip(self, layer: str, unit: int) -> bytes:
        """A unit's top images with its mask outlined in its concept's colour, as WebP.

        Raises:
            LayerError: a layer or unit that the run does not have.
            RunError: images that cannot be read.
        """
        (strip,) = self.strips(layer, [unit])
        label = self.units(layer).iloc[unit]
        named = label.interpretable
        return strip.outlined(self.vocabulary[label.concept].colour if named else UNLABELLED)

    def _check_layer(self, layer: str) -> None:
        if layer not in self.layers:
            raise LayerError(
                f"layer {layer!r} is not in {self.path}; expected one of {', '.join(self.layers)}"
            )

    def _check_unit(self, layer: str, unit: int) -> None:
        self._check_layer(layer)
        if not 0 <= unit < self.layers[layer].units:
            raise LayerError(
                f"unit {unit} is not in {layer}; expected 0 to {self.layers[layer].units - 1}"
            )
