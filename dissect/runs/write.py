"""Writes a finished pass as a run folder: every file first, then one rename."""

import json
import os
import platform
import shutil
import zipfile
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from dissect.bases import Basis, layer_info
from dissect.config import RunConfig
from dissect.generators.base import Generator
from dissect.generators.prompts import TakesPrompts
from dissect.runs import schema
from dissect.runs.arrays import write_arrays
from dissect.runs.examples import ConceptStrip, write_examples
from dissect.runs.left_out import HALVED, MISSING, SKIPPED, partial_fingerprint, ranges_to_json
from dissect.runs.partial import Workspace
from dissect.runs.results import LayerResult
from dissect.runs.state import PassState
from dissect.runs.strips import Strip
from dissect.statistics import evaluation_size
from segmenters import Segmenter
from segmenters.plain_text import one_line

_PACKAGES = ("gan-dissection", "numpy", "torch", "numba", "zarr")


def write_run(
    workspace: Workspace,
    config: RunConfig,
    generator: Generator,
    segmenter: Segmenter,
    state: PassState,
    results: dict[str, LayerResult],
    strips: Iterable[tuple[str, list[Strip]]],
    trust: dict[str, object],
    examples: Iterable[ConceptStrip],
    *,
    grid: int,
    mixtures: Mapping[str, str],
    stages: Callable[[], dict[str, dict[str, float]]] = dict,
) -> None:
    """Write all files beside the future run and rename them into place.

    Args:
        workspace: Workspace of the run.
        config: Settings.
        generator, segmenter: Models.
        state: State of the finished passes; its counts are read one layer at a time.
        results: Layer → scores.
        strips: Each layer with the strips of its units, made on demand.
        trust: Plain values on the agreement of masks; see ``dissect.counting.trust``.
        examples: Example masks of concepts.
        grid: Height and width of the mask grid.
        mixtures: Layer → name of its mixtures in the state.
        stages: Returns, at the end, the duration of each stage.

    Raises:
        RunError: the place was taken in the meantime, or cannot be written.
    """
    missing = state.missing(config.n_samples, config.block)
    with workspace.writing():
        folder = workspace.ready
        if folder.exists():
            shutil.rmtree(folder)
        (folder / schema.IMAGES).mkdir(parents=True)
        write_arrays(folder / schema.ARRAYS, state, results, segmenter.vocabulary, mixtures)
        table = pd.concat(
            [result.table(layer, segmenter.vocabulary) for layer, result in results.items()]
        )
        table.to_parquet(folder / schema.TABLE, index=False)
        _write_json(folder / schema.TRUST, trust)
        write_examples(folder / schema.EXAMPLES, segmenter.vocabulary, examples)
        for layer, encoded in strips:
            _write_strips(folder / schema.IMAGES / f"{schema.layer_key(layer)}.zip", encoded)
        _write_json(
            folder / schema.RUN_FILE,
            {
                "kind": schema.KIND,
                "schema_version": schema.SCHEMA_VERSION,
                "fingerprint": partial_fingerprint(workspace.key, missing)
                if missing.ranges
                else workspace.key,
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "seconds": round(state.seconds, 2),
                "stages": stages(),
                "config": config.to_json(),
                "generator": _describe_generator(generator, config, state.bases),
                "segmenter": {
                    "name": segmenter.name,
                    "fingerprint": segmenter.fingerprint,
                    "vocabulary": [
                        [c.name, c.category, c.plane, c.colour] for c in segmenter.vocabulary
                    ],
                    "part_of": segmenter.vocabulary.wholes,
                },
                "bases": {
                    layer: basis.fingerprint
                    for layer, basis in state.bases.items()
                    if layer in config.layers
                },
                "coverage": _coverage(config, state, grid),
                "versions": {name: version(name) for name in _PACKAGES}
                | {"python": platform.python_version()},
                "files": _digests(folder),
            },
        )
    workspace.publish()


def _coverage(config: RunConfig, state: PassState, grid: int) -> dict[str, object]:
    left_out = state.left_out(config.n_samples, config.block)
    evaluation = evaluation_size(config.n_samples, left_out)
    lacks = {
        MISSING: state.missing(config.n_samples, config.block),
        SKIPPED: state.skipped,
        HALVED: state.halved,
    }
    return {
        "first": 0,
        "last": config.n_samples - 1,
        "calibration": config.n_samples - len(left_out) - evaluation,
        "evaluation": evaluation,
        "grid": grid,
        **ranges_to_json(lacks),
    }


def _describe_generator(
    generator: Generator, config: RunConfig, bases: Mapping[str, Basis]
) -> dict[str, object]:
    layers = {layer: layer_info(generator, layer, bases) for layer in config.layers}
    # Only generators of texts have these two.
    names = {name: info.unit_names for name, info in layers.items() if info.unit_names}
    texts = {name: [one_line(one) for one in given] for name, given in names.items()}
    prompts = list(map(one_line, generator.prompts)) if isinstance(generator, TakesPrompts) else []
    return {
        "name": generator.name,
        "fingerprint": generator.fingerprint,
        "image_size": generator.image_size,
        "channels": generator.channels,
        "n_classes": generator.n_classes,
        "layers": {name: [info.units, info.height, info.width] for name, info in layers.items()},
        **({"unit_names": texts} if texts else {}),
        **({"prompts": prompts} if prompts else {}),
    }


def _write_strips(path: Path, strips: list[Strip]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for unit, strip in enumerate(strips):
            archive.writestr(zipfile.ZipInfo(schema.strip_name(unit), schema.EPOCH), strip.picture)
            archive.writestr(
                zipfile.ZipInfo(schema.mask_name(unit), schema.EPOCH), strip.mask or b""
            )


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
