"""StyleGAN3: a synthesis in continuous coordinates, configurations T and R.

    w₀ ──► Fourier features ──► L0 ──► L1 … ──► image · 0.25

Every layer is a modulated convolution without padding, so it adds a margin around the image. Its
nonlinearity acts at a higher sampling rate, between two low-pass filters, so that no layer can
detect the position of pixels. A layer's map therefore covers more than the image: the ``margin`` of
its ``LayerInfo`` is cropped before it is compared with masks.

Modules and parameters carry the names of the published checkpoints, such as
``synthesis.L3_52_512.weight``.

References:
    Karras et al., Alias-Free Generative Adversarial Networks, NeurIPS 2021, sections 3 and F.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dissect.errors import CheckpointError, ConfigError
from dissect.generators.base import LayerInfo
from dissect.generators.mapping import (
    LEAK,
    FullyConnected,
    MappedGenerator,
    MappedNetwork,
    mapping_sizes,
)
from dissect.generators.native import build_native, save_native
from dissect.generators.states import build, submodule
from dissect.generators.weights import Part

FORMAT = "gan-dissection/stylegan3"


@dataclass(frozen=True)
class LayerConfig:
    """Configuration of one layer.

    Args:
        name: A name such as ``L3_52_512``.
        n_in, n_out: Channels.
        size: Height and width of its output, with margins.
        rate: Sampling rate of its output: pixels per side of the image.
        kernel: Size of the convolution.
        up, down: Factors around the nonlinearity.
        up_taps, down_taps: Shape of the filters; empty if there is none.
        padding: left, right, top, bottom of the upsampled map.
        clamp: Bound on the nonlinearity's output, or None.
        to_rgb: Whether it is the last layer, without demodulation and activation.
    """

    name: str
    n_in: int
    n_out: int
    size: int
    rate: int
    kernel: int
    up: int
    down: int
    up_taps: tuple[int, ...]
    down_taps: tuple[int, ...]
    padding: tuple[int, ...]
    clamp: float | None
    to_rgb: bool

    def __post_init__(self) -> None:
        # A file holds lists; the same layer must give the same fingerprint.
        for name in ("up_taps", "down_taps", "padding"):
            object.__setattr__(self, name, tuple(getattr(self, name)))


@dataclass(frozen=True)
class StyleGAN3Config:
    """Configuration of a StyleGAN3.

    Args:
        image_size: Height and width of the image.
        layers: From the input to the image; dictionaries are converted to ``LayerConfig``.
        input_size: Height and width of the Fourier features, with margins.
        input_rate, input_bandwidth: Their sampling rate and bandwidth.
        z_size, w_size: Length of z and w.
        n_classes: Number of classes that it is conditioned on; 0 if none.
        mapping_depth: Layers of the mapping.
        mapping_rate: Learning rate multiplier of the mapping, part of its weights' scale.
        output_scale: Factor on the last layer.

    Raises:
        ConfigError: adjacent layers whose channels differ, or a wrong image size.
    """

    image_size: int
    layers: tuple[LayerConfig, ...]
    input_size: int
    input_rate: float
    input_bandwidth: float
    z_size: int = 512
    w_size: int = 512
    n_classes: int = 0
    mapping_depth: int = 2
    mapping_rate: float = 0.01
    output_scale: float = 0.25

    def __post_init__(self) -> None:
        layers = tuple(
            layer if isinstance(layer, LayerConfig) else LayerConfig(**layer)
            for layer in self.layers
        )
        object.__setattr__(self, "layers", layers)
        if not layers or layers[-1].size != self.image_size:
            raise ConfigError(
                f"the last layer does not give images of {self.image_size} pixels; expected layers "
                "from the input to the image"
            )
        for before, after in zip(layers, layers[1:], strict=False):
            if before.n_out != after.n_in:
                raise ConfigError(
                    f"{after.name} takes {after.n_in} channels and {before.name} gives "
                    f"{before.n_out}; expected layers in their order"
                )

    @property
    def n_ws(self) -> int:
        """Length of w+: the input and every layer have a w of their own."""
        return len(self.layers) + 1

    @property
    def rgb_channels(self) -> int:
        return self.layers[-1].n_out


class FourierInput(nn.Module):
    """Sines over the image plane, rotated and shifted by w, mixed to channels.

    With t = affine(w) / ‖its first two‖ and (x, y) in units of the image's side, the plane is
    shifted by −(t₂, t₃), rotated by (t₀, t₁), and mapped by ``transform``. Feature k is then
    sin 2π(f_k · (x, y) + φ_k), attenuated where ‖f_k‖ exceeds the bandwidth.
    """

    transform: Tensor
    freqs: Tensor
    phases: Tensor

    def __init__(self, config: StyleGAN3Config) -> None:
        super().__init__()
        n = config.layers[0].n_in
        self.size, self.rate, self.bandwidth = (
            config.input_size,
            config.input_rate,
            config.input_bandwidth,
        )
        self.affine = FullyConnected(config.w_size, 4)
        self.weight = nn.Parameter(torch.randn(n, n))
        self.register_buffer("transform", torch.eye(3))
        self.register_buffer("freqs", torch.randn(n, 2) * self.bandwidth / 2)
        self.register_buffer("phases", torch.rand(n) - 0.5)

    def forward(self, style: Float[Tensor, "batch 4"]) -> Float[Tensor, "batch channel size size"]:
        t = style / style[:, :2].norm(dim=1, keepdim=True)
        one, nought = torch.ones_like(t[:, 0]), torch.zeros_like(t[:, 0])

        def matrix(*rows: tuple[Tensor, Tensor, Tensor]) -> Float[Tensor, "batch 3 3"]:
            return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)

        foot = (nought, nought, one)
        turn = matrix((t[:, 0], -t[:, 1], nought), (t[:, 1], t[:, 0], nought), foot)
        move = matrix((one, nought, -t[:, 2]), (nought, one, -t[:, 3]), foot)
        whole = turn @ move @ self.transform
        freqs = self.freqs @ whole[:, :2, :2]  # batch × feature × 2
        phases = self.phases + (self.freqs @ whole[:, :2, 2:])[:, :, 0]
        over = freqs.norm(dim=2) - self.bandwidth
        amplitudes = (1 - over / (self.rate / 2 - self.bandwidth)).clamp(0, 1)
        pixels = torch.arange(self.size, device=t.device, dtype=t.dtype)
        line = (pixels + 0.5 - self.size / 2) / self.rate
        turns = (
            freqs[:, :, 0, None, None] * line[None, :]
            + freqs[:, :, 1, None, None] * line[:, None]
            + phases[:, :, None, None]
        )
        features = torch.sin(2 * math.pi * turns) * amplitudes[:, :, None, None]
        mixed = self.weight / math.sqrt(self.weight.shape[1])
        return torch.einsum("oi,bihw->bohw", mixed, features)


def upsample(
    x: Float[Tensor, "batch channel height width"],
    taps: Tensor | None,
    factor: int,
    padding: Sequence[int],
) -> Float[Tensor, "batch channel _ _"]:
    """Insert zeros between pixels, pad (or crop, if negative), then filter with gain factor².

    Args:
        x: The map.
        taps: Filter of one axis or of the plane; None only pads.
        factor: Output pixels per input pixel.
        padding: left, right, top, bottom, around the map with its inserted zeros.
    """
    if taps is None:
        return functional.pad(x, tuple(padding))
    n = x.shape[1]
    sizes = [size * factor for size in x.shape[2:]]
    if taps.ndim == 1:
        x = functional.conv_transpose2d(
            x, (taps * factor).expand(n, 1, 1, -1), stride=(1, factor), groups=n
        )
        kernel = (taps * factor)[:, None].expand(n, 1, -1, 1)
        x = functional.conv_transpose2d(x, kernel, stride=(factor, 1), groups=n)
    else:
        kernel = (taps * factor**2).expand(n, 1, *taps.shape)
        x = functional.conv_transpose2d(x, kernel, stride=factor, groups=n)
    # This filters the map with all zeros around it; padding selects a part of the result.
    left, right, top, bottom = padding
    reach = taps.shape[-1] - 1
    width, height = sizes[1] + left + right - reach, sizes[0] + top + bottom - reach
    return functional.pad(
        x,
        (
            left - reach,
            width - (left - reach) - x.shape[3],
            top - reach,
            height - (top - reach) - x.shape[2],
        ),
    )


def downsample(
    x: Float[Tensor, "batch channel height width"], taps: Tensor | None, factor: int
) -> Float[Tensor, "batch channel _ _"]:
    """Filter without padding, evaluated at every ``factor``-th position."""
    if taps is None:
        return x[:, :, ::factor, ::factor]
    n = x.shape[1]
    flipped = taps.flip(list(range(taps.ndim)))
    if taps.ndim == 1:
        x = functional.conv2d(x, flipped.expand(n, 1, 1, -1), stride=(1, factor), groups=n)
        return functional.conv2d(
            x, flipped[:, None].expand(n, 1, -1, 1), stride=(factor, 1), groups=n
        )
    return functional.conv2d(x, flipped.expand(n, 1, *taps.shape), stride=factor, groups=n)


class StyledLayer(nn.Module):
    """A modulated convolution and a nonlinearity between two filters.

    y = W′ ∗ (s′ ⊙ x) · d / √m + b, with W′ and s′ at unit mean square, d_o the demodulation
    1/√(Σ (W′ s′)² + 1e-8) and m the mean square of the layer's input in training; then up, leaky
    ReLU · √2, clamp, down.
    """

    magnitude_ema: Tensor
    up_filter: Tensor | None
    down_filter: Tensor | None

    def __init__(self, layer: LayerConfig, w_size: int) -> None:
        super().__init__()
        self.layer = layer
        self.affine = FullyConnected(w_size, layer.n_in, bias=1.0)
        self.weight = nn.Parameter(torch.randn(layer.n_out, layer.n_in, layer.kernel, layer.kernel))
        self.bias = nn.Parameter(torch.zeros(layer.n_out))
        self.register_buffer("magnitude_ema", torch.ones([]))
        for name, taps in (("up_filter", layer.up_taps), ("down_filter", layer.down_taps)):
            filled = torch.full(taps, 1 / math.prod(taps)) if taps else None
            self.register_buffer(name, filled)

    def forward(
        self, x: Float[Tensor, "batch n_in _ _"], style: Float[Tensor, "batch n_in"]
    ) -> Float[Tensor, "batch n_out size size"]:
        layer, weight = self.layer, self.weight
        gain = self.magnitude_ema.rsqrt()
        if layer.to_rgb:
            style = style / math.sqrt(weight[0].numel())
            scale = gain.expand(len(style), layer.n_out)
        else:
            weight = weight * weight.square().mean(dim=(1, 2, 3), keepdim=True).rsqrt()
            # Demodulation cancels the scale of the style, up to its 1e-8. So each sample uses its
            # own mean; with the batch mean, images would depend on their batch.
            style = style * style.square().mean(dim=1, keepdim=True).rsqrt()
            power = weight.square().sum(dim=(2, 3))
            scale = (style.square() @ power.T + 1e-8).rsqrt() * gain
        x = functional.conv2d(x * style[:, :, None, None], weight, padding=layer.kernel - 1)
        x = x * scale[:, :, None, None] + self.bias[None, :, None, None]
        x = upsample(x, self.up_filter, layer.up, layer.padding)
        if not layer.to_rgb:
            x = functional.leaky_relu(x, LEAK) * math.sqrt(2)
        if layer.clamp is not None:
            x = x.clamp(-layer.clamp, layer.clamp)
        return downsample(x, self.down_filter, layer.down)


class SynthesisNetwork(nn.Module):
    """Styles to image."""

    def __init__(self, config: StyleGAN3Config) -> None:
        super().__init__()
        self.names = tuple(layer.name for layer in config.layers)
        self.output_scale = config.output_scale
        self.input = FourierInput(config)
        for layer in config.layers:
            self.add_module(layer.name, StyledLayer(layer, config.w_size))

    def style_layers(self) -> dict[str, tuple[int, int]]:
        """Layer name → (index of the w it reads, number of style values), in the order of s."""
        return {
            name: (index, submodule(self, name, FourierInput, StyledLayer).affine.bias.shape[0])
            for index, name in enumerate(("input", *self.names))
        }

    def forward(
        self, styles: Mapping[str, Float[Tensor, "batch channel"]], *, noise: str = "const"
    ) -> Float[Tensor, "batch rgb size size"]:
        """The image; there is no noise."""
        x = self.input(styles["input"])
        for name in self.names:
            x = self.get_submodule(name)(x, styles[name])
        return x * self.output_scale


class StyleGAN3Network(MappedNetwork[StyleGAN3Config]):
    """Mapping and synthesis, with the step from w+ to s."""

    def __init__(self, config: StyleGAN3Config) -> None:
        super().__init__(config)
        self.synthesis = SynthesisNetwork(config)

    def styles(
        self, ws: Float[Tensor, "batch layer w"]
    ) -> dict[str, Float[Tensor, "batch channel"]]:
        """w+ to the styles of every layer."""
        return {
            name: self.synthesis.get_submodule(f"{name}.affine")(ws[:, index].contiguous())
            for name, (index, _) in self.synthesis.style_layers().items()
        }

    def draw(
        self, styles: Mapping[str, Tensor], *, noise: str
    ) -> Float[Tensor, "batch rgb size size"]:
        return self.synthesis(styles, noise=noise)


class StyleGAN3(MappedGenerator):
    """A StyleGAN3 behind the ``Generator`` protocol. It has no noise, so ``noise`` has no effect.

    Args:
        module: The network; put in eval mode.
        name: Name shown to people.
    """

    def __init__(self, module: StyleGAN3Network, *, name: str) -> None:
        layers = {
            layer.name: LayerInfo(
                layer.n_out,
                layer.rate,
                layer.rate,
                f"synthesis.{layer.name}",
                margin=(layer.size - layer.rate) // 2,
            )
            for layer in module.config.layers
        }
        super().__init__(module, name=name, layers=layers)


def save_stylegan3(network: StyleGAN3Network, path: Path, *, half: bool = False) -> None:
    """Write weights and configuration; see ``save_native``."""
    save_native(path, format=FORMAT, config=network.config, state=network.state_dict(), half=half)


def matches(part: Part) -> bool:
    """Whether the file is this project's own, or a pickle of the stylegan3 repository."""
    return part.attributes.get("format") == FORMAT or _is_stylegan3(part)


def from_checkpoint(part: Part, *, name: str, device: torch.device | str) -> StyleGAN3:
    """Load the generator from a file.

    Raises:
        CheckpointError: tensors that do not fit together, or a file without the attributes that
            define the sampling of layers.
    """
    if part.attributes.get("format") == FORMAT:
        network = build_native(part, lambda config: StyleGAN3Network(StyleGAN3Config(**config)))
    else:
        state = dict(part.tensors)
        config = _read_config(part, state)
        network = build(lambda: StyleGAN3Network(config), state, part.path, family="StyleGAN3")
    return StyleGAN3(network.to(device), name=name)


def _is_stylegan3(part: Part) -> bool:
    return "synthesis.input.freqs" in part.tensors and "mapping.fc0.weight" in part.tensors


def _read_config(part: Part, state: Mapping[str, Tensor]) -> StyleGAN3Config:
    def attribute(name: str) -> Any:
        if name not in part.attributes:
            raise CheckpointError(
                f"{part.path} holds the tensors of a StyleGAN3 but not its attribute {name}; "
                "expected the pickle that the program wrote, since tensors do not say how layers "
                "are sampled"
            )
        return part.attributes[name]

    def read_layer(name: str) -> LayerConfig:
        layer = f"synthesis.{name}"
        weight = state[f"{layer}.weight"]
        taps = {
            part: tuple(state[f"{layer}.{part}_filter"].shape)
            if f"{layer}.{part}_filter" in state
            else ()
            for part in ("up", "down")
        }
        rate = int(attribute(f"{layer}.out_sampling_rate"))
        size = attribute(f"{layer}.out_size")
        return LayerConfig(
            name=name,
            n_in=weight.shape[1],
            n_out=weight.shape[0],
            size=int(max(size)),
            rate=rate,
            kernel=weight.shape[2],
            up=int(attribute(f"{layer}.up_factor")),
            down=int(attribute(f"{layer}.down_factor")),
            up_taps=taps["up"],
            down_taps=taps["down"],
            padding=tuple(map(int, attribute(f"{layer}.padding"))),
            clamp=attribute(f"{layer}.conv_clamp"),
            to_rgb=bool(attribute(f"{layer}.is_torgb")),
        )

    return StyleGAN3Config(
        image_size=int(attribute("img_resolution")),
        layers=tuple(map(read_layer, attribute("synthesis.layer_names"))),
        input_size=int(max(attribute("synthesis.input.size"))),
        input_rate=float(attribute("synthesis.input.sampling_rate")),
        input_bandwidth=float(attribute("synthesis.input.bandwidth")),
        w_size=state["synthesis.input.affine.weight"].shape[1],
        mapping_rate=float(attribute("mapping.fc0.bias_gain")),
        output_scale=float(attribute("synthesis.output_scale")),
        **mapping_sizes(state),
    )
