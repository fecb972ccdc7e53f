"""Chains of torch modules, read from a pickled module, which names its parts.

A pickled module names the class and settings of each part, but does not contain the code of custom
classes. So a ``Sequential`` is known completely. A custom class with one part is taken to apply
that part; one with several parts gives only their names and order. What remains unknown is an error
or an assumption, listed in ``Chain.assumed``.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from dissect.errors import CheckpointError
from dissect.generators.weights import Part

_TORCH = "torch.nn.modules."
_WRAP = "wrap the module as package.module:factory instead"

Settings = Callable[[str], Any]


def _plain(kind: type[nn.Module], *names: str) -> Callable[[Settings], nn.Module]:
    """A module whose settings are arguments of the same names."""
    return lambda get: kind(**{name: get(name) for name in names})


def _convolution(kind: type[nn.Module]) -> Callable[[Settings], nn.Module]:
    def make(get: Settings) -> nn.Module:
        names = ("kernel_size", "stride", "padding", "dilation")
        settings: dict[str, Any] = {
            name: value if isinstance(value := get(name), str) else tuple(value) for name in names
        }
        if kind is nn.ConvTranspose2d:
            settings["output_padding"] = tuple(get("output_padding"))
        return kind(
            get("in_channels"), get("out_channels"), groups=get("groups"), bias=get("bias?"),
            padding_mode=get("padding_mode"), **settings,
        )  # fmt: skip

    return make


def _norm(kind: type[nn.Module]) -> Callable[[Settings], nn.Module]:
    def make(get: Settings) -> nn.Module:
        tracked = bool(get("track_running_stats"))
        if kind is not nn.InstanceNorm2d and not tracked:
            raise ValueError("keeps no statistics, so that an image depends on its batch")
        return kind(
            get("num_features"), eps=get("eps"), affine=get("affine"), track_running_stats=tracked
        )

    return make


def _unflatten(get: Settings) -> nn.Module:
    if get("dim") != 1:
        raise ValueError("does not begin behind the batch")
    return nn.Unflatten(1, tuple(get("unflattened_size")))


def _upsample(get: Settings) -> nn.Module:
    scale = get("scale_factor")
    if scale is None:
        raise ValueError("has a fixed size")
    mode = get("mode")
    aligned = get("align_corners") if mode in ("bilinear", "bicubic") else None
    return nn.Upsample(scale_factor=scale, mode=mode, align_corners=aligned)


# Nothing is computed in place, so that layer outputs can be read later.
_PARTS: dict[str, Callable[[Settings], nn.Module]] = {
    "ConvTranspose2d": _convolution(nn.ConvTranspose2d),
    "Conv2d": _convolution(nn.Conv2d),
    "Linear": lambda get: nn.Linear(get("in_features"), get("out_features"), bias=get("bias?")),
    "BatchNorm2d": _norm(nn.BatchNorm2d),
    "BatchNorm1d": _norm(nn.BatchNorm1d),
    "SyncBatchNorm": _norm(nn.BatchNorm2d),
    "InstanceNorm2d": _norm(nn.InstanceNorm2d),
    "GroupNorm": _plain(nn.GroupNorm, "num_groups", "num_channels", "eps", "affine"),
    "PixelShuffle": _plain(nn.PixelShuffle, "upscale_factor"),
    "Upsample": _upsample,
    "UpsamplingNearest2d": _upsample,
    "UpsamplingBilinear2d": _upsample,
    "Unflatten": _unflatten,
    "Flatten": _plain(nn.Flatten, "start_dim", "end_dim"),
    "ReflectionPad2d": _plain(nn.ReflectionPad2d, "padding"),
    "ReplicationPad2d": _plain(nn.ReplicationPad2d, "padding"),
    "ZeroPad2d": _plain(nn.ZeroPad2d, "padding"),
    "Identity": lambda get: nn.Identity(),
    "Dropout": lambda get: nn.Identity(),
    "Dropout2d": lambda get: nn.Identity(),
    "ReLU": lambda get: nn.ReLU(),
    "ReLU6": lambda get: nn.ReLU6(),
    "LeakyReLU": _plain(nn.LeakyReLU, "negative_slope"),
    "ELU": _plain(nn.ELU, "alpha"),
    "CELU": _plain(nn.CELU, "alpha"),
    "SELU": lambda get: nn.SELU(),
    "GELU": _plain(nn.GELU, "approximate"),
    "SiLU": lambda get: nn.SiLU(),
    "Mish": lambda get: nn.Mish(),
    "Hardswish": lambda get: nn.Hardswish(),
    "Softplus": _plain(nn.Softplus, "beta", "threshold"),
    "PReLU": _plain(nn.PReLU, "num_parameters"),
    "Tanh": lambda get: nn.Tanh(),
    "Softsign": lambda get: nn.Softsign(),
    "Hardtanh": _plain(nn.Hardtanh, "min_val", "max_val"),
    "Sigmoid": lambda get: nn.Sigmoid(),
    "Hardsigmoid": lambda get: nn.Hardsigmoid(),
}
_CONVOLUTIONS = (nn.ConvTranspose2d, nn.Conv2d)
_NORMS = (nn.BatchNorm2d, nn.InstanceNorm2d, nn.GroupNorm)
_NOTHING = (nn.Identity, nn.Flatten, nn.Unflatten)
_BENDS = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish,
    nn.Hardswish, nn.Softplus, nn.PReLU, nn.Tanh, nn.Softsign, nn.Hardtanh, nn.Sigmoid,
    nn.Hardsigmoid,
)  # fmt: skip
_BOUNDED = (nn.Tanh, nn.Softsign, nn.Hardtanh, nn.Sigmoid, nn.Hardsigmoid)


@dataclass(frozen=True)
class Step:
    """One step of a chain: a module and its path in the file (None if the file names none)."""

    path: str | None
    module: nn.Module

    @property
    def is_convolution(self) -> bool:
        return isinstance(self.module, _CONVOLUTIONS)

    @property
    def is_norm(self) -> bool:
        return isinstance(self.module, _NORMS)

    @property
    def does_nothing(self) -> bool:
        """Whether it is the identity."""
        return isinstance(self.module, _NOTHING)

    @property
    def bends(self) -> bool:
        """Whether it is an activation."""
        return isinstance(self.module, _BENDS)


@dataclass
class Chain:
    """The computation of a pickled module.

    Attributes:
        steps: In the order of calls.
        obeyed: Path → setting from the file that differs from usual networks of this kind.
        assumed: Property that the file leaves open → assumed value.
    """

    steps: list[Step] = field(default_factory=list)
    obeyed: dict[str, object] = field(default_factory=dict)
    assumed: dict[str, str] = field(default_factory=dict)


def is_module(part: Part) -> bool:
    """Whether the part is a pickled torch module, or a custom class around such modules."""
    return isinstance(part.attributes.get("__class__"), str) and any(
        str(value).startswith(_TORCH) and name.endswith("__class__")
        for name, value in part.attributes.items()
    )


def read_chain(part: Part) -> Chain:
    """Read the chain of a pickled module.

    Raises:
        CheckpointError: a part whose code is not in the file, or an unknown order of parts.
    """
    reader = _Reader(part)
    steps, known = reader.read("")
    chain = Chain(steps)
    chain.assumed |= reader.assumed
    bends = [step for step in steps if step.bends]
    chain.obeyed |= _describe(steps)
    if not known and not bends:
        chain.steps = _fill(steps)
        chain.assumed["activations"] = "ReLU, and tanh at the end: they stand in no part of it"
    elif not known and not isinstance(steps[-1].module, _BOUNDED):
        raise CheckpointError(
            f"{part.path} ends in {steps[-1].path} without an activation among its parts; "
            f"whether the code of {_class(part.attributes['__class__'])} adds one is not in the "
            f"file; {_WRAP}"
        )
    return chain


class _Reader:
    def __init__(self, part: Part) -> None:
        self.part, self.assumed = part, {}
        self.children: dict[str, list[str]] = {}
        for name in part.attributes:
            path, _, last = name.rpartition(".")
            if last == "__class__" and path:
                self.children.setdefault(path.rpartition(".")[0], []).append(path)

    def read(self, path: str) -> tuple[list[Step], bool]:
        """The steps of a module, and whether the file fully determines how it calls them."""
        title = str(self.part.attributes[f"{path}.__class__" if path else "__class__"])
        name = _class(title)
        children = self.children.get(path, [])
        if title == f"{_TORCH}container:Sequential":
            steps, known = [], True
            for child in children:
                inner, sure = self.read(child)
                steps, known = steps + inner, known and sure
            return steps, known
        if title.startswith(_TORCH) and name in _PARTS:
            return [Step(path, self._make(path, name))], True
        own = [n for n in self.part.tensors if n.rpartition(".")[0] == path]
        if (title.startswith(_TORCH) and name != "ModuleList") or not children or own:
            inside = f" in {path}" if path else ""
            raise CheckpointError(
                f"{self.part.path} has a {name}{inside}, whose code is not in the file; expected "
                f"modules of torch that follow each other; {_WRAP}"
            )
        if len(children) == 1:
            return self.read(children[0])[0], False
        return self._arrange(path, name, children), False

    def _make(self, path: str, name: str) -> nn.Module:
        def get(setting: str) -> Any:
            if setting == "bias?":
                return f"{path}.bias" in self.part.tensors if path else "bias" in self.part.tensors
            return self.part.attributes[f"{path}.{setting}" if path else setting]

        try:
            return _PARTS[name](get)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
            raise CheckpointError(
                f"{self.part.path} has a {name} in {path or 'its place'} that is not known here "
                f"({reason}); {_WRAP}"
            ) from error

    def _arrange(self, path: str, name: str, children: list[str]) -> list[Step]:
        """Steps of a custom class, whose code may call its parts in any way."""
        parts = [self.read(child) for child in children]
        if all(len(steps) > 1 and known for steps, known in parts):
            self.assumed["order"] = f"the parts of {name} follow each other as they were registered"
            return [step for steps, _ in parts for step in steps]
        steps = [step for inner, _ in parts for step in inner]
        layers = [step for step in steps if step.is_convolution or step.is_norm]
        bends = {repr(step.module): step for step in steps if step.bends}
        ends = [step for step in bends.values() if isinstance(step.module, _BOUNDED)]
        middle = [step for step in bends.values() if step not in ends]
        odd = [
            s.path for s in steps if not (s in layers or s.bends or s.does_nothing)
            or (s.is_convolution and not isinstance(s.module, nn.ConvTranspose2d))
        ]  # fmt: skip
        convolutions = [step for step in layers if step.is_convolution]
        if odd or len(ends) > 1 or len(middle) > 1 or not convolutions:
            where = f" ({path})" if path else ""
            raise CheckpointError(
                f"{self.part.path} is a {name}{where} of {len(children)} parts, and how its code "
                f"joins them is not in the file; expected one Sequential; {_WRAP}"
            )
        self.assumed["order"] = (
            f"the parts of {name} follow each other by number, each norm behind its convolution"
        )
        by_path = {step.path: step for step in layers if step.path is not None}
        order = pair(
            {
                path: step.module.out_channels
                for path, step in by_path.items()
                if isinstance(step.module, _CONVOLUTIONS)
            },
            {path: channels_of(step.module) for path, step in by_path.items() if step.is_norm},
            list(by_path),
        )
        if order is None:
            raise CheckpointError(
                f"{self.part.path} is a {name} whose norms fit its convolutions in several ways; "
                f"{_WRAP}"
            )
        bend = middle[0] if middle else Step(None, nn.ReLU())
        if not middle or not ends:
            taken = [text for text, own in (("ReLU", middle), ("tanh at the end", ends)) if not own]
            self.assumed["activations"] = " and ".join(taken)
        found: list[Step] = []
        for convolution, norm in order:
            found += [by_path[convolution], *([by_path[norm]] if norm else []), bend]
        return [*found[:-1], ends[0] if ends else Step(None, nn.Tanh())]


def _describe(steps: Sequence[Step]) -> dict[str, object]:
    """Settings of the steps that a state dict would not contain."""
    kinds: dict[str, list[str]] = {}
    for step in steps:
        if step.path is not None and not step.does_nothing:
            kinds.setdefault(repr(step.module), []).append(step.path)
    return {", ".join(paths): text for text, paths in kinds.items()}


def _fill(steps: list[Step]) -> list[Step]:
    """ReLU before every convolution but the first, tanh at the end."""
    found: list[Step] = []
    for step in steps:
        if step.is_convolution and any(s.is_convolution for s in found):
            found.append(Step(None, nn.ReLU()))
        found.append(step)
    return [*found, Step(None, nn.Tanh())]


def channels_of(norm: nn.Module) -> int:
    """Number of channels of a norm."""
    if isinstance(norm, nn.GroupNorm):
        return norm.num_channels
    if isinstance(norm, nn.BatchNorm2d | nn.InstanceNorm2d):
        return norm.num_features
    raise TypeError(f"{type(norm).__name__} is not a norm of a chain")


def _class(title: object) -> str:
    return str(title).rpartition(":")[2]


def natural(name: str) -> list[object]:
    """Sort key under which ``main.10`` comes after ``main.4``."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def by_number(names: Sequence[str]) -> list[str]:
    """Sort names that differ only in numbers by number; others keep the order of the file."""
    return sorted(names, key=natural) if differ_in_numbers(names) else list(names)


def differ_in_numbers(names: Sequence[str]) -> bool:
    """Whether names differ only in numbers."""
    return len({re.sub(r"\d+", "#", name) for name in names}) == 1


def pair(
    convolutions: Mapping[str, int], norms: Mapping[str, int], listed: Sequence[str]
) -> list[tuple[str, str | None]] | None:
    """Match each convolution with its norm, if any; None if the match is ambiguous.

    Norms are matched by the numbers in names (``conv2``, ``bn2``). Otherwise each one follows its
    convolution in the file or by number (``main.3``, ``main.4``). Otherwise they match in order, if
    there is one for each convolution or for each but the last. Channel numbers must always agree.

    Args:
        convolutions: Name → output channels, in the order of calls.
        norms: Name → channels.
        listed: All names, in the order of the file.
    """
    names = list(convolutions)
    if not norms:
        return [(name, None) for name in names]

    def fits(found: Sequence[tuple[str, str | None]]) -> bool:
        matched = [norm for _, norm in found if norm is not None]
        return sorted(matched) == sorted(norms) and all(
            norm is None or convolutions[name] == norms[norm] for name, norm in found
        )

    numbers = {tuple(re.findall(r"\d+", norm)): norm for norm in norms}
    tries = [[(name, numbers.get(tuple(re.findall(r"\d+", name)))) for name in names]]
    for order in (listed, sorted(listed, key=natural)):
        together = [name for name in order if name in convolutions or name in norms]
        behind = dict(zip(together, together[1:], strict=False))
        tries.append([(n, b if (b := behind.get(n)) in norms else None) for n in names])
    ordered = by_number(list(norms))
    if len(ordered) in (len(names) - 1, len(names)):
        tries.append([*zip(names, [*ordered, None], strict=False)])
    return next((found for found in tries if fits(found)), None)


def divide_norms(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Compute the weights that torch's ``spectral_norm`` or ``weight_norm`` derives.

    Spectral: W / (uᵀ W v), with the stored u and v. Weight: g · v / ‖v‖ for each input channel.
    """
    found = dict(state)
    for name in state:
        for end, others in (
            ("weight_orig", ("weight_u", "weight_v")),
            (
                "parametrizations.weight.original",
                ("parametrizations.weight.0._u", "parametrizations.weight.0._v"),
            ),
        ):
            path = name.removesuffix(end)
            keys = [path + other for other in others]
            if name == path or not all(key in state for key in keys):
                continue
            weight, u, v = state[name].float(), *(state[key].double() for key in keys)
            dim = 0 if len(u) == weight.shape[0] and weight[0].numel() == len(v) else 1
            matrix = weight.transpose(0, dim).flatten(1).double()
            for key in (name, *keys):
                found.pop(key)
            found[f"{path}weight"] = weight / (u @ matrix @ v).float()
        for end, other in (
            ("weight_v", "weight_g"),
            ("parametrizations.weight.original1", "parametrizations.weight.original0"),
        ):
            path = name.removesuffix(end)
            if name == path or path + other not in state:
                continue
            v, g = state[name].float(), state[path + other].float()
            length = v.flatten(1).norm(dim=1).reshape(g.shape)
            found.pop(name)
            found.pop(path + other)
            found[f"{path}weight"] = v * (g / length)
    return found
