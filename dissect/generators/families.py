"""The families of generators, and which of them a file belongs to."""

from pathlib import Path

import torch

from dissect.errors import CheckpointError
from dissect.generators import biggan, dcgan, eigengan, lucidrains, pggan, stylegan1, stylegan2
from dissect.generators.base import Generator
from dissect.generators.checkpoint import read

FAMILIES = {
    "StyleGAN2": stylegan2,
    "StyleGAN": stylegan1,
    "stylegan2_pytorch": lucidrains,
    "BigGAN": biggan,
    "EigenGAN": eigengan,
    "PGGAN": pggan,
    "DCGAN": dcgan,
}
"""Modules with ``matches(checkpoint)`` and ``from_checkpoint(checkpoint, name, device)``."""


def load_file(path: Path, *, name: str, device: torch.device | str = "cpu") -> Generator:
    """Load the generator that a file holds, whichever family it is of.

    Raises:
        CheckpointError: a file that cannot be read, or of no family known here.
    """
    checkpoint = read(path)
    for family in FAMILIES.values():
        if family.matches(checkpoint):
            return family.from_checkpoint(checkpoint, name=name, device=device)
    raise CheckpointError(
        f"{path} holds {len(checkpoint.tensors)} tensors of no family known here "
        f"({', '.join(FAMILIES)}); wrap the generator as package.module:factory instead"
    )
