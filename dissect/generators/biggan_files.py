"""Reader of BigGAN files: supported programs, and the architecture that their tensors imply.

Files of two programs are supported, each under its own module names:

- pytorch-pretrained-biggan (Hugging Face), a folder of ``config.json`` and weights: BigGAN-deep
  with the batch statistics of 51 truncations from 0 to 1. ``convert(latent, "z", truncation=t)``
  selects those of t and leaves z as it is. To truncate as users of that program do, draw z from
  ±2 t. Between two rows the program gives the nearer one less weight (its weights are swapped);
  this reader does the same. Without ``config.json``, every second block doubles the size, as in the
  published networks.
- BigGAN-PyTorch (ajbrock), ``G_ema.pth``: BigGAN (z whole or in a chunk for each block, classes
  embedded or not) and BigGAN-deep. It has one set of statistics, and truncation scales z. In
  BigGAN every block doubles the size. In BigGAN-deep the last block of each stage does; the length
  of a stage follows from how units change over the blocks (``_find_doubles``). BigGAN-deep joins
  (class, z), where Hugging Face joins (z, class). Norms of networks trained with
  ``--cross_replica`` add the class's gain in eval mode instead of multiplying by it, and so does
  this reader. Settings that leave no trace in the tensors have that program's defaults (ReLU, batch
  norm with ε = 1e-5).

Weights are divided by their spectral norm once, when they are read. The norm is uᵀWv with the
stored u and v, or, in ajbrock's files, after one step of power iteration from ``u0``. These
programs do the same in every forward pass.

References:
    Brock, Donahue, Simonyan, Large Scale GAN Training for High Fidelity Natural Image Synthesis,
    ICLR 2019, appendix B (figures 15, 16; tables 4 to 9).
    Miyato et al., Spectral Normalization for GANs, ICLR 2018, eq. 7, 8, algorithm 1.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dissect.errors import CheckpointError
from dissect.generators.biggan import Attention, BigGAN, BigGANNetwork, Block, Plan
from dissect.generators.states import build, lay_out
from dissect.generators.weights import Part

_EPS_STEP = 1e-12
_OF_THE_NORM = ("weight_u", "weight_v", "u0", "sv0")
_COUNTERS = (".accumulation_counter", ".num_batches_tracked")


def _divided(state: Mapping[str, Tensor], path: str) -> Tensor:
    """The weight of a module, divided by its spectral norm if it was trained with one."""
    # Norms are float64: sums of float32 round differently with the memory layout.
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
    """Collects a network's tensors from a file's tensors, under new names."""

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
            self.state[f"{target}.bias"] = self.use(f"{source}.bias")
        return tuple(weight.shape)

    def use(self, name: str) -> Tensor:
        self.used.add(name)
        return self.given[name]

    def check_all_used(self, prefix: str) -> None:
        """Raise an error if blocks hold unused tensors or lack their first weight."""
        odd = [n for n in self.given if n.startswith(prefix) and n not in self.used]
        odd = [name for name in odd if not name.endswith(_COUNTERS)]
        if odd:
            raise ValueError(f"{odd[0]} belongs to no block that is known here")

    def take_norm(
        self, target: str, *, means: str, variances: str, scale: str, offset: str
    ) -> None:
        for name, source in (("means", means), ("variances", variances)):
            value = self.use(source)
            self.state[f"{target}.{name}"] = value if value.ndim == 2 else value[None]
        for name, source in (("scale", scale), ("offset", offset)):
            if source in self.given:
                self.state[f"{target}.{name}"] = self.use(source)
            else:
                self.take(f"{target}.{name}", source, bias=False)

    def take_attention(self, path: str, names: Mapping[str, str]) -> None:
        shapes = {
            own: self.take(f"{path}.{own}", f"{path}.{name}", bias=False)
            for own, name in names.items()
        }
        self.state[f"{path}.gamma"] = self.use(f"{path}.gamma").squeeze()
        values, units = shapes["g"][:2]
        self.parts[path] = Attention(units, shapes["theta"][0], values)


def _is_hugging_face(state: Mapping[str, Tensor]) -> bool:
    return "embeddings.weight" in state and "generator.gen_z.weight_orig" in state


def _is_ajbrock(state: Mapping[str, Tensor]) -> bool:
    return "linear.weight" in state and "blocks.0.0.bn1.gain.weight" in state


def _plan_hugging_face(part: Part) -> Plan:
    given, attributes = part.tensors, part.whole.attributes
    reader = _Reader(given)
    eps = float(attributes.get("eps", 1e-4))
    n_stats, units = given["generator.layers.0.bn_0.running_means"].shape
    length, n_classes = given["embeddings.weight"].shape
    rows, condition = reader.take("generator.gen_z", "generator.gen_z")
    doubles = _listed_doubles(attributes)
    if doubles:
        part.ledger.obeyed["layers"] = doubles
    else:
        part.ledger.assumed["layers"] = "every second block doubles the size"
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
        reader.parts[path] = Block(
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
    reader.state["embedding"] = reader.use("embeddings.weight").t()
    return Plan(
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


def _listed_doubles(attributes: Mapping[str, Any]) -> list[bool]:
    """Which blocks double, from config.json's ``layers``: [doubles, units in, units out] each."""
    layers = list(attributes.get("layers", ()))
    while (key := f"layers/{len(layers)}") in attributes:
        layers.append(attributes[key])
    return [bool(layer[0]) for layer in layers]


def _plan_ajbrock(part: Part) -> Plan:
    # Synchronised and hand-written batch norms keep their statistics one level further down.
    old = {n.replace(".bn.", ".").replace(".running_", ".stored_"): n for n in part.tensors}
    adds = any(name.endswith(".bn.running_mean") for name in part.tensors)
    if adds:
        part.ledger.obeyed["cross_replica"] = "norms add the gain, as the program does in eval mode"
    given = {new: part.tensors[name] for new, name in old.items()}
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
    double = _find_doubles(given, paths, part) if deep else [True] * len(paths)
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
        reader.parts[f"{path}.0"] = Block(
            kernels, condition, double=doubles, n_stats=1, eps=eps, shortcut=shortcut, adds=adds
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
        reader.state["embedding"] = reader.use("shared.weight")
    part.ledger.used.intersection_update(
        {old[name] for name in reader.used & old.keys()}
        | {name for name in part.tensors if name.endswith(_COUNTERS)}
    )
    chunk = 0 if deep or condition == shared else start
    units = given["blocks.0.0.bn1.stored_mean"].shape[-1]
    return Plan(
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
        class_first=deep,
        adds=adds,
    )


# Units at the start and the end of each stage of BigGAN-PyTorch's networks, in multiples of the
# last stage's (``G_arch``): of 32, 64, 128, 256 and 512 pixels.
_STAGES = (
    ((1, 1, 1), (1, 1, 1)),
    ((8, 8, 4, 2), (8, 4, 2, 1)),
    ((16, 16, 8, 4, 2), (16, 8, 4, 2, 1)),
    ((16, 16, 8, 8, 4, 2), (16, 8, 8, 4, 2, 1)),
    ((16, 16, 8, 8, 4, 2, 1), (16, 8, 8, 4, 2, 1, 1)),
)


def _find_doubles(given: Mapping[str, Tensor], paths: Sequence[str], part: Part) -> list[bool]:
    """Which blocks of BigGAN-deep double: the last of each stage.

    No tensor holds the number of blocks of a stage. It is the number for which the units of the
    stages are those of one of the program's networks, units change only inside a stage, and an
    attention comes at the end of a stage. Without a unique one, it is two if that fits.
    """
    shapes = [
        (given[f"{path}.0.conv1.weight"].shape[1], given[f"{path}.0.conv4.weight"].shape[0])
        for path in paths
    ]
    ends = {k for k, path in enumerate(paths) if f"{path}.1.gamma" in given}

    def fits(depth: int) -> bool:
        return len(paths) % depth == 0 and all((k + 1) % depth == 0 for k in ends)

    for depth in filter(fits, range(1, len(paths) + 1)):
        first = tuple(n_in for n_in, _ in shapes[::depth])
        last = tuple(n_out for _, n_out in shapes[depth - 1 :: depth])
        scaled = tuple(tuple(n / last[-1] for n in units) for units in (first, last))
        if scaled in _STAGES:
            part.ledger.assumed["depth"] = f"{depth} blocks to a size, told by their units"
            return [(k + 1) % depth == 0 for k in range(len(paths))]
    ends |= {k for k, (n_in, n_out) in enumerate(shapes) if n_in != n_out}
    depth = next(filter(fits, (2, 1, 3, 4)), 1)
    part.ledger.assumed["depth"] = (
        f"{depth} blocks to a size: units are those of none of the program's networks"
    )
    return [(k + 1) % depth == 0 for k in range(len(paths))]


def _find(part: Part) -> Callable[[], Plan] | None:
    if _is_hugging_face(part.tensors):
        return lambda: _plan_hugging_face(part)
    if _is_ajbrock(part.tensors):
        return lambda: _plan_ajbrock(part)
    return None


def matches(part: Part) -> bool:
    """Whether the file is a BigGAN of one of the two programs."""
    return _find(part) is not None


def from_checkpoint(part: Part, *, name: str, device: torch.device | str) -> BigGAN:
    """Load the generator from a folder or a file.

    Raises:
        CheckpointError: tensors that are missing or do not fit together.
    """
    make = _find(part)
    if make is None:
        raise CheckpointError(
            f"{part.path} holds no BigGAN; expected generator.gen_z (Hugging Face) or "
            "linear and blocks.0.0 (ajbrock)"
        )
    return BigGAN(_build(make, part.path).to(device), name=name)


def _build(make: Callable[[], Plan], path: Path) -> BigGANNetwork:
    plan = lay_out(make, path, family="BigGAN")
    return build(lambda: BigGANNetwork(plan), plan.state, path, family="BigGAN")
