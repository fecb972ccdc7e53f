"""Writes a finished pass as a run folder: every file first, then one rename."""

import json
import os
import platform
import shutil
import zipfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import zarr

from dissect.bases import Basis, layer_info
from dissect.config import RunConfig
from dissect.generators.base import Generator
from dissect.runs import schema
from dissect.runs.partial import PassState, Workspace
from dissect.runs.results import LayerResult
from dissect.samples import mask_grid
from dissect.statistics import SETS, THRESHOLDS, calibration_size
from segmenters import Segmenter

_PACKAGES = ("gan-dissection", "numpy", "torch", "numba", "zarr")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # so that equal strips make equal zips


def write_run(
    workspace: Workspace,
    config: RunConfig,
    generator: Generator,
    segmenter: Segmenter,
    state: PassState,
    results: dict[str, LayerResult],
    strips: dict[str, list[bytes]],
) -> None:
    """Write all files beside the run-to-be and rename them into place.

    Raises:
        RunError: the place was taken in the meantime.
    """
    folder = workspace.ready
    if folder.exists():
        shutil.rmtree(folder)
    (folder / schema.IMAGES).mkdir(parents=True)
    _write_arrays(folder / schema.ARRAYS, results, segmenter)
    _write_bases(folder / schema.ARRAYS, state.bases)
    _write_concepts(folder / schema.ARRAYS, state, segmenter)
    table = pd.concat(
        [result.table(layer, segmenter.vocabulary) for layer, result in results.items()]
    )
    table.to_parquet(folder / schema.TABLE, index=False)
    for layer, encoded in strips.items():
        _write_strips(folder / schema.IMAGES / f"{schema.layer_key(layer)}.zip", encoded)
    _write_json(
        folder / schema.RUN_FILE,
        {
            "kind": schema.KIND,
            "schema_version": schema.SCHEMA_VERSION,
            "fingerprint": workspace.key,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(state.seconds, 2),
            "config": config.to_json(),
            "generator": _describe_generator(generator, config, state.bases),
            "segmenter": {
                "name": segmenter.name,
                "fingerprint": segmenter.fingerprint,
                "vocabulary": [
                    [c.name, c.category, c.plane, c.colour] for c in segmenter.vocabulary
                ],
            },
            "bases": {layer: basis.fingerprint for layer, basis in state.bases.items()},
            "coverage": _coverage(config, mask_grid(generator, config)),
            "versions": {name: version(name) for name in _PACKAGES}
            | {"python": platform.python_version()},
            "files": _digests(folder),
        },
    )
    workspace.publish()


def _coverage(config: RunConfig, grid: int) -> dict[str, int]:
    calibration = calibration_size(config.n_samples)
    return {
        "first": 0,
        "last": config.n_samples - 1,
        "calibration": calibration,
        "evaluation": config.n_samples - calibration,
        "grid": grid,
    }


def _describe_generator(
    generator: Generator, config: RunConfig, bases: dict[str, Basis]
) -> dict[str, object]:
    layers = {layer: layer_info(generator, layer, bases) for layer in config.layers}
    return {
        "name": generator.name,
        "fingerprint": generator.fingerprint,
        "image_size": generator.image_size,
        "channels": generator.channels,
        "n_classes": generator.n_classes,
        "layers": {name: [info.units, info.height, info.width] for name, info in layers.items()},
    }


def _write_arrays(path: Path, results: dict[str, LayerResult], segmenter: Segmenter) -> None:
    root = zarr.create_group(path)
    concepts = list(segmenter.vocabulary.names)
    for layer, result in results.items():
        group = root.create_group(schema.layer_key(layer))
        group.attrs.update({"set": list(SETS), "threshold": list(THRESHOLDS), "concept": concepts})
        scores = result.scores
        pair = ("threshold", "unit", "concept")
        for name, array, dimensions in (
            ("histogram", result.counts.histogram, ("set", "row", "unit", "bin")),
            ("edges", result.edges, ("unit", "edge")),
            ("top_values", result.top.values, ("unit", "rank")),
            ("top_indices", result.top.indices, ("unit", "rank")),
            ("threshold", result.thresholds, pair),
            ("iou", scores.iou, pair),
            ("iou_low", result.iou_low, pair),
            ("iou_high", result.iou_high, pair),
            ("chance", scores.chance, pair),
            ("p_value", result.p_value, pair),
            ("q_value", result.q_value, ("unit",)),
            ("information_quality_ratio", scores.information, pair),
            ("chance_information", scores.chance_information, pair),
            ("precision", scores.precision, pair),
            ("recall", scores.recall, pair),
            ("correlation", result.correlation, ("unit", "concept")),
        ):
            group.create_array(name, data=np.ascontiguousarray(array), dimension_names=dimensions)
        if result.counts.coactivation is not None:
            for name, array in result.counts.coactivation.to_arrays().items():
                group.create_array(
                    name, data=array, dimension_names=("unit", "other")[: array.ndim]
                )


def _write_concepts(path: Path, state: PassState, segmenter: Segmenter) -> None:
    group = zarr.open_group(path, mode="a").create_group(schema.CONCEPTS)
    pairs = next(iter(state.counts.values())).pairs  # every layer saw the same masks
    concepts = list(segmenter.vocabulary.names)
    group.attrs.update({"concept": concepts, "other": concepts, "pixels": int(pairs.pixels.sum())})
    for name, array in (("area", pairs.area.sum(axis=0)), ("together", state.together)):
        group.create_array(name, data=array, dimension_names=("concept", "other")[: array.ndim])


def _write_bases(path: Path, bases: dict[str, Basis]) -> None:
    """What each basis holds, into its layer's group; ``Run.basis`` reads it."""
    root = zarr.open_group(path, mode="r+")
    for layer, basis in bases.items():
        group = root[schema.layer_key(layer)]
        group.attrs["basis"] = basis.name
        for name, tensor in basis.to_tensors().items():
            group.create_array(schema.BASIS_PREFIX + name, data=tensor.contiguous().numpy())


def _write_strips(path: Path, strips: list[bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for unit, strip in enumerate(strips):
            archive.writestr(zipfile.ZipInfo(schema.strip_name(unit), _EPOCH), strip)


def _write_json(path: Path, content: dict[str, object]) -> None:
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False))
    os.replace(temporary, path)


def _digests(folder: Path) -> dict[str, dict[str, object]]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): {
            "bytes": path.stat().st_size,
            "sha256": schema.file_digest(path),
        }
        for path in files
    }
