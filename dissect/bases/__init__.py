"""Bases: other coordinates in which a layer's units are read, written ``layer@basis``.

The pass that fits principal components is in ``dissect.counting.fitting``; what is here needs no
generator to run. Names are imported when they are first used: a basis takes torch, and how one is
written does not.
"""

from segmenters.lazy import lazy_names

_HOMES = {
    "NO_BASES": "dissect.bases.base",
    "Basis": "dissect.bases.base",
    "BasisSpec": "dissect.bases.spec",
    "Channels": "dissect.bases.base",
    "layer_info": "dissect.bases.opening",
    "open_bases": "dissect.bases.opening",
    "read_file_contents": "dissect.bases.opening",
    "rebuild_basis": "dissect.bases.opening",
    "split_layer": "dissect.bases.spec",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
