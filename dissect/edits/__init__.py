"""Edits: changes made while an image is generated, as values, and how they are applied.

    with intervene(generator, [Ablate("b16.conv1", [3, 7])]):
        images = generator.synthesize(latent)

Names are imported when they are first used: applying edits takes torch, and reading them does not.
"""

from typing import TYPE_CHECKING

from segmenters.lazy import lazy_names

if TYPE_CHECKING:
    from dissect.edits.applying import intervene
    from dissect.edits.edit import Edit
    from dissect.edits.moves import Move
    from dissect.edits.recipes import from_json, to_json
    from dissect.edits.unit_edits import Ablate, Insert, Scale, UnitEdit

_HOMES = {
    "Ablate": "dissect.edits.unit_edits",
    "Edit": "dissect.edits.edit",
    "Insert": "dissect.edits.unit_edits",
    "Move": "dissect.edits.moves",
    "Scale": "dissect.edits.unit_edits",
    "UnitEdit": "dissect.edits.unit_edits",
    "from_json": "dissect.edits.recipes",
    "intervene": "dissect.edits.applying",
    "to_json": "dissect.edits.recipes",
}

__all__ = [
    "Ablate",
    "Edit",
    "Insert",
    "Move",
    "Scale",
    "UnitEdit",
    "from_json",
    "intervene",
    "to_json",
]
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
