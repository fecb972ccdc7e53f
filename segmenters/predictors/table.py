"""``FILE.csv``: scores by sample, from people or from another program.

    sample,smile,quality
    0,0.7,3
    1,-0.2,5

One row for each sample of the seed, in any order; one column for each attribute. Commas, a point in
numbers, UTF-8.
"""

import csv
import hashlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from segmenters.errors import SegmenterError
from segmenters.plain_text import find_control
from segmenters.received import read_bytes, reading

SAMPLE = "sample"
_LARGEST = 256 << 20  # bytes
_ADVICE = "expected a first column 'sample' and a column of numbers for each attribute"


@dataclass(frozen=True, eq=False)
class SampleScores:
    """Attributes of samples that are known without their images.

    Attributes:
        name: The file.
        attributes: Names of the columns of ``values``.
        samples: Indices, ascending.
        values: Values in each attribute's own unit.
        fingerprint: SHA-256 of the file.
    """

    name: str
    attributes: tuple[str, ...]
    samples: tuple[int, ...]
    values: Float[np.ndarray, "sample attribute"]
    fingerprint: str

    def scores(self, indices: Sequence[int]) -> Float[np.ndarray, "n attribute"]:
        """The rows of some samples.

        Raises:
            SegmenterError: a sample that the file lacks.
        """
        rows = {sample: row for row, sample in enumerate(self.samples)}
        missing = [index for index in indices if index not in rows]
        if missing:
            raise SegmenterError(
                f"{self.name} has no scores of sample {missing[0]}; expected a row for each of "
                f"{len(indices):,} samples, and it has {len(rows):,}, from {self.samples[0]} to "
                f"{self.samples[-1]}"
            )
        return self.values[[rows[index] for index in indices]]


def load_scores(path: str | Path) -> SampleScores:
    """Read scores by sample.

    Raises:
        SegmenterError: no such file, no such table, or a value that is not a finite number.
    """
    path = Path(path)
    with reading(path, SegmenterError, _ADVICE):
        content = read_bytes(path, _LARGEST)
        lines = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        table = [(lines.line_num, row) for row in lines if row]
    head = [name.strip() for name in table[0][1]] if table else []
    if len(head) < 2 or head[0] != SAMPLE or not all(head) or len({*head}) < len(head):
        raise SegmenterError(f"{path} begins with {', '.join(head)[:80]!r}; {_ADVICE}, none twice")
    if any(find_control(name) for name in head):
        raise SegmenterError(f"{path} has control characters in its first line; {_ADVICE}")
    rows: dict[int, list[float]] = {}
    for line, cells in table[1:]:
        sample, values = _read_row(cells, len(head))
        if sample is None or sample in rows:
            found = f"sample {sample} again" if sample in rows else repr(",".join(cells)[:80])
            raise SegmenterError(
                f"line {line} of {path} has {found}; expected {len(head)} cells: a sample's index, "
                "once, and finite numbers"
            )
        rows[sample] = values
    if not rows:
        raise SegmenterError(f"{path} has no samples; {_ADVICE}")
    order = sorted(rows)
    return SampleScores(
        name=str(path),
        attributes=tuple(head[1:]),
        samples=tuple(order),
        values=np.array([rows[sample] for sample in order], dtype=np.float64),
        fingerprint=hashlib.sha256(content).hexdigest(),
    )


def _read_row(cells: list[str], n_cells: int) -> tuple[int | None, list[float]]:
    try:
        sample = int(cells[0])
        values = [float(cell) for cell in cells[1:]]
    except ValueError:
        return None, []
    whole = len(cells) == n_cells and sample >= 0 and all(map(math.isfinite, values))
    return (sample, values) if whole else (None, [])
