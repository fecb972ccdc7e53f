"""Example masks: for each concept a few samples with the segmenter's mask of it.

``dissect.counting.examples`` selects them; this module writes and reads them, without torch.
"""

import json
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dissect.errors import RunError
from dissect.runs import schema
from dissect.runs.record import ADVICE
from dissect.runs.strips import Strip
from segmenters import Vocabulary
from segmenters.received import open_stored_zip, parse_json, read_member, reading


@dataclass(frozen=True)
class ConceptStrip:
    """A concept's example masks.

    Attributes:
        concept: Its name.
        strip: The images side by side, and the mask of the concept on them.
        samples: Their sample indices, the largest mask first.
        shares: Fraction of each image that the mask covers, 0 … 1.
    """

    concept: str
    strip: Strip
    samples: tuple[int, ...]
    shares: tuple[float, ...]


def write_examples(path: Path, vocabulary: Vocabulary, strips: Iterable[ConceptStrip]) -> None:
    """Write the zip of a run's example masks: one strip per concept, and the sample indices."""
    info = {}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:

        def add(name: str, content: str | bytes) -> None:
            archive.writestr(zipfile.ZipInfo(name, schema.EPOCH), content)

        for one in strips:
            number = vocabulary[one.concept].id - 1
            add(schema.concept_strip_name(number), one.strip.picture)
            add(schema.concept_mask_name(number), one.strip.mask or b"")
            info[one.concept] = {"samples": one.samples, "shares": one.shares}
        add(schema.EXAMPLES_INFO, json.dumps(info, ensure_ascii=False))


def read_examples(
    archive: Path, vocabulary: Vocabulary, concepts: Iterable[str]
) -> Iterator[ConceptStrip | None]:
    """The example masks of concepts, in the given order; None for one without any.

    Raises:
        RunError: images that cannot be read.
    """
    most = 2 * len(vocabulary) + 1
    with reading(archive, RunError, ADVICE), open_stored_zip(archive, most_members=most) as file:
        info = parse_json(read_member(file, schema.EXAMPLES_INFO))
        for name in concepts:
            if name not in info:
                yield None
                continue
            number = vocabulary[name].id - 1
            strip = Strip(
                read_member(file, schema.concept_strip_name(number)),
                read_member(file, schema.concept_mask_name(number)),
                f"{archive}, concept {number},",
            ).check()
            samples, shares = (tuple(info[name][key]) for key in ("samples", "shares"))
            if len(samples) != len(shares) or not all(
                type(n) is int and isinstance(share, int | float)
                for n, share in zip(samples, shares, strict=True)
            ):
                raise ValueError(f"it does not say which samples show {name!r}")
            yield ConceptStrip(name, strip, samples, shares)
