"""StyleGAN: a mapping, and a synthesis whose normalised maps get mean and scale from styles.

Files are those of genforce (``mapping.dense0.weight``, ``synthesis.layer0.const``,
``truncation.w_avg``), whose converter also writes the paper's networks, or the paper's own
(``stylegan1_files``). Modules keep genforce's names. Every size comes from the tensors. Two
properties follow genforce's defaults: the mapping's learning rate multiplier, 0.01, and, from 128
pixels on, doubling by transposed convolution. The latter equals doubling and convolving with the
reversed kernel.

    z ──mapping──► w ──repeat──► w+ ──affines──► s ──synthesis──► image

A layer's output is its map after the style was applied. Its part of s has 2 numbers per unit: the
scales (minus 1) of all units, then the shifts. Without a learned constant, the first layer starts
from its w; then s contains that w too, before the styles, as ``layer0.input``.

References:
    Karras, Laine, Aila, A Style-Based Generator Architecture for Generative Adversarial Networks,
    CVPR 2019, section 2 (figure 1b, eq. 1), appendix C.
"""

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dissect.errors import CheckpointError
from dissect.generators.base import LayerInfo
from dissect.generators.states import build, submodule
from dissect.generators.styled import StyledGenerator, StyledNetwork
from dissect.generators.stylegan1_files import from_tensorflow, is_tensorflow
from dissect.generators.weights import Part
from segmenters.base import hash_tensors

_LEAK, _GAIN = 0.2, math.sqrt(2)
_MAPPING_RATE = 0.01
_FUSED_FROM = 128  # pixels
_START = "layer0.input"


class _Dense(nn.Module):
    """y = lrelu(x · (W · rate · √(2 / fan-in))ᵀ + b · rate)."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_out, n_in))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.scale = _GAIN / math.sqrt(n_in) * _MAPPING_RATE

    def forward(self, x: Float[Tensor, "batch n_in"]) -> Float[Tensor, "batch n_out"]:
        y = functional.linear(x, self.weight * self.scale, self.bias * _MAPPING_RATE)
        return functional.leaky_relu(y, _LEAK)


class _Mapping(nn.Module):
    """z, and a class, to w."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.depth = sum(n.startswith("mapping.dense") and n.endswith(".weight") for n in state)
        n_in = state["mapping.dense0.weight"].shape[1]
        for k in range(self.depth):
            n_out = state[f"mapping.dense{k}.weight"].shape[0]
            self.add_module(f"dense{k}", _Dense(n_in, n_out))
            n_in = n_out
        self.label_weight = None
        if "mapping.label_weight" in state:
            n_classes, length = state["mapping.label_weight"].shape
            self.label_weight = nn.Parameter(torch.zeros(n_classes, length))

    def forward(
        self, z: Float[Tensor, "batch z"], classes: Float[Tensor, "batch n_classes"] | None
    ) -> Float[Tensor, "batch w"]:
        x = z
        if self.label_weight is not None and classes is not None:
            x = torch.cat([z, classes @ self.label_weight], dim=1)
        x = x / (x.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()
        for k in range(self.depth):
            x = self.get_submodule(f"dense{k}")(x)
        return x


class _Noise(nn.Module):
    """Adds noise · weight: a map times a weight per unit, or a number per unit times a map."""

    noise: Tensor

    def __init__(self, units: int, size: int, *, spatial: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(units if spatial else (size, size)))
        noise = (1, 1, size, size) if spatial else (1, units, 1, 1)
        self.register_buffer("noise", torch.zeros(noise))

    def forward(self, x: Tensor, noise: str) -> Tensor:
        if noise == "none":
            return x
        values = self.noise
        if noise == "random":
            values = torch.randn(x.shape[0], *values.shape[1:], device=x.device)
        weight = self.weight
        return x + values * (weight[:, None, None] if weight.ndim == 1 else weight)


class _Affine(nn.Module):
    """w to a style: x · (W / √fan-in)ᵀ + b."""

    def __init__(self, w_size: int, n_styles: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_styles, w_size))
        self.bias = nn.Parameter(torch.zeros(n_styles))
        self.scale = 1 / math.sqrt(w_size)

    def forward(self, w: Float[Tensor, "batch w"]) -> Float[Tensor, "batch styles"]:
        return functional.linear(w, self.weight * self.scale, self.bias)


class _Blur(nn.Module):
    """Filters every unit with the same small kernel."""

    kernel: Tensor

    def __init__(self, units: int, taps: int) -> None:
        super().__init__()
        self.register_buffer("kernel", torch.zeros(units, 1, taps, taps))

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(
            x, self.kernel, padding=self.kernel.shape[-1] // 2, groups=x.shape[1]
        )


class _Layer(nn.Module):
    """Constant or (doubled) convolution; noise, bias, activation, normalisation, style.

    AdaIN(x, y) = (y_s + 1) · (x - μ(x)) / σ(x) + y_b, the paper's eq. 1; μ, σ over one map.
    """

    def __init__(self, state: Mapping[str, Tensor], index: int, n_in: int, w_size: int) -> None:
        super().__init__()
        name = f"synthesis.layer{index}"
        units, size = state[f"{name}.style.weight"].shape[0] // 2, 4 << (index // 2)
        self.bias = nn.Parameter(torch.zeros(units))
        self.const = self.weight = self.blur = None
        self.doubles = index > 0 and index % 2 == 0
        if f"{name}.const" in state:
            self.const = nn.Parameter(torch.zeros(1, units, size, size))
        else:
            taps = state[f"{name}.weight"].shape[-1]
            self.weight = nn.Parameter(torch.zeros(units, n_in, taps, taps))
            self.scale = _GAIN / math.sqrt(n_in * taps**2)
            self.padding = taps - 1 if index == 0 else taps // 2
        if f"{name}.blur.kernel" in state:
            self.blur = _Blur(units, state[f"{name}.blur.kernel"].shape[-1])
        spatial = state[f"{name}.apply_noise.weight"].ndim == 1
        self.apply_noise = _Noise(units, size, spatial=spatial)
        self.style = _Affine(w_size, 2 * units)

    def forward(
        self, x: Tensor | None, style: Float[Tensor, "batch styles"], noise: str
    ) -> Float[Tensor, "batch unit size size"]:
        if self.const is not None:
            x = self.const.expand(style.shape[0], -1, -1, -1)
        else:
            assert x is not None  # from the layer before, or w
            assert self.weight is not None
            if self.doubles:
                x = functional.interpolate(x, scale_factor=2, mode="nearest")
            x = functional.conv2d(x, self.weight * self.scale, padding=self.padding)
            x = x if self.blur is None else self.blur(x)
        x = functional.leaky_relu(self.apply_noise(x, noise) + self.bias[:, None, None], _LEAK)
        x = x - x.mean(dim=(2, 3), keepdim=True)
        x = x / (x.square().mean(dim=(2, 3), keepdim=True) + 1e-8).sqrt()
        scale, shift = style[:, :, None, None].chunk(2, dim=1)
        return x * (scale + 1) + shift


class _Output(nn.Module):
    """A 1 × 1 convolution to the image, without style."""

    def __init__(self, channels: int, n_in: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels, n_in, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.scale = 1 / math.sqrt(n_in)

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight * self.scale) + self.bias[:, None, None]


class _Synthesis(nn.Module):
    """Styles to image, from 4 pixels up."""

    def __init__(self, state: Mapping[str, Tensor], n_layers: int) -> None:
        super().__init__()
        self.n_layers = n_layers
        w_size = n_in = state["synthesis.layer0.style.weight"].shape[1]
        for i in range(n_layers):
            layer = _Layer(state, i, n_in, w_size)
            self.add_module(f"layer{i}", layer)
            n_in = layer.bias.shape[0]
        self.output = f"output{n_layers // 2 - 1}"
        channels = state[f"synthesis.{self.output}.weight"].shape[0]
        self.add_module(self.output, _Output(channels, n_in))

    def layer(self, index: int) -> _Layer:
        return submodule(self, f"layer{index}", _Layer)

    def forward(
        self, styles: Mapping[str, Tensor], *, noise: str = "const"
    ) -> Float[Tensor, "batch rgb size size"]:
        x = styles.get(_START)
        x = None if x is None else x[:, :, None, None]
        for i in range(self.n_layers):
            x = self.layer(i)(x, styles[f"layer{i}"], noise)
        return self.get_submodule(self.output)(x)


class _Truncation(nn.Module):
    """Holds the mean of w, under its name in files."""

    w_avg: Tensor

    def __init__(self, w_size: int) -> None:
        super().__init__()
        self.register_buffer("w_avg", torch.zeros(w_size))


class StyleGAN1Network(StyledNetwork):
    """Mapping and synthesis, with the steps between the spaces; sizes as in a state dict."""

    def __init__(self, state: Mapping[str, Tensor], n_layers: int) -> None:
        super().__init__(n_layers)
        self.mapping = _Mapping(state)
        self.truncation = None
        if "truncation.w_avg" in state:
            self.truncation = _Truncation(state["truncation.w_avg"].shape[0])
        self.synthesis = _Synthesis(state, n_layers)

    @property
    def w_avg(self) -> Tensor | None:
        return None if self.truncation is None else self.truncation.w_avg

    @property
    def mapping_slope(self) -> float | None:
        return _LEAK

    def map_z(
        self, z: Float[Tensor, "batch z"], classes: Float[Tensor, "batch n_classes"] | None
    ) -> Float[Tensor, "batch w"]:
        return self.mapping(z, classes)

    def styles(self, ws: Float[Tensor, "batch layer w"]) -> dict[str, Tensor]:
        """w+ to the style of every layer; without a constant, its first w comes before them."""
        start = {} if self.synthesis.layer(0).const is not None else {_START: ws[:, 0]}
        return start | {
            f"layer{i}": self.synthesis.layer(i).style(ws[:, i].contiguous())
            for i in range(self.n_ws)
        }

    def draw(
        self, styles: Mapping[str, Tensor], *, noise: str
    ) -> Float[Tensor, "batch rgb size size"]:
        return self.synthesis(styles, noise=noise)


def _count_layers(state: Mapping[str, Tensor]) -> int:
    n = 0
    while f"synthesis.layer{n}.style.weight" in state:
        n += 1
    return n


def _find_state(part: Part) -> dict[str, Tensor] | None:
    return dict(part.tensors) if _is_genforce(part) else from_tensorflow(part.nested)


def _is_genforce(part: Part) -> bool:
    names = ("mapping.dense0.weight", "synthesis.layer0.apply_noise.weight")
    return all(name in part.tensors for name in names)


def matches(part: Part) -> bool:
    """Whether genforce, or the paper's program, wrote a StyleGAN generator into the file."""
    return _is_genforce(part) or is_tensorflow(part.nested)


def from_checkpoint(part: Part, *, name: str, device: torch.device | str) -> StyledGenerator:
    """Load the generator from a file.

    Raises:
        CheckpointError: tensors that do not fit together, or a file from the middle of progressive
            training.
    """
    path, state = part.path, _find_state(part)
    if state is None:
        raise CheckpointError(
            f"{path} holds no StyleGAN; expected mapping.dense0.weight and "
            "synthesis.layer0.style.weight as genforce names them"
        )
    lod = float(state.pop("synthesis.lod", 0))
    if lod:
        raise CheckpointError(
            f"{path} is from the middle of progressive training (level of detail {lod:g}); "
            "expected 0, where the last output layer gives the image"
        )
    n_layers = _count_layers(state)
    size, last = 2 << (n_layers // 2), n_layers // 2 - 1
    for k in range(last):  # outputs of smaller sizes, from training
        for kind in ("weight", "bias"):
            state.pop(f"synthesis.output{k}.{kind}", None)
    for i in range(2, n_layers, 2):
        if 4 << (i // 2) >= _FUSED_FROM and f"synthesis.layer{i}.weight" in state:
            state[f"synthesis.layer{i}.weight"] = state[f"synthesis.layer{i}.weight"].flip(2, 3)
    network = build(lambda: StyleGAN1Network(state, n_layers), state, path, family="StyleGAN")
    layers = {}
    for layer in [*(f"layer{i}" for i in range(n_layers)), f"output{last}"]:
        pixels = 4 << (int(layer[5:]) // 2 if layer.startswith("layer") else last)
        units = submodule(network.synthesis, layer, _Layer, _Output).bias.shape[0]
        layers[layer] = LayerInfo(units, pixels, pixels, f"synthesis.{layer}")
    labels = network.mapping.label_weight
    z_size = submodule(network.mapping, "dense0", _Dense).weight.shape[1]
    return StyledGenerator(
        network.to(device),
        name=name,
        layers=layers,
        image_size=size,
        channels=layers[f"output{last}"].units,
        n_classes=0 if labels is None else labels.shape[0],
        z_size=z_size if labels is None else z_size - labels.shape[1],
        w_size=network.synthesis.layer(0).style.weight.shape[1],
        fingerprint=hash_tensors(network.state_dict(), "stylegan1"),
    )
