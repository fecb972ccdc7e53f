"""The families of generators, and the search for the family of a file."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from dissect.errors import CheckpointError, DissectError
from dissect.generators import (
    biggan_files,
    dalle,
    dcgan,
    diffusers_decoders,
    diffusers_pipelines,
    diffusers_unets,
    eigengan,
    lightweight_gan,
    lucidrains,
    onnx_programs,
    pggan,
    r3gan,
    stylegan1,
    stylegan2_files,
    stylegan3,
)
from dissect.generators.bounding import bounded_by_file, check_sizes
from dissect.generators.checkpoint import Checkpoint, read
from dissect.generators.styled import StyledGenerator
from dissect.generators.unread import refuse_unread
from dissect.generators.weights import Part, choose_part, find_parts, list_others, make_source
from dissect.generators.z_only import ZOnlyGenerator
from segmenters.received import describe, reading

FromFile = ZOnlyGenerator[Any] | StyledGenerator


class Family(Protocol):
    """A module that reads the files of one kind of generator."""

    def matches(self, part: Part) -> bool:
        """Whether the part's names are those of the family."""
        ...

    def from_checkpoint(self, part: Part, *, name: str, device: torch.device | str) -> FromFile:
        """Load the generator from the part.

        Raises:
            CheckpointError: tensors that are missing or do not fit together.
        """
        ...


FAMILIES: dict[str, Family] = {
    "ONNX program": onnx_programs,
    "StyleGAN2": stylegan2_files,
    "StyleGAN3": stylegan3,
    "StyleGAN": stylegan1,
    "stylegan2_pytorch": lucidrains,
    "lightweight-gan": lightweight_gan,
    "autoencoder of diffusers": diffusers_decoders,
    "text-to-image pipeline of diffusers": diffusers_pipelines,
    "U-Net of diffusers": diffusers_unets,
    "DALL-E": dalle,
    "BigGAN": biggan_files,
    "R3GAN": r3gan,
    "EigenGAN": eigengan,
    "PGGAN": pggan,
    "DCGAN": dcgan,
}
"""Title of a family → its module."""

_log = logging.getLogger("dissect")


def load_file(
    path: Path, *, name: str, device: torch.device | str = "cpu", weights: str | None = None
) -> FromFile:
    """Load the generator in a file of any family.

    Args:
        path: A file or folder.
        name: Name shown to people.
        device: Device to run on.
        weights: The group to take, as ``dissect inspect`` lists them; None means the averaged one,
            if there is one.

    Raises:
        CheckpointError: a file that cannot be read, that belongs to no known family, or whose
            tensors do not fit together.
    """
    generator = build_generator(read(path), name=name, device=device, weights=weights)
    for line in generator.source.notices():
        _log.warning("%s: %s", path, line)
    return generator


def build_generator(
    checkpoint: Checkpoint,
    *,
    name: str,
    device: torch.device | str = "cpu",
    weights: str | None = None,
) -> FromFile:
    """Build the generator of a file that was read.

    Its ``family`` is one of ``FAMILIES``; its ``source`` names the weights that were taken.

    Raises:
        CheckpointError: see ``load_file``.
    """
    with reading(checkpoint.path, CheckpointError, "get the file again"):
        return _choose_and_build(checkpoint, name, device, weights)


def _choose_and_build(
    checkpoint: Checkpoint, name: str, device: torch.device | str, weights: str | None
) -> FromFile:
    refuse_unread(checkpoint)
    parts = find_parts(checkpoint)
    candidates = [choose_part(checkpoint, weights, parts)] if weights is not None else parts
    for part in candidates:
        title = _find_family(part)
        if title is None:
            continue
        reading = part.recorded()
        generator = _build(title, reading, name, device)
        generator.family = title
        families = {p.group: family for p in parts if (family := _find_family(p)) is not None}
        generator.source = make_source(reading, list_others(part, parts, families))
        return generator
    raise _no_family(checkpoint, candidates, weights)


def _find_family(part: Part) -> str | None:
    for title, family in FAMILIES.items():
        try:
            if family.matches(part):
                return title
        # Tensors of unexpected shapes may raise any error. The names match the family, so reading
        # it will name the tensors that do not fit.
        except Exception:
            return title
    return None


def _build(title: str, part: Part, name: str, device: torch.device | str) -> FromFile:
    tensors = part.whole.tensors
    try:
        with bounded_by_file(tensors):
            generator = FAMILIES[title].from_checkpoint(part, name=name, device=device)
        check_sizes(generator, tensors)
        return generator
    except DissectError:
        raise
    except Exception as error:
        reason = describe(error)
        raise CheckpointError(
            f"{part.path} has names as {title} has them, but tensors that do not fit together "
            f"({reason}): it is damaged, or of a program that changed the network; wrap the "
            "generator as package.module:factory instead"
        ) from error


def _no_family(
    checkpoint: Checkpoint, parts: Sequence[Part], weights: str | None
) -> CheckpointError:
    """The error that describes the contents of the file and the nearest family."""
    near = [found for part in parts if (found := dcgan.explain(part)) is not None]
    where = f"the weights {weights!r} of " if weights is not None else ""
    n_tensors = sum(len(p.tensors) for p in parts) if where else len(checkpoint.tensors)
    if near:
        return CheckpointError(f"{where}{checkpoint.path}: {near[0]}")
    names = ", ".join(list(checkpoint.tensors)[:2])[:120]
    return CheckpointError(
        f"{where}{checkpoint.path} holds {n_tensors} tensors ({names}, …) of no family known here "
        f"({', '.join(FAMILIES)}); wrap the generator as package.module:factory instead"
    )
