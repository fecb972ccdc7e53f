"""The families of generators, and which of them a file belongs to."""

from pathlib import Path

import torch

from dissect.errors import CheckpointError
from dissect.generators import (
    biggan,
    dcgan,
    diffusers_decoders,
    eigengan,
    lightweight_gan,
    lucidrains,
    onnx_programs,
    pggan,
    stylegan1,
    stylegan2_files,
    stylegan3,
)
from dissect.generators.base import Generator
from dissect.generators.checkpoint import Checkpoint, read

FAMILIES = {
    "ONNX program": onnx_programs,
    "StyleGAN2": stylegan2_files,
    "StyleGAN3": stylegan3,
    "StyleGAN": stylegan1,
    "stylegan2_pytorch": lucidrains,
    "lightweight-gan": lightweight_gan,
    "autoencoder of diffusers": diffusers_decoders,
    "BigGAN": biggan,
    "EigenGAN": eigengan,
    "PGGAN": pggan,
    "DCGAN": dcgan,
}
"""Modules with ``matches(checkpoint)`` and ``from_checkpoint(checkpoint, name, device)``."""


def load_file(path: Path, *, name: str, device: torch.device | str = "cpu") -> Generator:
    """Load the generator that a file holds, whichever family it is of.

    Raises:
        CheckpointError: a file that cannot be read, of no family known here, or whose tensors do
            not fit together.
    """
    return build_generator(read(path), name=name, device=device)


def build_generator(
    checkpoint: Checkpoint, *, name: str, device: torch.device | str = "cpu"
) -> Generator:
    """The generator of a file that was read; its ``family`` names one of ``FAMILIES``.

    Raises:
        CheckpointError: see ``load_file``.
    """
    path = checkpoint.path
    for title, family in FAMILIES.items():
        try:
            if family.matches(checkpoint):
                generator = family.from_checkpoint(checkpoint, name=name, device=device)
                generator.family = title
                return generator
        # What indexing, unpacking or reshaping tensors of unexpected shapes raises.
        except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
            raise CheckpointError(
                f"{path} has names as {title} has them, but tensors that do not fit together "
                f"({reason}); get the file again"
            ) from error
    raise CheckpointError(
        f"{path} holds {len(checkpoint.tensors)} tensors of no family known here "
        f"({', '.join(FAMILIES)}); wrap the generator as package.module:factory instead"
    )
