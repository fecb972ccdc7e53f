"""EigenGAN: each block adds a few directions of its own subspace to the features of the noise.

Files are those of eigengan-pytorch (``g_ema`` beside ``args``). Modules keep its names, and every
size comes from the tensors. z joins the two inputs of that program: the noise ε that the first
matrix reads, then the coordinates z_1 … z_n of each block's subspace. Changing one of these
coordinates moves along a direction that its block has learned; ``EigenGAN.subspace_slices`` gives
their positions.

    φ_i = U_i diag(L_i) z_i + μ_i,   h ← conv2(act(conv1(act(h + a_i(φ_i))) + b_i(φ_i)))

A layer's output is that of a feature convolution: ``blocks.0.feature_conv1``.

References:
    He, Kan, Shan, EigenGAN: Layer-Wise Eigen-Learning for GANs, ICCV 2021, section 3.1, eq. 2 to 5.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dissect.errors import CheckpointError
from dissect.generators.shapes import LayerInfo
from dissect.generators.states import build, submodule
from dissect.generators.weights import Part
from dissect.generators.z_only import ZOnlyGenerator
from segmenters.base import hash_tensors

_LEAK = 0.2


class _Subspace(nn.Module):
    """Maps coordinates to a point of an affine subspace: (L ⊙ z) U + μ."""

    def __init__(self, n_basis: int, size: int) -> None:
        super().__init__()
        self.U = nn.Parameter(torch.zeros(n_basis, size))
        self.L = nn.Parameter(torch.zeros(n_basis))
        self.mu = nn.Parameter(torch.zeros(size))

    def forward(self, z: Float[Tensor, "batch basis"]) -> Float[Tensor, "batch size"]:
        return (self.L * z) @ self.U + self.mu


def _doubling(n_in: int, n_out: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(n_in, n_out, 3, stride=2, padding=1, output_padding=1)


class _Block(nn.Module):
    """Two feature convolutions, each with the block's point of its subspace added before it."""

    def __init__(self, n_basis: int, n_in: int, n_out: int, size: int) -> None:
        super().__init__()
        self.projection = _Subspace(n_basis, n_in * size**2)
        self.subspace_conv1 = nn.Sequential(nn.ConvTranspose2d(n_in, n_in, 1))
        self.subspace_conv2 = nn.Sequential(_doubling(n_in, n_out))
        self.feature_conv1 = nn.Sequential(nn.LeakyReLU(_LEAK), _doubling(n_in, n_out))
        self.feature_conv2 = nn.Sequential(
            nn.LeakyReLU(_LEAK), nn.ConvTranspose2d(n_out, n_out, 3, padding=1)
        )

    def forward(self, x: Tensor, z: Float[Tensor, "batch basis"]) -> Tensor:
        point = self.projection(z).reshape(x.shape)
        x = self.feature_conv1(x + self.subspace_conv1(point))
        return self.feature_conv2(x + self.subspace_conv2(point))


class EigenGANNetwork(nn.Module):
    """Noise and coordinates to image; sizes as in a state dict."""

    def __init__(self, state: Mapping[str, Tensor], n_blocks: int) -> None:
        super().__init__()
        rows, self.noise_size = state["fc.weight"].shape
        units = rows // 16
        self.n_basis = state["blocks.0.projection.L"].shape[0]
        self.fc = nn.Linear(self.noise_size, rows)
        self.blocks = nn.ModuleList()
        for i in range(n_blocks):
            n_out = state[f"blocks.{i}.feature_conv2.1.weight"].shape[0]
            self.blocks.append(_Block(self.n_basis, units, n_out, 4 << i))
            units = n_out
        channels, _, size, _ = state["to_rgb.0.1.weight"].shape
        image = nn.Sequential(
            nn.LeakyReLU(_LEAK), nn.Conv2d(units, channels, size, padding=size // 2)
        )
        self.to_rgb = nn.Sequential(image, nn.Tanh())

    @property
    def z_size(self) -> int:
        return self.noise_size + len(self.blocks) * self.n_basis

    def forward(self, z: Float[Tensor, "batch z"]) -> Float[Tensor, "batch rgb size size"]:
        x = self.fc(z[:, : self.noise_size]).unflatten(1, (-1, 4, 4))
        parts = z[:, self.noise_size :].split(self.n_basis, dim=1)
        for block, part in zip(self.blocks, parts, strict=True):
            x = block(x, part)
        return self.to_rgb(x)


class EigenGAN(ZOnlyGenerator[EigenGANNetwork]):
    """An EigenGAN behind the ``Generator`` protocol.

    Truncation scales noise and coordinates alike, as the program does.

    Args:
        module: The network, frozen and in eval mode.
        name: Name shown to people.
    """

    def __init__(self, module: EigenGANNetwork, *, name: str) -> None:
        super().__init__(
            module,
            name=name,
            z_shape=(module.z_size,),
            fingerprint=hash_tensors(module.state_dict(), "eigengan"),
        )
        self.image_size = 4 << len(module.blocks)
        self.channels = submodule(module, "to_rgb.0.1", nn.Conv2d).out_channels
        self.layers = {}
        for i in range(len(module.blocks)):
            last = submodule(module, f"blocks.{i}.feature_conv2.1", nn.ConvTranspose2d)
            units, size = last.out_channels, 8 << i
            for part in ("feature_conv1", "feature_conv2"):
                path = f"blocks.{i}.{part}"
                self.layers[path] = LayerInfo(units, size, size, path)

    @property
    def subspace_slices(self) -> dict[str, slice]:
        """Slice of z with each block's coordinates."""
        n, first = self.module.n_basis, self.module.noise_size
        return {
            f"blocks.{i}": slice(first + i * n, first + (i + 1) * n)
            for i in range(len(self.module.blocks))
        }


def _find_state(part: Part) -> dict[str, Tensor] | None:
    known = "blocks.0.projection.U" in part.tensors and "fc.weight" in part.tensors
    return dict(part.tensors) if known else None


def matches(part: Part) -> bool:
    """Whether eigengan-pytorch wrote the file."""
    return _find_state(part) is not None


def from_checkpoint(part: Part, *, name: str, device: torch.device | str) -> EigenGAN:
    """Load the generator from a file.

    Raises:
        CheckpointError: tensors that are missing or do not fit together.
    """
    path, state = part.path, _find_state(part)
    if state is None:
        raise CheckpointError(
            f"{path} holds no EigenGAN; expected fc.weight and blocks.0.projection.U in it"
        )
    n_blocks = 0
    while f"blocks.{n_blocks}.projection.U" in state:
        n_blocks += 1
    network = build(lambda: EigenGANNetwork(state, n_blocks), state, path, family="EigenGAN")
    return EigenGAN(network.to(device), name=name)
