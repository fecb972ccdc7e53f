"""The mapping network of StyleGAN2 and StyleGAN3, from z and a class to w.

References:
    Karras et al., Analyzing and Improving the Image Quality of StyleGAN, CVPR 2020.
    Karras et al., Training Generative Adversarial Networks with Limited Data, NeurIPS 2020
    (classes).
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dissect.generators.base import LayerInfo
from dissect.generators.styled import StyledGenerator, StyledNetwork
from segmenters.base import hash_tensors

LEAK = 0.2

# Weights are stored at unit variance. The gain that gives Xavier initialisation is applied at run
# time, so that Adam's steps have equal relative size (Karras et al. 2018, section 4.1).


@runtime_checkable
class MappingConfig(Protocol):
    """Sizes of a mapping, and of the generator over it."""

    @property
    def image_size(self) -> int: ...
    @property
    def rgb_channels(self) -> int: ...
    @property
    def n_ws(self) -> int: ...
    @property
    def z_size(self) -> int: ...
    @property
    def w_size(self) -> int: ...
    @property
    def n_classes(self) -> int: ...
    @property
    def mapping_depth(self) -> int: ...
    @property
    def mapping_rate(self) -> float: ...


Config = TypeVar("Config", bound=MappingConfig)


@dataclass(frozen=True)
class Layout:
    """Sizes that the program allows but that rarely differ from the default.

    Args:
        widths: Widths of the mapping's layers, the last of which is w; None means that of w.
        embed_size: Length of an embedded class; None means that of w.
        filter_shape: Shape of the filters that smooth when sizes change.
    """

    widths: tuple[int, ...] | None = None
    embed_size: int | None = None
    filter_shape: tuple[int, ...] = (4, 4)


USUAL = Layout()


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
    """Normalise to length √size: x / √(mean x² + 1e-8)."""
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


class MappingNetwork(nn.Module):
    """z, and a class, to w."""

    w_avg: Tensor | None

    def __init__(self, config: MappingConfig, layout: Layout = USUAL) -> None:
        super().__init__()
        self.n_classes, self.depth = config.n_classes, config.mapping_depth
        size = config.z_size
        if config.n_classes:
            length = layout.embed_size or config.w_size
            self.embed = FullyConnected(config.n_classes, length)
            size += length
        for k, width in enumerate(layout.widths or [config.w_size] * config.mapping_depth):
            layer = FullyConnected(size, width, activate=True, rate=config.mapping_rate)
            self.add_module(f"fc{k}", layer)
            size = width
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


class MappedNetwork(StyledNetwork, Generic[Config]):
    """A mapping; families add the synthesis behind it."""

    def __init__(self, config: Config, layout: Layout = USUAL) -> None:
        super().__init__(config.n_ws)
        self.config, self.layout = config, layout
        self.mapping = MappingNetwork(config, layout)

    @property
    def w_avg(self) -> Float[Tensor, " w"] | None:
        return self.mapping.w_avg

    @property
    def mapping_slope(self) -> float | None:
        return LEAK if self.mapping.depth else None

    def map_z(
        self, z: Float[Tensor, "batch z"], classes: Float[Tensor, "batch n_classes"] | None
    ) -> Float[Tensor, "batch w"]:
        return self.mapping(z, classes)


class MappedGenerator(StyledGenerator):
    """A ``MappedNetwork`` behind the ``Generator`` protocol; families name its layers."""

    def __init__(
        self, module: MappedNetwork[Any], *, name: str, layers: Mapping[str, LayerInfo]
    ) -> None:
        config = module.config
        super().__init__(
            module.eval(),
            name=name,
            layers=layers,
            image_size=config.image_size,
            channels=config.rgb_channels,
            n_classes=config.n_classes,
            z_size=config.z_size,
            w_size=config.w_size,
            fingerprint=hash_tensors(
                module.state_dict(), config, *([module.layout] * (module.layout != USUAL))
            ),
        )


def find_layout(state: Mapping[str, Tensor], w_size: int) -> Layout:
    """The layout that the tensors imply."""
    depth = mapping_sizes(state)["mapping_depth"]
    widths = tuple(state[f"mapping.fc{k}.weight"].shape[0] for k in range(depth))
    embed = state.get("mapping.embed.weight")
    length = None if embed is None or embed.shape[0] == w_size else embed.shape[0]
    taps = next((v.shape for n, v in state.items() if n.endswith("resample_filter")), (4, 4))
    return Layout(None if set(widths) <= {w_size} else widths, length, tuple(taps))


def mapping_sizes(state: Mapping[str, Tensor]) -> dict[str, int]:
    """``z_size``, ``n_classes`` and ``mapping_depth``, read off a mapping's tensors."""
    classes = state.get("mapping.embed.weight")
    n_in = state["mapping.fc0.weight"].shape[1]
    return {
        "z_size": n_in if classes is None else n_in - classes.shape[0],
        "n_classes": 0 if classes is None else classes.shape[1],
        "mapping_depth": sum(
            re.fullmatch(r"mapping\.fc\d+\.weight", name) is not None for name in state
        ),
    }
