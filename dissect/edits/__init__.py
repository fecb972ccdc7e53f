"""Edits: changes made while an image is generated, as values, and how they are applied.

    with intervene(generator, [Ablate("b16.conv1", [3, 7])]):
        images = generator.synthesize(latent)

Names are imported when they are first used: applying edits takes torch, and reading them does not.
"""

from segmenters.lazy import lazy_names

_HOMES = {
    "Ablate": "dissect.edits.unit_edits",
    "Edit": "dissect.edits.unit_edits",
    "Insert": "dissect.edits.unit_edits",
    "Scale": "dissect.edits.unit_edits",
    "from_json": "dissect.edits.unit_edits",
    "intervene": "dissect.edits.applying",
    "to_json": "dissect.edits.unit_edits",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
