"""Names and shapes of a generator's spaces and layers, as plain values without torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Space:
    """A named latent space; ``shape`` is the shape of one sample, without the batch dimension.

    Example:
        >>> Space("w", (512,)).shape
        (512,)
    """

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class LayerInfo:
    """A layer whose output is a feature map.

    Args:
        units: Number of channels.
        height, width: Size in pixels of the part of the map that covers the image.
        module: Dotted path below ``Generator.module``.
        margin: Extra pixels on each side of the module's output. They are cropped before the map is
            read; an edit without a region reaches them.
        unit_names: What each unit stands for, such as a word of a text; empty where units have no
            names.

    Example:
        >>> LayerInfo(512, 16, 16, "b16.conv1").units
        512
    """

    units: int
    height: int
    width: int
    module: str
    margin: int = 0
    unit_names: tuple[str, ...] = ()
