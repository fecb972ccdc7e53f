"""Bases: other coordinates in which a layer's units are read, written ``layer@basis``.

The pass that fits principal components is in ``dissect.bases.fitting``; what is here needs no
generator to run.
"""

from dissect.bases.base import NO_BASES, Basis, Channels
from dissect.bases.opening import layer_info, open_bases, read_file_contents, rebuild_basis
from dissect.bases.spec import BasisSpec, split_layer

__all__ = [
    "NO_BASES",
    "Basis",
    "BasisSpec",
    "Channels",
    "layer_info",
    "open_bases",
    "read_file_contents",
    "rebuild_basis",
    "split_layer",
]
