"""Strokes: what is done to some units at one place of a painting.

A stroke that draws holds units at ``strength`` times their values where its region is; one that
removes takes ``strength`` of them away there. A region is a box in pixels of the image, a mask (a
PNG) over the whole image, or neither for everywhere. Nothing in here imports torch.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool

from dissect.errors import ConfigError
from dissect.painting.checks import as_number, check_fields, check_list, check_text, is_whole, short
from dissect.painting.masks import LARGEST_BYTES as LARGEST_MASK
from dissect.painting.masks import read_mask

DRAW, REMOVE = "draw", "remove"
MOST_UNITS = 4096
STRONGEST = 10.0


@dataclass(frozen=True)
class Stroke:
    """What is done to some units at one place.

    Args:
        mode: ``draw`` or ``remove``.
        layer: ``layer`` or ``layer@basis``.
        units: Which, from 0.
        values: At which units are held if ``strength`` is 1; none for ``remove``.
        strength: Draw: times the values, 0 to 10. Remove: the share ablated, 0 to 1.
        box: top, left, bottom, right in pixels of the image; or
        mask: PNG file, over the whole image; neither means everywhere.
        concept: What it is meant for; told, not used.

    Raises:
        ConfigError: something of another type or out of its range.

    Example:
        >>> Stroke("remove", "b16.conv1", (3, 7), box=(0, 0, 32, 64)).strength
        1.0
    """

    mode: str
    layer: str
    units: tuple[int, ...]
    values: tuple[float, ...] = ()
    strength: float = 1.0
    box: tuple[int, int, int, int] | None = None
    mask: bytes | None = field(default=None, repr=False)
    concept: str | None = None

    def __post_init__(self) -> None:
        if self.mode not in (DRAW, REMOVE):
            raise ConfigError(f"a stroke's mode is {short(self.mode)}; expected draw or remove")
        check_text("layer", self.layer)
        if self.concept is not None:
            check_text("concept", self.concept)
        units = check_list("units", self.units, MOST_UNITS)
        if not units or not all(is_whole(unit, 0, 2**31) for unit in units):
            raise ConfigError(
                f"a stroke's units are {short(self.units)}; expected whole numbers from 0, at "
                "least one"
            )
        if len(set(units)) < len(units):
            raise ConfigError("a stroke names a unit twice; expected each unit once")
        object.__setattr__(self, "units", tuple(units))
        values = check_list("values", self.values, MOST_UNITS)
        object.__setattr__(self, "values", tuple(as_number("a value", one) for one in values))
        if len(values) != (len(units) if self.mode == DRAW else 0):
            raise ConfigError(
                f"a stroke has {len(values)} values for {len(units)} units; expected one for each "
                "unit to draw, and none to remove"
            )
        most = STRONGEST if self.mode == DRAW else 1.0
        strength = as_number("strength", self.strength)
        if not 0 <= strength <= most:
            raise ConfigError(
                f"a stroke's strength is {strength:g}; expected 0 to {most:g} to {self.mode}"
            )
        object.__setattr__(self, "strength", strength)
        self._check_region()

    def _check_region(self) -> None:
        if self.box is not None and self.mask is not None:
            raise ConfigError("a stroke has a box and a mask; expected one of the two, or neither")
        if self.box is not None:
            corners = check_list("box", self.box, 4)
            if len(corners) != 4 or not all(is_whole(at, 0, 2**16) for at in corners):
                raise ConfigError(
                    f"a stroke's box is {short(self.box)}; expected four whole numbers of pixels: "
                    "top, left, bottom, right"
                )
            object.__setattr__(self, "box", tuple(corners))
        if self.mask is not None and not read_mask(self.mask).any():
            raise ConfigError("a stroke's mask marks no pixel; expected at least one; paint there")

    def region(self, image_size: int) -> Bool[np.ndarray, "height width"] | None:
        """Where it acts: marked pixels of the image, or of a mask of another size over it.

        Raises:
            ConfigError: a box that leaves the image or holds no pixel.
        """
        if self.mask is not None:
            return read_mask(self.mask)
        if self.box is None:
            return None
        top, left, bottom, right = self.box
        if not (top < bottom <= image_size and left < right <= image_size):
            raise ConfigError(
                f"the rectangle {top},{left},{bottom},{right} is not inside the image; expected "
                f"top < bottom and left < right, from 0 to {image_size} pixels"
            )
        marked = np.zeros((image_size, image_size), bool)
        marked[top:bottom, left:right] = True
        return marked

    def to_json(self) -> dict[str, object]:
        """Plain values; ``from_json`` reads them."""
        region: dict[str, object] | None = None
        if self.box is not None:
            region = {"box": list(self.box)}
        elif self.mask is not None:
            region = {"mask": base64.b64encode(self.mask).decode()}
        return {
            "mode": self.mode,
            "concept": self.concept,
            "layer": self.layer,
            "units": list(self.units),
            "values": list(self.values),
            "strength": self.strength,
            "region": region,
        }

    @classmethod
    def from_json(cls, content: object) -> "Stroke":
        """The inverse of ``to_json``.

        Raises:
            ConfigError: a field that is missing, unknown or wrong.
        """
        names = ("mode", "concept", "layer", "units", "values", "strength", "region")
        found = dict(check_fields("a stroke", content, names))
        region = found.pop("region")
        if region is None:
            return cls(**found)
        if not isinstance(region, Mapping) or set(region) not in ({"box"}, {"mask"}):
            raise ConfigError("a stroke's region is damaged; expected null, a box or a mask")
        if "box" in region:
            return cls(**found, box=region["box"])
        return cls(**found, mask=decode_mask(region["mask"]))


def decode_mask(text: object) -> bytes:
    """Bytes of a mask from base64, counted before they are decoded.

    Raises:
        ConfigError: no text, too long, or no base64.
    """
    if not isinstance(text, str) or len(text) > 2 * LARGEST_MASK:
        raise ConfigError(f"a mask is {short(text)}; expected a PNG of moderate size in base64")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError("a mask is no base64; expected a PNG in base64") from None
