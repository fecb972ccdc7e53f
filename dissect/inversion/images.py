"""A person's image as a generator's: turned as its EXIF says, opaque, square, at the right size.

Transparent pixels are put on white. 16 bits are brought to 8, CMYK and palettes to RGB. The largest
square in the middle is cut out and averaged to the size of the generator's images, or enlarged.

``dissect.photographs`` reads the images of a folder for runs, and differs on purpose: it scales by
Lanczos, and takes what a file has below its transparency and above 8 bits as Pillow converts it.
Fingerprints and results of runs hang on these bytes, so it stays as it is. Here means of pixels are
wanted, the small copies that a search and ``down:K`` compare with, and files straight from people.
"""

import io
import warnings
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from dissect.errors import ConfigError
from segmenters.received import describe

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")
_MOST_PIXELS = 64_000_000


def read_square(path: str | Path, size: int, *, grey: bool = False) -> Float[Tensor, "1 c h w"]:
    """One image file as RGB (or grey) in [-1, 1], size × size.

    Raises:
        ConfigError: a file that is missing, no image, damaged, or of more than 64 million pixels.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _refusal(path, error) from error
    return square_of(content, str(path), size, grey=grey)


def square_of(
    content: bytes, name: str, size: int, *, grey: bool = False
) -> Float[Tensor, "1 c h w"]:
    """``read_square`` of a file's bytes; ``name`` is what errors call it."""
    try:
        with _opened(content) as file:
            if file.width * file.height > _MOST_PIXELS:
                raise ConfigError(
                    f"{name} has {file.width:,} × {file.height:,} pixels; expected at most "
                    f"{_MOST_PIXELS:,} in all; make it smaller first"
                )
            image = _plain(ImageOps.exif_transpose(file))
    except ConfigError:
        raise
    # Pillow raises errors of several kinds for damaged files, and refuses bombs by one of its own.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _refusal(name, error) from error
    side = min(image.size)
    how = Image.Resampling.BOX if side >= size else Image.Resampling.BICUBIC
    image = ImageOps.fit(image.convert("L" if grey else "RGB"), (size, size), how)
    pixels = torch.from_numpy(np.array(image)).reshape(size, size, -1)
    return pixels.permute(2, 0, 1).float()[None] / 127.5 - 1


def _refusal(name: object, error: Exception) -> ConfigError:
    if isinstance(error, UnidentifiedImageError):  # whose own text has no more than an address
        reason = "it holds none"
    else:
        reason = getattr(error, "strerror", None) or describe(error)
    return ConfigError(
        f"{name} cannot be read as an image ({reason}); expected {', '.join(_FORMATS)}"
    )


def _opened(content: bytes) -> Image.Image:
    with warnings.catch_warnings():  # the limit below is lower than that of Pillow's warning
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(io.BytesIO(content), formats=_FORMATS)


def _plain(image: Image.Image) -> Image.Image:
    """RGB of 8 bits, opaque."""
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        values = np.asarray(image).astype(np.float64)
        top = 255 if values.max() <= 255 else 65535
        image = Image.fromarray((values.clip(0, top) * (255 / top)).round().astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def find_images(path: str | Path) -> list[Path]:
    """The file itself, or the images that lie right in a folder, in order of their names.

    Raises:
        ConfigError: nothing there, or a folder without images.
    """
    path = Path(path)
    if not path.is_dir():
        return [path]
    found = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
    if not found:
        raise ConfigError(f"{path} holds no image; expected {', '.join(SUFFIXES)} right in it")
    return found
