"""Converts images from tensors to pictures: RGB, bytes, and the tiles of a strip."""

import io
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from dissect.runs.strips import TILE


def as_rgb(images: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch 3 h w"]:
    """Repeat grey images to three channels; RGB is returned unchanged."""
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images


def to_tile(image: Tensor, size: int = TILE) -> UInt8[np.ndarray, "tile tile 3"]:
    """Convert one image in [-1, 1] to bytes, ``size`` pixels high and wide."""
    picture = to_picture(image)
    if picture.size == (size, size):
        return np.asarray(picture)
    return np.asarray(picture.resize((size, size), Image.Resampling.LANCZOS))


def to_picture(image: Tensor) -> Image.Image:
    """Convert one image (channels, height, width) in [-1, 1] to a picture; clamps it."""
    rgb = as_rgb(image[None].detach().cpu())[0]
    scaled = ((rgb.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return Image.fromarray(scaled.permute(1, 2, 0).contiguous().numpy())


def side_by_side(images: Sequence[Float[Tensor, "1 channels h w"]], *, least: int = 256) -> bytes:
    """Images of one size in a row, enlarged by an integer to at least ``least`` pixels, as PNG."""
    pictures = [to_picture(one[0]) for one in images]
    width, height = pictures[0].size
    zoom, gap = max(1, least // width), 4
    step = width * zoom + gap
    sheet = Image.new("RGB", (step * len(pictures) - gap, height * zoom), "white")
    for k, picture in enumerate(pictures):
        size = (width * zoom, height * zoom)
        sheet.paste(picture.resize(size, Image.Resampling.NEAREST), (k * step, 0))
    file = io.BytesIO()
    sheet.save(file, format="PNG")
    return file.getvalue()
