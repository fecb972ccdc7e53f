"""Checks of images, shared by all segmenters, and resizing."""

import torch
from torch import Tensor
from torch.nn import functional

from segmenters.errors import SegmenterError


def check_images(images: Tensor, device: torch.device, *, name: str | None = None) -> None:
    """Check that images are a batch of RGB images on the device.

    Args:
        images: Expected: ``batch 3 height width``, float32.
        device: Device of the segmenter.
        name: Name of the segmenter, if the message should begin with it.

    Raises:
        SegmenterError: images of a wrong shape, type or device.
    """
    given = "images" if name is None else f"{name}: images"
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape[2:]:
        raise SegmenterError(
            f"{given} have the shape {tuple(images.shape)}; expected (batch, 3, height, width) in "
            "RGB; repeat a grey channel with images.expand(-1, 3, -1, -1)"
        )
    if images.dtype != torch.float32:
        raise SegmenterError(
            f"{given} are {images.dtype}; expected torch.float32 in [-1, 1]; "
            "convert bytes with images.float() / 127.5 - 1"
        )
    if images.device.type != device.type:
        raise SegmenterError(
            f"{given} are on {images.device}; expected {device}; "
            f"move them with images.to({str(device)!r})"
        )


def resize(
    images: Tensor, size: tuple[int, int], *, mode: str = "bilinear", antialias: bool = False
) -> Tensor:
    """Resize images or scores, corners not aligned; unchanged if the size is the same.

    Args:
        images: ``batch channel height width``.
        size: Height and width.
        mode: ``bilinear`` or ``bicubic``.
        antialias: Whether to average pixels when the size is reduced.
    """
    if tuple(images.shape[-2:]) == tuple(size):
        return images
    return functional.interpolate(
        images, size=tuple(size), mode=mode, align_corners=False, antialias=antialias
    )
