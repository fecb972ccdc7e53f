"""StyleGAN2 of stylegan2_pytorch (lucidrains), which differs from the paper's network.

It is read from the folder of a project (``.config.json`` and ``model_7.pt``) or from such a file
alone. The averaged weights, ``SE`` and ``GE``, keep their names. Sizes, attention, transparency and
the presence of a learned constant come from the tensors; the mapping's learning rate multiplier
comes from the configuration (0.1 without one). Differences from the paper:

- z is normalised to length 1; leaky ReLUs have no gain; weights are not scaled by fan-in;
- every block has one w, for its two convolutions and its toRGB; a style multiplies by style + 1;
- maps are upsampled bilinearly before a block; the image after a toRGB, and then blurred;
- noise is one map of uniform numbers from 0 to 1 for all blocks, which read its upper left corner
  with height and width exchanged. None is stored: ``const`` is a fixed map, the same for all
  samples; ``none`` is 0 everywhere, which leaves the noise layers' biases; a tensor is used as it
  is;
- there is no stored mean of w: the program averages 2,000 new samples each time, this module 10,000
  fixed ones;
- images are in [0, 1], and the program clamps them when it saves them; here they are scaled to
  [-1, 1], and not clamped. Of images with transparency, the colours are shown.

A layer's output is that of a convolution before noise and activation (``blocks.0.conv1``), or the
image up to a toRGB, in the program's range (``blocks.0.to_rgb``). Without a learned constant, the
mean of w over the layers gives the first map; in s it then comes before the styles.

References:
    Karras et al., Analyzing and Improving the Image Quality of StyleGAN, CVPR 2020.
    Shen et al., Efficient Attention: Attention with Linear Complexities, WACV 2021, section 3.2.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dissect.errors import CheckpointError, GeneratorError
from dissect.generators.base import LayerInfo
from dissect.generators.states import build, submodule
from dissect.generators.styled import StyledGenerator, StyledNetwork
from dissect.generators.weights import Part
from dissect.latents import stream
from segmenters.base import hash_tensors

_LEAK = 0.2
_DEFAULT_RATE = 0.1
_HEAD_SIZE = 64
_START = "to_initial_block"


class _Linear(nn.Module):
    """y = x · (W · rate)ᵀ + b · rate."""

    def __init__(self, size: int, rate: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size, size))
        self.bias = nn.Parameter(torch.zeros(size))
        self.rate = rate

    def forward(self, x: Float[Tensor, "batch size"]) -> Float[Tensor, "batch size"]:
        return functional.linear(x, self.weight * self.rate, self.bias * self.rate)


class _Vectorizer(nn.Module):
    """z to w."""

    def __init__(self, size: int, depth: int, rate: float) -> None:
        super().__init__()
        parts = [part for _ in range(depth) for part in (_Linear(size, rate), nn.LeakyReLU(_LEAK))]
        self.net = nn.Sequential(*parts)

    def forward(self, z: Float[Tensor, "batch z"]) -> Float[Tensor, "batch w"]:
        return self.net(functional.normalize(z, dim=1))


class _Modulated(nn.Module):
    """A convolution whose input channels are scaled by a style; ``demodulate`` scales its output.

    y = d ⊙ (W ∗ ((s + 1) ⊙ x)), d_o = 1/√(Σ_{i,k} ((s_i + 1) W_{oik})² + 1e-8)
    """

    def __init__(self, n_in: int, n_out: int, size: int, *, demodulate: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_out, n_in, size, size))
        self.demodulate = demodulate

    def forward(self, x: Tensor, style: Float[Tensor, "batch n_in"]) -> Tensor:
        scale = style + 1
        x = x * scale[:, :, None, None]
        x = functional.conv2d(x, self.weight, padding=self.weight.shape[-1] // 2)
        if self.demodulate:
            power = self.weight.square().sum(dim=(2, 3))
            x = x * (scale.square() @ power.T + 1e-8).rsqrt()[:, :, None, None]
        return x


class _Blur(nn.Module):
    """Blur with the filter f ⊗ f, of sum 1, and reflected edges."""

    f: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("f", torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.f[:, None] * self.f
        kernel = (kernel / kernel.abs().sum()).expand(x.shape[1], 1, 3, 3)
        x = functional.pad(x, (1, 1, 1, 1), mode="reflect")
        return functional.conv2d(x, kernel, groups=x.shape[1])


def _grow() -> nn.Module:
    return nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)


class _ToRGB(nn.Module):
    """Adds to the image, and upsamples it unless it is the last."""

    def __init__(self, w_size: int, n_in: int, channels: int, *, grow: bool) -> None:
        super().__init__()
        self.to_style = nn.Linear(w_size, n_in)
        self.conv = _Modulated(n_in, channels, 1, demodulate=False)
        self.upsample = nn.Sequential(_grow(), _Blur()) if grow else nn.Identity()

    def forward(self, x: Tensor, image: Tensor | None, style: Tensor) -> Tensor:
        rgb = self.conv(x, style)
        return self.upsample(rgb if image is None else rgb + image)


class _Block(nn.Module):
    """Two convolutions with noise, and a toRGB."""

    def __init__(
        self, w_size: int, n_in: int, n_out: int, channels: int, *, first: bool, last: bool
    ) -> None:
        super().__init__()
        self.upsample = nn.Identity() if first else _grow()
        self.to_style1 = nn.Linear(w_size, n_in)
        self.to_noise1 = nn.Linear(1, n_out)
        self.conv1 = _Modulated(n_in, n_out, 3)
        self.to_style2 = nn.Linear(w_size, n_out)
        self.to_noise2 = nn.Linear(1, n_out)
        self.conv2 = _Modulated(n_out, n_out, 3)
        self.to_rgb = _ToRGB(w_size, n_out, channels, grow=not last)

    def styles(self, w: Float[Tensor, "batch w"]) -> dict[str, Tensor]:
        return {
            name: self.get_submodule(name)(w)
            for name in ("to_style1", "to_style2", "to_rgb.to_style")
        }

    def forward(
        self,
        x: Tensor,
        image: Tensor | None,
        styles: Mapping[str, Tensor],
        noise: Float[Tensor, "_ size size 1"],
    ) -> tuple[Tensor, Tensor]:
        x = self.upsample(x)
        noise = noise[:, : x.shape[2], : x.shape[3]]
        for k in (1, 2):
            x = self.get_submodule(f"conv{k}")(x, styles[f"to_style{k}"])
            added = self.get_submodule(f"to_noise{k}")(noise).permute(0, 3, 2, 1)
            x = functional.leaky_relu(x + added, _LEAK)
        return x, self.to_rgb(x, image, styles["to_rgb.to_style"])


class _Norm(nn.Module):
    """Normalise every pixel's vector to mean 0 and variance 1, then scale and shift it."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.g = nn.Parameter(torch.ones(1, units, 1, 1))
        self.b = nn.Parameter(torch.zeros(1, units, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, dim=1, unbiased=False, keepdim=True)
        return (x - mean) / (variance + 1e-5).sqrt() * self.g + self.b


class _Residual(nn.Module):
    """x + f(norm(x)), under the names of the program's wrappers."""

    def __init__(self, units: int, function: nn.Module) -> None:
        super().__init__()
        self.fn = nn.ModuleDict({"norm": _Norm(units), "fn": function})

    def forward(self, x: Tensor) -> Tensor:
        return x + self.fn["fn"](self.fn["norm"](x))


class _LinearAttention(nn.Module):
    """softmax over channels of q times (softmax over pixels of k)ᵀ v, per head (Shen et al.)."""

    def __init__(self, units: int, inner: int) -> None:
        super().__init__()
        self.to_q = nn.Conv2d(units, inner, 1, bias=False)
        depthwise = nn.Conv2d(units, units, 3, padding=1, groups=units, bias=False)
        pointwise = nn.Conv2d(units, 2 * inner, 1, bias=False)
        self.to_kv = nn.ModuleDict({"net": nn.Sequential(depthwise, pointwise)})
        self.to_out = nn.Conv2d(inner, units, 1)

    def forward(self, x: Tensor) -> Tensor:
        key, value = self.to_kv["net"](x).chunk(2, dim=1)
        query, key, value = (
            part.flatten(2).unflatten(1, (-1, _HEAD_SIZE)) for part in (self.to_q(x), key, value)
        )  # batch head channel pixel
        query = query.softmax(dim=2) * _HEAD_SIZE**-0.5
        context = key.softmax(dim=3) @ value.transpose(2, 3)
        out = (context.transpose(2, 3) @ query).flatten(1, 2).unflatten(2, x.shape[2:])
        return self.to_out(functional.gelu(out))


def _attention(units: int, inner: int) -> nn.Sequential:
    forward = nn.Sequential(
        nn.Conv2d(units, 2 * units, 1), nn.LeakyReLU(_LEAK), nn.Conv2d(2 * units, units, 1)
    )
    attention = _Residual(units, _LinearAttention(units, inner))
    return nn.Sequential(attention, _Residual(units, forward))


class _Generator(nn.Module):
    """Styles to image; sizes as in a state dict."""

    noise: Tensor

    def __init__(self, state: Mapping[str, Tensor], n_blocks: int, w_size: int) -> None:
        super().__init__()
        units = state["GE.initial_conv.weight"].shape[0]
        self.initial_block = None
        if "GE.initial_block" in state:
            self.initial_block = nn.Parameter(torch.zeros(1, units, 4, 4))
        else:
            self.to_initial_block = nn.ConvTranspose2d(w_size, units, 4, bias=False)
        self.initial_conv = nn.Conv2d(units, units, 3, padding=1)
        self.blocks, self.attns = nn.ModuleList(), nn.ModuleList()
        channels = state["GE.blocks.0.to_rgb.conv.weight"].shape[0]
        for i in range(n_blocks):
            query = state.get(f"GE.attns.{i}.0.fn.fn.to_q.weight")
            attention = nn.Identity() if query is None else _attention(units, query.shape[0])
            self.attns.append(attention)
            n_in, units = units, state[f"GE.blocks.{i}.conv1.weight"].shape[0]
            last = i == n_blocks - 1
            block = _Block(w_size, n_in, units, channels, first=i == 0, last=last)
            self.blocks.append(block)
        size = 4 << (n_blocks - 1)
        fixed = torch.from_numpy(stream(0, 0).random((1, size, size, 1), dtype="float32"))
        self.register_buffer("noise", fixed, persistent=False)

    def block(self, index: int) -> _Block:
        return submodule(self.blocks, str(index), _Block)

    def forward(
        self, styles: Mapping[str, Tensor], noise: Float[Tensor, "_ size size 1"]
    ) -> Float[Tensor, "batch rgb size size"]:
        if self.initial_block is None:
            x = self.to_initial_block(styles[_START][:, :, None, None])
        else:
            x = self.initial_block.expand(len(next(iter(styles.values()))), -1, -1, -1)
        x = self.initial_conv(x)
        image: Tensor | None = None
        for i, (attention, block) in enumerate(zip(self.attns, self.blocks, strict=True)):
            start = f"blocks.{i}."
            own = {n.removeprefix(start): s for n, s in styles.items() if n.startswith(start)}
            x, image = block(attention(x), image, own, noise)
        assert image is not None  # there is at least one block
        return image


class LucidrainsNetwork(StyledNetwork):
    """``SE`` and ``GE``, with the steps between the spaces.

    Args:
        state: The tensors of both, by name.
        n_blocks: Blocks, one for each size from 4 pixels.
        rate: Learning rate multiplier of the mapping.
    """

    def __init__(self, state: Mapping[str, Tensor], n_blocks: int, rate: float) -> None:
        super().__init__(n_blocks)
        self.w_size = state["SE.net.0.weight"].shape[0]
        depth = sum(name.startswith("SE.net.") and name.endswith(".weight") for name in state)
        self.SE = _Vectorizer(self.w_size, depth, rate)
        self.GE = _Generator(state, n_blocks, self.w_size)

    @property
    def mapping_slope(self) -> float | None:
        return _LEAK if len(self.SE.net) else None

    def map_z(
        self, z: Float[Tensor, "batch z"], classes: Float[Tensor, "batch n_classes"] | None
    ) -> Float[Tensor, "batch w"]:
        return self.SE(z)

    def styles(self, ws: Float[Tensor, "batch layer w"]) -> dict[str, Tensor]:
        """w+ to the styles of every block; without a constant, the mean w comes before them."""
        styles = {} if self.GE.initial_block is not None else {_START: ws.mean(dim=1)}
        for i in range(self.n_ws):
            of_block = self.GE.block(i).styles(ws[:, i].contiguous())
            styles |= {f"blocks.{i}.{name}": style for name, style in of_block.items()}
        return styles

    def draw(
        self, styles: Mapping[str, Tensor], *, noise: str | Tensor = "const"
    ) -> Float[Tensor, "batch rgb size size"]:
        """Images in [-1, 1]; see the module docstring for ``noise``.

        Raises:
            GeneratorError: a noise tensor whose shape is not batch × size × size.
        """
        values, batch = self.GE.noise, len(next(iter(styles.values())))
        size = values.shape[1]
        if isinstance(noise, Tensor):
            if noise.numel() not in (size**2, batch * size**2):
                raise GeneratorError(
                    f"noise of shape {tuple(noise.shape)} was given; expected one map or {batch} "
                    f"of {size} × {size}"
                )
            values = noise.to(values).reshape(-1, size, size, 1)
        elif noise == "none":
            values = torch.zeros_like(values)
        elif noise == "random":
            values = torch.rand(batch, size, size, 1, device=values.device)
        return self.GE(styles, values)[:, :3] * 2 - 1


def _find_state(part: Part) -> dict[str, Tensor] | None:
    state = part.tensors
    if "SE.net.0.weight" not in state or "GE.blocks.0.to_style1.weight" not in state:
        return None
    return {name: state[name] for name in state if name.startswith(("SE.", "GE."))}


def matches(part: Part) -> bool:
    """Whether stylegan2_pytorch wrote the file."""
    return _find_state(part) is not None


def from_checkpoint(part: Part, *, name: str, device: torch.device | str) -> StyledGenerator:
    """Load the generator from a folder or a file.

    Raises:
        CheckpointError: tensors that are missing or do not fit together.
    """
    path, state = part.path, _find_state(part)
    if state is None:
        raise CheckpointError(
            f"{path} holds no generator of stylegan2_pytorch; expected SE.net.0.weight and "
            "GE.blocks.0.to_style1.weight in it"
        )
    part.ledger.elsewhere = ("S.", "G.", "D.", "D_aug.")
    n_blocks = 0
    while f"GE.blocks.{n_blocks}.to_style1.weight" in state:
        n_blocks += 1
    rate = float(part.whole.attributes.get("lr_mlp", _DEFAULT_RATE))
    stated = "lr_mlp" in part.whole.attributes
    (part.ledger.obeyed if stated else part.ledger.assumed)["lr_mlp"] = rate
    network = build(
        lambda: LucidrainsNetwork(state, n_blocks, rate), state, path, family="stylegan2_pytorch"
    )
    layers = {}
    for i in range(n_blocks):
        block, size = network.GE.block(i), 4 << i
        grown = size if i == n_blocks - 1 else 2 * size
        for kind, pixels in (("conv1", size), ("conv2", size), ("to_rgb", grown)):
            path = "to_rgb.conv" if kind == "to_rgb" else kind
            convolution = submodule(block, path, _Modulated)
            units = convolution.weight.shape[0]
            layers[f"blocks.{i}.{kind}"] = LayerInfo(units, pixels, pixels, f"GE.blocks.{i}.{kind}")
    return StyledGenerator(
        network.to(device),
        name=name,
        layers=layers,
        image_size=4 << (n_blocks - 1),
        channels=3,
        n_classes=0,
        z_size=network.w_size,
        w_size=network.w_size,
        fingerprint=hash_tensors(network.state_dict(), "lucidrains", rate),
        takes_noise_maps=True,
    )
