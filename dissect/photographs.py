"""Reads the user's own images: the files of a folder, each rotated, scaled and cropped to a square.

An image is rotated by its camera's tag, converted to RGB (or grey), scaled so that its shorter side
fits (Lanczos), and cropped to a square around its centre.
"""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from dissect.errors import ConfigError

KINDS = "PNG, JPEG or WebP"
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def image_files(folder: Path) -> list[Path]:
    """The image files directly in a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)


def read_image(
    path: Path, size: int, *, grey: bool = False
) -> UInt8[np.ndarray, "size size channels"]:
    """Read an image file; rotates, scales and crops it as in the module docstring.

    Args:
        path: The file.
        size: Height and width of the square in pixels.
        grey: One channel instead of three.

    Raises:
        ConfigError: a damaged file, or one that is not an image.
    """
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file).convert("L" if grey else "RGB")
    # Pillow raises several errors for damaged files, and for images that would fill the memory.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split())[:160]
        raise ConfigError(
            f"{path} cannot be read ({reason}); expected a {KINDS} image; take it out of the "
            "folder or give back a whole one"
        ) from error
    fitted = ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)
    return np.asarray(fitted).reshape(size, size, -1)
