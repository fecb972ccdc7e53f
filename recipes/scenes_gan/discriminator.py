"""The judge of images: residual blocks from the image's size down to 4 pixels, growing at the top.

References:
    Karras et al., Progressive Growing of GANs, ICLR 2018 (growing, minibatch standard deviation).
    Karras et al., Analyzing and Improving the Image Quality of StyleGAN, CVPR 2020 (residual D).
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class Convolution(nn.Module):
    """A convolution with weights at unit variance, and leaky ReLU.

    Args:
        scale: Of the output. It is multiplied into weight and bias, which are small, since leaky
            ReLU(s x) = s leaky ReLU(x).
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel: int,
        *,
        activate: bool = True,
        scale: float = math.sqrt(2),
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.gain = scale / math.sqrt(n_in * kernel * kernel)
        self.scale, self.padding, self.activate = scale, kernel // 2, activate

    def forward(self, x: Tensor) -> Tensor:
        bias = self.bias * self.scale
        x = functional.conv2d(x, self.weight * self.gain, bias, padding=self.padding)
        return functional.leaky_relu(x, 0.2) if self.activate else x


class HalvingBlock(nn.Module):
    """Two convolutions around an average over 2 × 2, and a short way beside them.

    Their sum is multiplied by √½, which the scales of the last two hold.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.first = Convolution(n_in, n_in, 3)
        self.second = Convolution(n_in, n_out, 3, scale=1.0)
        self.around = Convolution(n_in, n_out, 1, activate=False, scale=math.sqrt(0.5))

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(functional.avg_pool2d(self.first(x), 2))
        return y + self.around(functional.avg_pool2d(x, 2))


def minibatch_deviation(
    x: Float[Tensor, "batch channel height width"], group: int
) -> Float[Tensor, "batch channel+1 height width"]:
    """One more channel: how far the images of a group differ, averaged over all features."""
    batch, channel, height, width = x.shape
    group = min(group, batch)
    y = x.reshape(group, -1, channel, height, width)
    spread = (y.var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=(1, 2, 3))
    return torch.cat([x, spread.repeat(group)[:, None, None, None].expand(-1, 1, height, width)], 1)


class Discriminator(nn.Module):
    """Image of any stage's size to one number: larger, more real.

    Images of the last size are folded to half of it, four pixels in one, before the first
    convolution. Layers at full size would take a third of the time of a training step, most of it
    moving memory.

    Args:
        channels: Units at 4, 8, 16, … pixels, three sizes or more; the last is the image's, whose
            number counts for nothing.
        group: Images compared with each other.
    """

    def __init__(self, channels: tuple[int, ...], *, group: int = 8) -> None:
        super().__init__()
        self.group = group
        self.resolutions = tuple(4 * 2**k for k in range(len(channels)))
        self.stem = nn.Sequential(nn.PixelUnshuffle(2), Convolution(12, channels[-2], 3))
        for k, size in enumerate(self.resolutions[:-1]):
            if size >= 16:
                self.add_module(f"rgb{size}", Convolution(3, channels[k], 1))
            if k:
                self.add_module(f"b{size}", HalvingBlock(channels[k], channels[k - 1]))
        self.last = Convolution(channels[0] + 1, channels[0], 3)
        self.dense = nn.Linear(channels[0] * 16, channels[0])
        self.out = nn.Linear(channels[0], 1)

    def forward(
        self, images: Float[Tensor, "batch 3 size size"], fade: float | Tensor = 1.0
    ) -> Float[Tensor, " batch"]:
        """Judge images; ``fade`` from 0 to 1 brings the block of their size in."""
        size = images.shape[-1]
        if size == self.resolutions[-1]:
            x = self.stem(images)
        else:
            x = self.get_submodule(f"b{size}")(self.get_submodule(f"rgb{size}")(images))
        if size > 16:
            before = self.get_submodule(f"rgb{size // 2}")(functional.avg_pool2d(images, 2))
            x = before + fade * (x - before)
        for smaller in reversed(self.resolutions):
            if 4 < smaller < size:
                x = self.get_submodule(f"b{smaller}")(x)
        x = self.last(minibatch_deviation(x, self.group))
        x = functional.leaky_relu(self.dense(x.flatten(1)), 0.2) * math.sqrt(2)
        return self.out(x).squeeze(1)
