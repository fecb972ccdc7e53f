"""Contents and names of a run folder, and the fingerprint that identifies a run.

run.json            settings, hashes, versions, coverage, and every other file with its digest
arrays.zarr/        one group per layer: histogram, edges, scores, top images, arrays of its
                    basis; and one group of concepts
units.parquet       long table: layer, unit, concept and their scores
trust.json          how well the masks of a few samples agree with those of changed images
images/LAYER.zip    a strip per unit, stored: its images as WebP, its masks as a 1-bit PNG
images/+concepts.zip  the same for each concept that the segmenter marks, and samples.json
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from dissect.statistics.units import unit_statistics

if TYPE_CHECKING:  # they need torch, which finding runs does not
    from dissect.config import RunConfig
    from dissect.generators.base import Generator
    from segmenters import Segmenter

SCHEMA_VERSION = 2
"""1: units were compared only with the masks of other images. 2: the rungs of ``runs.rungs``."""
KIND = "gan-dissection run"

RUN_FILE = "run.json"
ARRAYS = "arrays.zarr"
CONCEPTS = "+concepts"
"""Group of data on concepts alone; the sign distinguishes it from every layer's key."""
TABLE = "units.parquet"
IMAGES = "images"
TRUST = "trust.json"
STATUS = "status.json"
"""Progress of a run in progress, beside its folder; see ``dissect.counting.status``."""
CHANGES = ("flip", "shift", "rescale")
"""Image changes of ``dissect.counting.trust``; each is a column of trust.json."""
EXAMPLES = f"{IMAGES}/{CONCEPTS}.zip"
"""Example masks of concepts; see ``dissect.runs.examples``."""
EXAMPLES_INFO = "samples.json"
EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time stamp of every member of a zip, so that equal strips give equal zips."""
_PAIR = ("threshold", "unit", "concept")
DIMENSIONS: dict[str, tuple[str, ...]] = {
    "histogram": ("set", "row", "unit", "bin"),
    "edges": ("unit", "edge"),
    "threshold": _PAIR,
    "iou": _PAIR,
    "iou_low": _PAIR,
    "iou_high": _PAIR,
    "chance_shuffled": _PAIR,
    "chance_areas": _PAIR,
    "chance": _PAIR,
    "p_value": _PAIR,
    "q_value": ("unit",),
    "runner_up": ("unit",),
    "mixture_matrix": ("mixture", "unit"),
    "mixture_label": ("mixture",),
    "mixture_selective": ("mixture",),
    "mixture_excess_information": ("mixture", "concept"),
    "information_quality_ratio": _PAIR,
    "chance_information": _PAIR,
    "precision": _PAIR,
    "recall": _PAIR,
    "correlation": ("unit", "concept"),
    "area": ("concept",),
    "together": ("concept", "other"),
    "overlap": ("concept", "other"),
}
"""Name of an array → its dimensions; without those of unit statistics and bases."""
BASIS_PREFIX = "basis_"
_LONGEST_KEY = 200
ALL_PIXELS = "(all pixels)"
"""Name of the histogram's first row; the others have the names of their concepts."""


def array_dimensions() -> dict[str, tuple[str, ...]]:
    """Name of an array → its dimensions, including those of unit statistics."""
    found = dict(DIMENSIONS)
    for statistic in unit_statistics():
        found |= statistic.named_dimensions()
    return found


def plane_row(plane: str) -> str:
    """Name of the histogram's row of images in which a plane marks anything (``compat``)."""
    return f"(images with {plane})"


def fingerprint(
    config: "RunConfig",
    generator: "Generator",
    segmenter: "Segmenter",
    basis_contents: Mapping[str, str] | None = None,
) -> str:
    """SHA-256 of everything that determines a run's arrays: settings, weights, vocabulary.

    Args:
        config: Settings.
        generator, segmenter: Models.
        basis_contents: Layer → fingerprint of its basis, if that was read from a file.
    """
    settings = config.to_json()
    # The name of a model does not matter, its contents do.
    for name in ("generator", "segmenter"):
        del settings[name]
    content = [SCHEMA_VERSION, settings, generator.fingerprint, segmenter.fingerprint]
    if basis_contents:
        content.append(dict(basis_contents))
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def layer_key(layer: str) -> str:
    """A layer's name as one component of a path, for any characters.

    A long one, for example with the path of a basis, is cut and made unique by its digest: file
    systems allow 255 bytes.
    """
    key = quote(layer, safe="@")
    if len(key) <= _LONGEST_KEY:
        return key
    return f"{key[: _LONGEST_KEY - 17]}-{hashlib.sha256(layer.encode()).hexdigest()[:16]}"


def strip_name(unit: int) -> str:
    """Name of a unit's strip in its layer's zip."""
    return f"unit-{unit:05d}.webp"


def mask_name(unit: int) -> str:
    """Name of the strip's mask beside it; older runs have it drawn into the strip."""
    return f"unit-{unit:05d}.mask.png"


def concept_strip_name(number: int) -> str:
    """Name of a concept's example images in their zip; concepts are numbered from 0."""
    return f"concept-{number:05d}.webp"


def concept_mask_name(number: int) -> str:
    """Name of the concept's masks on these images."""
    return f"concept-{number:05d}.mask.png"


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
