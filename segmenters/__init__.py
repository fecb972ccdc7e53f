"""Segmenters: what marks concepts in images, and how one is found by name.

``load_segmenter("faces+colour")`` joins two of them into one vocabulary.
"""

from segmenters.lazy import lazy_names

_HOMES = {
    "MODIFIERS": "segmenters.catalogue",
    "PREDICTORS": "segmenters.catalogue",
    "SEGMENTERS": "segmenters.catalogue",
    "Concept": "segmenters.vocabulary",
    "DissectError": "segmenters.errors",
    "JoinedSegmenter": "segmenters.base",
    "PREFIXES": "segmenters.catalogue",
    "Predictor": "segmenters.base",
    "Segmenter": "segmenters.base",
    "SegmenterError": "segmenters.errors",
    "Vocabulary": "segmenters.vocabulary",
    "load_predictor": "segmenters.registry",
    "load_segmenter": "segmenters.registry",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
