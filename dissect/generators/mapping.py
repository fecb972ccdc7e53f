"""The mapping from z, and a class, to w that StyleGAN2 and StyleGAN3 share.

References:
    Karras et al., Analyzing and Improving the Image Quality of StyleGAN, CVPR 2020.
    Karras et al., Training Generative Adversarial Networks with Limited Data, NeurIPS 2020
    (classes).
"""

import math
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

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
