"""Masks as PNG files, as sent by a browser's canvas.

A PNG of a kilobyte can claim a billion pixels. So the number of bytes is checked first, then the
size in the header, and only a picture of a moderate size is decoded.

References:
    W3C, Portable Network Graphics Specification (third edition), sections 5.3 and 11.2.2 (IHDR).
"""

import io
import struct
import zlib

import numpy as np
from jaxtyping import Bool
from PIL import Image

from dissect.errors import ConfigError

LARGEST_BYTES = 512 * 1024
LARGEST_SIDE = 1024
"""Largest side of a mask in pixels; larger images are painted with a mask of this size."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGBA = 0, 6  # colour types of the header
_MARKED = 128  # smallest value out of 255 of a marked pixel


def read_mask(data: bytes) -> Bool[np.ndarray, "height width"]:
    """Pixels marked by a PNG: opaque ones of a canvas, light ones of a grey picture.

    Args:
        data: The whole file.

    Raises:
        ConfigError: too many bytes or pixels, no PNG, another kind of PNG, a damaged one.

    Example:
        >>> read_mask(write_mask(np.eye(2, dtype=bool))).tolist()
        [[True, False], [False, True]]
    """
    width, height, colour = _check_header(data)
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            if picture.size != (width, height):
                raise ConfigError("the mask's header changes while it is read; expected one PNG")
            plain = picture.getchannel("A") if colour == _RGBA else picture.convert("L")
            values = np.asarray(plain)
    except (OSError, SyntaxError, ValueError, struct.error, zlib.error, EOFError) as error:
        reason = (str(error).splitlines() or ["it ends too early"])[0]
        raise ConfigError(f"the mask is damaged ({reason}); expected a whole PNG") from None
    return values >= _MARKED


def write_mask(mask: Bool[np.ndarray, "height width"]) -> bytes:
    """A mask as a 1-bit PNG; ``read_mask`` reads it."""
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(mask, bool)).save(buffer, "PNG")
    return buffer.getvalue()


def _check_header(data: bytes) -> tuple[int, int, int]:
    """Width, height and colour type, read from the first 33 bytes only."""
    if len(data) > LARGEST_BYTES:
        raise ConfigError(
            f"the mask has {len(data):,} bytes; expected at most {LARGEST_BYTES:,}; paint with a "
            "mask of the image's own size"
        )
    # Signature, length and type of the first chunk, its 13 bytes, its checksum.
    if len(data) < 33 or data[:8] != _SIGNATURE or data[8:16] != b"\x00\x00\x00\rIHDR":
        raise ConfigError("the mask is not a PNG; expected a PNG of one grey or RGBA picture")
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    if not (1 <= width <= LARGEST_SIDE and 1 <= height <= LARGEST_SIDE):
        raise ConfigError(
            f"the mask has {width:,} × {height:,} pixels; expected at most {LARGEST_SIDE} along "
            "each side"
        )
    if (colour, depth) not in {(_GREY, 1), (_GREY, 8), (_RGBA, 8)}:
        raise ConfigError(
            f"the mask is a PNG of colour type {colour} with {depth} bits; expected grey (type 0, "
            "1 or 8 bits) or RGBA (type 6, 8 bits)"
        )
    return width, height, colour
