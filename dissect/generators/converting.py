"""Converts any supported checkpoint to one safetensors file, which holds no code.

The file keeps the generator's tensors under their own names, and the attributes of the original
as JSON in its metadata. Reading it back gives the same ``Checkpoint``, so this works for every
family without code per family.
"""

import json
from dataclasses import replace
from pathlib import Path

from safetensors.torch import save_file

from dissect.errors import CheckpointError
from dissect.generators.base import Generator
from dissect.generators.checkpoint import CONVERTED, Checkpoint, read
from dissect.generators.families import build_generator
from dissect.generators.weights import Source


def convert_file(path: str | Path, out: str | Path, *, weights: str | None = None) -> Generator:
    """Write a generator's tensors and architecture as safetensors.

    The new file is read back and compared before it replaces ``out``.

    Args:
        path: A checkpoint of a known family, in any container.
        out: The file to write, ``.safetensors``.
        weights: The group to take; None means the averaged one, if there is one.

    Returns:
        The generator, loaded from the new file.

    Raises:
        CheckpointError: a file that cannot be read or is of no known family, or an ``out`` of
            another suffix or that exists.
    """
    path, out = Path(path), Path(out)
    if out.suffix != ".safetensors":
        raise CheckpointError(
            f"{out} was given to write; expected a name that ends in .safetensors"
        )
    if out.exists():
        raise CheckpointError(f"{out} exists; expected a name that is free")
    checkpoint = read(path)
    if checkpoint.container == "onnx":
        raise CheckpointError(
            f"{path} is an ONNX program; expected weights to convert; it is used as it is"
        )
    generator = build_generator(checkpoint, name=path.stem, weights=weights)
    part = _keep(checkpoint, generator.source)
    partial = out.with_name(out.name + ".partial")
    try:
        # Copies, because tensors of a file may share memory.
        tensors = {name: value.contiguous().clone() for name, value in part.tensors.items()}
        about = {"format": CONVERTED, "attributes": json.dumps(dict(part.attributes))}
        save_file(tensors, partial, metadata=about)
        again = build_generator(replace(read(partial), path=out), name=path.stem)
        if again.fingerprint != generator.fingerprint:
            raise CheckpointError(
                f"{path} gives another generator when it is read back; expected the same; nothing "
                "was written; tell the authors of this program"
            )
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return again


def _keep(checkpoint: Checkpoint, source: Source) -> Checkpoint:
    """Keep only the generator's tensors, and all attributes except those of other groups."""
    others = {other.name.split("/")[0] for other in source.others}
    others -= {name.split("/")[0] for name in source.used}
    attributes = {
        name: value
        for name, value in checkpoint.attributes.items()
        if name.split("/")[0] not in others
    }
    tensors = {name: v for name, v in checkpoint.tensors.items() if name in source.used}
    return replace(checkpoint, tensors=tensors, attributes=attributes)
