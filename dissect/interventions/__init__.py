"""Interventions: edits of units in a forward pass, and what they change in the images.

    with intervene(generator, [Ablate("b16.conv1", [3, 7])]):
        images = generator.synthesize(latent)

What a unit matches is a hint; what happens without it is evidence.

Names are imported when they are first used: applying edits takes torch, and reading them does not.
"""

from segmenters.lazy import lazy_names

_HOMES = {
    "Ablate": "dissect.interventions.edits",
    "Edit": "dissect.interventions.edits",
    "Insert": "dissect.interventions.edits",
    "Scale": "dissect.interventions.edits",
    "from_json": "dissect.interventions.edits",
    "intervene": "dissect.interventions.applying",
    "to_json": "dissect.interventions.edits",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
