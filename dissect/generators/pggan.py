"""Progressive GAN: a plain chain of convolutions from z, the network that GAN Dissection opened.

Modules carry the names of the published dissection checkpoints (``layer4.conv.weight``,
``layer4.wscale.b``, ``output_64x64.conv.weight``). Each layer normalises every pixel's feature
vector, doubles the size if it is odd and at least the third, convolves, scales, adds a bias and
bends. A layer's output is that of the bend.

References:
    Karras et al., Progressive Growing of GANs for Improved Quality, Stability, and Variation,
    ICLR 2018, section 4 and table 2.
    Bau et al., GAN Dissection, ICLR 2019.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dissect.errors import ConfigError, GeneratorError
from dissect.generators.base import LayerInfo, Space, check_conversion, sample_normal
from dissect.generators.checkpoint import Checkpoint
from dissect.generators.native import build_native, save_native
from dissect.latents import Latent
from segmenters.base import hash_tensors

FORMAT = "gan-dissection/pggan"
_LEAK = 0.2


@dataclass(frozen=True)
class PGGANConfig:
    """What a progressive GAN is built from.

    Args:
        image_size: Height and width of the image, a power of two from 8.
        channels: Units at 4, 8, 16, … ``image_size`` pixels; two layers each.
        z_size: Length of z.
        heads: Sizes that have an output layer; the last is ``image_size``. More than one only
            while it is trained.

    Raises:
        ConfigError: sizes and channels that do not fit.
    """

    image_size: int
    channels: tuple[int, ...]
    z_size: int = 512
    heads: tuple[int, ...] = ()

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
    """x · gain / (kernel · √channels) + b: weights stay at unit variance."""

    def __init__(self, n_in: int, n_out: int, kernel: int, gain: float) -> None:
        super().__init__()
        self.scale = gain / (kernel * math.sqrt(n_in))
        self.b = nn.Parameter(torch.zeros(n_out))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.b[None, :, None, None]


class _Layer(nn.Module):
    """Normalise, perhaps double, convolve, scale, perhaps bend."""

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel: int,
        *,
        padding: int,
        double: bool = False,
        bend: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, kernel, padding=padding, bias=False)
        nn.init.normal_(self.conv.weight)
        self.wscale = _Scale(n_in, n_out, kernel, math.sqrt(2) if bend else 1.0)
        self.double, self.bend = double, bend

    def forward(self, x: Tensor) -> Tensor:
        x = x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
        if self.double:
            x = functional.interpolate(x, scale_factor=2, mode="nearest")
        x = self.wscale(self.conv(x))
        return functional.leaky_relu(x, _LEAK) if self.bend else x


class PGGANNetwork(nn.Module):
    """The chain, with an output layer at each size of ``config.heads``."""

    def __init__(self, config: PGGANConfig) -> None:
        super().__init__()
        self.config = config
        n_in = config.z_size
        for k, n_out in enumerate(config.channels):
            first = _Layer(n_in, n_out, 3, padding=1, double=True)
            if k == 0:  # from 1 to 4 pixels
                first = _Layer(n_in, n_out, 4, padding=3)
            self.add_module(f"layer{2 * k + 1}", first)
            self.add_module(f"layer{2 * k + 2}", _Layer(n_out, n_out, 3, padding=1))
            size = 4 * 2**k
            if size in config.heads:
                head = _Layer(n_out, 3, 1, padding=0, bend=False)
                self.add_module(f"output_{size}x{size}", head)
            n_in = n_out

    def forward(
        self, z: Float[Tensor, "batch z"], *, resolution: int | None = None, fade: float = 1.0
    ) -> Float[Tensor, "batch 3 size size"]:
        """The image, or in training one of a smaller size.

        Args:
            z: Latents.
            resolution: One of ``config.heads``; None means the image's size.
            fade: From 0, the next smaller head's image doubled, to 1, the head's own.
        """
        x, before = z[:, :, None, None], None
        for k in range(len(self.config.channels)):
            x = self.get_submodule(f"layer{2 * k + 1}")(x)
            x = self.get_submodule(f"layer{2 * k + 2}")(x)
            size = 4 * 2**k
            if size == (resolution or self.config.image_size):
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


class PGGAN:
    """A progressive GAN behind the ``Generator`` protocol; its layers are ``layer1`` … ``layerN``.

    Args:
        module: The network; put in eval mode.
        name: What people call it.

    Example:
        >>> config = PGGANConfig(image_size=8, channels=(6, 4), z_size=8)
        >>> PGGAN(PGGANNetwork(config), name="tiny").layers["layer3"].height
        8
    """

    def __init__(self, module: PGGANNetwork, *, name: str) -> None:
        config = module.config
        self.module = module.eval()
        self.name = name
        self.image_size, self.channels, self.n_classes = config.image_size, 3, 0
        self.spaces = {"z": Space("z", (config.z_size,))}
        self.layers = {
            f"layer{i}": LayerInfo(
                config.channels[(i - 1) // 2],
                4 << ((i - 1) // 2),
                4 << ((i - 1) // 2),
                f"layer{i}",
            )
            for i in range(1, 2 * len(config.channels) + 1)
        }
        self.fingerprint = hash_tensors(module.state_dict(), config)

    @property
    def device(self) -> torch.device:
        return self.module.layer1.conv.weight.device

    def sample(self, indices: Sequence[int], *, seed: int, label: int | None = None) -> Latent:
        """Standard normal latents; see ``Generator.sample``."""
        return sample_normal(self, indices, seed=seed, label=label)

    def convert(
        self, latent: Latent, space: str, *, truncation: float = 1.0, cutoff: int | None = None
    ) -> Latent:
        """Only z to z, where ψ other than 0 changes nothing: the first layer normalises z.

        Raises:
            GeneratorError: another space, truncation, or a cutoff.
        """
        check_conversion(self, latent, space)
        if truncation != 1.0 or cutoff is not None:
            raise GeneratorError(
                f"{self.name} normalises z and has no w, so it cannot be truncated; "
                "expected truncation 1 and no cutoff"
            )
        return Latent("z", latent.data.flatten(1))

    def synthesize(
        self, latent: Latent, *, noise: str = "const"
    ) -> Float[Tensor, "batch 3 height width"]:
        """Images in [-1, 1]; the family has no noise inputs, so ``noise`` changes nothing."""
        check_conversion(self, latent, latent.space)
        return self.module(latent.data.flatten(1))


def save_pggan(network: PGGANNetwork, path: Path, *, half: bool = False) -> None:
    """Write weights and configuration, with the last head only; see ``save_native``."""
    config = PGGANConfig(network.config.image_size, network.config.channels, network.config.z_size)
    kept = PGGANNetwork(config).state_dict().keys()
    state = {name: value for name, value in network.state_dict().items() if name in kept}
    save_native(path, format=FORMAT, config=config, state=state, half=half)


def matches(checkpoint: Checkpoint) -> bool:
    """Whether ``save_pggan`` wrote the file."""
    return checkpoint.attributes.get("format") == FORMAT


def from_checkpoint(checkpoint: Checkpoint, *, name: str, device: torch.device | str) -> PGGAN:
    """The generator that a file holds.

    Raises:
        CheckpointError: tensors that do not fit the file's own configuration.
    """
    network = build_native(checkpoint, lambda config: PGGANNetwork(PGGANConfig(**config)))
    return PGGAN(network.to(device), name=name)
