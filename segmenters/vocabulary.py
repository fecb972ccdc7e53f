"""The concepts of a segmenter: their names, categories, planes, colours and wholes.

A vocabulary is an ordered, immutable list of concepts. Ids run from 1 without gaps; 0 means "none
of them" in every plane. A concept belongs to one plane, so a pixel has at most one concept per
plane. It has the same colour everywhere. It may be a part of another concept: a window of a house.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from segmenters.errors import SegmenterError
from segmenters.nearest import did_you_mean

CATEGORIES = ("object", "part", "material", "colour", "attribute")
SIDES = ("top", "bottom", "left", "right")
"""Suffix of a half, after the name of its concept and a hyphen."""
_MOST_NAMES = 12  # names listed in a message
_HEX = re.compile(r"#[0-9a-f]{6}")
_SIDE = re.compile(r"(?<![a-z])(left|right)(?![a-z])")
_OTHER_SIDE = {"left": "right", "right": "left"}


@dataclass(frozen=True)
class Concept:
    """A named thing that a segmenter can mark.

    Args:
        id: Label in the planes, from 1.
        name: Name shown to people. Untrusted text: escape it for display.
        category: One of ``CATEGORIES``.
        plane: Name of the plane that carries it.
        colour: Its colour as ``#rrggbb``.
        part_of: Name of the concept that it is a part of, or None.

    Raises:
        SegmenterError: an unknown category, or a colour that is not ``#rrggbb``.

    Example:
        >>> Concept(1, "window", "part", "parts", "#4477aa", part_of="house").name
        'window'
    """

    id: int
    name: str
    category: str
    plane: str
    colour: str
    part_of: str | None = None

    def __post_init__(self) -> None:
        if self.category not in CATEGORIES:
            raise SegmenterError(
                f"concept {self.name!r} has the category {self.category!r}; "
                f"expected one of {', '.join(CATEGORIES)}"
            )
        if not _HEX.fullmatch(self.colour):
            raise SegmenterError(
                f"concept {self.name!r} has the colour {self.colour!r}; expected #rrggbb"
            )

    @property
    def is_half(self) -> bool:
        """Whether it is half of another concept, as named by ``segmenters.quadrants``."""
        return self.part_of is not None and self.name in {f"{self.part_of}-{s}" for s in SIDES}


@dataclass(frozen=True)
class Vocabulary:
    """An ordered set of concepts with ids 1 … n and unique names.

    Example:
        >>> v = Vocabulary.build([("sky", "object", "object", "#56b4e9")])
        >>> v["sky"].id, v.planes
        (1, ('object',))

    Raises:
        SegmenterError: ids with gaps, duplicate names, or a part of an unknown concept.
    """

    concepts: tuple[Concept, ...]
    planes: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        ids = [concept.id for concept in self.concepts]
        if ids != list(range(1, len(ids) + 1)):
            raise SegmenterError(f"concept ids are {ids}; expected 1 to {len(ids)} in order")
        names = [concept.name for concept in self.concepts]
        twice = sorted(name for name, times in Counter(names).items() if times > 1)
        if twice:
            raise SegmenterError(
                f"the vocabulary names {', '.join(map(repr, twice))} twice; expected unique names"
            )
        object.__setattr__(self, "planes", tuple(dict.fromkeys(c.plane for c in self.concepts)))
        for concept in self.concepts:
            self._check_whole(concept)

    def _check_whole(self, concept: Concept) -> None:
        seen, whole = {concept.name}, concept.part_of
        while whole is not None:
            if whole not in self._by_name or whole in seen:
                what = "itself" if whole in seen else repr(whole)
                raise SegmenterError(
                    f"concept {concept.name!r} is a part of {what}; expected another concept of "
                    "the vocabulary"
                )
            seen.add(whole)
            whole = self._by_name[whole].part_of

    @classmethod
    def build(
        cls,
        rows: Sequence[tuple[str, str, str, str]],
        *,
        part_of: Mapping[str, str] | None = None,
    ) -> "Vocabulary":
        """Build a vocabulary from rows ``(name, category, plane, colour)``; ids follow their order.

        Args:
            rows: One row per concept.
            part_of: Name of a part → name of its whole.

        Raises:
            SegmenterError: see the class; or ``part_of`` names an unknown part.
        """
        wholes = dict(part_of or {})
        unknown = sorted(set(wholes) - {row[0] for row in rows})
        if unknown:
            raise SegmenterError(
                f"{', '.join(map(repr, unknown))} of part_of is not a concept; expected names "
                "of rows"
            )
        return cls(
            tuple(
                Concept(i, *row, part_of=wholes.get(row[0])) for i, row in enumerate(rows, start=1)
            )
        )

    @cached_property
    def _by_name(self) -> dict[str, Concept]:
        return {concept.name: concept for concept in self.concepts}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(concept.name for concept in self.concepts)

    @property
    def wholes(self) -> dict[str, str]:
        """Name of each part → name of its whole; the format of ``part_of`` in ``build``."""
        return {c.name: c.part_of for c in self.concepts if c.part_of is not None}

    def __len__(self) -> int:
        return len(self.concepts)

    def __iter__(self) -> Iterator[Concept]:
        return iter(self.concepts)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> Concept:
        try:
            return self._by_name[name]
        except KeyError:
            shown = ", ".join(self.names[:_MOST_NAMES])
            more = len(self) - _MOST_NAMES
            raise SegmenterError(
                f"concept {name!r} is not in the vocabulary; {did_you_mean(name, self.names)}"
                f"it has {shown}{f' and {more} more' if more > 0 else ''}"
            ) from None

    def in_plane(self, plane: str) -> tuple[Concept, ...]:
        """The concepts of a plane, in the order of their ids."""
        return tuple(concept for concept in self.concepts if concept.plane == plane)

    def parts(self, name: str) -> tuple[Concept, ...]:
        """The direct parts of a concept, in the order of their ids."""
        whole = self[name].name
        return tuple(concept for concept in self.concepts if concept.part_of == whole)

    def mirrored(self, name: str) -> Concept:
        """The corresponding concept in a mirrored image: left and right are swapped.

        A concept without such a word in its name, or without a counterpart, is returned unchanged.
        """
        other = _SIDE.sub(lambda found: _OTHER_SIDE[found[0]], name)
        return self[other] if other in self else self[name]

    def join(self, other: "Vocabulary", *, name: str) -> "Vocabulary":
        """Append another vocabulary; its ids are increased by ``len(self)``.

        If a name of a concept or plane is already used, the segmenter's name is appended to it,
        ``sky (ade20k)``, and a number if that is used too, ``sky (ade20k 2)``. Names of this
        vocabulary never change.

        Args:
            other: The vocabulary to append.
            name: Appended to its names that are already used.
        """
        # A new name must differ from all old names of both sides, at any position.
        taken = {*self.names, *other.names}
        names = {n: _free(n, name, taken) if n in self else n for n in other.names}
        used = {*self.planes, *other.planes}
        planes = {p: _free(p, name, used) if p in self.planes else p for p in other.planes}
        moved = [
            replace(
                concept,
                id=concept.id + len(self),
                name=names[concept.name],
                plane=planes[concept.plane],
                part_of=None if concept.part_of is None else names[concept.part_of],
            )
            for concept in other
        ]
        return Vocabulary((*self.concepts, *moved))


def _free(text: str, name: str, taken: Collection[str]) -> str:
    """``text (name)``, or the first unused one of ``text (name 2)``, ``text (name 3)``, …."""
    found, number = f"{text} ({name})", 1
    while found in taken:
        number += 1
        found = f"{text} ({name} {number})"
    return found
