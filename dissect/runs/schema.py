"""What a run folder holds, under which names, and what makes two runs the same.

run.json            settings, hashes, versions, coverage, and every other file with its digest
arrays.zarr/        one group per layer: histogram, edges, scores, top images
units.parquet       long table: layer, unit, concept and their scores
images/LAYER.zip    one WebP strip per unit, stored
"""

import hashlib
import json
from pathlib import Path
from urllib.parse import quote

from dissect.config import RunConfig
from dissect.generators.base import Generator
from segmenters import Segmenter

SCHEMA_VERSION = 1
KIND = "gan-dissection run"

RUN_FILE = "run.json"
ARRAYS = "arrays.zarr"
TABLE = "units.parquet"
IMAGES = "images"
ALL_PIXELS = "(all pixels)"
"""Name of the histogram's first row; the others are named after their concept."""


def fingerprint(config: RunConfig, generator: Generator, segmenter: Segmenter) -> str:
    """SHA-256 of everything that a run's arrays follow from: settings, weights, vocabulary."""
    settings = config.to_json()
    # How a model was asked for does not matter, what it holds does.
    for name in ("generator", "segmenter"):
        del settings[name]
    content = [SCHEMA_VERSION, settings, generator.fingerprint, segmenter.fingerprint]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def layer_key(layer: str) -> str:
    """A layer's name as one part of a path, whatever characters it holds."""
    return quote(layer, safe="@")


def strip_name(unit: int) -> str:
    """Name of a unit's strip in its layer's zip."""
    return f"unit-{unit:05d}.webp"


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
