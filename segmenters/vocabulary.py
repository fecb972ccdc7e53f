"""The concepts a segmenter can mark: their names, categories, planes and colours.

A vocabulary is an ordered, immutable list of concepts. Ids run from 1 without gaps; 0 means "none
of them" in every plane. A concept belongs to one plane, so that within a plane a pixel carries at
most one concept, and keeps one colour everywhere it is shown.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from segmenters.errors import SegmenterError

CATEGORIES = ("object", "part", "material", "colour", "attribute")
_HEX = re.compile(r"#[0-9a-f]{6}")


@dataclass(frozen=True)
class Concept:
    """A named thing that a segmenter can mark.

    Args:
        id: Label in the planes, from 1.
        name: What people call it. Untrusted text: escape it wherever it is shown.
        category: One of ``CATEGORIES``.
        plane: Name of the plane that carries it.
        colour: ``#rrggbb`` in which it is drawn.
    """

    id: int
    name: str
    category: str
    plane: str
    colour: str

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


@dataclass(frozen=True)
class Vocabulary:
    """An ordered set of concepts with ids 1 … n and unique names.

    Example:
        >>> v = Vocabulary.build([("sky", "object", "object", "#56b4e9")])
        >>> v["sky"].id, v.planes
        (1, ('object',))

    Raises:
        SegmenterError: ids with gaps, or a name given twice.
    """

    concepts: tuple[Concept, ...]
    planes: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        ids = [concept.id for concept in self.concepts]
        if ids != list(range(1, len(ids) + 1)):
            raise SegmenterError(f"concept ids are {ids}; expected 1 to {len(ids)} in order")
        names = [concept.name for concept in self.concepts]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SegmenterError(
                f"the vocabulary names {', '.join(map(repr, twice))} twice; expected unique names"
            )
        object.__setattr__(self, "planes", tuple(dict.fromkeys(c.plane for c in self.concepts)))

    @classmethod
    def build(cls, rows: Sequence[tuple[str, str, str, str]]) -> "Vocabulary":
        """Make one from ``(name, category, plane, colour)`` rows; ids follow their order."""
        return cls(tuple(Concept(i, *row) for i, row in enumerate(rows, start=1)))

    @cached_property
    def _by_name(self) -> dict[str, Concept]:
        return {concept.name: concept for concept in self.concepts}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(concept.name for concept in self.concepts)

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
            raise SegmenterError(
                f"concept {name!r} is not in the vocabulary; it has {', '.join(self.names)}"
            ) from None

    def in_plane(self, plane: str) -> tuple[Concept, ...]:
        """The concepts that a plane carries, in the order of their ids."""
        return tuple(concept for concept in self.concepts if concept.plane == plane)

    def join(self, other: "Vocabulary") -> "Vocabulary":
        """Both vocabularies as one: the other's ids move up by ``len(self)``.

        Raises:
            SegmenterError: a concept or a plane that both of them name.
        """
        clash = sorted(set(self.names) & set(other.names))
        if clash:
            raise SegmenterError(
                f"both segmenters name {', '.join(map(repr, clash))}; expected none in common; "
                "join segmenters with different concepts"
            )
        planes = sorted(set(self.planes) & set(other.planes))
        if planes:
            raise SegmenterError(
                f"both segmenters have a plane {', '.join(map(repr, planes))}; expected planes of "
                "different names; join each segmenter once"
            )
        rows = [(c.name, c.category, c.plane, c.colour) for c in (*self.concepts, *other.concepts)]
        return Vocabulary.build(rows)
