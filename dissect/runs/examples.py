"""Example masks: for each concept a few samples with the segmenter's own mask of it.

``dissect.counting.examples`` takes them; here they are written and read, without torch.
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
        strip: The images side by side, and where the segmenter marks the concept.
        samples: Which they are, the largest mask first.
        shares: Part of each image that the mask covers, 0 … 1.
    """

    concept: str
    strip: Strip
    samples: tuple[int, ...]
    shares: tuple[float, ...]


def write_examples(path: Path, vocabulary: Vocabulary, strips: Iterable[ConceptStrip]) -> None:
    """Write the zip of a run's example masks: a strip a concept, and which samples they are."""
    told = {}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:

        def add(name: str, content: str | bytes) -> None:
            archive.writestr(zipfile.ZipInfo(name, schema.EPOCH), content)

        for one in strips:
            number = vocabulary[one.concept].id - 1
            add(schema.concept_strip_name(number), one.strip.picture)
            add(schema.concept_mask_name(number), one.strip.mask or b"")
            told[one.concept] = {"samples": one.samples, "shares": one.shares}
        add(schema.EXAMPLES_TOLD, json.dumps(told, ensure_ascii=False))


def read_examples(
    archive: Path, vocabulary: Vocabulary, concepts: Iterable[str]
) -> Iterator[ConceptStrip | None]:
    """The example masks of concepts, in the order asked for; None for one without any.

    Raises:
        RunError: images that cannot be read.
    """
    most = 2 * len(vocabulary) + 1
    with reading(archive, RunError, ADVICE), open_stored_zip(archive, most_members=most) as file:
        told = parse_json(read_member(file, schema.EXAMPLES_TOLD))
        for name in concepts:
            if name not in told:
                yield None
                continue
            number = vocabulary[name].id - 1
            strip = Strip(
                read_member(file, schema.concept_strip_name(number)),
                read_member(file, schema.concept_mask_name(number)),
                f"{archive}, concept {number},",
            ).check()
            samples, shares = (tuple(told[name][key]) for key in ("samples", "shares"))
            if len(samples) != len(shares) or not all(
                type(n) is int and isinstance(share, int | float)
                for n, share in zip(samples, shares, strict=True)
            ):
                raise ValueError(f"it does not say which samples show {name!r}")
            yield ConceptStrip(name, strip, samples, shares)
