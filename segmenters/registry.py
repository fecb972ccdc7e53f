"""Segmenters at hand, and how one is found by name or factory."""

import importlib
from difflib import get_close_matches

from segmenters.base import JoinedSegmenter, Segmenter
from segmenters.errors import SegmenterError
from segmenters.factory import call_factory

SEGMENTERS = {
    "colour": "the eleven basic colour terms, exact, no weights",
    "faces": "person and background, and nine parts of a face, at 64 px",
    "scenes": "twelve objects, eight parts and six materials of the drawn scenes, at 64 px",
}
"""Names at hand → what they mark. Each is a module here with ``load(device) -> Segmenter``."""


def load_segmenter(spec: str, *, device: str = "cpu") -> Segmenter:
    """Find and load a segmenter.

    Args:
        spec: A name of ``SEGMENTERS``, ``package.module:factory``, or several joined by ``+``.
        device: Where it should run. A factory places its segmenter itself.

    Raises:
        SegmenterError: no such segmenter, or two that name the same concept.

    Example:
        >>> load_segmenter("colour").vocabulary.names[:2]
        ('black', 'white')
    """
    first, *others = spec.split("+")
    segmenter = _load_one(first.strip(), device)
    for other in others:
        segmenter = JoinedSegmenter(segmenter, _load_one(other.strip(), device))
    return segmenter


def _load_one(name: str, device: str) -> Segmenter:
    if name in SEGMENTERS:
        return importlib.import_module(f"segmenters.{name}").load(device)
    if ":" in name:
        return call_factory(name, protocol=Segmenter, error=SegmenterError)
    near = get_close_matches(name, SEGMENTERS, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise SegmenterError(
        f"segmenter {name!r} is not known; {hint}expected {', '.join(SEGMENTERS)}, or "
        "package.module:factory; join them with +"
    )
