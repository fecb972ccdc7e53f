"""Generators: the protocol, the families, and loading by name, path or factory.

Names are imported when they are first used: a generator needs torch, but the description of its
layers does not.
"""

from typing import TYPE_CHECKING

from segmenters.lazy import lazy_names

if TYPE_CHECKING:  # the same names, for editors and type checkers
    from dissect.generators.base import Generator as Generator
    from dissect.generators.loading import load_generator as load_generator
    from dissect.generators.shapes import LayerInfo as LayerInfo, Space as Space
else:
    __all__, __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "Generator": "dissect.generators.base",
            "LayerInfo": "dissect.generators.shapes",
            "Space": "dissect.generators.shapes",
            "load_generator": "dissect.generators.loading",
        },
    )
