"""Interventions: edits of units in a forward pass, and what they change in the images.

    with intervene(generator, [Ablate("b16.conv1", [3, 7])]):
        images = generator.synthesize(latent)

What a unit matches is a hint; what happens without it is evidence.
"""

from dissect.interventions.applying import intervene
from dissect.interventions.edits import Ablate, Edit, Insert, Scale, from_json, to_json

__all__ = ["Ablate", "Edit", "Insert", "Scale", "from_json", "intervene", "to_json"]
