"""Missing parts of a run: skipped samples, samples of failed blocks, and smaller batches.

``run.json`` has them under ``coverage``, each as ranges of numbers, if there are any.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from dissect.runs.coverage import Coverage

MISSING, SKIPPED, HALVED = "missing", "skipped", "halved"
KINDS = (MISSING, SKIPPED, HALVED)
"""``missing``: samples of blocks that failed repeatedly; ``skipped``: samples with NaN or
infinity; ``halved``: blocks (not samples) computed in smaller batches because memory ran out."""


def ranges_to_json(numbers: Mapping[str, Coverage]) -> dict[str, list[list[int]]]:
    """Kind → first number and last number + 1 of each range, for kinds that occur."""
    return {kind: [list(one) for one in own.ranges] for kind, own in numbers.items() if own.ranges}


def partial_fingerprint(whole: str, missing: Coverage) -> str:
    """The fingerprint of a run without some samples.

    Args:
        whole: Fingerprint of the run with all samples.
        missing: Missing samples.
    """
    content = json.dumps([whole, ranges_to_json({MISSING: missing})])
    return hashlib.sha256(content.encode()).hexdigest()


def missing_samples(record: Mapping[str, Any]) -> Coverage:
    """Samples of failed blocks in a run's run.json; if there are any, the run is partial."""
    return _read(record, MISSING)


def describe_left_out(record: Mapping[str, Any]) -> list[str]:
    """A sentence for each kind of missing part; empty for most runs.

    Args:
        record: Checked content of run.json.
    """
    total = record["config"]["n_samples"]
    missing, skipped, halved = (_read(record, kind) for kind in KINDS)
    lines = []
    if missing.ranges:
        lines.append(
            f"Partial: {len(missing):,} of {total:,} samples ({_describe(missing)}) are missing, "
            "as counting them failed three times; dissect run … --resume tries them again."
        )
    if skipped.ranges:
        lines.append(
            f"{len(skipped):,} of {total:,} samples ({_describe(skipped)}) were skipped, as their "
            "images or maps hold NaN or infinity."
        )
    if halved.ranges:
        lines.append(
            f"Memory ran out at {len(halved):,} of {-(-total // record['config']['block']):,} "
            "blocks, which were made in smaller batches: elsewhere the last digits may differ."
        )
    return lines


def _read(record: Mapping[str, Any], kind: str) -> Coverage:
    return Coverage(tuple((first, last) for first, last in record["coverage"].get(kind, [])))


def _describe(numbers: Coverage, most: int = 4) -> str:
    """The first ranges in words."""
    parts = [
        f"{first}" if last == first + 1 else f"{first} to {last - 1}"
        for first, last in numbers.ranges[:most]
    ]
    return ", ".join(parts) + (", …" if len(numbers.ranges) > most else "")
