"""StyleGAN2: mapping, modulated synthesis, and the spaces z, w, w+ and s.

One class serves the networks that this project trains and published checkpoints. Parameters have
the names, layout and gains of the published checkpoints (``mapping.fc0.weight``,
``synthesis.b8.conv0.affine.bias``, …), so reading one needs at most renaming.

    z ──mapping──► w ──repeat──► w+ ──affines──► s ──synthesis──► image

The synthesis reads only s: each layer's style, one number per input channel. Latents of earlier
spaces are converted to s, so an edit in any space follows the same path.

Modulation is applied to activations, not to weights. Scaling input channels, convolving with the
shared weight and scaling output channels gives the same sum (Karras et al. 2020, eq. 1 and 3),
without a weight per sample.

References:
    Karras et al., Analyzing and Improving the Image Quality of StyleGAN, CVPR 2020.
    Wu et al., StyleSpace Analysis, CVPR 2021 (the space s).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dissect.errors import ConfigError
from dissect.generators.base import LayerInfo
from dissect.generators.mapping import (
    LEAK,
    USUAL,
    FullyConnected,
    Layout,
    MappedGenerator,
    MappedNetwork,
)
from dissect.generators.native import save_native
from dissect.generators.states import submodule

ARCHITECTURES = ("skip", "resnet", "orig")
FORMAT = "gan-dissection/stylegan2"
_GAIN = math.sqrt(2)


@dataclass(frozen=True)
class StyleGAN2Config:
    """Configuration of a StyleGAN2.

    Args:
        image_size: Height and width of the image, a power of two from 8.
        channels: Units at 4, 8, 16, … ``image_size`` pixels.
        z_size, w_size: Length of z and w.
        n_classes: Number of classes that it is conditioned on; 0 if none.
        mapping_depth: Layers of the mapping.
        mapping_rate: Learning rate multiplier of the mapping, part of its weights' scale.
        rgb_channels: 3, or 1 for grey.
        architecture: How blocks contribute to the image: ``skip``, ``resnet`` or ``orig``.
        conv_clamp: Bound on every layer's output, or None.
        use_noise: Whether layers add noise.

    Raises:
        ConfigError: sizes and channels that do not fit, or an unknown architecture.
    """

    image_size: int
    channels: tuple[int, ...]
    z_size: int = 512
    w_size: int = 512
    n_classes: int = 0
    mapping_depth: int = 8
    mapping_rate: float = 0.01
    rgb_channels: int = 3
    architecture: str = "skip"
    conv_clamp: float | None = None
    use_noise: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        n_blocks = self.image_size.bit_length() - 2
        if self.image_size < 8 or self.image_size & (self.image_size - 1):
            raise ConfigError(
                f"image_size is {self.image_size}; expected a power of two from 8 pixels"
            )
        if len(self.channels) != n_blocks:
            raise ConfigError(
                f"channels has {len(self.channels)} entries for an image of {self.image_size} "
                f"pixels; expected {n_blocks}, for 4, 8, … {self.image_size}"
            )
        if self.architecture not in ARCHITECTURES:
            raise ConfigError(
                f"architecture is {self.architecture!r}; expected {', '.join(ARCHITECTURES)}"
            )

    @property
    def resolutions(self) -> tuple[int, ...]:
        return tuple(4 * 2**k for k in range(len(self.channels)))

    @property
    def n_ws(self) -> int:
        """Number of layers with a w of their own: b4 has one and the last toRGB, others two."""
        return 2 * len(self.channels)


def default_filter() -> Float[Tensor, "4 4"]:
    """The binomial filter [1, 3, 3, 1] in two dimensions, of sum 1."""
    line = torch.tensor([1.0, 3.0, 3.0, 1.0])
    plane = line[:, None] * line[None, :]
    return plane / plane.sum()


def blank_filter(layout: Layout) -> Tensor:
    """The binomial filter, or a buffer for another one, which is loaded from a file."""
    usual = layout.filter_shape == (4, 4)
    return default_filter() if usual else torch.zeros(layout.filter_shape)


def _plane(kernel: Float[Tensor, "tap tap"] | Float[Tensor, " tap"]) -> Float[Tensor, "tap tap"]:
    """A filter in two dimensions; a long one is stored as one axis, used for rows and columns."""
    return kernel if kernel.ndim == 2 else kernel[:, None] * kernel


def upsample(
    x: Float[Tensor, "batch channel height width"], kernel: Float[Tensor, "..."]
) -> Float[Tensor, "batch channel height*2 width*2"]:
    """Double the size: zeros between pixels, then the filter of n taps with gain 4.

    A transposed convolution per channel does both at once. If n is even, a padding of n // 2 - 1
    places the filter as (n + 1) // 2 zeros before and (n - 2) // 2 after would.
    """
    kernel, n = _plane(kernel), x.shape[1]
    taps = (4 * kernel).expand(n, 1, *kernel.shape)
    half = kernel.shape[0] // 2
    if kernel.shape[0] % 2 == 0:
        return functional.conv_transpose2d(x, taps, stride=2, padding=half - 1, groups=n)
    y = functional.conv_transpose2d(x, taps, stride=2, groups=n)
    start = half - 1  # index of the first pixel that is kept
    behind = 2 * x.shape[-1] + start - y.shape[-1]
    return functional.pad(y, (-start, behind, -start, behind))


def smooth(
    x: Float[Tensor, "batch channel height width"], kernel: Float[Tensor, "..."]
) -> Float[Tensor, "batch channel height-1 width-1"]:
    """The filter with gain 4 over the output of a transposed convolution, one pixel smaller."""
    kernel, n = _plane(kernel), x.shape[1]
    taps = (4 * kernel).flip(0, 1).expand(n, 1, *kernel.shape)
    half, odd = divmod(kernel.shape[0], 2)
    if odd:
        x = functional.pad(x, (half, half - 1, half, half - 1))
        return functional.conv2d(x, taps, groups=n)
    return functional.conv2d(x, taps, padding=half - 1, groups=n)


def _activate(x: Tensor, gain: float, clamp: float | None) -> Tensor:
    x = functional.leaky_relu(x, LEAK) * (_GAIN * gain)
    return x if clamp is None else x.clamp(-clamp * gain, clamp * gain)


class StyledConvolution(nn.Module):
    """A 3 × 3 convolution whose input channels are scaled by a style; its output is normalised.

    y = act( d ⊙ (W ∗ (s ⊙ x)) + noise·strength + b ),  d_o = 1/√(Σ_{i,k} (s_i W_{oik})² + 1e-8)
    """

    resample_filter: Tensor
    noise_const: Tensor

    def __init__(
        self,
        n_in: int,
        n_out: int,
        size: int,
        config: StyleGAN2Config,
        layout: Layout = USUAL,
        *,
        up: bool,
    ) -> None:
        super().__init__()
        self.up, self.size, self.clamp = up, size, config.conv_clamp
        self.affine = FullyConnected(config.w_size, n_in, bias=1.0)
        self.weight = nn.Parameter(torch.randn(n_out, n_in, 3, 3))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.register_buffer("resample_filter", blank_filter(layout))
        self.use_noise = config.use_noise
        if config.use_noise:
            self.register_buffer("noise_const", torch.randn(size, size))
            self.noise_strength = nn.Parameter(torch.zeros([]))

    def forward(
        self,
        x: Float[Tensor, "batch n_in _ _"],
        style: Float[Tensor, "batch n_in"],
        noise: str = "const",
        gain: float = 1.0,
    ) -> Float[Tensor, "batch n_out size size"]:
        power = self.weight.square().sum(dim=(2, 3))  # output × input
        demodulation = (style.square() @ power.T + 1e-8).rsqrt()
        x = x * style[:, :, None, None]
        if self.up:
            x = functional.conv_transpose2d(x, self.weight.transpose(0, 1), stride=2)
            x = smooth(x, self.resample_filter)
        else:
            x = functional.conv2d(x, self.weight, padding=1)
        x = x * demodulation[:, :, None, None]
        if self.use_noise and noise != "none":
            values = self.noise_const
            if noise == "random":
                values = torch.randn(x.shape[0], 1, *x.shape[2:], device=x.device)
            x = x + values * self.noise_strength
        return _activate(x + self.bias[None, :, None, None], gain, self.clamp)


class ToRGB(nn.Module):
    """A styled 1 × 1 convolution to the image; 1/√fan-in is in the style, no demodulation."""

    def __init__(self, n_in: int, config: StyleGAN2Config) -> None:
        super().__init__()
        self.clamp = config.conv_clamp
        self.affine = FullyConnected(config.w_size, n_in, bias=1.0)
        self.weight = nn.Parameter(torch.randn(config.rgb_channels, n_in, 1, 1))
        self.bias = nn.Parameter(torch.zeros(config.rgb_channels))
        self.weight_gain = 1 / math.sqrt(n_in)

    def forward(
        self, x: Float[Tensor, "batch n_in size size"], style: Float[Tensor, "batch n_in"]
    ) -> Float[Tensor, "batch rgb size size"]:
        x = functional.conv2d(
            x * (style * self.weight_gain)[:, :, None, None], self.weight, self.bias
        )
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)


class Shortcut(nn.Module):
    """The 1 × 1 skip path of a block of the ``resnet`` architecture."""

    resample_filter: Tensor

    def __init__(self, n_in: int, n_out: int, layout: Layout = USUAL) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in, 1, 1))
        self.weight_gain = 1 / math.sqrt(n_in)
        self.register_buffer("resample_filter", blank_filter(layout))

    def forward(self, x: Tensor) -> Tensor:
        x = functional.conv2d(x, self.weight * self.weight_gain)
        return upsample(x, self.resample_filter) * math.sqrt(0.5)


class Block(nn.Module):
    """All layers at one resolution."""

    resample_filter: Tensor

    def __init__(self, k: int, config: StyleGAN2Config, layout: Layout = USUAL) -> None:
        super().__init__()
        size, n_out = config.resolutions[k], config.channels[k]
        self.architecture = config.architecture
        self.register_buffer("resample_filter", blank_filter(layout))
        if k == 0:
            self.const = nn.Parameter(torch.randn(n_out, size, size))
        else:
            n_in = config.channels[k - 1]
            self.conv0 = StyledConvolution(n_in, n_out, size, config, layout, up=True)
            if config.architecture == "resnet":
                self.skip = Shortcut(n_in, n_out, layout)
        self.conv1 = StyledConvolution(n_out, n_out, size, config, layout, up=False)
        if config.architecture == "skip" or k == len(config.channels) - 1:
            self.torgb = ToRGB(n_out, config)

    @property
    def styled(self) -> list[str]:
        """Names of its layers that read a style, from input to output."""
        return [name for name in ("conv0", "conv1", "torgb") if hasattr(self, name)]

    def layer(self, name: str) -> StyledConvolution | ToRGB:
        """One of those layers."""
        return submodule(self, name, StyledConvolution, ToRGB)

    def forward(
        self,
        x: Tensor | None,
        image: Tensor | None,
        styles: Mapping[str, Float[Tensor, "batch channel"]],
        noise: str = "const",
    ) -> tuple[Tensor, Tensor | None]:
        if hasattr(self, "conv0"):
            around = self.skip(x) if self.architecture == "resnet" else None
            maps: Tensor = self.conv0(x, styles["conv0"], noise)
            gain = 1.0 if around is None else math.sqrt(0.5)
            maps = self.conv1(maps, styles["conv1"], noise, gain)
            maps = maps if around is None else maps + around
        else:
            batch = styles["conv1"].shape[0]
            maps = self.conv1(self.const.expand(batch, -1, -1, -1), styles["conv1"], noise)
        if image is not None:
            image = upsample(image, self.resample_filter)
        if hasattr(self, "torgb"):
            rgb = self.torgb(maps, styles["torgb"])
            image = rgb if image is None else image + rgb
        return maps, image


class SynthesisNetwork(nn.Module):
    """Styles to image, from 4 pixels up."""

    def __init__(self, config: StyleGAN2Config, layout: Layout = USUAL) -> None:
        super().__init__()
        self.resolutions = config.resolutions
        for k, size in enumerate(config.resolutions):
            self.add_module(f"b{size}", Block(k, config, layout))

    def block(self, size: int) -> Block:
        return submodule(self, f"b{size}", Block)

    def style_layers(self) -> dict[str, tuple[int, int]]:
        """Layer name → (index of the w it reads, number of style values), in the order of s.

        A block reads one w per convolution; its toRGB reads the w that the next block's conv0
        reads too.
        """
        layers, w_index = {}, 0
        for size in self.resolutions:
            block = self.block(size)
            for offset, name in enumerate(block.styled):
                n_styles = block.layer(name).affine.bias.shape[0]
                layers[f"b{size}.{name}"] = (w_index + offset, n_styles)
            w_index += 2 if hasattr(block, "conv0") else 1
        return layers

    def forward(
        self,
        styles: Mapping[str, Float[Tensor, "batch channel"]],
        *,
        noise: str = "const",
        resolution: int | None = None,
    ) -> Float[Tensor, "batch rgb size size"]:
        """The image; with ``resolution``, the sum of the toRGB layers up to that size."""
        x: Tensor | None = None
        image: Tensor | None = None
        for size in self.resolutions:
            of_block = {name: styles[f"b{size}.{name}"] for name in self.block(size).styled}
            x, image = self.block(size)(x, image, of_block, noise)
            if size == resolution:
                break
        assert image is not None  # the last block has a toRGB
        return image


def _size_of(layer: str) -> int:
    """16 for ``b16.conv0``."""
    return int(layer.partition(".")[0][1:])


class StyleGAN2Network(MappedNetwork[StyleGAN2Config]):
    """Mapping and synthesis, with the steps between the spaces."""

    def __init__(self, config: StyleGAN2Config, layout: Layout = USUAL) -> None:
        super().__init__(config, layout)
        self.synthesis = SynthesisNetwork(config, layout)

    def styles(
        self, ws: Float[Tensor, "batch layer w"], *, resolution: int | None = None
    ) -> dict[str, Float[Tensor, "batch channel"]]:
        """w+ to the styles of every layer, up to a resolution."""
        styles = {}
        for name, (w_index, _) in self.synthesis.style_layers().items():
            if resolution is None or _size_of(name) <= resolution:
                styles[name] = self.synthesis.get_submodule(f"{name}.affine")(
                    ws[:, w_index].contiguous()  # so that bits do not depend on the layout of ws
                )
        return styles

    def draw(
        self, styles: Mapping[str, Tensor], *, noise: str
    ) -> Float[Tensor, "batch rgb size size"]:
        return self.synthesis(styles, noise=noise)

    def forward(
        self,
        z: Float[Tensor, "batch z"],
        classes: Float[Tensor, "batch n_classes"] | None = None,
        *,
        noise: str = "const",
        resolution: int | None = None,
    ) -> Float[Tensor, "batch rgb size size"]:
        ws = self.mapping(z, classes)[:, None].expand(-1, self.config.n_ws, -1)
        styles = self.styles(ws, resolution=resolution)
        return self.synthesis(styles, noise=noise, resolution=resolution)


class StyleGAN2(MappedGenerator):
    """A StyleGAN2 behind the ``Generator`` protocol.

    Args:
        module: The network; put in eval mode.
        name: Name shown to people.

    Example:
        >>> config = StyleGAN2Config(image_size=8, channels=(4, 4), z_size=8, w_size=8)
        >>> generator = StyleGAN2(StyleGAN2Network(config), name="tiny")
        >>> list(generator.layers), generator.spaces["s"].shape
        (['b4.conv1', 'b4.torgb', 'b8.conv0', 'b8.conv1', 'b8.torgb'], (20,))
    """

    def __init__(self, module: StyleGAN2Network, *, name: str) -> None:
        layers = {}
        for layer in module.synthesis.style_layers():
            units = submodule(module.synthesis, layer, StyledConvolution, ToRGB).bias.shape[0]
            size = _size_of(layer)
            layers[layer] = LayerInfo(units, size, size, f"synthesis.{layer}")
        super().__init__(module, name=name, layers=layers)


def save_stylegan2(network: StyleGAN2Network, path: Path, *, half: bool = False) -> None:
    """Write weights and configuration; see ``save_native``."""
    save_native(path, format=FORMAT, config=network.config, state=network.state_dict(), half=half)
