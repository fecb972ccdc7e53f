"""The ladder of what is said of a unit: matches, named, causal. Imports nothing heavy.

*matches*: its IoU with its label lies beyond both kinds of chance, surely, and both halves of the
evaluation fold give it this label. *named*: and its own pictures show it. *causal*: and the concept
goes when the unit goes, which no pass can know; ``dissect.studies`` measures it. Only of causal
units it is said that they draw something.
"""

from dataclasses import dataclass

NONE, MATCHES, NAMED, CAUSAL = range(4)


@dataclass(frozen=True)
class Rung:
    """A step of the ladder.

    Attributes:
        number: From 0.
        name: One word, as it is said of a unit.
        meaning: In one sentence.
        colour: As #rrggbb, safe for colour-blind readers.
    """

    number: int
    name: str
    meaning: str
    colour: str


RUNGS = (
    Rung(NONE, "no match", "No concept is matched beyond chance.", "#9a9a9a"),
    Rung(
        MATCHES, "matches",
        "Its IoU with the concept lies beyond both kinds of chance, and both halves of the images "
        "agree on the concept.", "#56b4e9",
    ),
    Rung(
        NAMED, "named",
        "It matches, and its own pictures show it: in most of the images on which it fires most, "
        "the concept fills at least half of what it outlines.", "#0072b2",
    ),
    Rung(
        CAUSAL, "causal",
        "It is named, and without it there is less of the concept, more so than without random "
        "units that change the image as much.", "#d55e00",
    ),
)  # fmt: skip
"""From the lowest step to the highest."""
