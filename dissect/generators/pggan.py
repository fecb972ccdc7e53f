"""Progressive GAN: a plain chain of convolutions from z, the network that GAN Dissection opened.

Modules carry the names of the published dissection checkpoints (``layer4.conv.weight``,
``layer4.wscale.b``, ``output_64x64.conv.weight``). Each layer normalises every pixel's feature
vector, doubles the size if it is odd and at least the third, convolves, scales, adds a bias and
applies the activation. A layer's output is that of the activation.

Files of four other programs hold the same function under other names. They are converted, while
``PGGAN.layers`` keeps the names of the file:

- gandissect, ``layer1.conv.weight``, its older ``features.0.conv.weight``, and plain sequences;
- genforce, ``layer0.weight`` (its count starts at 0), under ``generator_smooth``;
- pytorch_GAN_zoo, ``scaleLayers.0.0.module.weight``, under ``avgG``: it scales the bias too, gives
  every layer the gain √2, normalises after a layer instead of before the next (the same), and its
  first layer is a matrix with a bias for each pixel;
- the TensorFlow variables of the paper, ``8x8/Conv0_up/weight``, with kernels of transposed
  convolutions turned around, and the matrix of the first layer too.

Sizes come from the tensors. Two properties do not: labels, which genforce and pytorch_GAN_zoo
append to z (z here is the whole input), and whether weights are scaled at run time (assumed).
Files of the first two programs were compared with the original programs. The other two follow the
programs' source and were only compared with an independent plain implementation of it.

References:
    Karras et al., Progressive Growing of GANs for Improved Quality, Stability, and Variation,
    ICLR 2018, section 4 and table 2.
    Bau et al., GAN Dissection, ICLR 2019.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dissect.errors import CheckpointError, ConfigError, GeneratorError
from dissect.generators.base import check_conversion
from dissect.generators.native import build_native, save_native
from dissect.generators.shapes import LayerInfo
from dissect.generators.states import build, submodule
from dissect.generators.weights import Part
from dissect.generators.z_only import ZOnlyGenerator
from dissect.latents import Latent
from segmenters.base import hash_tensors

FORMAT = "gan-dissection/pggan"
_LEAK = 0.2


@dataclass(frozen=True)
class PGGANConfig:
    """Configuration of a progressive GAN.

    Args:
        image_size: Height and width of the image, a power of two from 8.
        channels: Units at 4, 8, 16, … ``image_size`` pixels; two layers each.
        z_size: Length of z.
        heads: Sizes that have an output layer; the last is ``image_size``. More than one only
            during training.
        rgb_channels: 3, or 1 for grey.
        scaling: What is scaled at run time: a convolution's ``output``, its ``weight``, or its
            ``sum`` with the bias; in float32 the first two differ in their last digits. With
            ``sum`` every layer has the gain √2, and the first is a matrix with a bias for each
            pixel (pytorch_GAN_zoo).

    Raises:
        ConfigError: sizes and channels that do not fit.
    """

    image_size: int
    channels: tuple[int, ...]
    z_size: int = 512
    heads: tuple[int, ...] = ()
    rgb_channels: int = 3
    scaling: str = "output"

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        object.__setattr__(self, "heads", tuple(self.heads) or (self.image_size,))
        if self.image_size < 8 or self.image_size != 4 * 2 ** (len(self.channels) - 1):
            raise ConfigError(
                f"channels has {len(self.channels)} entries for an image of {self.image_size} "
                "pixels; expected one for each of 4, 8, … up to the image's size, at least 8"
            )
        if self.heads[-1] != self.image_size:
            raise ConfigError(
                f"the last head is at {self.heads[-1]} pixels; expected {self.image_size}, "
                "the size of the image"
            )


class _Scale(nn.Module):
    """The factor that scales weights of unit variance to He's initialisation, and the bias."""

    def __init__(self, scale: float, bias: tuple[int, ...]) -> None:
        super().__init__()
        self.scale = scale
        self.b = nn.Parameter(torch.zeros(bias))


class _Layer(nn.Module):
    """Normalise, optionally double, convolve, scale, optionally activate.

    y = act(W ∗ x̂ · gain / √fan-in + b), x̂ = x / √(mean over units of x² + 1e-8)
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel: int,
        *,
        padding: int,
        scaling: str,
        double: bool = False,
        bend: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, kernel, padding=padding, bias=False)
        nn.init.normal_(self.conv.weight)
        together = scaling == "sum"
        matrix = together and kernel == 4
        gain = math.sqrt(2) if bend or together else 1.0
        side = 1 if matrix else kernel
        bias = (n_out, 4, 4) if matrix else (n_out, 1, 1) if together else (n_out,)
        self.wscale = _Scale(gain / (side * math.sqrt(n_in)), bias)
        self.scaling, self.doubles, self.bend = scaling, double, bend

    def forward(self, x: Tensor) -> Tensor:
        x = x / (x.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()
        if self.doubles:
            x = functional.interpolate(x, scale_factor=2, mode="nearest")
        scale, bias = self.wscale.scale, self.wscale.b
        if self.scaling == "output":
            x = self.conv(x) * scale + bias[:, None, None]
        elif self.scaling == "weight":
            x = functional.conv2d(x, self.conv.weight * scale, bias, padding=self.conv.padding)
        else:
            x = (self.conv(x) + bias) * scale
        return functional.leaky_relu(x, _LEAK) if self.bend else x


class PGGANNetwork(nn.Module):
    """The chain, with an output layer at each size of ``config.heads``.

    References:
        Karras et al. 2018, table 2 (layers) and section 4.1 (weights scaled at run time).
    """

    def __init__(self, config: PGGANConfig) -> None:
        super().__init__()
        self.config, self.fade = config, 1.0
        n_in, scaling = config.z_size, config.scaling
        for k, n_out in enumerate(config.channels):
            first = _Layer(n_in, n_out, 3, padding=1, scaling=scaling, double=True)
            if k == 0:  # from 1 to 4 pixels
                first = _Layer(n_in, n_out, 4, padding=3, scaling=scaling)
            self.add_module(f"layer{2 * k + 1}", first)
            second = _Layer(n_out, n_out, 3, padding=1, scaling=scaling)
            self.add_module(f"layer{2 * k + 2}", second)
            size = 4 * 2**k
            if size in config.heads:
                head = _Layer(n_out, config.rgb_channels, 1, padding=0, scaling=scaling, bend=False)
                self.add_module(f"output_{size}x{size}", head)
            n_in = n_out

    def forward(
        self,
        z: Float[Tensor, "batch z"],
        *,
        resolution: int | None = None,
        fade: float | None = None,
    ) -> Float[Tensor, "batch rgb size size"]:
        """The image, or in training an image of a smaller size.

        Args:
            z: Latents.
            resolution: One of ``config.heads``; None means the image's size.
            fade: 0 gives the doubled image of the next smaller head, 1 the head's own. None means
                the network's value, which is 1 unless its file is from a transition.
        """
        fade = self.fade if fade is None else fade
        resolution = resolution or self.config.image_size
        x, before, size = z[:, :, None, None], None, 4
        for k in range(len(self.config.channels)):
            x = self.get_submodule(f"layer{2 * k + 1}")(x)
            x = self.get_submodule(f"layer{2 * k + 2}")(x)
            size = 4 * 2**k
            if size == resolution:
                break
            if fade < 1.0 and 2 * size == resolution and size in self.config.heads:
                before = self._head(size)(x)
        image = self._head(size)(x)
        if before is not None:
            before = functional.interpolate(before, scale_factor=2, mode="nearest")
            image = before + fade * (image - before)
        return image

    def _head(self, size: int) -> nn.Module:
        return self.get_submodule(f"output_{size}x{size}")


class PGGAN(ZOnlyGenerator[PGGANNetwork]):
    """A progressive GAN behind the ``Generator`` protocol.

    Its layers are ``layer1`` … ``layerN`` and the output, or the names of the file.

    Args:
        module: The network; put in eval mode.
        name: Name shown to people.
        names: Names of its layers in its file, if they differ.

    Example:
        >>> config = PGGANConfig(image_size=8, channels=(6, 4), z_size=8)
        >>> list(PGGAN(PGGANNetwork(config), name="tiny").layers)
        ['layer1', 'layer2', 'layer3', 'layer4', 'output_8x8']
    """

    def __init__(
        self, module: PGGANNetwork, *, name: str, names: Mapping[str, str] | None = None
    ) -> None:
        config = module.config
        super().__init__(
            module.eval(),
            name=name,
            z_shape=(config.z_size,),
            fingerprint=hash_tensors(
                module.state_dict(), config, *([module.fade] * (module.fade != 1.0))
            ),
        )
        self.image_size, self.channels = config.image_size, config.rgb_channels
        own = {f"layer{i + 1}": i // 2 for i in range(2 * len(config.channels))}
        own[f"output_{config.image_size}x{config.image_size}"] = len(config.channels) - 1
        self.layers = {
            (names or {}).get(layer, layer): LayerInfo(
                submodule(module, layer, _Layer).conv.out_channels, 4 << k, 4 << k, layer
            )
            for layer, k in own.items()
        }

    def convert(
        self, latent: Latent, space: str, *, truncation: float = 1.0, cutoff: int | None = None
    ) -> Latent:
        """Convert z to z. ψ other than 0 would have no effect: the first layer normalises z.

        Raises:
            GeneratorError: another space, truncation, or a cutoff.
        """
        check_conversion(self, latent, space)
        if truncation != 1.0 or cutoff is not None:
            raise GeneratorError(
                f"{self.name} normalises z and has no w, so it cannot be truncated; "
                "expected truncation 1 and no cutoff"
            )
        return Latent("z", self._z(latent))

    def latent_weight(self) -> Float[Tensor, "row z"]:
        """See ``HasLatentWeight``: the first convolution, a row for each unit and pixel.

        It reads the normalised z, which has the same direction.
        """
        first = submodule(self.module, "layer1", _Layer)
        return first.conv.weight.permute(0, 2, 3, 1).flatten(0, 2)


def save_pggan(network: PGGANNetwork, path: Path, *, half: bool = False) -> None:
    """Write weights and configuration, with the last head only; see ``save_native``."""
    config = PGGANConfig(network.config.image_size, network.config.channels, network.config.z_size)
    kept = PGGANNetwork(config).state_dict().keys()
    state = {name: value for name, value in network.state_dict().items() if name in kept}
    save_native(path, format=FORMAT, config=config, state=state, half=half)


# Files of other programs. Each reader takes tensors by name and returns the chain, or None.


@dataclass(frozen=True)
class _Part:
    """One layer of a file: its name there, weight as out × in × k × k, bias."""

    name: str
    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class _Chain:
    """The layers of a file from z on, and the last output layer."""

    layers: list[_Part]
    head: _Part
    scaling: str
    lod: float = 0.0
    before: _Part | None = None  # the head of half the size


def _natural(name: str) -> list[object]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _read_gandissect(state: Mapping[str, Tensor]) -> _Chain | None:
    """``layer1.conv.weight``, ``features.0.conv.weight`` or ``0.conv.weight``, scaled by layer."""
    names = [n.removesuffix(".wscale.b") for n in state if n.endswith(".wscale.b")]
    known = {f"{n}.{part}" for n in names for part in ("conv.weight", "wscale.b", "wscale.scale")}
    if not names or not set(state) <= known or any(f"{n}.conv.weight" not in state for n in names):
        return None
    parts = [
        _Part(n, state[f"{n}.conv.weight"], state[f"{n}.wscale.b"])
        for n in sorted(names, key=_natural)
    ]
    heads = [part for part in parts if part.weight.shape[-1] == 1]
    layers = [part for part in parts if part.weight.shape[-1] != 1]
    return _Chain(layers, heads[-1], "output") if heads else None


def _read_genforce(state: Mapping[str, Tensor]) -> _Chain | None:
    """``layer0.weight``, ``output0.weight``; the last output gives the image."""
    layers = _numbered(state, "layer{}")
    heads = _numbered(state, "output{}")
    known = {f"{part.name}.{kind}" for part in layers + heads for kind in ("weight", "bias")}
    if not heads or not layers or not set(state) <= {"lod", *known}:
        return None
    # With fused_scale the doubling is a transposed convolution: in × out, its kernel turned around.
    if any(a.bias.shape[0] != b.weight.shape[1] for a, b in zip(layers, layers[1:], strict=False)):
        layers[2::2] = [
            _Part(part.name, part.weight.transpose(0, 1).flip(2, 3), part.bias)
            for part in layers[2::2]
        ]
    return _Chain(layers, heads[-1], "weight", float(state.get("lod", 0)))


def _numbered(state: Mapping[str, Tensor], pattern: str) -> list[_Part]:
    parts: list[_Part] = []
    while (name := pattern.format(len(parts))) + ".weight" in state and name + ".bias" in state:
        parts.append(_Part(name, state[name + ".weight"], state[name + ".bias"]))
    return parts


def _read_zoo(state: Mapping[str, Tensor]) -> _Chain | None:
    """pytorch_GAN_zoo's ``formatLayer``, ``groupScale0``, ``scaleLayers``, ``toRGBLayers``."""
    state = {name.replace(".module.", "."): value for name, value in state.items()}
    middle = _numbered(state, "groupScale0.{}")
    heads = _numbered(state, "toRGBLayers.{}")
    if "formatLayer.weight" not in state or not middle or not heads:
        return None
    scale = 0
    while found := _numbered(state, f"scaleLayers.{scale}." + "{}"):
        middle, scale = middle + found, scale + 1
    # A matrix to units × 4 × 4; from one pixel, a padded convolution reads its kernel reversed.
    weight, bias = state["formatLayer.weight"], state["formatLayer.bias"]
    matrix = weight.reshape(-1, 4, 4, weight.shape[1]).permute(0, 3, 1, 2).flip(2, 3)
    first = _Part("formatLayer", matrix, bias.reshape(-1, 4, 4))
    rest = [_Part(p.name, p.weight, p.bias[:, None, None]) for p in [*middle, heads[-1]]]
    before = None
    if len(heads) > 1:
        before = _Part(heads[-2].name, heads[-2].weight, heads[-2].bias[:, None, None])
    return _Chain([first, *rest[:-1]], rest[-1], "sum", before=before)


def _read_tensorflow(state: Mapping[str, Tensor]) -> _Chain | None:
    """``4x4/Dense``, ``4x4/Conv``, ``8x8/Conv0_up``, ``8x8/Conv1``, …, ``ToRGB_lod0``."""

    def part(name: str, arrange: Callable[[Tensor], Tensor]) -> _Part:
        return _Part(name, arrange(state[f"{name}/weight"]), state[f"{name}/bias"])

    def plain(weight: Tensor) -> Tensor:  # height width in out
        return weight.permute(3, 2, 0, 1)

    def transposed(weight: Tensor) -> Tensor:  # height width out in
        return weight.permute(2, 3, 0, 1).flip(2, 3)

    def dense(weight: Tensor) -> Tensor:  # in, then out height width
        return weight.reshape(len(weight), -1, 4, 4).transpose(0, 1).flip(2, 3)

    needed = ("4x4/Dense", "4x4/Conv", "ToRGB_lod0")
    if any(f"{name}/{kind}" not in state for name in needed for kind in ("weight", "bias")):
        return None
    layers = [part("4x4/Dense", dense), part("4x4/Conv", plain)]
    size = 8
    while f"{size}x{size}/Conv1/weight" in state:
        block = f"{size}x{size}"
        fused = f"{block}/Conv0_up/weight" in state
        layers.append(
            part(f"{block}/Conv0_up", transposed) if fused else part(f"{block}/Conv0", plain)
        )
        layers.append(part(f"{block}/Conv1", plain))
        size *= 2
    return _Chain(layers, part("ToRGB_lod0", plain), "weight", float(state.get("lod", 0)))


def _find_chain(part: Part) -> _Chain | None:
    for read in (_read_gandissect, _read_genforce, _read_zoo):
        chain = read(part.tensors)
        if chain is not None and chain.layers[0].weight.shape[2:] == (4, 4):
            return chain
    return _read_tensorflow(part.nested)  # names of TensorFlow's variables contain slashes


def _find_fade(part: Part, chain: _Chain) -> float:
    """Progress of a pytorch_GAN_zoo file in the transition to its last size; 1 means complete.

    Its configuration holds α, the share of the image of half the size.
    """
    alpha = part.whole.attributes.get("config/alpha")
    if chain.before is None or not isinstance(alpha, int | float) or not 0 < alpha <= 1:
        return 1.0
    part.ledger.obeyed["config/alpha"] = float(alpha)
    return 1.0 - float(alpha)


def _build(chain: _Chain, path: Path, fade: float) -> tuple[PGGANNetwork, dict[str, str]]:
    """The network of a chain, and the file's names of its layers."""
    if chain.lod:
        raise CheckpointError(
            f"{path} is from the middle of progressive training (level of detail {chain.lod:g}); "
            "expected 0, where the last output layer gives the image"
        )
    weights = [part.weight for part in chain.layers]
    size = 2 << (len(weights) // 2)
    try:
        config = PGGANConfig(
            image_size=size,
            heads=(size // 2, size) if fade < 1 else (),
            channels=tuple(weight.shape[0] for weight in weights[::2]),
            z_size=weights[0].shape[1],
            rgb_channels=chain.head.weight.shape[0],
            scaling=chain.scaling,
        )
    except ConfigError as error:
        raise CheckpointError(f"{path} holds a PGGAN that cannot be built: {error}") from error
    own = [f"layer{i + 1}" for i in range(len(weights))]
    own.append(f"output_{config.image_size}x{config.image_size}")
    state, names = {}, {}
    for layer, part in zip(own, [*chain.layers, chain.head], strict=True):
        names[layer] = part.name
        state[f"{layer}.conv.weight"], state[f"{layer}.wscale.b"] = part.weight, part.bias
    if chain.before is not None and fade < 1:
        smaller = f"output_{size // 2}x{size // 2}"
        state[f"{smaller}.conv.weight"] = chain.before.weight
        state[f"{smaller}.wscale.b"] = chain.before.bias
    network = build(lambda: PGGANNetwork(config), state, path, family="PGGAN")
    network.fade = fade
    return network, names


def matches(part: Part) -> bool:
    """Whether ``save_pggan`` or one of the programs named above wrote the file."""
    return part.attributes.get("format") == FORMAT or _find_chain(part) is not None


def from_checkpoint(part: Part, *, name: str, device: torch.device | str) -> PGGAN:
    """Load the generator from a file.

    Raises:
        CheckpointError: tensors that do not fit together or that contradict the file's own
            configuration, or a file from the middle of progressive training.
    """
    if part.attributes.get("format") == FORMAT:
        network = build_native(part, lambda config: PGGANNetwork(PGGANConfig(**config)))
        return PGGAN(network.to(device), name=name)
    chain = _find_chain(part)
    if chain is None:
        raise CheckpointError(
            f"{part.path} holds no PGGAN; expected layers as gandissect, genforce, "
            "pytorch_GAN_zoo or TensorFlow name them"
        )
    network, names = _build(chain, part.path, _find_fade(part, chain))
    return PGGAN(network.to(device), name=name, names=names)
