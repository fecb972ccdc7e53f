"""Finds and loads segmenters and attribute predictors by name or factory."""

import importlib
import logging
import time
from types import ModuleType

import torch

from segmenters.base import Predictor, Segmenter
from segmenters.catalogue import MODIFIERS, OWN_PREDICTORS, PREDICTORS, PREFIXES, SEGMENTERS
from segmenters.devices import find_device
from segmenters.errors import SegmenterError
from segmenters.factory import call_factory
from segmenters.joined import JoinedSegmenter
from segmenters.nearest import did_you_mean

_LOG = logging.getLogger(__name__)


def load_segmenter(spec: str, *, device: torch.device | str = "cpu") -> Segmenter:
    """Find and load a segmenter.

    Args:
        spec: A name of ``SEGMENTERS``, ``PREFIX:TARGET`` of ``PREFIXES``,
            ``package.module:factory``, or several joined by ``+``; a name of ``MODIFIERS`` after
            them modifies all before it.
        device: Device to run on, in the syntax of ``find_device``. A factory places its segmenter
            itself.

    Raises:
        SegmenterError: no such segmenter, or one joined to itself.

    Example:
        >>> load_segmenter("colour").vocabulary.names[:2]
        ('black', 'white')
    """
    started = time.monotonic()
    segmenter = _load_joined(spec, find_device(device))
    _LOG.debug("segmenter %s loaded in %.1f s", segmenter.name, time.monotonic() - started)
    return segmenter


def _load_joined(spec: str, device: torch.device) -> Segmenter:
    first, *others = spec.split("+")
    segmenter = _load_one(first.strip(), device)
    for other in (name.strip() for name in others):
        if other in MODIFIERS:
            segmenter = importlib.import_module(f"segmenters.{other}").modify(segmenter)
        else:
            segmenter = JoinedSegmenter(segmenter, _load_one(other, device))
    return segmenter


def load_predictor(spec: str, *, device: torch.device | str = "cpu") -> Predictor:
    """Find and load a predictor of attributes.

    Args:
        spec: A name of ``PREDICTORS``, or a form of ``OWN_PREDICTORS``: ``areas:SEGMENTER``,
            ``FILE.onnx``, or ``package.module:predict``, a function of images or a factory. For
            scores by sample (``FILE.csv``), which need no images, see ``load_scores``.
        device: Device to run on, in the syntax of ``find_device``. A factory places its predictor
            itself.

    Raises:
        SegmenterError: no such predictor.

    Example:
        >>> load_predictor("scenes").attributes[0]
        'lighting'
    """
    where = find_device(device)
    if spec in PREDICTORS:
        return _module(PREDICTORS[spec][0]).load_predictor(where)
    prefix, colon, target = spec.partition(":")
    if colon and prefix == "areas":
        return _module("predictors.areas").AreaPredictor(load_segmenter(target, device=device))
    if spec.lower().endswith(".onnx"):
        return _module("predictors.program").load_program(spec)
    if spec.lower().endswith(".csv"):
        raise SegmenterError(
            f"{spec} has scores by sample, and images were to be read; expected a predictor; "
            "scores are for fitting directions alone"
        )
    if colon:
        return _module("predictors.function").load_function(spec, where)
    forms = ", ".join(OWN_PREDICTORS)
    raise SegmenterError(
        f"predictor {spec!r} is not known; {did_you_mean(spec, PREDICTORS)}expected "
        f"{', '.join(PREDICTORS)}, or one of your own: {forms}"
    )


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"segmenters.{name}")


def _load_one(name: str, device: torch.device) -> Segmenter:
    if name in MODIFIERS:
        raise SegmenterError(
            f"segmenter {name!r} has nothing before it; expected a segmenter whose masks it "
            f"changes, such as scenes+{name}"
        )
    if name in SEGMENTERS:
        return importlib.import_module(f"segmenters.{name}").load(device)
    prefix, colon, _ = name.partition(":")
    if colon and prefix in PREFIXES:
        return importlib.import_module(f"segmenters.{PREFIXES[prefix][0]}").load(name, device)
    if colon:
        return call_factory(name, protocol=Segmenter, error=SegmenterError)
    raise SegmenterError(
        f"segmenter {name!r} is not known; {did_you_mean(name, SEGMENTERS)}expected "
        f"{', '.join(SEGMENTERS)}, "
        f"{', '.join(f'{known}:TARGET' for known in PREFIXES)} or package.module:factory; "
        "join them with +"
    )
