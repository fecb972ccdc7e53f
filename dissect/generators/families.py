"""The families of generators, and which of them a file belongs to."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from dissect.errors import CheckpointError
from dissect.generators import (
    biggan,
    dcgan,
    diffusers_decoders,
    diffusers_unets,
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
from dissect.generators.unread import refuse_unread

FAMILIES = {
    "ONNX program": onnx_programs,
    "StyleGAN2": stylegan2_files,
    "StyleGAN3": stylegan3,
    "StyleGAN": stylegan1,
    "stylegan2_pytorch": lucidrains,
    "lightweight-gan": lightweight_gan,
    "autoencoder of diffusers": diffusers_decoders,
    "U-Net of diffusers": diffusers_unets,
    "BigGAN": biggan,
    "EigenGAN": eigengan,
    "PGGAN": pggan,
    "DCGAN": dcgan,
}
"""Modules with ``matches(checkpoint)`` and ``from_checkpoint(checkpoint, name, device)``."""

_HOLDERS = ("generator_ema.", "G_ema.", "g_ema.", "netG.", "generator.", "gen.", "G.", "model.")
"""What programs put before the names of a generator in a network that holds others too."""


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
    refuse_unread(checkpoint)
    for part in _parts(checkpoint):
        for title, family in FAMILIES.items():
            try:
                if family.matches(part):
                    generator = family.from_checkpoint(part, name=name, device=device)
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


def _parts(checkpoint: Checkpoint) -> Iterator[Checkpoint]:
    """What the file holds; then, if that is of no family, what it holds under one name."""
    yield checkpoint
    groups = checkpoint.groups()
    for holder in _HOLDERS:
        for group, state in groups.items():
            before = f"{group}/{holder}" if group else holder
            if any(name.startswith(holder) for name in state):
                tensors, attributes = (
                    {n.removeprefix(before): v for n, v in values.items() if n.startswith(before)}
                    for values in (checkpoint.tensors, checkpoint.attributes)
                )
                yield replace(checkpoint, tensors=tensors, attributes=attributes)
