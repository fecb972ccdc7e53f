"""A layer's facts as small JSON: distributions of thousands of units as 16-bit numbers in base64.

Shares have an error of at most 1/65,534, edges of at most that fraction of their unit's range.
Numbers that the report prints are stored as numbers with four digits.
"""

import base64
import json
from collections.abc import Sequence

import numpy as np

from reports.facts import LayerFacts, short

_MOST = 65534
_NONE = 65535  # code for no number


def compact_layer(
    facts: LayerFacts, strips: Sequence[Sequence[str | None] | None] | None = None
) -> dict[str, object]:
    """Values for JSON, read by static/js/data.js.

    Args:
        facts: Facts of a layer.
        strips: For each unit the addresses of its picture and its outline, if they are to be part
            of the data.
    """
    low, high = facts.edges[:, :1], facts.edges[:, -1:]
    width = np.where(high > low, high - low, 1)
    inside, outside = (np.nan_to_num(part, nan=0.0) for part in (facts.inside, facts.outside))
    most = np.maximum(inside.max(axis=1), outside.max(axis=1))
    scale = np.where(most > 0, most, 1)[:, None]
    return {
        "layer": facts.layer,
        "units": facts.units,
        "height": facts.height,
        "width": facts.width,
        "concept": facts.concept,
        "numbers": {
            key: [int(one) if isinstance(one, bool) else one for one in values]
            for key, values in facts.numbers.items()
        },
        "best": [
            _best(*row) for row in zip(facts.best, facts.best_iou, facts.best_chance, strict=True)
        ],
        "samples": facts.samples.tolist(),
        "values": [[short(value) for value in row] for row in facts.values],
        "coactive": facts.coactive,
        "n_edges": facts.edges.shape[1],
        "low": [short(value, 7) for value in low[:, 0]],
        "high": [short(value, 7) for value in high[:, 0]],
        "edges": quantise((facts.edges - low) / width),
        "curves": quantise(facts.curves),
        "most": [short(value) for value in most],
        "inside": quantise(inside / scale),
        "outside": quantise(outside / scale),
        "strips": strips,
    }


def _best(
    concepts: np.ndarray, ious: np.ndarray, chances: np.ndarray
) -> list[list[int | float | None]]:
    return [
        [int(concept), short(iou), short(chance)]
        for concept, iou, chance in zip(concepts, ious, chances, strict=True)
    ]


def quantise(values: np.ndarray) -> str:
    """Numbers in [0, 1] as base64 of little-endian 16-bit integers; NaN has its own code."""
    codes = np.where(np.isnan(values), _NONE, np.rint(np.clip(values, 0, 1) * _MOST))
    return base64.b64encode(codes.astype("<u2").tobytes()).decode("ascii")


def to_script_text(value: object) -> str:
    """JSON that is safe inside a script element: no name in it can close the element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
