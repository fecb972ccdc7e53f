"""Finds and loads a generator by name, path or factory."""

import logging
import time
from pathlib import Path

import torch

from dissect.errors import GeneratorError
from dissect.generators import given_latents, image_networks, prompts, zoo
from dissect.generators.base import Generator, complete
from dissect.generators.families import load_file
from segmenters.devices import find_device
from segmenters.factory import call_factory
from segmenters.nearest import did_you_mean

_LOG = logging.getLogger(__name__)

_CHOOSES = "#"


def choose_weights(spec: str, group: str | None) -> str:
    """Spec of a file's generator with a chosen group of weights: ``g.pt#G``.

    Raises:
        GeneratorError: a spec that is not a file.

    Example:
        >>> choose_weights("dcgan.pt", None)
        'dcgan.pt'
    """
    if group is None:
        return spec
    if not Path(spec).exists():
        raise GeneratorError(
            f"the weights {group!r} were chosen from {spec!r}, which is not a file or folder; "
            "expected one that holds several groups of weights"
        )
    return f"{spec}{_CHOOSES}{group}"


def load_generator(spec: str | Path, *, device: torch.device | str = "cpu") -> Generator:
    """Find and load a generator.

    Args:
        spec: A zoo name (``faces-dcgan``), the path of a checkpoint, or ``package.module:factory``,
            where the factory takes no arguments and returns a ``Generator``. A path may name the
            group of weights to take, ``g.pt#G``; without it, the averaged ones are taken. After any
            of these, ``?latents=FILE`` uses a file's latents as samples (``given_latents``);
            ``NETWORK?images=FOLDER`` is a network that reads images (``image_networks``);
            ``?prompts=FILE`` and ``?prompt=TEXT`` are for generators of texts (``prompts``).
        device: Device to run on, such as ``cuda:1``, or ``auto`` for the machine's accelerator, if
            it has one. A factory places its generator itself.

    Raises:
        GeneratorError: no generator of that name, or a factory that returns something else.
        CheckpointError: a file that holds no known generator.

    Example:
        >>> load_generator("dissect.worlds.planted:generator").image_size
        32
    """
    started = time.monotonic()
    generator = _load(str(spec), find_device(device))
    _LOG.debug("generator %s loaded in %.1f s", generator.name, time.monotonic() - started)
    return generator


def _load(text: str, device: torch.device | str) -> Generator:
    if not Path(text).exists() and (found := _load_with_option(text, device)) is not None:
        return found
    if text in zoo.ENTRIES:
        return zoo.load(text, device=device)
    if Path(text).exists():
        return load_file(Path(text), name=Path(text).stem, device=device)
    path, _, group = text.rpartition(_CHOOSES)
    if path and group and Path(path).exists():
        return load_file(Path(path), name=Path(path).stem, device=device, weights=group)
    if ":" in text and not text.startswith((".", "/")):
        return call_factory(text, protocol=Generator, error=GeneratorError, complete=complete)
    raise GeneratorError(
        f"{text!r} is not a zoo name, a file or package.module:factory; "
        f"{did_you_mean(text, zoo.ENTRIES)}the zoo has {', '.join(zoo.ENTRIES)}; dissect zoo lists "
        "them"
    )


def _load_with_option(text: str, device: torch.device | str) -> Generator | None:
    """The generator of a spec that ends in ``?OPTION=VALUE``; None for any other."""
    inner, option, latents = text.rpartition(given_latents.OPTION)
    if option:
        return given_latents.load_latents(_load(inner, device), latents)
    inner, option, folder = text.rpartition(image_networks.OPTION)
    if option:
        return image_networks.load_image_network(inner, folder, device=device)
    found = prompts.split_prompts(text)
    if found is None:
        return None
    inner, option, value = found
    return prompts.set_prompts(_load(inner, device), option, value)
