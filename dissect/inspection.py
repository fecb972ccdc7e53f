"""Describes a generator, or the contents of a weight file, as plain values and as text."""

import json
import math
import time
from collections.abc import Iterable
from pathlib import Path

import torch

from dissect.generators import Generator, load_generator, zoo
from dissect.generators.base import complete
from dissect.generators.bounding import one_image
from dissect.generators.checkpoint import read
from dissect.generators.prompts import TakesPrompts
from dissect.generators.weights import Source
from dissect.sizes import format_size
from dissect.terminal import describe_generator

_SHOWN = 40  # tensors and attributes listed in text


def inspect_generator(generator: Generator | str) -> dict[str, object]:
    """Describe a generator.

    Returns:
        name, family (of a file; otherwise the class), image_size, channels, n_classes, parameters
        (their number), spaces (name → shape), layers (name → units, height, width), range (lowest
        and highest value of one image), seconds (of that forward pass) and fingerprint. For a
        generator of texts also prompts and words (what units of its layers of attention stand for).
        For a file also weights: group (taken), averaged, others (name, averaged, family, tensors),
        unused (names), missing (name → replacement), borrowed (name → group), settings (obeyed),
        assumed.

    Example:
        >>> inspect_generator(generator)["image_size"]
        32
    """
    if isinstance(generator, str):
        generator = load_generator(generator)
    complete(generator)
    of_file = getattr(generator, "source", None) is not None
    with one_image(generator, of_file=of_file), torch.no_grad():
        latent = generator.sample([0], seed=0)
        started = time.perf_counter()
        image = generator.synthesize(latent)
        seconds = time.perf_counter() - started
    return {
        "name": generator.name,
        "family": generator.family,
        "image_size": generator.image_size,
        "channels": generator.channels,
        "n_classes": generator.n_classes,
        # The parameters of a program are not those of a torch module.
        "parameters": getattr(generator, "n_parameters", None)
        or sum(p.numel() for p in generator.module.parameters()),
        "spaces": {name: list(space.shape) for name, space in generator.spaces.items()},
        "layers": {
            name: {"units": info.units, "height": info.height, "width": info.width}
            for name, info in generator.layers.items()
        },
        **_describe_texts(generator),
        "range": [float(image.min()), float(image.max())],
        "seconds": seconds,
        "fingerprint": generator.fingerprint,
    } | _describe_source(getattr(generator, "source", None))


def _describe_texts(generator: Generator) -> dict[str, object]:
    """Prompts and words; empty for a generator that takes no text."""
    if not isinstance(generator, TakesPrompts):
        return {}
    return {
        "prompts": [_text(prompt) for prompt in generator.prompts],
        "words": [_text(word) for word in generator.words],
    }


def _describe_source(source: Source | None) -> dict[str, object]:
    if source is None:
        return {}
    others = [
        {
            "group": _text(other.name),
            "averaged": other.averaged,
            "family": other.family,
            "tensors": other.n_tensors,
        }
        for other in source.others
    ]
    about = {
        "group": _text(source.group),
        "averaged": source.averaged,
        "others": others,
        "unused": [_text(name) for name in source.unused],
        "missing": {_text(name): what for name, what in source.missing.items()},
        "borrowed": {_text(name): _text(group) for name, group in source.borrowed.items()},
        "settings": {_text(name): _plain(value) for name, value in source.obeyed.items()},
        "assumed": dict(source.assumed),
    }
    return {"weights": about}


def inspect_file(path: str | Path) -> dict[str, object]:
    """Describe the contents of a file or folder of weights, of any family.

    Args:
        path: Its path, or the name of a zoo generator.

    Returns:
        path, container, groups (name → tensors, bytes), tensors (name → shape, dtype), attributes
        (name → value) and globals (names of classes and functions in it).

    Raises:
        CheckpointError: a file that cannot be read.
        GeneratorError: a zoo generator that is not available locally.
    """
    if str(path) in zoo.ENTRIES:
        path = zoo.find_weights(str(path))
    checkpoint = read(path)
    return {
        "path": str(path),
        "container": checkpoint.container,
        "groups": {
            _text(name): {"tensors": len(group), "bytes": sum(t.nbytes for t in group.values())}
            for name, group in checkpoint.groups().items()
        },
        "tensors": {
            _text(name): {"shape": list(tensor.shape), "dtype": str(tensor.dtype)[6:]}
            for name, tensor in checkpoint.tensors.items()
        },
        "attributes": {_text(name): _plain(v) for name, v in checkpoint.attributes.items()},
        "globals": list(checkpoint.globals),
    }


def describe(found: dict) -> str:
    """The result of ``inspect_generator`` or ``inspect_file`` as text."""
    if "container" not in found:
        lines = [describe_generator(found)]
        if "weights" in found:
            lines += _describe_weights(found["weights"])
        return "\n".join(lines)
    lines = [f"{found['path']}: {found['container']}, {len(found['tensors']):,} tensors"]
    lines += [
        f"  group {_name(name) or '(top)'}: {group['tensors']:,} tensors, "
        f"{format_size(group['bytes'])}"
        for name, group in found["groups"].items()
    ]
    tensors = [
        f"  tensor {_name(name)}  {' × '.join(map(str, tensor['shape'])) or 'one value'}  "
        f"{tensor['dtype']}"
        for name, tensor in found["tensors"].items()
    ]
    attributes = [
        f"  attribute {_name(name)} = {json.dumps(value)[:100]}"
        for name, value in found["attributes"].items()
    ]
    lines += _shorten(tensors, "tensors") + _shorten(attributes, "attributes")
    return "\n".join([*lines, *(f"  names {name}" for name in found["globals"])])


def _describe_weights(weights: dict) -> list[str]:
    """The chosen weights, and the state of the other ones, one line each."""

    def called(group: str, averaged: bool) -> str:
        return (_name(group) or "(top)") + (" (averaged)" if averaged else "")

    lines = [f"  weights: {called(weights['group'], weights['averaged'])}"]
    for other in weights["others"]:
        holds = other["family"] or "no generator known here"
        way = f"; --weights {_name(other['group'])} takes it" if other["family"] else ""
        lines.append(
            f"  other weights: {called(other['group'], other['averaged'])}, "
            f"{other['tensors']:,} tensors, {holds}{way}"
        )
    unused, borrowed = weights["unused"], weights["borrowed"]
    if unused:
        lines.append(f"  unused: {len(unused):,} tensors, {_list_names(unused)}")
    if borrowed:
        groups = ", ".join(dict.fromkeys(borrowed.values()))
        lines.append(f"  taken from {groups}: {len(borrowed):,} tensors, {_list_names(borrowed)}")
    lines += [f"  missing: {_name(name)}; {what}" for name, what in weights["missing"].items()]
    lines += [
        f"  setting: {_name(name)} = {json.dumps(value)[:100]}"
        for name, value in weights["settings"].items()
    ]
    return lines + [f"  assumed: {name}: {what}" for name, what in weights["assumed"].items()]


def _list_names(names: Iterable[str]) -> str:
    listed = [_name(name) for name in names]
    return ", ".join(listed[:4]) + (" …" if len(listed) > 4 else "")


def _shorten(lines: list[str], kind: str) -> list[str]:
    more = len(lines) - _SHOWN
    return lines[:_SHOWN] + ([f"  … {more:,} more {kind} (--json)"] if more > 0 else [])


def _name(name: str) -> str:
    """A name from a file, made safe for a terminal."""
    return name if name.isprintable() else json.dumps(name)


def _text(text: str) -> str:
    """Text from a file, without single surrogates, which cannot be printed."""
    return text.encode("utf-8", "backslashreplace").decode()


def _plain(value: object) -> object:
    """A value from a file for JSON, which has no infinity and no NaN."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return _text(value)
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
