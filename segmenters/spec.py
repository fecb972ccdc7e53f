"""Specs of segmenters of other libraries: ``PREFIX:TARGET,option=value,option=value``.

    smp:runs/unet,names=classes.json,plane=street
    hf:nvidia/segformer-b0-finetuned-ade-512-512@main,output=semantic

Commas and equals signs need no quotes in a shell. A path with a comma or a plus cannot be written
in a spec: rename it, or use ``package.module:factory``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from segmenters.errors import SegmenterError


@dataclass(frozen=True)
class Spec:
    """A target and its options.

    Args:
        text: The whole spec, which is the segmenter's name.
        target: A folder, an id, or another target of the prefix.
        options: Name → value.
    """

    text: str
    target: str
    options: Mapping[str, str]

    @property
    def plane(self) -> str:
        """Default name of the plane: the name of the folder or the repository."""
        target = Path(self.target).expanduser()
        name = target.resolve().name if target.exists() else self.target.split("@")[0]
        return name.rpartition("/")[2]


def parse_spec(text: str, known: Mapping[str, str]) -> Spec:
    """Parse a spec.

    Args:
        text: The spec with its prefix.
        known: Allowed options → description of their values.

    Raises:
        SegmenterError: no target, an unknown or repeated option, or one without a value.

    Example:
        >>> parse_spec("smp:runs/unet,names=voc", {"names": "a set"}).options
        {'names': 'voc'}
    """
    target, *parts = text.partition(":")[2].split(",")
    if not target.strip():
        raise SegmenterError(
            f"segmenter {text!r} names nothing after the colon; expected a folder or an id there"
        )
    options: dict[str, str] = {}
    for part in parts:
        key, _, value = (piece.strip() for piece in part.partition("="))
        if key not in known or not value or key in options:
            takes = ", ".join(f"{name}={what}" for name, what in known.items())
            fault = "is given twice" if key in options else "is not an option"
            raise SegmenterError(
                f"segmenter {text!r}: {part.strip()!r} {fault}; expected {takes}, after commas"
            )
        options[key] = value
    return Spec(text, target.strip(), options)


def choice(spec: Spec, option: str, values: tuple[str, ...]) -> str:
    """The value of an option; the first of the allowed values if it is not given.

    Raises:
        SegmenterError: another value.
    """
    value = spec.options.get(option, values[0])
    if value not in values:
        raise SegmenterError(
            f"segmenter {spec.text!r} has {option}={value}; expected {' or '.join(values)}"
        )
    return value
