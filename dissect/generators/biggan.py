"""BigGAN and BigGAN-deep: residual blocks whose batch norms are conditioned on a class and z.

``biggan_files`` reads the files.

A layer's output is that of a block or an attention, such as ``generator.layers.3``, ``blocks.0.0``.

References:
    Brock, Donahue, Simonyan, Large Scale GAN Training for High Fidelity Natural Image Synthesis,
    ICLR 2019, appendix B (figures 15, 16; tables 4 to 9), section 3.1 (truncation).
    Miyato et al., Spectral Normalization for GANs, ICLR 2018, eq. 7, 8, algorithm 1.
    Zhang et al., Self-Attention GANs, ICML 2019, section 3.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dissect.errors import GeneratorError
from dissect.generators.base import check_conversion
from dissect.generators.labels import class_vectors
from dissect.generators.shapes import LayerInfo
from dissect.generators.states import submodule
from dissect.generators.z_only import ZOnlyGenerator
from dissect.latents import Latent
from segmenters.base import hash_tensors


@dataclass(frozen=True)
class TruncatedLatent(Latent):
    """A latent with the truncation whose batch statistics its images are made with."""

    truncation: float = 1.0


class Norm(nn.Module):
    """Batch norm with stored statistics: (x - μ) / √(σ² + ε) · scale + offset.

    ``means`` and ``variances`` have one row for each stored truncation, from 0 to 1. With a
    condition, 1 + scale and offset are linear in it; otherwise they are parameters. With ``adds``
    the scale is added instead, as BigGAN-PyTorch's synchronised norms do in eval mode.
    """

    means: Tensor
    variances: Tensor

    def __init__(
        self, units: int, n_stats: int, eps: float, condition: int | None, *, adds: bool = False
    ) -> None:
        super().__init__()
        self.adds = adds
        self.register_buffer("means", torch.zeros(n_stats, units))
        self.register_buffer("variances", torch.ones(n_stats, units))
        self.eps = eps
        if condition is not None:
            self.scale = nn.Linear(condition, units, bias=False)
            self.offset = nn.Linear(condition, units, bias=False)
        else:
            self.scale = nn.Parameter(torch.ones(units))
            self.offset = nn.Parameter(torch.zeros(units))

    @property
    def conditional(self) -> bool:
        """Whether scale and offset are linear in a condition."""
        return isinstance(self.scale, nn.Linear)

    def forward(
        self, x: Tensor, condition: Float[Tensor, "batch condition"], truncation: float
    ) -> Tensor:
        mean, variance = (_row(table, truncation) for table in (self.means, self.variances))
        scale, offset = (_coefficient(own, condition) for own in (self.scale, self.offset))
        if self.conditional:
            scale = 1 + scale
        x = (x - mean[:, None, None]) / torch.sqrt(variance + self.eps)[:, None, None]
        scale, offset = scale[..., None, None], offset[..., None, None]
        return x + scale + offset if self.adds else x * scale + offset


def _coefficient(own: nn.Linear | nn.Parameter, condition: Tensor) -> Tensor:
    """Linear in the condition, or a parameter."""
    return own(condition) if isinstance(own, nn.Linear) else own


def _row(table: Float[Tensor, "stats unit"], truncation: float) -> Float[Tensor, " unit"]:
    """The statistics of a truncation; between rows, with swapped weights (see ``biggan_files``)."""
    if len(table) == 1:
        return table[0]
    between, index = math.modf(truncation / (1.0 / (len(table) - 1)))
    row = int(index)
    if between == 0.0 or row + 1 == len(table):
        return table[row]
    return table[row] * between + table[row + 1] * (1 - between)


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="nearest")


class Attention(nn.Module):
    """x + γ · o(g · softmax(θᵀφ)), φ and g at half the size (Zhang et al., eq. 1 to 3)."""

    def __init__(self, units: int, inner: int, values: int) -> None:
        super().__init__()
        self.theta = nn.Conv2d(units, inner, 1, bias=False)
        self.phi = nn.Conv2d(units, inner, 1, bias=False)
        self.g = nn.Conv2d(units, values, 1, bias=False)
        self.o = nn.Conv2d(values, units, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros([]))

    def forward(self, x: Tensor, condition: Tensor, truncation: float) -> Tensor:
        theta = self.theta(x).flatten(2)
        phi = functional.max_pool2d(self.phi(x), 2).flatten(2)
        g = functional.max_pool2d(self.g(x), 2).flatten(2)
        attention = torch.softmax(theta.transpose(1, 2) @ phi, dim=-1)
        return x + self.gamma * self.o((g @ attention.transpose(1, 2)).unflatten(2, x.shape[2:]))


class Block(nn.Module):
    """Residual block: BigGAN's with two convolutions, or BigGAN-deep's bottleneck with four.

    BigGAN doubles the size before the first convolution and has a convolution on the skip path.
    BigGAN-deep doubles before the second, and its skip path drops the surplus units.
    """

    def __init__(
        self, kernels: Sequence[tuple[int, ...]], condition: int, *, double: bool, n_stats: int,
        eps: float, shortcut: bool, adds: bool = False
    ) -> None:  # fmt: skip
        super().__init__()
        self.doubles, self.depth = double, len(kernels)
        self.double_at = 1 if self.depth == 4 else 0
        for k, (n_out, n_in, size, _) in enumerate(kernels):
            self.add_module(f"norm{k}", Norm(n_in, n_stats, eps, condition, adds=adds))
            self.add_module(f"conv{k}", nn.Conv2d(n_in, n_out, size, padding=size // 2))
        self.n_out = kernels[-1][0]
        self.around = nn.Conv2d(kernels[0][1], self.n_out, 1) if shortcut else None

    def forward(self, x: Tensor, condition: Tensor, truncation: float) -> Tensor:
        y = x
        for k in range(self.depth):
            y = torch.relu(self.get_submodule(f"norm{k}")(y, condition, truncation))
            if self.doubles and k == self.double_at:
                y = _double(y)
            y = self.get_submodule(f"conv{k}")(y)
        x = _double(x) if self.doubles else x
        x = x[:, : self.n_out] if self.around is None else self.around(x)
        return y + x


@dataclass(frozen=True)
class Plan:
    """The architecture that a file's tensors imply.

    Args:
        parts: Blocks and attentions in order: module path → block or attention.
        state: Tensors under the names of ``BigGANNetwork``, spectral norms divided out.
        first: Module path of the matrix from the latent to the first map.
        last: Module paths of the last norm and of the convolution to the image.
        z_size, n_classes: Length of z and number of classes.
        chunk: Length of z's part for the matrix and each block; 0 if z is used whole.
        deep: Whether every block reads z and class together.
        width: Height and width of the first map.
        units_last: Whether the first map is stored pixel by pixel.
        eps, n_stats: ε of the last norm, and the number of truncations with stored statistics.
        class_first: Whether a deep network joins (class, z) instead of (z, class).
        adds: Whether norms add their scale.
    """

    parts: dict[str, nn.Module]
    state: dict[str, Tensor]
    first: str
    last: tuple[str, str]
    z_size: int
    n_classes: int
    chunk: int
    deep: bool
    width: int
    units_last: bool
    eps: float
    n_stats: int
    class_first: bool = field(default=False, repr=False)
    adds: bool = field(default=False, repr=False)

    @property
    def differs(self) -> list[str]:
        """Fields that differ from the defaults with which the first fingerprints were computed."""
        return [name for name in ("class_first", "adds") if getattr(self, name)]


class BigGANNetwork(nn.Module):
    """Latent and class to image; its modules have the paths of the file."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        matrix = plan.state[f"{plan.first}.weight"]
        self._place(plan.first, nn.Linear(matrix.shape[1], matrix.shape[0]))
        for path, part in plan.parts.items():
            self._place(path, part)
        norm, convolution = plan.last
        weight = plan.state[f"{convolution}.weight"]
        self._place(norm, Norm(weight.shape[1], plan.n_stats, plan.eps, None, adds=plan.adds))
        size = weight.shape[-1]
        self._place(
            convolution, nn.Conv2d(weight.shape[1], weight.shape[0], size, padding=size // 2)
        )
        self.embedding = None
        if "embedding" in plan.state:
            self.embedding = nn.Parameter(torch.zeros(plan.state["embedding"].shape))

    def _place(self, path: str, part: nn.Module) -> None:
        *parents, last = path.split(".")
        owner: nn.Module = self
        for parent in parents:
            if parent not in owner._modules:
                owner.add_module(parent, nn.Module())
            owner = owner.get_submodule(parent)
        owner.add_module(last, part)

    def block_paths(self) -> list[str]:  # no attribute: files have modules called ``blocks``
        """Module paths of the residual blocks, in order."""
        return [path for path, part in self.plan.parts.items() if isinstance(part, Block)]

    def forward(
        self,
        z: Float[Tensor, "batch z"],
        classes: Float[Tensor, "batch n_classes"],
        *,
        truncation: float = 1.0,
    ) -> Float[Tensor, "batch rgb size size"]:
        plan = self.plan
        y = classes if self.embedding is None else classes @ self.embedding
        blocks = self.block_paths()
        if plan.deep:
            start = torch.cat([y, z] if plan.class_first else [z, y], dim=1)
            conditions = [start] * len(blocks)
        elif plan.chunk:
            start, *rest = z.split(plan.chunk, dim=1)
            conditions = [torch.cat([y, part], dim=1) for part in rest]
        else:
            start, conditions = z, [y] * len(blocks)
        x = self.get_submodule(plan.first)(start)
        if plan.units_last:
            x = x.unflatten(1, (plan.width, plan.width, -1)).permute(0, 3, 1, 2).contiguous()
        else:
            x = x.unflatten(1, (-1, plan.width, plan.width))
        of_block = dict(zip(blocks, conditions, strict=True))
        for path in plan.parts:
            x = self.get_submodule(path)(x, of_block.get(path, y), truncation)
        norm, convolution = plan.last
        x = torch.relu(self.get_submodule(norm)(x, y, truncation))
        x = self.get_submodule(convolution)(x)
        return torch.tanh(x[:, :3])


class BigGAN(ZOnlyGenerator[BigGANNetwork]):
    """A BigGAN behind the ``Generator`` protocol.

    Args:
        module: The network, in eval mode and frozen.
        name: Name shown to people.
    """

    def __init__(self, module: BigGANNetwork, *, name: str) -> None:
        plan = module.plan
        fingerprint = hash_tensors(
            module.state_dict(), "biggan", replace(plan, parts={}, state={}),
            [part.doubles for part in plan.parts.values() if isinstance(part, Block)],
            *plan.differs,
        )  # fmt: skip
        super().__init__(
            module,
            name=name,
            z_shape=(plan.z_size,),
            fingerprint=fingerprint,
            n_classes=plan.n_classes,
        )
        self.layers, size = {}, plan.width
        units = 0
        for path, part in plan.parts.items():
            if isinstance(part, Block):
                size, units = size * (2 if part.doubles else 1), part.n_out
            self.layers[path] = LayerInfo(units, size, size, path)
        self.image_size = size
        self.channels = min(3, submodule(module, plan.last[1], nn.Conv2d).out_channels)

    def convert(
        self, latent: Latent, space: str, *, truncation: float = 1.0, cutoff: int | None = None
    ) -> Latent:
        """Convert z to z; the only other effect is truncation.

        If the file has statistics for many truncations, ``truncation`` selects among them and z
        does not change; the result is a ``TruncatedLatent``. Otherwise it scales z (mean 0).

        Raises:
            GeneratorError: another space, a cutoff, or a truncation without statistics.
        """
        check_conversion(self, latent, space)
        self._refuse_cutoff(cutoff)
        data = self._z(latent)
        if self.module.plan.n_stats == 1:
            return Latent("z", data * truncation, latent.label)
        if not 0 < truncation <= 1:
            raise GeneratorError(
                f"truncation {truncation:g} was given; {self.name} has batch statistics for those "
                "above 0 and up to 1"
            )
        if truncation == 1.0 and isinstance(latent, TruncatedLatent):
            truncation = latent.truncation
        return TruncatedLatent("z", data, latent.label, truncation)

    def synthesize(
        self, latent: Latent, *, noise: str = "const"
    ) -> Float[Tensor, "batch rgb size size"]:
        """Images in [-1, 1]; the family has no noise inputs, so ``noise`` changes nothing.

        Raises:
            GeneratorError: a latent of another generator, or one without valid labels.
        """
        check_conversion(self, latent, latent.space)
        latent = latent.to(self.device)
        classes = class_vectors(latent, n_classes=self.n_classes, name=self.name)
        truncation = latent.truncation if isinstance(latent, TruncatedLatent) else 1.0
        return self.module(self._z(latent), classes, truncation=truncation)

    def latent_weight(self) -> Float[Tensor, "row z"]:
        """See ``HasLatentWeight``: the first matrix, and every norm's scale and offset.

        Each row is 0 outside the part of z that it reads. The class's columns are omitted, so the
        directions are the same for every class.
        """
        plan, size = self.module.plan, self.spaces["z"].shape[0]
        rows = []

        def add(weight: Float[Tensor, "row condition"], first: int, length: int) -> None:
            """Add rows that read z from ``first`` on; z is the last input, if not the first."""
            n_columns = weight.shape[1]
            start = n_columns - length if not (plan.deep and not plan.class_first) else 0
            row = weight.new_zeros(len(weight), size)
            row[:, first : first + length] = weight[:, start : start + length]
            rows.append(row)

        matrix = submodule(self.module, plan.first, nn.Linear).weight
        add(matrix, 0, plan.chunk if plan.chunk and not plan.deep else size)
        for number, path in enumerate(self.module.block_paths()):
            first = 0 if plan.deep else plan.chunk * (number + 1)
            length = size if plan.deep else min(plan.chunk, size - first)
            if length <= 0:  # norms that depend on the class only
                break
            for norm in self.module.get_submodule(path).modules():
                for part in (norm.scale, norm.offset) if isinstance(norm, Norm) else ():
                    if isinstance(part, nn.Linear):
                        add(part.weight, first, length)
        return torch.cat(rows)
