"""Reads ``run.json`` and checks that every value has the expected type and range.

A run may come from somebody else, so nothing in it is used before this check. Otherwise a value of
a wrong type would cause a misleading error later.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissect.errors import ConfigError, RunError
from dissect.generators.shapes import LayerInfo
from dissect.runs import schema
from dissect.runs.left_out import KINDS
from segmenters.plain_text import find_control, one_line
from segmenters.received import read_json, reading

if TYPE_CHECKING:  # they need torch
    from dissect.config import RunConfig
    from dissect.generators.base import Generator
    from segmenters import Segmenter

ADVICE = "make the run again"
"""Advice for a damaged run."""
MOST_UNITS = 1_000_000
"""Limit for one layer; also in pixels of a side."""
MOST_CONCEPTS = 20_000
MOST_LAYERS = 10_000
_MOST = {"n_samples": 10**9, "block": 1 << 16, "pilot": 10**6, "top_images": 10**3, "grid": 1 << 16}
"""Setting → largest accepted value; a resumed run makes blocks of that many images."""

_WHOLE = (int, 0, MOST_UNITS)
_SHAPE: dict[str, Any] = {
    "kind": str,
    "schema_version": int,
    "fingerprint": str,
    "created": str,
    "seconds": float,
    "config": {},
    "generator": {
        "name": str,
        "fingerprint": str,
        "image_size": _WHOLE,
        "layers": {str: [_WHOLE, _WHOLE, _WHOLE]},
    },
    "segmenter": {"name": str, "fingerprint": str, "vocabulary": [[str, str, str, str]]},
    "coverage": {"calibration": int, "evaluation": int, "grid": _WHOLE},
    "versions": {str: str},
    "files": {str: {"bytes": int, "sha256": str}},
}
"""Schema of run.json: a type, a type with its range, an object by its keys, an object of any keys
(``{str: …}``), a list of one kind, or a list with one entry per value. Objects may have further
keys."""


def read_record(path: Path) -> dict[str, Any]:
    """The content of a run's run.json.

    Args:
        path: Folder of the run.

    Raises:
        RunError: a file that cannot be read, that describes something else, is of a newer version,
            or has a missing value or one of another type.
    """
    file = path / schema.RUN_FILE
    record = read_json(file, RunError, ADVICE)
    with reading(file, RunError, ADVICE):
        kind, version = record["kind"], record["schema_version"]
    if kind != schema.KIND:
        raise RunError(
            f"{file} describes a {one_line(str(kind))[:60]!r}; expected a {schema.KIND!r}"
        )
    if type(version) is int and version > schema.SCHEMA_VERSION:
        raise RunError(
            f"{path} has schema version {version}, of a newer version; this one reads up to "
            f"{schema.SCHEMA_VERSION}; update gan-dissection"
        )
    with reading(file, RunError, ADVICE):
        _check(record, _SHAPE, "run.json")
        _check_config(record["config"])
        _check_left_out(record)
        _check_names(record)
        _check_texts(record["generator"], record["config"].get("label"))
    return record


def layers_of(record: dict[str, Any]) -> dict[str, LayerInfo]:
    """Layer → shape of its maps, from a checked record."""
    names = record["generator"].get("unit_names", {})
    return {
        name: LayerInfo(units, height, width, name, unit_names=tuple(names.get(name, ())))
        for name, (units, height, width) in record["generator"]["layers"].items()
    }


def check_text(config: "RunConfig", generator: "Generator", segmenter: "Segmenter") -> None:
    """Raise an error for names with control characters, with which a run could not be opened again.

    Raises:
        ConfigError: such a name.
    """
    concepts = segmenter.vocabulary.names
    for what, names in {
        "the generator's name": [generator.name, config.generator],
        "the segmenter's name": [segmenter.name, config.segmenter],
        "a layer's name": config.layers,
        "a concept's name": [*concepts, *segmenter.vocabulary.planes],
    }.items():
        for name in names:
            control = find_control(name)
            if control is not None:
                raise ConfigError(
                    f"{what} is {one_line(name)[:60]!r}, with the control character {control}; "
                    "expected text that a terminal can show; rename it"
                )


def _check(value: object, shape: Any, where: str) -> None:
    """Compare a value with a shape; see ``_SHAPE``."""
    if isinstance(shape, type):
        if not _is_a(value, shape):
            raise ValueError(f"{where} is {_short(value)}; expected {shape.__name__}")
    elif isinstance(shape, tuple):
        kind, least, most = shape
        if not _is_a(value, kind) or not least <= value <= most:
            raise ValueError(f"{where} is {_short(value)}; expected from {least} to {most:,}")
    elif isinstance(shape, dict):
        _check_object(value, shape, where)
    else:
        _check_list(value, shape, where)


def _check_object(value: object, shape: dict[Any, Any], where: str) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is {_short(value)}; expected an object")
    if str in shape:
        for key, one in value.items():
            _check(one, shape[str], f"{where}, {key[:60]!r}")
        return
    for key, wanted in shape.items():
        if key not in value:
            raise ValueError(f"{where} has no {key!r}")
        _check(value[key], wanted, key)


def _check_list(value: object, shape: list[Any], where: str) -> None:
    if not isinstance(value, list):
        raise ValueError(f"{where} is {_short(value)}; expected a list")
    if len(shape) > 1 and len(value) != len(shape):
        raise ValueError(f"{where} has {len(value)} values; expected {len(shape)}")
    kinds = shape if len(shape) > 1 else shape * len(value)
    for one, kind in zip(value, kinds, strict=True):
        _check(one, kind, where)


def _is_a(value: object, kind: type) -> bool:
    """Whether a value has a type; a boolean is not a number, an integer is also a float."""
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def _check_config(config: dict[str, Any]) -> None:
    """Check limits beyond those of ``RunConfig``, which checks the others itself."""
    for name, most in _MOST.items():
        value = config.get(name)
        if isinstance(value, int) and value > most:
            raise ValueError(f"config, {name!r} is {_short(value)}; expected at most {most:,}")


def _check_left_out(record: dict[str, Any]) -> None:
    """Check the missing parts of a run: rising ranges of its samples or blocks."""
    for kind in KINDS:
        ranges = record["coverage"].get(kind, [])
        before = -1
        for pair in ranges if isinstance(ranges, list) else [ranges]:
            if not (isinstance(pair, list) and len(pair) == 2 and all(_is_a(n, int) for n in pair)):
                raise ValueError(f"coverage, {kind!r} holds {_short(pair)}; expected two numbers")
            first, last = pair
            if not before < first < last <= record["config"].get("n_samples", 0):
                raise ValueError(f"coverage, {kind!r} holds {_short(pair)}; expected rising ranges")
            before = last


def _check_names(record: dict[str, Any]) -> None:
    layers, vocabulary = record["generator"]["layers"], record["segmenter"]["vocabulary"]
    if not 0 < len(layers) <= MOST_LAYERS or list(layers) != record["config"].get("layers"):
        raise ValueError("generator, 'layers' are other ones than those of the settings")
    for layer, (units, height, width) in layers.items():
        # A name becomes a part of paths.
        if schema.layer_key(layer) in ("", ".", ".."):
            raise ValueError(f"{layer!r} is not a name of a layer")
        if not (units and height and width):
            raise ValueError(f"layer {layer[:60]!r} has no units or no pixels")
    if not 0 < len(vocabulary) <= MOST_CONCEPTS:
        raise ValueError(f"the vocabulary has {len(vocabulary):,} concepts")
    part_of = record["segmenter"].get("part_of")
    if part_of is not None:  # runs of the first versions do not name parts
        _check(part_of, {str: str}, "part_of")


def _check_texts(generator: dict[str, Any], label: int | None) -> None:
    """Check what only runs of generators of texts have: names of units, and prompts."""
    names, prompts = generator.get("unit_names", {}), generator.get("prompts", [])
    _check(names, {str: [str]}, "unit_names")
    for layer, given in names.items():
        units = generator["layers"].get(layer, (0,))[0]
        if len(given) != units:
            raise ValueError(f"layer {layer[:60]!r} has {len(given)} names of its {units} units")
    _check(prompts, [str], "prompts")
    if prompts and len(prompts) != generator.get("n_classes"):
        raise ValueError(f"it has {len(prompts)} prompts, another number than its classes")
    if prompts and label is not None and not 0 <= label < len(prompts):
        raise ValueError(f"label is {_short(label)} of {len(prompts)} prompts")


def _short(value: object) -> str:
    return one_line(repr(value))[:40]
