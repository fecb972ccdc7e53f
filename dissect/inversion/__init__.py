"""Inversion: finds a latent for your own image; the generator as an image prior.

    image ─► inversion ─► latent ─► everything that takes a latent: edits, directions

``optimise`` finds the latent. ``degradations`` defines the observed part of the image (all, its
luma, a small copy, all but a hole). ``tuning`` changes the generator's weights within a ``with``.
"""

from typing import TYPE_CHECKING

from segmenters.lazy import lazy_names

if TYPE_CHECKING:  # the same names, for editors and type checkers
    from dissect.inversion.degradations import parse_degradation as parse_degradation
    from dissect.inversion.inversion import (
        Inversion as Inversion,
        read_inversion as read_inversion,
    )
    from dissect.inversion.optimise import invert as invert
    from dissect.inversion.settings import InversionSettings as InversionSettings
    from dissect.inversion.tuning import tune as tune
else:
    __all__, __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "Inversion": "dissect.inversion.inversion",
            "InversionSettings": "dissect.inversion.settings",
            "invert": "dissect.inversion.optimise",
            "parse_degradation": "dissect.inversion.degradations",
            "read_inversion": "dissect.inversion.inversion",
            "tune": "dissect.inversion.tuning",
        },
    )
