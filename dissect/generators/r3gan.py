"""R3GAN: stages of residual blocks with grouped convolutions, without normalisation or mapping.

Files are its training pickles, whose modules hold no source text; parts keep their names. Every
size comes from the tensors: channels, groups, blocks of a stage, classes. Stages that the program
runs in bfloat16 are computed in float32, as the program does on the CPU.

    stage 0:  basis [C, 4, 4] · (W z) for each unit
    stage k:  1 × 1 where widths differ, then twice the size by zeros and a filter with gain 4
    block:    x + W₃ act(W₂ ∗ act(W₁ x + b₁) + b₂),  act = leaky ReLU of slope 0.2

A layer is the output of a part of a stage, ``Model.MainLayers.1.Layers.2``: the first one starts
the stage, the others are its blocks.

References:
    Huang, Gokaslan, Kuleshov, Tompkin, The GAN is dead; long live the GAN! A Modern Baseline GAN,
    NeurIPS 2024, section 4 and figure 4.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dissect.errors import CheckpointError
from dissect.generators.base import check_conversion
from dissect.generators.labels import class_vectors
from dissect.generators.shapes import LayerInfo
from dissect.generators.states import build, submodule
from dissect.generators.stylegan2 import upsample
from dissect.generators.weights import Part
from dissect.generators.z_only import ZOnlyGenerator
from dissect.latents import Latent
from segmenters.base import hash_tensors

_LEAK = 0.2
_STAGES, _IMAGE = "Model.MainLayers", "Model.AggregationLayer"
_EMBEDDING = "Model.EmbeddingLayer.weight"
_MARKS = (f"{_STAGES}.0.Layers.0.Basis", f"{_IMAGE}.Layer.weight")


class _Convolution(nn.Module):
    """A convolution without bias, in the groups of its weight, under the program's name."""

    def __init__(self, weight: Tensor, n_in: int) -> None:
        super().__init__()
        n_out, of_group, taps, _ = weight.shape
        self.Layer = nn.Conv2d(
            n_in, n_out, taps, padding=taps // 2, groups=n_in // of_group, bias=False
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.Layer(x)


class _Activation(nn.Module):
    """A bias for each unit, then the leaky ReLU, without gain."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.Bias = nn.Parameter(torch.zeros(units))

    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(x + self.Bias[:, None, None], _LEAK)


class _Block(nn.Module):
    """x + three convolutions, the middle one in groups."""

    def __init__(self, state: Mapping[str, Tensor], path: str) -> None:
        super().__init__()
        first, second, third = (state[f"{path}.LinearLayer{k}.Layer.weight"] for k in (1, 2, 3))
        self.LinearLayer1 = _Convolution(first, first.shape[1])
        self.NonLinearity1 = _Activation(first.shape[0])
        self.LinearLayer2 = _Convolution(second, first.shape[0])
        self.NonLinearity2 = _Activation(second.shape[0])
        self.LinearLayer3 = _Convolution(third, second.shape[0])

    def forward(self, x: Tensor) -> Tensor:
        y = self.NonLinearity1(self.LinearLayer1(x))
        y = self.NonLinearity2(self.LinearLayer2(y))
        return x + self.LinearLayer3(y)


class _Basis(nn.Module):
    """z, and a class, to the first map: each unit has one picture, times its weight."""

    def __init__(self, state: Mapping[str, Tensor], path: str) -> None:
        super().__init__()
        self.Basis = nn.Parameter(torch.zeros(state[f"{path}.Basis"].shape))
        units, size = state[f"{path}.LinearLayer.weight"].shape
        self.LinearLayer = nn.Linear(size, units, bias=False)

    def forward(self, z: Float[Tensor, "batch z"]) -> Float[Tensor, "batch unit 4 4"]:
        return self.Basis * self.LinearLayer(z)[:, :, None, None]


class _Resampler(nn.Module):
    Kernel: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("Kernel", torch.zeros(shape))

    def forward(self, x: Tensor) -> Tensor:
        return upsample(x, self.Kernel)


class _Transition(nn.Module):
    """Change the number of units if needed, then double the size."""

    def __init__(self, state: Mapping[str, Tensor], path: str, n_in: int) -> None:
        super().__init__()
        self.LinearLayer = None
        if f"{path}.LinearLayer.Layer.weight" in state:
            self.LinearLayer = _Convolution(state[f"{path}.LinearLayer.Layer.weight"], n_in)
        self.Resampler = _Resampler(tuple(state[f"{path}.Resampler.Kernel"].shape))

    def forward(self, x: Tensor) -> Tensor:
        return self.Resampler(x if self.LinearLayer is None else self.LinearLayer(x))


class _Stage(nn.Module):
    """All layers of one size; the first one sets the number of units."""

    def __init__(self, state: Mapping[str, Tensor], path: str, n_in: int | None) -> None:
        super().__init__()
        first: nn.Module
        if n_in is None:
            first = _Basis(state, f"{path}.0")
            self.units = first.Basis.shape[0]
        else:
            first = _Transition(state, f"{path}.0", n_in)
            grown = first.LinearLayer
            self.units = n_in if grown is None else grown.Layer.out_channels
        self.Layers = nn.Sequential(first)
        while f"{path}.{len(self.Layers)}.LinearLayer1.Layer.weight" in state:
            self.Layers.append(_Block(state, f"{path}.{len(self.Layers)}"))

    def forward(self, x: Tensor) -> Tensor:
        return self.Layers(x)


class _Model(nn.Module):
    """The program's network, under its name there."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.EmbeddingLayer = None
        if _EMBEDDING in state:
            length, n_classes = state[_EMBEDDING].shape
            self.EmbeddingLayer = nn.Linear(n_classes, length, bias=False)
        self.MainLayers = nn.Sequential()
        units = None
        while any(n.startswith(f"{_STAGES}.{len(self.MainLayers)}.") for n in state):
            stage = _Stage(state, f"{_STAGES}.{len(self.MainLayers)}.Layers", units)
            units = stage.units
            self.MainLayers.append(stage)
        self.AggregationLayer = _Convolution(state[f"{_IMAGE}.Layer.weight"], units or 0)

    def stage(self, index: int) -> _Stage:
        return submodule(self.MainLayers, str(index), _Stage)

    def forward(self, z: Tensor, classes: Tensor | None) -> Tensor:
        x = z
        if self.EmbeddingLayer is not None:
            x = torch.cat([z, self.EmbeddingLayer(classes)], dim=1)
        return self.AggregationLayer(self.MainLayers(x))


class R3GANNetwork(nn.Module):
    """z, and a class, to image; sizes as in a state dict."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.Model = _Model(state)

    def forward(
        self, z: Float[Tensor, "batch z"], classes: Float[Tensor, "batch n_classes"] | None = None
    ) -> Float[Tensor, "batch rgb size size"]:
        return self.Model(z, classes)


class R3GAN(ZOnlyGenerator[R3GANNetwork]):
    """An R3GAN behind the ``Generator`` protocol.

    Args:
        module: The network, frozen and in eval mode.
        name: Name shown to people.
    """

    def __init__(self, module: R3GANNetwork, *, name: str) -> None:
        model = module.Model
        embedding = model.EmbeddingLayer
        basis = submodule(model.stage(0), "Layers.0", _Basis)
        n_in = basis.LinearLayer.in_features
        super().__init__(
            module,
            name=name,
            z_shape=(n_in - (0 if embedding is None else embedding.out_features),),
            fingerprint=hash_tensors(module.state_dict(), "r3gan"),
            n_classes=0 if embedding is None else embedding.in_features,
        )
        size = basis.Basis.shape[-1]
        self.layers = {}
        for k in range(len(model.MainLayers)):
            stage = model.stage(k)
            for j in range(len(stage.Layers)):
                path = f"{_STAGES}.{k}.Layers.{j}"
                self.layers[path] = LayerInfo(stage.units, size << k, size << k, path)
        self.image_size = size << (len(model.MainLayers) - 1)
        self.channels = model.AggregationLayer.Layer.out_channels

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
        return self.module(self._z(latent), classes)


def matches(part: Part) -> bool:
    """Whether R3GAN's program wrote the part."""
    return all(name in part.tensors for name in _MARKS)


def from_checkpoint(part: Part, *, name: str, device: torch.device | str) -> R3GAN:
    """Load the generator from a file.

    Raises:
        CheckpointError: tensors that are missing or do not fit together.
    """
    if not matches(part):
        raise CheckpointError(f"{part.path} holds no R3GAN; expected {', '.join(_MARKS)} in it")
    state = dict(part.tensors)
    network = build(lambda: R3GANNetwork(state), state, part.path, family="R3GAN")
    kinds = {v for n, v in part.attributes.items() if n.endswith(".DataType")}
    odd = sorted(str(kind) for kind in kinds if str(kind) != "torch.float32")
    if odd:
        part.ledger.assumed["DataType"] = f"float32 where the file has {', '.join(odd)}"
    return R3GAN(network.to(device), name=name)
