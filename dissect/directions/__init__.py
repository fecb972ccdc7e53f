"""Directions: vectors of a space along which an image changes in one attribute.

    smile = read_direction("smile.safetensors")
    with intervene(generator, smile.moves(2.0)):
        images = generator.synthesize(latent)

``direction`` defines the value and its file; each method that finds directions is one module.
"""

from typing import TYPE_CHECKING

from segmenters.lazy import lazy_names

if TYPE_CHECKING:  # the same names, for editors and type checkers
    from dissect.directions.direction import (
        Direction as Direction,
        Provenance as Provenance,
        read_direction as read_direction,
        save_direction as save_direction,
    )
else:
    __all__, __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "Direction": "dissect.directions.direction",
            "Provenance": "dissect.directions.direction",
            "read_direction": "dissect.directions.direction",
            "save_direction": "dissect.directions.direction",
        },
    )
