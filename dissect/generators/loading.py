"""Finds and loads a generator by name, path or factory."""

import logging
import time
from pathlib import Path

import torch

from dissect.errors import GeneratorError
from dissect.generators import zoo
from dissect.generators.base import Generator, complete
from dissect.generators.families import load_file
from segmenters.factory import call_factory
from segmenters.nearest import did_you_mean

_LOG = logging.getLogger(__name__)


def load_generator(spec: str | Path, *, device: torch.device | str = "cpu") -> Generator:
    """Find and load a generator.

    Args:
        spec: A zoo name (``faces-dcgan``), the path of a checkpoint, or ``package.module:factory``,
            where the factory takes no arguments and returns a ``Generator``.
        device: Where it should run. A factory places its generator itself.

    Raises:
        GeneratorError: nothing of that name, or a factory that gives something else.
        CheckpointError: a file that holds no known generator.

    Example:
        >>> load_generator("dissect.worlds.planted:generator").image_size
        32
    """
    started = time.monotonic()
    generator = _load(str(spec), device)
    _LOG.debug("generator %s loaded in %.1f s", generator.name, time.monotonic() - started)
    return generator


def _load(text: str, device: torch.device | str) -> Generator:
    if text in zoo.ENTRIES:
        return zoo.load(text, device=device)
    if Path(text).exists():
        return load_file(Path(text), name=Path(text).stem, device=device)
    if ":" in text and not text.startswith((".", "/")):
        return call_factory(text, protocol=Generator, error=GeneratorError, complete=complete)
    raise GeneratorError(
        f"{text!r} is no zoo name, no file and no package.module:factory; "
        f"{did_you_mean(text, zoo.ENTRIES)}the zoo has {', '.join(zoo.ENTRIES)}; dissect zoo lists "
        "them"
    )
