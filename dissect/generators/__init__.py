"""Generators: the protocol, the families, and how one is found by name, path or factory.

Names are imported when they are first used: a generator takes torch, and what is said of its layers
does not.
"""

from segmenters.lazy import lazy_names

_HOMES = {
    "Generator": "dissect.generators.base",
    "LayerInfo": "dissect.generators.shapes",
    "Space": "dissect.generators.shapes",
    "load_generator": "dissect.generators.loading",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
