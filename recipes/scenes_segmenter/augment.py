"""Augmentation that makes renders resemble a GAN's images: bent, soft, blotched, tinted.

A generator's image differs from a render by crooked edges, smears and uneven tone. Training shows
these faults to the segmenter, so that it also works on generated images. Attributes stay valid: no
change is large enough to alter one.
"""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

_BEND_PIXELS = 1.2  # standard deviation of the displacement
_GRID = 5  # knots of the displacement across the image


def augment(
    images: Float[Tensor, "batch 3 size size"],
    planes: UInt8[Tensor, "batch plane size size"],
    draws: torch.Generator,
) -> tuple[Float[Tensor, "batch 3 size size"], UInt8[Tensor, "batch plane size size"]]:
    """Change images and, if they are bent, their planes in the same way.

    Args:
        images: RGB in [-1, 1].
        planes: Concept ids.
        draws: Source of all random numbers.
    """
    batch, _, size, _ = images.shape

    def chance(p: float) -> Float[Tensor, "batch 1 1 1"]:
        return (torch.rand(batch, 1, 1, 1, generator=draws) < p).float()

    def amount() -> Float[Tensor, "batch 1 1 1"]:
        return chance(0.6) * torch.rand(batch, 1, 1, 1, generator=draws)

    bend = torch.randn(batch, 2, _GRID, _GRID, generator=draws) * (2 * _BEND_PIXELS / size)
    bend = functional.interpolate(
        bend * chance(0.6), (size, size), mode="bicubic", align_corners=True
    )
    place = functional.affine_grid(
        torch.eye(2, 3).expand(batch, -1, -1), (batch, 1, size, size), False
    )
    grid = place + bend.permute(0, 2, 3, 1)
    images = functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    planes = functional.grid_sample(
        planes.float(), grid, mode="nearest", padding_mode="reflection", align_corners=False
    ).to(torch.uint8)

    soft = functional.interpolate(
        functional.avg_pool2d(images, 2), size=size, mode="bilinear", align_corners=False
    )
    images = images.lerp(soft, amount())

    blotches = torch.randn(batch, 3, size // 6, size // 6, generator=draws)
    blotches = functional.interpolate(blotches, (size, size), mode="bicubic", align_corners=False)
    images = images + blotches * (0.09 * amount())
    grain = torch.randn(images.shape, generator=draws)
    images = images + grain * (0.08 * amount())

    tint = 1 + 0.05 * torch.randn(batch, 3, 1, 1, generator=draws)
    shift = 0.03 * torch.randn(batch, 3, 1, 1, generator=draws)
    return (images * tint + shift).clamp(-1, 1), planes
