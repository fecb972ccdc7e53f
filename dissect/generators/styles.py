"""What StyleGAN's descendants share: the mapping, and the way from z through w and w+ to s.

    z ──mapping──► w ──repeat──► w+ ──affines──► s ──synthesis──► image

References:
    Karras et al., A Style-Based Generator Architecture for Generative Adversarial Networks,
    CVPR 2019 (mapping, w, truncation).
    Wu et al., StyleSpace Analysis, CVPR 2021 (the space s).
"""

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dissect.errors import GeneratorError
from dissect.generators.base import Space, check_conversion, sample_normal
from dissect.latents import Latent
from segmenters.base import hash_tensors

LEAK = 0.2

# Weights are stored at unit variance; the gain that makes them Xavier's is applied at run time, so
# that Adam's steps are equally large everywhere (Karras et al. 2018, section 4.1).


class MappingConfig(Protocol):
    """What a mapping is built from."""

    z_size: int
    w_size: int
    n_classes: int
    mapping_depth: int
    mapping_rate: float


class FullyConnected(nn.Module):
    """y = act(x · (W·gain)ᵀ + b·rate), with leaky ReLU · √2 or none."""

    def __init__(
        self, n_in: int, n_out: int, *, activate: bool = False, rate: float = 1.0, bias: float = 0.0
    ) -> None:
        super().__init__()
        self.activate = activate
        self.weight = nn.Parameter(torch.randn(n_out, n_in) / rate)
        self.bias = nn.Parameter(torch.full((n_out,), float(bias)))
        self.weight_gain = rate / math.sqrt(n_in)
        self.bias_gain = rate

    def forward(self, x: Float[Tensor, "batch n_in"]) -> Float[Tensor, "batch n_out"]:
        y = functional.linear(x, self.weight * self.weight_gain, self.bias * self.bias_gain)
        return functional.leaky_relu(y, LEAK) * math.sqrt(2) if self.activate else y


def normalize(x: Float[Tensor, "batch size"]) -> Float[Tensor, "batch size"]:
    """x / √(mean x² + 1e-8): to length √size."""
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


class MappingNetwork(nn.Module):
    """z, and a class, to w."""

    def __init__(self, config: MappingConfig) -> None:
        super().__init__()
        self.n_classes, self.depth = config.n_classes, config.mapping_depth
        size = config.z_size
        if config.n_classes:
            self.embed = FullyConnected(config.n_classes, config.w_size)
            size += config.w_size
        for k in range(config.mapping_depth):
            layer = FullyConnected(size, config.w_size, activate=True, rate=config.mapping_rate)
            self.add_module(f"fc{k}", layer)
            size = config.w_size
        self.register_buffer("w_avg", torch.zeros(config.w_size))

    def forward(
        self, z: Float[Tensor, "batch z"], classes: Float[Tensor, "batch n_classes"] | None = None
    ) -> Float[Tensor, "batch w"]:
        x = normalize(z)
        if self.n_classes:
            x = torch.cat([x, normalize(self.embed(classes))], dim=1)
        for k in range(self.depth):
            x = self.get_submodule(f"fc{k}")(x)
        return x


class StyleGenerator:
    """A network of styles behind the ``Generator`` protocol; families add their layers.

    Args:
        module: With ``config`` (sizes and ``n_ws``), ``mapping``, ``synthesis`` (called with styles
            by layer and ``noise``), ``styles(ws)`` and ``style_layers()``; put in eval mode.
        name: What people call it.
    """

    noises: tuple[str, ...]

    def __init__(self, module: nn.Module, *, name: str) -> None:
        config = module.config
        self.module = module.eval()
        self.name = name
        self.image_size, self.channels = config.image_size, config.rgb_channels
        self.n_classes = config.n_classes
        self._style_layers = module.synthesis.style_layers()
        n_styles = sum(n for _, n in self._style_layers.values())
        self.spaces = {
            "z": Space("z", (config.z_size,)),
            "w": Space("w", (config.w_size,)),
            "w+": Space("w+", (config.n_ws, config.w_size)),
            "s": Space("s", (n_styles,)),
        }
        self.fingerprint = hash_tensors(module.state_dict(), config)

    @property
    def device(self) -> torch.device:
        return self.module.mapping.w_avg.device

    @property
    def style_slices(self) -> dict[str, slice]:
        """Where each layer's styles lie in a vector of s."""
        slices, start = {}, 0
        for layer, (_, n) in self._style_layers.items():
            slices[layer] = slice(start, start + n)
            start += n
        return slices

    def sample(self, indices: Sequence[int], *, seed: int, label: int | None = None) -> Latent:
        """Latents of the samples ``indices`` of a seed, in z.

        Raises:
            GeneratorError: a label of a class that it does not have.
        """
        return sample_normal(self, indices, seed=seed, label=label)

    def convert(
        self, latent: Latent, space: str, *, truncation: float = 1.0, cutoff: int | None = None
    ) -> Latent:
        """Bring a latent to a later space; truncation happens in w or w+.

        w' = w̄ + ψ (w - w̄), on the first ``cutoff`` layers.

        Raises:
            GeneratorError: a space that it lacks, a way back, truncation where there is no w on
                the way, or a cutoff on the way to w, which has no layers.
        """
        check_conversion(self, latent, space)
        truncate = truncation != 1.0
        if truncate and (latent.space == "s" or space == "z"):
            raise GeneratorError(
                f"cannot truncate from {latent.space!r} to {space!r}; "
                "expected w or w+ on the way; start from z, w or w+"
            )
        if truncate and cutoff is not None and space == "w":
            raise GeneratorError(
                "cutoff given on the way to 'w', which has one vector for all layers; "
                "expected no cutoff; convert to 'w+'"
            )
        at = latent.space
        data = latent.data if at == "w+" else latent.data.flatten(1)
        if at == "z" and space != "z":
            at, data = "w", self.module.mapping(data, self._one_hot(latent))
        if at == "w" and space in ("w+", "s"):
            at, data = "w+", data[:, None].expand(-1, self.module.config.n_ws, -1)
        if truncate:
            data = self._truncate(data, truncation, cutoff)
        if at == "w+" and space == "s":
            data = torch.cat(list(self.module.styles(data).values()), dim=1)
        return Latent(space, data, latent.label)

    def _truncate(self, data: Tensor, truncation: float, cutoff: int | None) -> Tensor:
        average = self.module.mapping.w_avg
        if data.ndim == 2 or cutoff is None:
            return average + truncation * (data - average)
        near = average + truncation * (data[:, :cutoff] - average)
        return torch.cat([near, data[:, cutoff:]], dim=1)

    def _one_hot(self, latent: Latent) -> Tensor | None:
        if not self.n_classes:
            return None
        if latent.label is None:
            raise GeneratorError(
                f"a latent without labels given to {self.name}, which has {self.n_classes} "
                "classes; expected a label for each sample; use sample(…, label=…)"
            )
        return functional.one_hot(latent.label, self.n_classes).to(latent.data.dtype)

    def synthesize(
        self, latent: Latent, *, noise: str = "const"
    ) -> Float[Tensor, "batch rgb size size"]:
        """Images in RGB, [-1, 1] up to the network's own overshoot.

        Raises:
            GeneratorError: an unknown kind of noise, or a latent that is not of this generator.
        """
        if noise not in self.noises:
            raise GeneratorError(f"noise is {noise!r}; expected {', '.join(self.noises)}")
        styles = self.convert(latent, "s").data
        return self.module.synthesis(
            {layer: styles[:, part] for layer, part in self.style_slices.items()}, noise=noise
        )
