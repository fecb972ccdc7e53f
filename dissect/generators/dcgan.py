"""DCGAN: a chain of transposed convolutions from a latent vector to an image.

Every size is inferred from the state dict, and the modules keep the names they have in it, so that
``main.1`` here is ``main.1`` in the file. A layer is the output of a block before its ReLU: the
batch norm where there is one, else the transposed convolution.

References:
    Radford, Metz, Chintala, Unsupervised Representation Learning with Deep Convolutional
    Generative Adversarial Networks, ICLR 2016, section 3 and figure 1.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dissect.errors import CheckpointError
from dissect.generators.checkpoint import Checkpoint
from dissect.generators.shapes import LayerInfo
from dissect.generators.z_only import ZOnlyGenerator
from segmenters.base import hash_tensors

_WRAPPERS = ("module.",)  # what torch.nn.DataParallel puts before every name
_KERNEL = 4


@dataclass(frozen=True)
class _Block:
    """One transposed convolution, and the batch norm that follows it, by their names."""

    convolution: str
    norm: str | None


def matches(checkpoint: Checkpoint) -> bool:
    """Whether the file holds a DCGAN generator."""
    return _find_state(checkpoint) is not None


def from_checkpoint(checkpoint: Checkpoint, *, name: str, device: torch.device | str) -> "DCGAN":
    """Build the generator that a checkpoint holds.

    Raises:
        CheckpointError: no chain of transposed convolutions, or sizes that do not fit together.
    """
    state = _find_state(checkpoint)
    if state is None:
        raise CheckpointError(
            f"{checkpoint.path} holds no DCGAN; expected a chain of transposed convolutions "
            "(4-dimensional weights, 4 × 4, from a latent vector to 1 or 3 channels)"
        )
    return DCGAN(state, name=name, device=device)


def _natural(name: str) -> list[object]:
    """Sort key under which ``main.10`` comes after ``main.4``."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _unwrap(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    for wrapper in _WRAPPERS:
        if all(name.startswith(wrapper) for name in state):
            return {name.removeprefix(wrapper): value for name, value in state.items()}
    return dict(state)


def _convolutions(state: Mapping[str, Tensor]) -> list[str]:
    names = [n.removesuffix(".weight") for n in state if n.endswith(".weight")]
    return sorted((n for n in names if state[f"{n}.weight"].ndim == 4), key=_natural)


def _is_chain(state: Mapping[str, Tensor]) -> bool:
    weights = [state[f"{name}.weight"] for name in _convolutions(state)]
    if len(weights) < 2 or weights[-1].shape[1] not in (1, 3):
        return False
    fits = all(a.shape[1] == b.shape[0] for a, b in zip(weights, weights[1:], strict=False))
    return fits and all(tuple(w.shape[2:]) == (_KERNEL, _KERNEL) for w in weights)


def _find_state(checkpoint: Checkpoint) -> dict[str, Tensor] | None:
    for group in checkpoint.groups().values():
        state = _unwrap(group)
        if _is_chain(state):
            return state
    return None


def _blocks(state: Mapping[str, Tensor]) -> list[_Block]:
    convolutions = _convolutions(state)
    norms = sorted(
        (n.removesuffix(".running_mean") for n in state if n.endswith(".running_mean")),
        key=_natural,
    )
    order = sorted([*convolutions, *norms], key=_natural)
    blocks = []
    for name in convolutions:
        position = order.index(name) + 1
        follower = order[position] if position < len(order) else None
        blocks.append(_Block(name, follower if follower in norms else None))
    return blocks


def _convolution(state: Mapping[str, Tensor], name: str, *, first: bool) -> nn.ConvTranspose2d:
    weight = state[f"{name}.weight"]
    return nn.ConvTranspose2d(
        weight.shape[0],
        weight.shape[1],
        _KERNEL,
        stride=1 if first else 2,
        padding=0 if first else 1,
        bias=f"{name}.bias" in state,
    )


class _Network(nn.Module):
    """The chain, with its parts under the names of the state dict."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._chain = _blocks(state)
        for position, block in enumerate(self._chain):
            self._place(
                block.convolution, _convolution(state, block.convolution, first=not position)
            )
            if block.norm is not None:
                channels = state[f"{block.norm}.running_mean"].shape[0]
                self._place(block.norm, nn.BatchNorm2d(channels))

    def _place(self, path: str, part: nn.Module) -> None:
        *parents, last = path.split(".")
        owner: nn.Module = self
        for parent in parents:
            if parent not in owner._modules:
                owner.add_module(parent, nn.Module())
            owner = owner.get_submodule(parent)
        owner.add_module(last, part)

    @property
    def outputs(self) -> list[str]:
        """For each block the module whose output is its feature map."""
        return [block.norm or block.convolution for block in self._chain]

    def forward(self, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch channels h w"]:
        x = z[:, :, None, None]
        for position, block in enumerate(self._chain):
            x = torch.relu(x) if position else x
            x = self.get_submodule(block.convolution)(x)
            x = self.get_submodule(block.norm)(x) if block.norm is not None else x
        return torch.tanh(x)


class DCGAN(ZOnlyGenerator[_Network]):
    """A DCGAN generator; follows the Generator protocol.

    Args:
        state: Its state dict, wrapper prefixes removed.
        name: What people call it.
        device: Where it runs.

    Raises:
        CheckpointError: tensors that do not fit the chain, named.
    """

    def __init__(
        self, state: Mapping[str, Tensor], *, name: str, device: torch.device | str = "cpu"
    ) -> None:
        network = _Network(state)
        expected = network.state_dict()
        # Old files lack the number of batches seen, which inference ignores.
        counters = {k: v for k, v in expected.items() if k.endswith("num_batches_tracked")}
        given = counters | dict(state)
        if set(given) != set(expected):
            odd = sorted(set(given) ^ set(expected))
            raise CheckpointError(
                f"{name} is a DCGAN but for {', '.join(odd[:4])}; expected only transposed "
                "convolutions and batch norms; wrap it as package.module:factory instead"
            )
        network.load_state_dict(given)
        weights = [state[f"{path}.weight"] for path in _convolutions(state)]
        super().__init__(
            network.eval().requires_grad_(False).to(device),
            name=name,
            z_shape=(weights[0].shape[0],),
            fingerprint=hash_tensors(given, "dcgan"),
        )
        self.channels = weights[-1].shape[1]
        self.image_size = _KERNEL * 2 ** (len(weights) - 1)
        self.layers = {
            path: LayerInfo(weight.shape[1], _KERNEL << i, _KERNEL << i, path)
            for i, (path, weight) in enumerate(zip(network.outputs[:-1], weights, strict=False))
        }
