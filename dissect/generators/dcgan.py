"""DCGAN: a chain of transposed convolutions from a latent vector to an image.

A state dict gives every size. Properties that it does not contain follow the paper: ReLU between
blocks, tanh at the end, convolutions of 4 × 4 pixels with stride 2. A pickled module also gives its
parts, which are used as they are: activations, norms, strides, upsampling (see ``chains``).

Modules keep the names of the file, so that ``main.1`` here is ``main.1`` there. A layer is the
output of a block before its activation: the norm if there is one, otherwise the convolution.

References:
    Radford, Metz, Chintala, Unsupervised Representation Learning with Deep Convolutional
    Generative Adversarial Networks, ICLR 2016, section 3 and figure 1.
"""

import copy
import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dissect.errors import CheckpointError
from dissect.generators.chains import (
    Chain,
    Step,
    by_number,
    channels_of,
    differ_in_numbers,
    divide_norms,
    is_module,
    natural,
    pair,
    read_chain,
)
from dissect.generators.ranges import check_range
from dissect.generators.shapes import LayerInfo
from dissect.generators.weights import Part
from dissect.generators.z_only import ZOnlyGenerator
from segmenters.base import hash_tensors

_KERNEL = 4
_LARGEST = 4096  # pixels of an image; checked before allocation
_MOST_TRIES = 1000  # of finding an order that fits by shape
_UNIT = (nn.Sigmoid, nn.Hardsigmoid)
_FULL = (nn.Tanh, nn.Softsign, nn.Hardtanh)
_WRAP = "wrap it as package.module:factory instead"


def matches(part: Part) -> bool:
    """Whether the part is a chain that makes images."""
    if is_module(part):
        titles = {str(v) for n, v in part.attributes.items() if n.endswith("__class__")}
        growing = ("ConvTranspose2d", "Upsample", "UpsamplingNearest2d", "PixelShuffle")
        return any(title.endswith(tuple(f":{name}" for name in growing)) for title in titles)
    return _find_order(part.tensors, kernel=_KERNEL) is not None


def explain(part: Part) -> str | None:
    """Why a file that resembles a DCGAN cannot be read; None if it does not resemble one."""
    order = None if is_module(part) else _find_order(part.tensors, kernel=None)
    if order is None:
        return None
    weights = divide_norms(part.tensors)
    shapes = [tuple(weights[f"{name}.weight"].shape) for name in order]
    if shapes[0][0] <= shapes[-1][1] or 1 in shapes[0][:2]:
        return None  # a discriminator, or no image generator
    odd = next((s for s in shapes if s[2:] != (_KERNEL, _KERNEL)), None)
    found = f"ends in {shapes[-1][1]} channels, where 1 or 3 were expected"
    if odd is not None:
        found = (
            f"has a kernel of {odd[2]} × {odd[3]} pixels, where 4 × 4 was expected: a state dict "
            "does not say the stride and padding of others"
        )
    return f"a chain of transposed convolutions like a DCGAN, but it {found}; {_WRAP}"


def from_checkpoint(part: Part, *, name: str, device: torch.device | str) -> "DCGAN":
    """Build the generator that a part holds.

    Raises:
        CheckpointError: no chain of convolutions, or parts and sizes that do not fit together.
    """
    state = divide_norms(part.tensors)
    chain = read_chain(part) if is_module(part) else _infer(state, part)
    part.ledger.obeyed.update(chain.obeyed)
    part.ledger.assumed.update(chain.assumed)
    return DCGAN(chain, state, name=name, device=device, where=str(part.path))


def _find_order(state: Mapping[str, Tensor], *, kernel: int | None) -> list[str] | None:
    """Transposed convolutions in call order: by number or file order, otherwise by shape."""
    shapes = {
        name.removesuffix(".weight"): tuple(value.shape)
        for name, value in divide_norms(state).items()
        if name.endswith(".weight") and value.ndim == 4
    }
    if len(shapes) < 2 or any(0 in shape for shape in shapes.values()):
        return None
    if kernel is not None and any(shape[2:] != (kernel, kernel) for shape in shapes.values()):
        return None

    def fits(order: Sequence[str]) -> bool:
        inside = all(shapes[a][1] == shapes[b][0] for a, b in zip(order, order[1:], strict=False))
        return inside and (kernel is None or shapes[order[-1]][1] in (1, 3))

    for order in (by_number(list(shapes)), sorted(shapes, key=natural)):
        if fits(order):
            return order
    if differ_in_numbers(list(shapes)):  # the numbers give the order
        return None
    found = [order for order in _orders(shapes) if fits(order)]
    # From one channel on it is a discriminator, read backwards.
    return found[0] if len(found) == 1 and shapes[found[0][0]][0] > 1 else None


def _orders(shapes: Mapping[str, tuple[int, ...]]) -> list[list[str]]:
    """Orders in which each input fits the output before it; stops at two, which is ambiguous."""
    found: list[list[str]] = []
    tries = 0
    open_orders = [[name] for name in shapes]
    while open_orders and len(found) < 2 and tries < _MOST_TRIES:
        tries += 1
        order = open_orders.pop()
        if len(order) == len(shapes):
            found.append(order)
            continue
        open_orders += [
            [*order, name]
            for name, shape in shapes.items()
            if name not in order and shape[0] == shapes[order[-1]][1]
        ]
    return found


def _infer(state: Mapping[str, Tensor], part: Part) -> Chain:
    """The chain of a state dict; follows the paper where the tensors do not decide."""
    order = _find_order(state, kernel=_KERNEL)
    if order is None:
        raise CheckpointError(
            f"{part.path} holds no DCGAN; expected a chain of transposed convolutions "
            "(4-dimensional weights, 4 × 4, from a latent vector to 1 or 3 channels)"
        )
    norms = {
        name.removesuffix(".running_mean"): len(value)
        for name, value in state.items()
        if name.endswith(".running_mean")
    }
    weights = {name: state[f"{name}.weight"] for name in order}
    listed = list(dict.fromkeys(name.rpartition(".")[0] for name in state))
    pairs = pair({name: w.shape[1] for name, w in weights.items()}, norms, listed)
    if pairs is None:
        raise CheckpointError(
            f"{part.path} is a DCGAN except for its batch norms ({', '.join(list(norms)[:3])}), "
            f"which fit its convolutions in no way or several; {_WRAP}"
        )
    steps: list[Step] = []
    for position, (name, norm) in enumerate(pairs):
        n_in, n_out = weights[name].shape[:2]
        stride, padding = (2, 1) if position else (1, 0)
        bias = f"{name}.bias" in state
        made = nn.ConvTranspose2d(n_in, n_out, _KERNEL, stride, padding, bias=bias)
        steps.append(Step(name, made))
        if norm is not None:
            steps.append(Step(norm, nn.BatchNorm2d(norms[norm])))
        steps.append(Step(None, nn.ReLU()))
    assumed = {
        "activations": "ReLU, and tanh at the end: a state dict does not say",
        "convolutions": "stride 2 but for the first",
    }
    return Chain([*steps[:-1], Step(None, nn.Tanh())], assumed=assumed)


class _Network(nn.Module):
    """The chain, with its parts under the names of the file."""

    def __init__(self, steps: Sequence[Step]) -> None:
        super().__init__()
        self._calls: list[str | nn.Module] = []
        for step in steps:
            if step.path is None:
                self._calls.append(step.module)
            else:
                self._place(step.path, step.module)
                self._calls.append(step.path)

    def _place(self, path: str, part: nn.Module) -> None:
        *parents, last = path.split(".")
        owner: nn.Module = self
        for parent in parents:
            if parent not in owner._modules:
                owner.add_module(parent, nn.Module())
            owner = owner.get_submodule(parent)
        owner.add_module(last, part)

    def first_part(self) -> nn.Module:  # no attribute: files have modules of any name
        """The module that is called with z."""
        call = self._calls[0]
        return self.get_submodule(call) if isinstance(call, str) else call

    def forward(self, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch channels h w"]:
        x = z
        for call in self._calls:
            part = self.get_submodule(call) if isinstance(call, str) else call
            if x.ndim == 2 and isinstance(part, nn.ConvTranspose2d | nn.Conv2d):
                x = x[:, :, None, None]
            x = part(x)
        return x


def _describe(steps: Sequence[Step]) -> list[str]:
    """The computation of a chain without its tensors."""
    return [repr(step.module) for step in steps if not step.does_nothing]


class DCGAN(ZOnlyGenerator[_Network]):
    """A DCGAN generator; follows the Generator protocol.

    Args:
        chain: Its modules in order.
        state: Its tensors, under the names of the file.
        name: Name shown to people.
        device: Device to run on.
        where: The file, for messages.

    Raises:
        CheckpointError: tensors that do not fit the chain; images that are not square, have
            other channels, or another range.
    """

    def __init__(
        self,
        chain: Chain,
        state: Mapping[str, Tensor],
        *,
        name: str,
        device: torch.device | str = "cpu",
        where: str,
    ) -> None:
        network = _Network(chain.steps)
        expected = network.state_dict()
        # Old files lack the number of batches seen, which inference ignores.
        counters = {k: v for k, v in expected.items() if k.endswith("num_batches_tracked")}
        given = counters | dict(state)
        if set(given) != set(expected):
            odd = sorted(set(given) ^ set(expected))
            raise CheckpointError(
                f"{where} is a DCGAN except for {', '.join(odd[:4])}; expected only transposed "
                "convolutions and batch norms; wrap it as package.module:factory instead"
            )
        network.load_state_dict(given)
        z_size = _latent_size(chain.steps, where)
        shapes = _trace_shapes(chain.steps, z_size, where)
        description = _describe(chain.steps)
        usual = description == _describe(_usual(chain.steps))
        super().__init__(
            network.eval().requires_grad_(False).to(device),
            name=name,
            z_shape=(z_size,),
            fingerprint=hash_tensors(given, "dcgan", *([] if usual else [description])),
        )
        self.channels, self.image_size, _ = shapes[-1]
        self.layers = _choose_layers(chain.steps, shapes)
        end = next((s.module for s in chain.steps[::-1] if s.bends or s.is_convolution), None)
        if isinstance(end, _UNIT):
            raise CheckpointError(
                f"{where} ends in a {type(end).__name__}, so its images are in [0, 1]; expected "
                "[-1, 1]; give dissect.wrap(module, …, image_range=(0, 1)) as "
                "package.module:factory"
            )
        if not isinstance(end, _FULL):
            check_range(self, CheckpointError)

    def latent_weight(self) -> Float[Tensor, "row z"] | None:
        """See ``HasLatentWeight``: the first convolution or matrix, if no step comes before it."""
        first = self.module.first_part()
        if isinstance(first, nn.Linear):
            return first.weight
        if not isinstance(first, nn.ConvTranspose2d) or first.groups != 1:
            return None
        cut = [slice(p, -p or None) for p in map(int, first.padding)]  # pixels that are cut off
        return first.weight[:, :, cut[0], cut[1]].flatten(1).T


def _latent_size(steps: Sequence[Step], where: str) -> int:
    """Length of z, from the first module that reads it."""
    for step in steps:
        module = step.module
        if isinstance(module, nn.Unflatten):
            return math.prod(module.unflattened_size)
        if isinstance(module, nn.Linear):
            return module.in_features
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            return module.in_channels
        if not step.does_nothing:
            break
    raise CheckpointError(
        f"{where} begins with a {type(steps[0].module).__name__}; expected a convolution, a matrix "
        f"or an Unflatten, which say the length of z; {_WRAP}"
    )


def _trace_shapes(steps: Sequence[Step], z_size: int, where: str) -> list[tuple[int, ...]]:
    """Shape of each step's output for one sample, without computing it."""
    x, shapes = torch.empty(1, z_size, device="meta"), []
    for step in steps:
        if x.ndim == 2 and step.is_convolution:
            x = x[:, :, None, None]
        x = copy.deepcopy(step.module).to("meta").eval()(x)
        shapes.append(tuple(x.shape[1:]))
        if math.prod(x.shape) > 64 * _LARGEST**2:
            break
    channels, *size = shapes[-1]
    if len(shapes) < len(steps) or len(size) != 2 or size[0] != size[1] or channels not in (1, 3):
        raise CheckpointError(
            f"{where} puts out {' × '.join(map(str, shapes[-1]))}; expected images, 1 or 3 × size "
            f"× size, of up to {_LARGEST} pixels; {_WRAP}"
        )
    return shapes


def _choose_layers(
    steps: Sequence[Step], shapes: Sequence[tuple[int, ...]]
) -> dict[str, LayerInfo]:
    """The norm of every block, or its convolution; not those of the last, which gives the image."""
    layers: dict[str, LayerInfo] = {}
    convolutions = [k for k, step in enumerate(steps) if step.is_convolution]
    for k, after in zip(convolutions, convolutions[1:], strict=False):
        at = next((j for j in range(k + 1, after) if steps[j].is_norm), k)
        path = str(steps[at].path)
        units, height, width = shapes[at]
        layers[path] = LayerInfo(units, height, width, path)
    return layers


def _usual(steps: Sequence[Step]) -> list[Step]:
    """The steps that a state dict of the same layers would give."""
    found: list[Step] = []
    for step in steps:
        module = step.module
        if isinstance(module, nn.ConvTranspose2d):
            stride, padding = (2, 1) if found else (1, 0)
            bias = module.bias is not None
            module = nn.ConvTranspose2d(
                module.in_channels, module.out_channels, _KERNEL, stride, padding, bias=bias
            )
            found += [Step(None, nn.ReLU())] * bool(found) + [Step(step.path, module)]
        elif step.is_norm:
            found.append(Step(step.path, nn.BatchNorm2d(channels_of(step.module))))
    return [*found, Step(None, nn.Tanh())]
