"""Augmentation of images and labels that prepares the network for edited images.

Dissection shows the segmenter images whose units were removed or inserted: colours shift, patches
become background, structure is missing. So training images are moved, recoloured, partly covered
and made noisy.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from segmenters.faces import VOCABULARY, mirror_name

_NONE = 0
_BACKGROUND = VOCABULARY["background"].id
_SKIN = VOCABULARY["skin"].id
_BLUR = 16  # pixels: wider than an eye

MAX_SHIFT = 0.12
"""As a fraction of the image's width."""
MAX_LOG_SCALE = 0.18
MAX_TURN = math.radians(12)
ERASED_FRACTION = 0.5
"""Share of the images that get a patch."""
NOISE_FRACTION = 0.3


def mirror_ids() -> Int[Tensor, " id"]:
    """Entry i is the concept that i becomes in the mirror image: left and right are swapped.

    Example:
        >>> left, right = VOCABULARY["left eye"].id, VOCABULARY["right eye"].id
        >>> mirror_ids()[left] == right
        tensor(True)
    """
    return torch.tensor([0, *(VOCABULARY[mirror_name(name)].id for name in VOCABULARY.names)])


def mirror(
    images: Float[Tensor, "batch 3 height width"], planes: Int[Tensor, "batch 2 height width"]
) -> tuple[Tensor, Tensor]:
    """Flip images, and labels with left and right swapped."""
    return images.flip(-1), mirror_ids()[planes.flip(-1)]


def augment(
    images: Float[Tensor, "batch 3 height width"],
    planes: Int[Tensor, "batch 2 height width"],
    *,
    random: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Apply all changes, drawn independently for every image.

    Args:
        images: RGB in [-1, 1].
        planes: Concept ids.
        random: Source of the random numbers.
    """
    flipped = torch.rand(len(images), generator=random) < 0.5
    mirrored = mirror(images[flipped], planes[flipped])
    images, planes = images.clone(), planes.clone()
    images[flipped], planes[flipped] = mirrored
    images, planes = move(images, planes, random=random)
    images, planes = erase(images, planes, random=random)
    return recolour(images, random=random), planes


def move(
    images: Float[Tensor, "batch 3 height width"],
    planes: Int[Tensor, "batch 2 height width"],
    *,
    random: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Shift, scale and rotate; pixels from outside repeat the border."""
    n = len(images)
    scale = torch.exp(_uniform(n, MAX_LOG_SCALE, random))
    turn = _uniform(n, MAX_TURN, random)
    # affine_grid counts in half widths: the image spans [-1, 1].
    shift = torch.stack([_uniform(n, 2 * MAX_SHIFT, random) for _ in range(2)], dim=-1)
    cos, sin = torch.cos(turn) * scale, torch.sin(turn) * scale
    rows = [torch.stack([cos, -sin, shift[:, 0]], -1), torch.stack([sin, cos, shift[:, 1]], -1)]
    grid = functional.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    images = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    moved = functional.grid_sample(
        planes.float(), grid, mode="nearest", padding_mode="border", align_corners=False
    )
    return images, moved.to(planes.dtype)


def erase(
    images: Float[Tensor, "batch 3 height width"],
    planes: Int[Tensor, "batch 2 height width"],
    *,
    random: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Cover an ellipse of some images in one of three ways.

    - a flat colour: background, no part;
    - the same place in another image, with that image's labels;
    - the image itself, blurred: unchanged labels, but a part of the face becomes bare skin, as if a
      generator's units for eyes were ablated.
    """
    n, _, height, width = images.shape
    y = torch.linspace(0, 1, height)[None, :, None]
    x = torch.linspace(0, 1, width)[None, None, :]
    centre = torch.rand(2, n, 1, 1, generator=random)
    radius = 0.06 + 0.16 * torch.rand(2, n, 1, 1, generator=random)
    inside = ((y - centre[0]) / radius[0]) ** 2 + ((x - centre[1]) / radius[1]) ** 2 < 1
    inside &= torch.rand(n, 1, 1, generator=random) < ERASED_FRACTION
    way = torch.randint(3, (n, 1, 1, 1), generator=random)
    colour = 2 * torch.rand(n, 3, 1, 1, generator=random) - 1
    other = torch.randperm(n, generator=random)
    blurred = functional.interpolate(
        functional.avg_pool2d(images, _BLUR),
        size=(height, width),
        mode="bilinear",
        align_corners=False,
    )
    cover = torch.where(way == 0, colour, torch.where(way == 1, images[other], blurred))
    empty = torch.tensor([_BACKGROUND, _NONE]).view(1, 2, 1, 1)
    bare = torch.stack([planes[:, 0], torch.where(planes[:, 1] > 0, _SKIN, _NONE)], dim=1)
    cover_planes = torch.where(way == 0, empty, torch.where(way == 1, planes[other], bare))
    inside = inside[:, None]
    return torch.where(inside, cover, images), torch.where(inside, cover_planes, planes)


def recolour(
    images: Float[Tensor, "batch 3 height width"], *, random: torch.Generator
) -> Float[Tensor, "batch 3 height width"]:
    """Change brightness, contrast and saturation, add a tint, and noise in some of the images."""
    n = len(images)

    def draw(extent: float, channels: int = 1) -> Tensor:
        return _uniform(n * channels, extent, random).view(n, channels, 1, 1)

    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    images = mean + (images - mean) * torch.exp(draw(0.25))
    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * (1 + draw(0.6))
    images = images + draw(0.2) + draw(0.12, 3)
    noisy = (torch.rand(n, 1, 1, 1, generator=random) < NOISE_FRACTION).float()
    noise = torch.randn(images.shape, generator=random)
    return (images + 0.08 * noisy * noise).clamp(-1, 1)


def _uniform(n: int, extent: float, random: torch.Generator) -> Float[Tensor, " n"]:
    """Values in [-extent, extent]."""
    return extent * (2 * torch.rand(n, generator=random) - 1)
