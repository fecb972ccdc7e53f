"""Generators: the protocol, the families, and how one is found by name, path or factory."""

from difflib import get_close_matches
from pathlib import Path

import torch

from dissect.errors import CheckpointError, GeneratorError
from dissect.generators import dcgan, zoo
from dissect.generators.base import Generator, LayerInfo, Space
from dissect.generators.checkpoint import read
from segmenters.factory import call_factory

__all__ = ["Generator", "LayerInfo", "Space", "load_generator"]

_FAMILIES = (dcgan,)


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
    text = str(spec)
    if text in zoo.ENTRIES:
        return zoo.load(text, device=device)
    if Path(text).exists():
        return _from_file(Path(text), device=device)
    if ":" in text and not text.startswith((".", "/")):
        return call_factory(text, protocol=Generator, error=GeneratorError)
    near = get_close_matches(text, zoo.ENTRIES, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise GeneratorError(
        f"{text!r} is no zoo name, no file and no package.module:factory; {hint}"
        f"the zoo has {', '.join(zoo.ENTRIES)}; dissect zoo lists them"
    )


def _from_file(path: Path, *, device: torch.device | str) -> Generator:
    checkpoint = read(path)
    for family in _FAMILIES:
        if family.matches(checkpoint):
            return family.from_checkpoint(checkpoint, name=path.stem, device=device)
    raise CheckpointError(
        f"{path} holds {len(checkpoint.tensors)} tensors of no family known here (DCGAN); "
        "wrap the generator as package.module:factory instead"
    )
