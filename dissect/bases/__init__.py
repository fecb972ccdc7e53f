"""Bases: other coordinates in which a layer's units are read, written ``layer@basis``.

Principal components are fitted in ``dissect.counting.fitting``; nothing in here runs a generator.
Names are imported when they are first used: a basis needs torch, parsing its name does not.
"""

from typing import TYPE_CHECKING

from segmenters.lazy import lazy_names

if TYPE_CHECKING:  # the same names, for editors and type checkers
    from dissect.bases.base import NO_BASES as NO_BASES, Basis as Basis, Channels as Channels
    from dissect.bases.opening import (
        layer_info as layer_info,
        open_bases as open_bases,
        read_file_contents as read_file_contents,
        rebuild_basis as rebuild_basis,
    )
    from dissect.bases.spec import BasisSpec as BasisSpec, LayerSpec as LayerSpec
else:
    __all__, __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "NO_BASES": "dissect.bases.base",
            "Basis": "dissect.bases.base",
            "BasisSpec": "dissect.bases.spec",
            "Channels": "dissect.bases.base",
            "LayerSpec": "dissect.bases.spec",
            "layer_info": "dissect.bases.opening",
            "open_bases": "dissect.bases.opening",
            "read_file_contents": "dissect.bases.opening",
            "rebuild_basis": "dissect.bases.opening",
        },
    )
