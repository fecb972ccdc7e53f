"""Edits: values that describe changes during the generation of an image, and their application.

    with intervene(generator, [Ablate("b16.conv1", [3, 7])]):
        images = generator.synthesize(latent)

Names are imported when they are first used: applying edits needs torch, reading them does not.
"""

from typing import TYPE_CHECKING

from segmenters.lazy import lazy_names

if TYPE_CHECKING:  # the same names, for editors and type checkers
    from dissect.edits.applying import intervene as intervene
    from dissect.edits.edit import Edit as Edit
    from dissect.edits.moves import Move as Move
    from dissect.edits.recipes import from_json as from_json, to_json as to_json
    from dissect.edits.unit_edits import (
        Ablate as Ablate,
        Insert as Insert,
        Scale as Scale,
        UnitEdit as UnitEdit,
    )
else:
    __all__, __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "Ablate": "dissect.edits.unit_edits",
            "Edit": "dissect.edits.edit",
            "Insert": "dissect.edits.unit_edits",
            "Move": "dissect.edits.moves",
            "Scale": "dissect.edits.unit_edits",
            "UnitEdit": "dissect.edits.unit_edits",
            "from_json": "dissect.edits.recipes",
            "intervene": "dissect.edits.applying",
            "to_json": "dissect.edits.recipes",
        },
    )
