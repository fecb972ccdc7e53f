"""Strokes: changes of some units at one place of a painting.

A stroke that draws sets units to ``strength`` times their values in its region; one that removes
ablates them there with ``strength``. A region is a box in pixels of the image, a mask (a PNG) over
the whole image, or neither for everywhere. Nothing in here imports torch.
"""

import base64
import binascii
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool

from dissect.errors import ConfigError, SettingError
from dissect.painting.checks import LONGEST_NAME, check_fields
from dissect.painting.masks import LARGEST_BYTES as LARGEST_MASK
from dissect.painting.masks import read_mask
from dissect.settings import Settings, setting
from dissect.settings.kinds import short

DRAW, REMOVE = "draw", "remove"
MOST_UNITS = 4096
STRONGEST = 10.0


class Stroke(Settings):
    """A change of some units at one place.

    Raises:
        ConfigError: a value of a wrong type or out of its range.

    Example:
        >>> Stroke("remove", "b16.conv1", (3, 7), box=(0, 0, 32, 64)).strength
        1.0
    """

    mode: str = setting("draw or remove", choices=(DRAW, REMOVE))
    layer: str = setting("layer, or layer@basis", longest=LONGEST_NAME)
    units: tuple[int, ...] = setting(
        "numbers of the units", at_least=0, at_most=2**31, count_at_least=1,
        count_at_most=MOST_UNITS, expected=f"1 to {MOST_UNITS} whole numbers of units, from 0",
    )  # fmt: skip
    values: tuple[float, ...] = setting(
        "value at which each unit is held if the strength is 1; none to remove",
        default=(), count_at_most=MOST_UNITS, expected=f"at most {MOST_UNITS} finite numbers",
    )  # fmt: skip
    strength: float = setting(
        "draw: factor of the values, 0 to 10; remove: share that is ablated, 0 to 1", default=1.0
    )
    box: tuple[int, int, int, int] | None = setting(
        "top, left, bottom, right in pixels of the image", default=None, at_least=0,
        at_most=2**16, expected="four whole numbers of pixels: top, left, bottom, right",
    )  # fmt: skip
    mask: bytes | None = setting(
        "PNG over the whole image, instead of a box; neither of them means everywhere",
        default=None, secret=True,
    )  # fmt: skip
    concept: str | None = setting(
        "concept that it is meant for; shown, not used", default=None, longest=LONGEST_NAME
    )

    def check(self) -> None:
        object.__setattr__(self, "values", tuple(float(one) for one in self.values))
        object.__setattr__(self, "strength", float(self.strength))
        if len(set(self.units)) < len(self.units):
            raise ConfigError("a stroke names a unit twice; expected each unit once")
        if len(self.values) != (len(self.units) if self.mode == DRAW else 0):
            raise ConfigError(
                f"a stroke has {len(self.values)} values for {len(self.units)} units; expected one "
                "for each unit to draw, and none to remove"
            )
        most = STRONGEST if self.mode == DRAW else 1.0
        if not 0 <= self.strength <= most:
            raise SettingError(
                "strength", f"is {self.strength:g}; expected 0 to {most:g} to {self.mode}"
            )
        self._check_region()

    def _check_region(self) -> None:
        if self.box is not None and self.mask is not None:
            raise ConfigError("a stroke has a box and a mask; expected one of the two, or neither")
        if self.mask is not None and not read_mask(self.mask).any():
            raise ConfigError("a stroke's mask marks no pixel; expected at least one; paint there")

    def region(self, image_size: int) -> Bool[np.ndarray, "height width"] | None:
        """Its region: marked pixels of the image, or of a mask of another size over it.

        Raises:
            ConfigError: a box that exceeds the image or holds no pixel.
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
            ConfigError: a missing, unknown or invalid field.
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
    """Bytes of a mask from base64; the length is checked before decoding.

    Raises:
        ConfigError: no text, too long, or invalid base64.
    """
    if not isinstance(text, str) or len(text) > 2 * LARGEST_MASK:
        raise ConfigError(f"a mask is {short(text)}; expected a PNG of moderate size in base64")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError("a mask is not base64; expected a PNG in base64") from None
