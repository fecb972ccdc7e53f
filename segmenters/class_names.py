"""Class names of a network: sets that come with the package, and files.

A file of names is JSON, a list with one entry for each class in the network's order, or a text file
with a line for each:

    ["sky", {"name": "sand", "category": "material", "colour": "#e69f00"}, null]

    sky
    sand<TAB>material<TAB>#e69f00
    -

``null``, ``-`` and the names of ``NOTHING`` are classes without a concept: they become 0 in the
plane. A JSON object ``{"plane": ..., "classes": [...]}`` also names the plane.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from segmenters.errors import SegmenterError
from segmenters.hub import read_json
from segmenters.vocabulary import Vocabulary

SETS = {"ade20k": "ADE20K's 150", "cityscapes": "Cityscapes' 19", "voc": "Pascal VOC's 21"}
"""Names of sets that come with the package → their description."""

NOTHING = (
    "background", "bg", "unlabelled", "unlabeled", "unlabelled area", "unlabeled area", "void",
    "none", "null", "ignore", "ignored", "ignore region", "ignore label", "don't care", "dont care",
    "-",
)  # fmt: skip
"""Names of classes without a concept; underscores, hyphens and capitals are ignored."""

_HINTS = {
    "ade20k": re.compile(r"ade[-_ ]?20k|\bade\b|ade[-_ ]?160k|sceneparse", re.I),
    "cityscapes": re.compile(r"cityscapes", re.I),
    "voc": re.compile(r"\bpascal|\bvoc(20\d\d)?\b", re.I),
}
_COUNTS = {"ade20k": 150, "cityscapes": 19, "voc": 21}
_FOLDER = resources.files("segmenters") / "names"


@dataclass(frozen=True)
class Classes:
    """The classes of a network, in its order.

    Args:
        plane: Name of the plane that carries them.
        rows: For each class its name, category and colour, or None for a class without a concept.
        source: Their origin, for messages.
    """

    plane: str
    rows: tuple[tuple[str, str, str] | None, ...]
    source: str

    def check(self, n_classes: int) -> "Classes":
        """Return self after a check of the number of classes.

        Raises:
            SegmenterError: another number than the network has, no concept, or one class without
                background.
        """
        given = len(self.rows)
        if given != n_classes:
            hint = "; begin with background" if given == n_classes - 1 else ""
            raise SegmenterError(
                f"{self.source} names {given} classes; expected {n_classes}, as the network has"
                f"{hint}; give a file with names=FILE"
            )
        if all(row is None for row in self.rows):
            raise SegmenterError(
                f"{self.source} names nothing but background; expected a class that marks something"
            )
        return self

    @property
    def vocabulary(self) -> Vocabulary:
        """The concepts: classes with a concept, in order."""
        return Vocabulary.build(
            [(row[0], row[1], self.plane, row[2]) for row in self.rows if row is not None]
        )

    @property
    def ids(self) -> Int[Tensor, " class"]:
        """The concept's id of each class, 0 for classes without a concept."""
        marks = torch.tensor([row is not None for row in self.rows])
        return torch.where(marks, marks.cumsum(0), 0)


def colours(n: int) -> list[str]:
    """``n`` colours, as distinct as possible; they repeat from the 257th on."""
    table = (_FOLDER / "colours.txt").read_text(encoding="utf-8").split()
    return [table[i % len(table)] for i in range(n)]


def shipped(name: str) -> Classes:
    """One of ``SETS``."""
    return _from_json(read_json(Path(str(_FOLDER / f"{name}.json"))), plane=name, source=name)


def from_file(path: Path) -> Classes:
    """Names from a JSON or text file; the plane gets the name of the file.

    Raises:
        SegmenterError: a file that cannot be read or has another format.
    """
    plane = path.stem or "classes"
    if path.suffix == ".json":
        return _from_json(read_json(path), plane=plane, source=str(path))
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()  # Windows adds a mark to UTF-8
    except (OSError, UnicodeDecodeError) as error:
        raise SegmenterError(
            f"cannot read the names {path}: {error}; expected a JSON or text file, or one of the "
            f"sets {', '.join(SETS)}"
        ) from None
    keys = ("name", "category", "colour")
    entries = [dict(zip(keys, line.split("\t"), strict=False)) for line in lines if line.strip()]
    return _classes(entries, plane=plane, source=str(path))


def from_labels(labels: Sequence[str], *, plane: str, source: str) -> Classes:
    """Names from a network's configuration; a duplicate gets a number."""
    seen: dict[str, int] = {}
    entries = []
    for label in (str(label).strip() for label in labels):
        seen[label] = seen.get(label, 0) + 1
        entries.append(
            label if seen[label] == 1 or _is_nothing(label) else f"{label} {seen[label]}"
        )
    return _classes(entries, plane=plane, source=source)


def recognise(n_classes: int, text: str) -> Classes | None:
    """A set of the package, if the number of classes fits and the text mentions it.

    150 classes always mean ADE20K; 19 and 21 classes occur in other data too.
    """
    for name, count in _COUNTS.items():
        if count == n_classes and (name == "ade20k" or _HINTS[name].search(text)):
            return shipped(name)
    return None


def choose(
    options: Mapping[str, str], n_classes: int, *, own: Classes | None, text: str
) -> Classes:
    """The names given as an option, otherwise those of the model, otherwise a matching set.

    Args:
        options: ``names`` is a set or a file, ``plane`` the plane's name.
        n_classes: Number of the network's classes.
        own: Names from the model's folder.
        text: Text about the model: its id, its card.

    Raises:
        SegmenterError: no names are known, or their number differs from the network's.
    """
    given = options.get("names")
    if given is not None:
        found = shipped(given) if given in SETS else from_file(Path(given).expanduser())
    else:
        found = own or recognise(n_classes, text)
    if found is None:
        raise SegmenterError(
            f"{text.partition(' ')[0]} has {n_classes} classes without names; expected "
            f"names=FILE, or one of {', '.join(SETS)} after names="
        )
    found.check(n_classes)
    return replace(found, plane=options.get("plane", found.plane))


def _is_nothing(name: str) -> bool:
    words = name.lower().replace("_", " ").replace("-", " ").split()
    return " ".join(words) in NOTHING or name.strip() == "-"


def _from_json(content: Any, *, plane: str, source: str) -> Classes:
    if isinstance(content, dict) and "classes" in content:
        plane = str(content.get("plane", plane))
        content = content["classes"]
    if not isinstance(content, list):
        raise SegmenterError(
            f"{source} holds a {type(content).__name__}; expected a list with a name for each class"
        )
    return _classes(content, plane=plane, source=source)


def _classes(entries: Sequence[Any], *, plane: str, source: str) -> Classes:
    rows: list[tuple[str, str, str] | None] = []
    spare = iter(colours(len(entries)))
    for position, entry in enumerate(entries):
        row = {"name": entry} if isinstance(entry, str) else entry
        if row is None or (isinstance(row, dict) and _is_nothing(str(row.get("name", "?")))):
            rows.append(None)
            continue
        if not isinstance(row, dict) or not isinstance(row.get("name"), str):
            raise SegmenterError(
                f"{source} has {entry!r} for class {position}; expected a name, null, or an object "
                "with name, category and colour"
            )
        category = row.get("category") or "object"
        colour = row.get("colour") or next(spare)
        rows.append((row["name"].strip(), str(category).strip(), str(colour).strip()))
    found = Classes(plane, tuple(rows), source)
    try:
        found.vocabulary  # noqa: B018, raises an error for duplicate names, categories and colours
    except SegmenterError as error:
        raise SegmenterError(f"{source}: {error}") from None
    return found
