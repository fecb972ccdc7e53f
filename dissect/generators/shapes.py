"""What is said of a generator's spaces and layers: names and shapes, plain values without torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Space:
    """A named latent space; ``shape`` is that of one sample, without the batch."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class LayerInfo:
    """A layer whose output is a feature map.

    Args:
        units: Number of channels.
        height, width: Size of the map in pixels, the part that covers the image.
        module: Dotted path below ``Generator.module``.
        margin: Pixels on each side that the module puts out beyond that. They are cut off before
            the map is read; an edit without a region reaches them.
    """

    units: int
    height: int
    width: int
    module: str
    margin: int = 0
