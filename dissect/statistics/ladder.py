"""The ladder of claims about a unit: matches, named, causal. Imports nothing heavy.

*matches*: the lower bound of its IoU with its label is above both kinds of chance, and both halves
of the evaluation fold give it this label. *named*: its own top images show the label too. *causal*:
the concept disappears when the unit is ablated. No pass can know this; ``dissect.studies`` measures
it. Only causal units are said to draw something.
"""

from dataclasses import dataclass

NONE, MATCHES, NAMED, CAUSAL = range(4)


@dataclass(frozen=True)
class Rung:
    """A step of the ladder.

    Attributes:
        number: From 0.
        name: One word for a unit on this step.
        meaning: One sentence.
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
