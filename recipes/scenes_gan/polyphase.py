"""The synthesis of StyleGAN2 as training computes it: the same sums in an order that costs less.

An upsampling layer is a transposed convolution (3 × 3, stride 2) and then the 4 × 4 filter. Both
together are one transposed convolution with a 6 × 6 kernel, and each of its four output phases
(even and odd rows and columns) is an ordinary 3 × 3 convolution of the small map:

    y[2a + p] = Σ_d x[a + d] k[p + 2 - 2d],  d ∈ {-1, 0, 1},  k = filter ∗ weight

So the four phases are one convolution to four times the channels, and a pixel shuffle. With
bfloat16 on a processor with matrix units, forward and backward of 32 images took 0.28 s instead of
0.54 s (two cores); in float32 the images differ by rounding only.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from dissect.generators.mapping import LEAK
from dissect.generators.stylegan2 import StyledConvolution, SynthesisNetwork, upsample

_GAIN = 2**0.5


def phases(
    weight: Float[Tensor, "n_out n_in 3 3"], kernel: Float[Tensor, "4 4"]
) -> Float[Tensor, "n_out*4 n_in 3 3"]:
    """The weights of the four phases, in the order of ``pixel_shuffle``."""
    n_out, n_in = weight.shape[:2]
    taps = 4 * kernel.flip(0, 1)[None, None]  # a convolution, not a correlation
    whole = functional.conv2d(weight.reshape(-1, 1, 3, 3), taps, padding=3)
    whole = whole.reshape(n_out, n_in, 6, 6)
    parts = [whole[:, :, p::2, q::2].flip(2, 3) for p in (0, 1) for q in (0, 1)]
    return torch.stack(parts, dim=1).reshape(n_out * 4, n_in, 3, 3)


def _styled(
    layer: StyledConvolution, x: Tensor, style: Float[Tensor, "batch n_in"]
) -> Float[Tensor, "batch n_out size size"]:
    power = layer.weight.square().sum(dim=(2, 3))
    demodulation = (style.square() @ power.T + 1e-8).rsqrt()
    x = x * style.to(x.dtype)[:, :, None, None]
    if layer.up:
        weights = phases(layer.weight, layer.resample_filter)
        x = functional.pixel_shuffle(functional.conv2d(x, weights, padding=1), 2)
    else:
        x = functional.conv2d(x, layer.weight, padding=1)
    # The gain after leaky ReLU, put before it: on two small tensors instead of the whole map.
    bias = (_GAIN * layer.bias).to(x.dtype)[None, :, None, None]
    x = torch.addcmul(bias, x, (_GAIN * demodulation).to(x.dtype)[:, :, None, None])
    return functional.leaky_relu(x, LEAK)


def synthesize(
    network: SynthesisNetwork,
    styles: Mapping[str, Float[Tensor, "batch channel"]],
    *,
    resolution: int | None = None,
) -> Float[Tensor, "batch rgb size size"]:
    """``SynthesisNetwork.forward`` of the ``skip`` architecture, without noise or clamp."""
    x: Tensor | None = None
    image: Tensor | None = None
    for size in network.resolutions:
        block, name = network.block(size), f"b{size}"
        if x is None:
            x = block.const.expand(styles[f"{name}.conv1"].shape[0], -1, -1, -1)
        else:
            x = _styled(block.conv0, x, styles[f"{name}.conv0"])
        x = _styled(block.conv1, x, styles[f"{name}.conv1"])
        rgb = block.torgb(x, styles[f"{name}.torgb"].to(x.dtype)).float()
        image = rgb if image is None else upsample(image, block.resample_filter) + rgb
        if size == resolution:
            break
    assert image is not None  # a network has at least one size
    return image
