"""BigGAN and BigGAN-deep: residual blocks whose batch norms a class and z steer.

Two programs' files are read, each under its own module names:

- pytorch-pretrained-biggan (Hugging Face), a folder of ``config.json`` and weights: BigGAN-deep
  with the batch statistics of 51 truncations from 0 to 1. ``convert(latent, "z", truncation=t)``
  chooses those of t, and leaves z as it is: whoever truncates draws z from ±2 t himself, as users
  of that program do. Between two rows the program weighs the nearer one less (its weights are
  swapped); so does this. Where ``config.json`` is missing, every second block doubles the size, as
  in the published ones.
- BigGAN-PyTorch (ajbrock), ``G_ema.pth``: BigGAN (z whole or in a chunk for each block, classes
  embedded or not) and BigGAN-deep. It has one set of statistics, and truncation scales z.
  Every block of BigGAN doubles the size; of BigGAN-deep the last of each stage does, and a stage
  has two blocks unless channels or attention say otherwise. Settings that leave no trace in the
  tensors are taken as that program sets them (ReLU, batch norm with ε = 1e-5).
  Nothing here was compared with an output of that program: its blocks were checked against the
  arithmetic in its text, written out again in the tests.

Weights are divided by their spectral norm once, when they are read: uᵀWv with the stored u and v,
or, in ajbrock's files, after one step of power iteration from ``u0``, which is what these programs
do in every forward pass.

A layer's output is that of a block or an attention: ``generator.layers.3``, ``blocks.0.0``.

References:
    Brock, Donahue, Simonyan, Large Scale GAN Training for High Fidelity Natural Image Synthesis,
    ICLR 2019, appendix B (figures 15, 16; tables 4 to 9), section 3.1 (truncation).
    Miyato et al., Spectral Normalization for GANs, ICLR 2018, eq. 7, 8, algorithm 1.
    Zhang et al., Self-Attention GANs, ICML 2019, section 3.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dissect.errors import CheckpointError, GeneratorError
from dissect.generators.base import check_conversion
from dissect.generators.checkpoint import Checkpoint
from dissect.generators.labels import class_vectors
from dissect.generators.shapes import LayerInfo
from dissect.generators.states import build, find_states
from dissect.generators.z_only import ZOnlyGenerator
from dissect.latents import Latent
from segmenters.base import hash_tensors


@dataclass(frozen=True)
class TruncatedLatent(Latent):
    """A latent that names the truncation whose batch statistics the images are made with."""

    truncation: float = 1.0


class _Norm(nn.Module):
    """Batch norm with stored statistics: (x - μ) / √(σ² + ε) · scale + offset.

    ``means`` and ``variances`` have a row for each of a number of truncations from 0 to 1. With a
    condition, 1 + scale and offset are linear in it; else they are parameters.
    """

    def __init__(self, units: int, n_stats: int, eps: float, condition: int | None) -> None:
        super().__init__()
        self.register_buffer("means", torch.zeros(n_stats, units))
        self.register_buffer("variances", torch.ones(n_stats, units))
        self.eps = eps
        self.conditional = condition is not None
        if self.conditional:
            self.scale = nn.Linear(condition, units, bias=False)
            self.offset = nn.Linear(condition, units, bias=False)
        else:
            self.scale = nn.Parameter(torch.ones(units))
            self.offset = nn.Parameter(torch.zeros(units))

    def forward(
        self, x: Tensor, condition: Float[Tensor, "batch condition"], truncation: float
    ) -> Tensor:
        mean, variance = (_row(table, truncation) for table in (self.means, self.variances))
        scale, offset = self.scale, self.offset
        if self.conditional:
            scale, offset = 1 + scale(condition), offset(condition)
        x = (x - mean[:, None, None]) / torch.sqrt(variance + self.eps)[:, None, None]
        return x * scale[..., None, None] + offset[..., None, None]


def _row(table: Float[Tensor, "stats unit"], truncation: float) -> Float[Tensor, " unit"]:
    """The statistics of a truncation; between two rows with the weights swapped, see above."""
    if len(table) == 1:
        return table[0]
    between, index = math.modf(truncation / (1.0 / (len(table) - 1)))
    row = int(index)
    if between == 0.0 or row + 1 == len(table):
        return table[row]
    return table[row] * between + table[row + 1] * (1 - between)


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="nearest")


class _Attention(nn.Module):
    """x + γ · o(g · softmax(θᵀφ)), φ and g at half the size (Zhang et al., eq. 1 to 3)."""

    def __init__(self, units: int, inner: int, values: int) -> None:
        super().__init__()
        for name, n_in, n_out in (
            ("theta", units, inner),
            ("phi", units, inner),
            ("g", units, values),
            ("o", values, units),
        ):
            self.add_module(name, nn.Conv2d(n_in, n_out, 1, bias=False))
        self.gamma = nn.Parameter(torch.zeros([]))

    def forward(self, x: Tensor, condition: Tensor, truncation: float) -> Tensor:
        theta = self.theta(x).flatten(2)
        phi = functional.max_pool2d(self.phi(x), 2).flatten(2)
        g = functional.max_pool2d(self.g(x), 2).flatten(2)
        attention = torch.softmax(theta.transpose(1, 2) @ phi, dim=-1)
        return x + self.gamma * self.o((g @ attention.transpose(1, 2)).unflatten(2, x.shape[2:]))


class _Block(nn.Module):
    """The residual block: BigGAN's of two convolutions, BigGAN-deep's bottleneck of four.

    BigGAN doubles before the first convolution and has one on the way around. BigGAN-deep doubles
    before the second, and around it drops the units that are too many.
    """

    def __init__(
        self, kernels: Sequence[tuple[int, ...]], condition: int, *, double: bool, n_stats: int,
        eps: float, shortcut: bool
    ) -> None:  # fmt: skip
        super().__init__()
        self.double, self.depth = double, len(kernels)
        self.double_at = 1 if self.depth == 4 else 0
        for k, (n_out, n_in, size, _) in enumerate(kernels):
            self.add_module(f"norm{k}", _Norm(n_in, n_stats, eps, condition))
            self.add_module(f"conv{k}", nn.Conv2d(n_in, n_out, size, padding=size // 2))
        self.n_out = kernels[-1][0]
        self.around = nn.Conv2d(kernels[0][1], self.n_out, 1) if shortcut else None

    def forward(self, x: Tensor, condition: Tensor, truncation: float) -> Tensor:
        y = x
        for k in range(self.depth):
            y = torch.relu(self.get_submodule(f"norm{k}")(y, condition, truncation))
            if self.double and k == self.double_at:
                y = _double(y)
            y = self.get_submodule(f"conv{k}")(y)
        x = _double(x) if self.double else x
        x = x[:, : self.n_out] if self.around is None else self.around(x)
        return y + x


@dataclass(frozen=True)
class _Plan:
    """What a file's tensors say of the network.

    Args:
        parts: Blocks and attentions in order: module path → block or attention.
        state: Tensors under the names of ``BigGANNetwork``, spectral norms divided out.
        first: Module path of the matrix from the latent to the first map.
        last: Module paths of the last norm and of the convolution to the image.
        z_size, n_classes: Of the latent.
        chunk: Length of z's part for the matrix and each block; 0 if z is used whole.
        deep: Whether z and class enter together everywhere.
        width: Height and width of the first map.
        units_last: Whether the first map is stored pixel by pixel.
        eps, n_stats: Of the last norm, and how many truncations every norm has statistics of.
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


class BigGANNetwork(nn.Module):
    """Latent and class to image; its modules are where the file has them."""

    def __init__(self, plan: _Plan) -> None:
        super().__init__()
        self.plan = plan
        matrix = plan.state[f"{plan.first}.weight"]
        self._place(plan.first, nn.Linear(matrix.shape[1], matrix.shape[0]))
        for path, part in plan.parts.items():
            self._place(path, part)
        norm, convolution = plan.last
        weight = plan.state[f"{convolution}.weight"]
        self._place(norm, _Norm(weight.shape[1], plan.n_stats, plan.eps, None))
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

    def forward(
        self,
        z: Float[Tensor, "batch z"],
        classes: Float[Tensor, "batch n_classes"],
        *,
        truncation: float = 1.0,
    ) -> Float[Tensor, "batch rgb size size"]:
        plan = self.plan
        y = classes if self.embedding is None else classes @ self.embedding
        blocks = [path for path, part in plan.parts.items() if isinstance(part, _Block)]
        if plan.deep:
            start = torch.cat([z, y], dim=1)
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
        name: What people call it.
    """

    def __init__(self, module: BigGANNetwork, *, name: str) -> None:
        plan = module.plan
        fingerprint = hash_tensors(
            module.state_dict(), "biggan", replace(plan, parts={}, state={}),
            [part.double for part in plan.parts.values() if isinstance(part, _Block)],
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
            if isinstance(part, _Block):
                size, units = size * (2 if part.double else 1), part.n_out
            self.layers[path] = LayerInfo(units, size, size, path)
        self.image_size = size
        self.channels = min(3, module.get_submodule(plan.last[1]).out_channels)

    def convert(
        self, latent: Latent, space: str, *, truncation: float = 1.0, cutoff: int | None = None
    ) -> Latent:
        """Only z to z.

        Where the file has statistics of many truncations, ``truncation`` chooses among them and z
        stays as it is; the result is a ``TruncatedLatent``. Else it scales z, whose mean is 0.

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
            GeneratorError: a latent that is not of this generator, or without fitting labels.
        """
        check_conversion(self, latent, latent.space)
        latent = latent.to(self.device)
        classes = class_vectors(latent, n_classes=self.n_classes, name=self.name)
        truncation = latent.truncation if isinstance(latent, TruncatedLatent) else 1.0
        return self.module(self._z(latent), classes, truncation=truncation)


# Reading files. ``_divided`` finds a weight by its path and takes its spectral norm out.

_EPS_STEP = 1e-12
_OF_THE_NORM = ("weight_u", "weight_v", "u0", "sv0")
_COUNTERS = (".accumulation_counter", ".num_batches_tracked")


def _divided(state: Mapping[str, Tensor], path: str) -> Tensor:
    """The weight of a module, divided by its spectral norm if it was trained with one."""
    # Norms are float64: sums of float32 round differently where memory lies differently.
    if f"{path}.weight_orig" in state:  # Hugging Face: both singular vectors are stored
        weight = state[f"{path}.weight_orig"].float()
        u, v = state[f"{path}.weight_u"].double(), state[f"{path}.weight_v"].double()
        return weight / torch.dot(u, torch.mv(weight.flatten(1).double(), v)).float()
    weight = state[f"{path}.weight"].float()
    if f"{path}.u0" not in state:
        return weight
    matrix = weight.flatten(1).double()
    u = state[f"{path}.u0"].double().flatten()
    v = functional.normalize(u @ matrix, dim=0, eps=_EPS_STEP)
    u = functional.normalize(matrix @ v, dim=0, eps=_EPS_STEP)
    return weight / torch.dot(u, matrix @ v).float()


class _Reader:
    """Collects a network's tensors from those of a file, under new names."""

    def __init__(self, given: Mapping[str, Tensor]) -> None:
        self.given = given
        self.used: set[str] = set()
        self.state: dict[str, Tensor] = {}
        self.parts: dict[str, nn.Module] = {}

    def take(self, target: str, source: str, *, bias: bool = True) -> tuple[int, ...]:
        """A module's weight and bias; returns the weight's shape."""
        self.state[f"{target}.weight"] = weight = _divided(self.given, source)
        self.used |= {f"{source}.{part}" for part in ("weight", "weight_orig", *_OF_THE_NORM)}
        if bias:
            self.state[f"{target}.bias"] = self._use(f"{source}.bias")
        return tuple(weight.shape)

    def _use(self, name: str) -> Tensor:
        self.used.add(name)
        return self.given[name]

    def check_all_used(self, prefix: str) -> None:
        """Whether blocks hold nothing else; a block that lacks its first weight is told so too."""
        odd = [n for n in self.given if n.startswith(prefix) and n not in self.used]
        odd = [name for name in odd if not name.endswith(_COUNTERS)]
        if odd:
            raise ValueError(f"{odd[0]} belongs to no block that is known here")

    def take_norm(
        self, target: str, *, means: str, variances: str, scale: str, offset: str
    ) -> None:
        for name, source in (("means", means), ("variances", variances)):
            value = self._use(source)
            self.state[f"{target}.{name}"] = value if value.ndim == 2 else value[None]
        for name, source in (("scale", scale), ("offset", offset)):
            if source in self.given:
                self.state[f"{target}.{name}"] = self._use(source)
            else:
                self.take(f"{target}.{name}", source, bias=False)

    def take_attention(self, path: str, names: Mapping[str, str]) -> None:
        shapes = {
            own: self.take(f"{path}.{own}", f"{path}.{name}", bias=False)
            for own, name in names.items()
        }
        self.state[f"{path}.gamma"] = self._use(f"{path}.gamma").squeeze()
        values, units = shapes["g"][:2]
        self.parts[path] = _Attention(units, shapes["theta"][0], values)


def _is_hugging_face(state: Mapping[str, Tensor]) -> bool:
    return "embeddings.weight" in state and "generator.gen_z.weight_orig" in state


def _is_ajbrock(state: Mapping[str, Tensor]) -> bool:
    return "linear.weight" in state and "blocks.0.0.bn1.gain.weight" in state


def _plan_hugging_face(given: Mapping[str, Tensor], attributes: Mapping[str, object]) -> _Plan:
    reader = _Reader(given)
    eps = float(attributes.get("eps", 1e-4))
    n_stats, units = given["generator.layers.0.bn_0.running_means"].shape
    length, n_classes = given["embeddings.weight"].shape
    rows, condition = reader.take("generator.gen_z", "generator.gen_z")
    doubles = _listed_doubles(attributes)
    n_blocks = index = 0
    while any(name.startswith(f"generator.layers.{index}.") for name in given):
        path = f"generator.layers.{index}"
        index += 1
        if f"{path}.gamma" in given:
            names = {"theta": "theta", "phi": "phi", "g": "g", "o": "o_conv"}
            reader.take_attention(path, {k: f"snconv1x1_{v}" for k, v in names.items()})
            continue
        kernels = []
        for k in range(4):
            kernels.append(reader.take(f"{path}.conv{k}", f"{path}.conv_{k}"))
            norm = f"{path}.bn_{k}"
            reader.take_norm(
                f"{path}.norm{k}",
                means=f"{norm}.running_means",
                variances=f"{norm}.running_vars",
                scale=f"{norm}.scale",
                offset=f"{norm}.offset",
            )
        double = doubles[n_blocks] if n_blocks < len(doubles) else n_blocks % 2 == 1
        reader.parts[path] = _Block(
            kernels, condition, double=double, n_stats=n_stats, eps=eps, shortcut=False
        )
        n_blocks += 1
    reader.check_all_used("generator.layers.")
    last = ("generator.bn", "generator.conv_to_rgb")
    reader.take(last[1], last[1])
    reader.take_norm(
        last[0],
        means="generator.bn.running_means",
        variances="generator.bn.running_vars",
        scale="generator.bn.weight",
        offset="generator.bn.bias",
    )
    reader.state["embedding"] = given["embeddings.weight"].t()
    return _Plan(
        parts=reader.parts,
        state=reader.state,
        first="generator.gen_z",
        last=last,
        z_size=condition - length,
        n_classes=n_classes,
        chunk=0,
        deep=True,
        width=math.isqrt(rows // units),
        units_last=True,
        eps=eps,
        n_stats=n_stats,
    )


def _listed_doubles(attributes: Mapping[str, object]) -> list[bool]:
    """Which blocks double, by config.json's ``layers``: [doubles, units in, units out] each."""
    layers: list[object] = list(attributes.get("layers", ()))
    while (key := f"layers/{len(layers)}") in attributes:
        layers.append(attributes[key])
    return [bool(layer[0]) for layer in layers]


def _plan_ajbrock(given: Mapping[str, Tensor]) -> _Plan:
    # Synchronised and hand-written batch norms keep their statistics one level further down.
    given = {
        name.replace(".bn.", ".").replace(".running_", ".stored_"): value
        for name, value in given.items()
    }
    embedding = given.get("shared.weight")
    if embedding is None:  # each norm looks its class up in a table of its own
        tables = [n for n in given if n.endswith((".gain.weight", ".bias.weight"))]
        given |= {name: given[name].t() for name in tables}
    reader, eps = _Reader(given), 1e-5
    rows, start = reader.take("linear", "linear")
    condition = given["blocks.0.0.bn1.gain.weight"].shape[1]
    n_classes, shared = (condition, condition) if embedding is None else embedding.shape
    deep = "blocks.0.0.conv4.weight" in given
    paths = []
    while f"blocks.{len(paths)}.0.conv1.weight" in given:
        paths.append(f"blocks.{len(paths)}")
    double = _guess_doubles(given, paths) if deep else [True] * len(paths)
    for path, doubles in zip(paths, double, strict=True):
        kernels = []
        for k in range(4 if deep else 2):
            own = f"{path}.0"
            kernels.append(reader.take(f"{own}.conv{k}", f"{own}.conv{k + 1}"))
            norm = f"{own}.bn{k + 1}"
            reader.take_norm(
                f"{own}.norm{k}",
                means=f"{norm}.stored_mean",
                variances=f"{norm}.stored_var",
                scale=f"{norm}.gain",
                offset=f"{norm}.bias",
            )
        shortcut = f"{path}.0.conv_sc.weight" in given
        if shortcut:
            reader.take(f"{path}.0.around", f"{path}.0.conv_sc")
        reader.parts[f"{path}.0"] = _Block(
            kernels, condition, double=doubles, n_stats=1, eps=eps, shortcut=shortcut
        )
        if f"{path}.1.gamma" in given:
            reader.take_attention(f"{path}.1", {name: name for name in ("theta", "phi", "g", "o")})
    reader.check_all_used("blocks.")
    reader.take("output_layer.2", "output_layer.2")
    reader.take_norm(
        "output_layer.0",
        means="output_layer.0.stored_mean",
        variances="output_layer.0.stored_var",
        scale="output_layer.0.gain",
        offset="output_layer.0.bias",
    )
    if embedding is not None:
        reader.state["embedding"] = embedding
    chunk = 0 if deep or condition == shared else start
    units = given["blocks.0.0.bn1.stored_mean"].shape[-1]
    return _Plan(
        parts=reader.parts,
        state=reader.state,
        first="linear",
        last=("output_layer.0", "output_layer.2"),
        z_size=start - shared if deep else start * (len(paths) + 1 if chunk else 1),
        n_classes=n_classes,
        chunk=chunk,
        deep=deep,
        width=math.isqrt(rows // units),
        units_last=False,
        eps=eps,
        n_stats=1,
    )


def _guess_doubles(given: Mapping[str, Tensor], paths: Sequence[str]) -> list[bool]:
    """Which blocks of BigGAN-deep double: the last of each stage, two blocks to a stage if it fits.

    Within a stage the units stay, and attention comes after it.
    """
    ends = set()
    for k, path in enumerate(paths):
        n_in = given[f"{path}.0.conv1.weight"].shape[1]
        n_out = given[f"{path}.0.conv4.weight"].shape[0]
        if n_in != n_out or f"{path}.1.gamma" in given:
            ends.add(k)
    for depth in (2, 1, 3, 4):
        if len(paths) % depth == 0 and all((k + 1) % depth == 0 for k in ends):
            return [(k + 1) % depth == 0 for k in range(len(paths))]
    return [True] * len(paths)


def _find(checkpoint: Checkpoint) -> Callable[[], _Plan] | None:
    for state in find_states(checkpoint):
        if _is_hugging_face(state):
            return lambda state=state: _plan_hugging_face(state, checkpoint.attributes)
        if _is_ajbrock(state):
            return lambda state=state: _plan_ajbrock(state)
    return None


def matches(checkpoint: Checkpoint) -> bool:
    """Whether the file is a BigGAN of one of the two programs."""
    return _find(checkpoint) is not None


def from_checkpoint(checkpoint: Checkpoint, *, name: str, device: torch.device | str) -> BigGAN:
    """The generator that a folder or a file holds.

    Raises:
        CheckpointError: tensors that are missing or do not fit together.
    """
    make = _find(checkpoint)
    if make is None:
        raise CheckpointError(
            f"{checkpoint.path} holds no BigGAN; expected generator.gen_z (Hugging Face) or "
            "linear and blocks.0.0 (ajbrock)"
        )
    return BigGAN(_build(make, checkpoint.path).to(device), name=name)


def _build(make: Callable[[], _Plan], path: Path) -> BigGANNetwork:
    try:
        with torch.device("meta"):
            plan = make()
    except KeyError as error:
        raise CheckpointError(
            f"{path} is a BigGAN but for {error.args[0]}, which is missing; get the file again"
        ) from error
    return build(lambda: BigGANNetwork(plan), plan.state, path, family="BigGAN")
