"""Similarity of an answer and an image: PSNR, SSIM and a perceptual distance.

    PSNR = 10 log₁₀(range² / MSE), range 2 for images in [-1, 1]
    SSIM: mean over places and channels of
          (2 μ₁ μ₂ + C₁)(2 σ₁₂ + C₂) / ((μ₁² + μ₂² + C₁)(σ₁² + σ₂² + C₂)),
          means in Gaussian windows of 11 × 11 pixels, σ 1.5, C₁ = (.01 · 2)², C₂ = (.03 · 2)²

Values are first clipped to [-1, 1], as in a saved picture.

References:
    Wang et al., Image Quality Assessment: From Error Visibility to Structural Similarity, 2004.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

_RANGE = 2.0
_WINDOW, _SIGMA = 11, 1.5


def mean_squared_error(
    first: Float[Tensor, "batch c h w"], second: Float[Tensor, "batch c h w"]
) -> Float[Tensor, " batch"]:
    """Mean squared error of images clipped to [-1, 1], in units of range²; 1 is the maximum."""
    difference = first.clamp(-1, 1) - second.clamp(-1, 1)
    return (difference / _RANGE).square().mean(dim=(1, 2, 3))


def psnr(
    first: Float[Tensor, "batch c h w"], second: Float[Tensor, "batch c h w"]
) -> Float[Tensor, " batch"]:
    """Peak signal-to-noise ratio in dB; infinite for equal images.

    Example:
        >>> psnr(torch.zeros(1, 3, 8, 8), torch.full((1, 3, 8, 8), 0.2)).round(decimals=2).tolist()
        [20.0]
    """
    return -10 * mean_squared_error(first, second).log10()


def _window(channels: int, like: Tensor) -> Tensor:
    x = torch.arange(_WINDOW, dtype=like.dtype, device=like.device) - _WINDOW // 2
    line = torch.exp(-x.square() / (2 * _SIGMA**2))
    line = line / line.sum()
    return torch.outer(line, line).expand(channels, 1, -1, -1)


def ssim(
    first: Float[Tensor, "batch c h w"], second: Float[Tensor, "batch c h w"]
) -> Float[Tensor, " batch"]:
    """Structural similarity, from -1 to 1; 1 for equal images. Windows are within the image (11
    pixels at least).

    Example:
        >>> x = torch.rand(2, 3, 16, 16) * 2 - 1
        >>> bool((ssim(x, x) > 0.9999).all())
        True
    """
    a, b = first.clamp(-1, 1), second.clamp(-1, 1)
    channels = a.shape[1]
    window = _window(channels, a)

    def mean(x: Tensor) -> Tensor:
        return functional.conv2d(x, window, groups=channels)

    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = mean(a * a) - mean_a.square(), mean(b * b) - mean_b.square()
    covariance = mean(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * _RANGE) ** 2, (0.03 * _RANGE) ** 2
    light = (2 * mean_a * mean_b + c1) / (mean_a.square() + mean_b.square() + c1)
    structure = (2 * covariance + c2) / (var_a + var_b + c2)
    return (light * structure).mean(dim=(1, 2, 3))
