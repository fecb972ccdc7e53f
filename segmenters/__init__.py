"""Segmenters, which mark concepts in images, and their lookup by name.

``load_segmenter("faces+colour")`` joins two of them into one vocabulary.
"""

from typing import TYPE_CHECKING

from segmenters.lazy import lazy_names

if TYPE_CHECKING:  # the same names, for editors and type checkers
    from segmenters.base import Predictor as Predictor, Segmenter as Segmenter
    from segmenters.catalogue import (
        FEATURES as FEATURES,
        MODIFIERS as MODIFIERS,
        OWN_PREDICTORS as OWN_PREDICTORS,
        PREDICTORS as PREDICTORS,
        PREFIXES as PREFIXES,
        SEGMENTERS as SEGMENTERS,
    )
    from segmenters.errors import DissectError as DissectError, SegmenterError as SegmenterError
    from segmenters.joined import JoinedSegmenter as JoinedSegmenter
    from segmenters.registry import (
        load_predictor as load_predictor,
        load_segmenter as load_segmenter,
    )
    from segmenters.vocabulary import Concept as Concept, Vocabulary as Vocabulary
else:
    __all__, __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "FEATURES": "segmenters.catalogue",
            "MODIFIERS": "segmenters.catalogue",
            "OWN_PREDICTORS": "segmenters.catalogue",
            "PREDICTORS": "segmenters.catalogue",
            "SEGMENTERS": "segmenters.catalogue",
            "Concept": "segmenters.vocabulary",
            "DissectError": "segmenters.errors",
            "JoinedSegmenter": "segmenters.joined",
            "PREFIXES": "segmenters.catalogue",
            "Predictor": "segmenters.base",
            "Segmenter": "segmenters.base",
            "SegmenterError": "segmenters.errors",
            "Vocabulary": "segmenters.vocabulary",
            "load_predictor": "segmenters.registry",
            "load_segmenter": "segmenters.registry",
        },
    )
