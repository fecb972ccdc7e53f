"""What a run lacks: samples that were skipped or set aside, and blocks made in smaller batches.

``run.json`` holds them under ``coverage``, each as ranges of numbers, where there are any.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from dissect.runs.coverage import Coverage

MISSING, SKIPPED, HALVED = "missing", "skipped", "halved"
KINDS = (MISSING, SKIPPED, HALVED)
"""``missing``: samples of blocks that failed again and again; ``skipped``: samples with NaN or
infinity; ``halved``: blocks (not samples) that were made in smaller batches, as memory ran out."""


def ranges_to_json(numbers: Mapping[str, Coverage]) -> dict[str, list[list[int]]]:
    """Kind → first and one behind the last number of each stretch, where there are any."""
    return {kind: [list(one) for one in own.ranges] for kind, own in numbers.items() if own.ranges}


def partial_fingerprint(whole: str, missing: Coverage) -> str:
    """The fingerprint of a run without some samples.

    Args:
        whole: Of the run with all of them.
        missing: Samples.
    """
    content = json.dumps([whole, ranges_to_json({MISSING: missing})])
    return hashlib.sha256(content.encode()).hexdigest()


def missing_samples(record: Mapping[str, Any]) -> Coverage:
    """Samples that were set aside, of a run's run.json; the run is partial where there are any."""
    return _read(record, MISSING)


def describe_left_out(record: Mapping[str, Any]) -> list[str]:
    """A sentence for each thing that the run lacks; none for most runs.

    Args:
        record: Of run.json, checked.
    """
    total = record["config"]["n_samples"]
    missing, skipped, halved = (_read(record, kind) for kind in KINDS)
    told = []
    if missing.ranges:
        told.append(
            f"Partial: {len(missing):,} of {total:,} samples ({_describe(missing)}) are missing, "
            "as counting them failed three times; dissect run … --resume tries them again."
        )
    if skipped.ranges:
        told.append(
            f"{len(skipped):,} of {total:,} samples ({_describe(skipped)}) were skipped, as their "
            "images or maps hold NaN or infinity."
        )
    if halved.ranges:
        told.append(
            f"Memory ran out at {len(halved):,} of {-(-total // record['config']['block']):,} "
            "blocks, which were made in smaller batches: elsewhere the last digits may differ."
        )
    return told


def _read(record: Mapping[str, Any], kind: str) -> Coverage:
    return Coverage(tuple((first, last) for first, last in record["coverage"].get(kind, [])))


def _describe(numbers: Coverage, most: int = 4) -> str:
    """The first stretches in words."""
    parts = [
        f"{first}" if last == first + 1 else f"{first} to {last - 1}"
        for first, last in numbers.ranges[:most]
    ]
    return ", ".join(parts) + (", …" if len(numbers.ranges) > most else "")
