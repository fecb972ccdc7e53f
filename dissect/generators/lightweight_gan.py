"""lightweight-gan (lucidrains): a small network that learns from few images, after FastGAN.

It is read from the folder of a project (``.config.json`` and ``model_7.pt``), from such a file
alone, or from a Hugging Face folder. The averaged generator ``GE`` is used if there is one,
otherwise ``G``. A block doubles the map, blurs and convolves it, adds noise and gates one half of
the channels by the other (GLU). Maps of 16 to 128 pixels give, through a bottleneck, one factor for
every channel of the map eight to sixteen times as large ("skip-layer excitation").

Four generations of the program are distinguished by their tensors, and where these do not decide,
by the version that the files state:

=============  ==============  ==========  =====================================================
version        doubles by      noise       attention
=============  ==============  ==========  =====================================================
before 0.21    nearest pixel   none        linear (before 0.20, of another library: refused)
0.21.0         bilinearly      yes         linear
0.21.1         bilinearly      yes         linear + that to 9 neighbours, of the same q, k, v
from 0.21.2    the same; from 1.0 by pixel  linear beside that to 9 neighbours, each with its own
               shuffle         yes         q, k, v
=============  ==============  ==========  =====================================================

- Noise is new for every image in the program, and no noise is stored. ``const`` means fixed maps,
  the same for all samples; ``none`` omits it.
- The program's images are in [0, 1], clamped; here they are scaled to [-1, 1] and not clamped. Of
  images with transparency, the colours are shown.

A layer is the output of a block (``layers.3.0``), before another map's factors; the first is
``initial_conv``.

References:
    Liu et al., Towards Faster and Stabilized GAN Training for High-fidelity Few-shot Image
    Synthesis, ICLR 2021, section 3.1 and figure 3.
    Cao et al., Global Context Networks, TPAMI 2020. Qin et al., FcaNet, ICCV 2021.
    Shen et al., Efficient Attention: Attention with Linear Complexities, WACV 2021, section 3.2.
"""

import re
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dissect.errors import CheckpointError, GeneratorError
from dissect.generators.base import check_conversion
from dissect.generators.shapes import LayerInfo
from dissect.generators.states import build, submodule
from dissect.generators.styled import NOISES
from dissect.generators.weights import Part
from dissect.generators.z_only import ZOnlyGenerator
from dissect.latents import Latent, stream
from segmenters.base import hash_tensors

_HEAD_SIZE = 64
_WINDOW = 3  # side of the neighbourhood of local attention: 3 × 3 pixels
_LEAK = 0.1
_MARKS = ("initial_conv.0.weight", "layers.0.0.1.f", "out_conv.weight")
_SHARED_FROM, _OWN_FROM = (0, 21, 1), (0, 21, 2)


class _PixelShuffle(nn.Module):
    """A convolution to four times the channels, which are rearranged to 2 × 2 pixels."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(n_in, n_out, 1), nn.SiLU(), nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class _Blur(nn.Module):
    """Blur with the filter f ⊗ f, of sum 1, and reflected edges."""

    f: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("f", torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.f[:, None] * self.f
        kernel = (kernel / kernel.abs().sum()).expand(x.shape[1], 1, 3, 3)
        return functional.conv2d(
            functional.pad(x, (1, 1, 1, 1), mode="reflect"), kernel, groups=x.shape[1]
        )


class _Noise(nn.Module):
    """Adds weight · noise, one map for all channels."""

    fixed: Tensor

    def __init__(self, size: int, block: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        values = stream(0, block).standard_normal((1, 1, size, size), dtype="float32")
        self.register_buffer("fixed", torch.from_numpy(values), persistent=False)
        self.kind = "const"

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "none":
            return x
        noise = self.fixed
        if self.kind == "random":
            noise = torch.randn(x.shape[0], *noise.shape[1:], device=x.device)
        return x + self.weight * noise


class _GlobalContext(nn.Module):
    """One factor for each channel of another map, by attention over pixels and a bottleneck."""

    dct_weights: Tensor

    def __init__(self, state: Mapping[str, Tensor], name: str) -> None:
        super().__init__()
        self.by_frequency = f"{name}.dct_weights" in state
        if self.by_frequency:
            self.register_buffer("dct_weights", torch.zeros(state[f"{name}.dct_weights"].shape))
        else:
            self.to_k = nn.Conv2d(state[f"{name}.to_k.weight"].shape[1], 1, 1)
        middle, n_in = state[f"{name}.net.0.weight"].shape[:2]
        n_out = state[f"{name}.net.2.weight"].shape[0]
        self.net = nn.Sequential(
            nn.Conv2d(n_in, middle, 1),
            nn.LeakyReLU(_LEAK),
            nn.Conv2d(middle, n_out, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Float[Tensor, "batch n_in size size"]) -> Float[Tensor, "batch n_out 1 1"]:
        if self.by_frequency:  # each channel's share of a frequency
            return self.net((x * self.dct_weights).sum(dim=(2, 3), keepdim=True))
        share = self.to_k(x).flatten(2).softmax(dim=2)
        return self.net((x.flatten(2) @ share.transpose(1, 2))[..., None])


class _Attention(nn.Module):
    """Attention to all pixels, linear in their number; later versions add neighbours."""

    def __init__(self, state: Mapping[str, Tensor], name: str, version: tuple[int, ...]) -> None:
        super().__init__()
        inner, units = state[f"{name}.to_q.weight"].shape[:2]
        self.own = f"{name}.to_lin_q.weight" in state
        self.near = self.own or version >= _SHARED_FROM
        self.to_q = nn.Conv2d(units, inner, 1, bias=False)
        self.to_kv: nn.Module = nn.Conv2d(units, 2 * inner, 1, bias=False)
        depthwise = nn.Conv2d(units, units, 3, padding=1, groups=units, bias=False)
        pointwise = nn.Conv2d(units, 2 * inner, 1, bias=False)
        deep = nn.ModuleDict({"net": nn.Sequential(depthwise, pointwise)})
        if self.own:
            self.to_lin_q = nn.Conv2d(units, inner, 1, bias=False)
            self.to_lin_kv = deep
        else:
            self.to_kv = deep
        self.to_out = nn.Conv2d(2 * inner if self.own else inner, units, 1)

    def forward(self, x: Float[Tensor, "batch unit size size"]) -> Tensor:
        query = self.to_q(x)
        if self.own:
            far = _attend_far(self.to_lin_q(x), self.to_lin_kv["net"](x))
            near = _attend_near(query, self.to_kv(x))
            return self.to_out(torch.cat([functional.gelu(far), near], dim=1))
        both = submodule(self, "to_kv.net", nn.Sequential)(x)
        out = _attend_far(query, both)
        if self.near:
            out = out + _attend_near(query, both)
        return self.to_out(functional.gelu(out))


def _attend_far(query: Tensor, both: Tensor) -> Tensor:
    """softmax over channels of q times (softmax over pixels of k)ᵀ v, per head (Shen et al.)."""
    size = query.shape[2:]
    query, key, value = (
        part.flatten(2).unflatten(1, (-1, _HEAD_SIZE)) for part in (query, *both.chunk(2, dim=1))
    )  # batch head channel pixel
    context = key.softmax(dim=3) @ value.transpose(2, 3)
    out = context.transpose(2, 3) @ (query.softmax(dim=2) * _HEAD_SIZE**-0.5)
    return out.flatten(1, 2).unflatten(2, size)


def _attend_near(query: Tensor, both: Tensor) -> Tensor:
    """Attention of each pixel to its 3 × 3 neighbourhood, with zeros beyond the edge."""
    size = query.shape[2:]
    key, value = (
        functional.unfold(part, _WINDOW, padding=_WINDOW // 2).unflatten(
            1, (-1, _HEAD_SIZE, _WINDOW**2)
        )
        for part in both.chunk(2, dim=1)
    )  # batch head channel neighbour pixel
    query = query.flatten(2).unflatten(1, (-1, _HEAD_SIZE)) * _HEAD_SIZE**-0.5
    share = (query[:, :, :, None] * key).sum(dim=2, keepdim=True).softmax(dim=3)
    return (share * value).sum(dim=3).flatten(1, 2).unflatten(2, size)


class _ChannelNorm(nn.Module):
    """Normalise every pixel's vector to mean 0 and variance 1, then scale and shift it."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.g = nn.Parameter(torch.ones(1, units, 1, 1))
        self.b = nn.Parameter(torch.zeros(1, units, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, dim=1, unbiased=False, keepdim=True)
        return (x - mean) / (variance + 1e-5).sqrt() * self.g + self.b


class _NormedAttention(nn.Module):
    def __init__(self, state: Mapping[str, Tensor], name: str, version: tuple[int, ...]) -> None:
        super().__init__()
        self.fn = _Attention(state, f"{name}.fn", version)
        self.norm = _ChannelNorm(self.fn.to_q.in_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(self.norm(x))


def _up(state: Mapping[str, Tensor], index: int) -> nn.Sequential:
    """A block, with its parts at the paths of the file."""
    name = f"layers.{index}.0"
    noisy, shuffle = f"{name}.3.weight" in state, f"{name}.0.net.0.weight" in state
    noisy = noisy and state[f"{name}.3.weight"].numel() == 1
    grow: nn.Module = nn.Upsample(scale_factor=2, mode="nearest")
    if shuffle:
        n_out, n_in = state[f"{name}.0.net.0.weight"].shape[:2]
        grow = _PixelShuffle(n_in, n_out)
    elif noisy:
        grow = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
    key = f"{name}.2.weight" if f"{name}.2.weight" in state else f"{name}.2.1.weight"
    n_out, n_in, taps = state[key].shape[:3]
    # An even kernel is padded with one more pixel before than after.
    pad = nn.ZeroPad2d((taps // 2, (taps - 1) // 2, taps // 2, (taps - 1) // 2))
    convolution: nn.Module = nn.Sequential(pad, nn.Conv2d(n_in, n_out, taps))
    if key == f"{name}.2.weight":
        convolution = nn.Conv2d(n_in, n_out, taps, padding=taps // 2)
    parts = [grow, _Blur(), convolution]
    if noisy:
        parts.append(_Noise(8 << index, index))
    return nn.Sequential(*parts, nn.BatchNorm2d(n_out), nn.GLU(dim=1))


class LightweightNetwork(nn.Module):
    """The generator, under the names of the file.

    Args:
        state: Its tensors.
        version: Version of the program that wrote them; decides what tensors leave open.
    """

    def __init__(self, state: Mapping[str, Tensor], version: tuple[int, ...]) -> None:
        super().__init__()
        z_size, twice = state["initial_conv.0.weight"].shape[:2]
        self.initial_conv = nn.Sequential(
            nn.ConvTranspose2d(z_size, twice, 4), nn.BatchNorm2d(twice), nn.GLU(dim=1)
        )
        self.layers, self.n_layers = nn.ModuleList(), _count(state)
        for i in range(self.n_layers):
            stage = nn.ModuleDict({"0": _up(state, i)})
            if any(name.startswith(f"layers.{i}.1.") for name in state):
                stage["1"] = _GlobalContext(state, f"layers.{i}.1")
            if f"layers.{i}.2.fn.to_q.weight" in state:
                stage["2"] = _NormedAttention(state, f"layers.{i}.2", version)
            self.layers.append(stage)
        channels, n_in = state["out_conv.weight"].shape[:2]
        self.out_conv = nn.Conv2d(n_in, channels, 3, padding=1)

    def forward(self, z: Float[Tensor, "batch z"]) -> Float[Tensor, "batch channels size size"]:
        x = functional.normalize(self.initial_conv(z[:, :, None, None]), dim=1)
        factors: dict[int, Tensor] = {}
        for i in range(self.n_layers):
            stage = submodule(self.layers, str(i), nn.ModuleDict)
            x = stage["0"](x + stage["2"](x) if "2" in stage else x)
            if "1" in stage:  # of maps of 16, 32, … pixels for those of 128, 256, …
                factors[i + 3] = stage["1"](x)
            x = x * factors[i] if i in factors else x
        return self.out_conv(x)


class LightweightGAN(ZOnlyGenerator[LightweightNetwork]):
    """A lightweight-gan behind the ``Generator`` protocol.

    Args:
        module: The network, frozen and in eval mode.
        name: Name shown to people.
        settings: Properties that its tensors do not determine.
    """

    def __init__(self, module: LightweightNetwork, *, name: str, settings: object) -> None:
        super().__init__(
            module,
            name=name,
            z_shape=(submodule(module, "initial_conv.0", nn.ConvTranspose2d).in_channels,),
            fingerprint=hash_tensors(module.state_dict(), "lightweight-gan", settings),
        )
        self.image_size = 4 << module.n_layers
        self.channels = min(module.out_conv.out_channels, 3)
        units = submodule(module, "initial_conv.1", nn.BatchNorm2d).num_features // 2
        self.layers = {"initial_conv": LayerInfo(units, 4, 4, "initial_conv")}
        for i in range(module.n_layers):
            path, size = f"layers.{i}.0", 8 << i
            norm = submodule(module, path, nn.Sequential)[-2]
            assert isinstance(norm, nn.BatchNorm2d)  # see ``_up``
            self.layers[path] = LayerInfo(norm.num_features // 2, size, size, path)

    def synthesize(
        self, latent: Latent, *, noise: str = "const"
    ) -> Float[Tensor, "batch channels size size"]:
        """Images in [-1, 1]; see the module docstring for ``noise``.

        Raises:
            GeneratorError: an unknown kind of noise, or a latent of another generator.
        """
        if noise not in NOISES:
            raise GeneratorError(f"noise is {noise!r}; expected {', '.join(NOISES)}")
        check_conversion(self, latent, latent.space)
        for module in self.module.modules():
            if isinstance(module, _Noise):
                module.kind = noise
        images = self.module(self._z(latent).to(self.device))
        return images[:, : self.channels] * 2 - 1


def _count(state: Mapping[str, Tensor]) -> int:
    n = 0
    while f"layers.{n}.0.1.f" in state:
        n += 1
    return n


def _find_state(part: Part) -> dict[str, Tensor] | None:
    return dict(part.tensors) if all(mark in part.tensors for mark in _MARKS) else None


def _find_version(part: Part, state: Mapping[str, Tensor]) -> tuple[int, ...]:
    """The version that the file states, otherwise the last one that has such tensors."""
    stated = re.fullmatch(
        r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})", str(part.whole.attributes.get("version"))
    )
    if stated:
        return tuple(map(int, stated.groups()))
    noisy = state.get("layers.0.0.3.weight", torch.zeros(2)).numel() == 1
    return _OWN_FROM if noisy else (0, 20, 5)


def matches(part: Part) -> bool:
    """Whether lightweight-gan wrote the file."""
    return _find_state(part) is not None


def from_checkpoint(part: Part, *, name: str, device: torch.device | str) -> LightweightGAN:
    """Load the generator from a folder or a file.

    Raises:
        CheckpointError: tensors that are missing or do not fit together.
    """
    path, state = part.path, _find_state(part)
    if state is None:
        raise CheckpointError(
            f"{path} holds no generator of lightweight-gan; expected {', '.join(_MARKS)} in it"
        )
    version = _find_version(part, state)
    stated = "version" in part.whole.attributes
    about = part.ledger.obeyed if stated else part.ledger.assumed
    about["version"] = ".".join(map(str, version))
    for norm in [n.removesuffix("running_mean") for n in state if n.endswith("running_mean")]:
        # Some files lack the number of batches seen, which nothing here uses.
        state.setdefault(f"{norm}num_batches_tracked", torch.tensor(0))
    network = build(
        lambda: LightweightNetwork(state, version), state, path, family="lightweight-gan"
    )
    near = any(isinstance(m, _Attention) and m.near for m in network.modules())
    return LightweightGAN(network.to(device), name=name, settings=near)
