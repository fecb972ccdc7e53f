"""R3GAN: stages of residual blocks with grouped convolutions, without normalisation or mapping.

Files are its training pickles, whose modules hold no source text; parts keep their names. Every
size comes from the tensors: channels, groups, blocks of a stage, classes. Stages that the program
ran in bfloat16 are computed in float32, as on its CPU.

    stage 0:  basis [C, 4, 4] · (W z) for each unit
    stage k:  1 × 1 where widths differ, then twice the size by zeros and a filter with gain 4
    block:    x + W₃ act(W₂ ∗ act(W₁ x + b₁) + b₂),  act = leaky ReLU of slope 0.2

A layer is the output of a part of a stage, ``Model.MainLayers.1.Layers.2``: the first is where the
stage begins, the others are its blocks.

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
from dissect.generators.states import build
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
    """A convolution without bias, in groups as its weight says, under the program's name."""

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
        weights = [state[f"{path}.LinearLayer{k}.Layer.weight"] for k in (1, 2, 3)]
        n_in = weights[0].shape[1]
        for k, weight in enumerate(weights, start=1):
            self.add_module(f"LinearLayer{k}", _Convolution(weight, n_in))
            n_in = weight.shape[0]
            if k < 3:
                self.add_module(f"NonLinearity{k}", _Activation(n_in))

    def forward(self, x: Tensor) -> Tensor:
        y = self.NonLinearity1(self.LinearLayer1(x))
        y = self.NonLinearity2(self.LinearLayer2(y))
        return x + self.LinearLayer3(y)


class _Basis(nn.Module):
    """z, and a class, to the first map: a picture of each unit times its weight."""

    def __init__(self, state: Mapping[str, Tensor], path: str) -> None:
        super().__init__()
        self.Basis = nn.Parameter(torch.zeros(state[f"{path}.Basis"].shape))
        units, size = state[f"{path}.LinearLayer.weight"].shape
        self.LinearLayer = nn.Linear(size, units, bias=False)

    def forward(self, z: Float[Tensor, "batch z"]) -> Float[Tensor, "batch unit 4 4"]:
        return self.Basis * self.LinearLayer(z)[:, :, None, None]


class _Resampler(nn.Module):
    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("Kernel", torch.zeros(shape))

    def forward(self, x: Tensor) -> Tensor:
        return upsample(x, self.Kernel)


class _Transition(nn.Module):
    """Other units where they change, then twice the size."""

    def __init__(self, state: Mapping[str, Tensor], path: str, n_in: int) -> None:
        super().__init__()
        self.LinearLayer = None
        if f"{path}.LinearLayer.Layer.weight" in state:
            self.LinearLayer = _Convolution(state[f"{path}.LinearLayer.Layer.weight"], n_in)
        self.Resampler = _Resampler(tuple(state[f"{path}.Resampler.Kernel"].shape))

    def forward(self, x: Tensor) -> Tensor:
        return self.Resampler(x if self.LinearLayer is None else self.LinearLayer(x))


class R3GANNetwork(nn.Module):
    """z, and a class, to image; sizes as in a state dict."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.Model = nn.Module()
        self.Model.MainLayers = nn.ModuleList()
        self.embedded = _EMBEDDING in state
        if self.embedded:
            length, n_classes = state[_EMBEDDING].shape
            self.Model.EmbeddingLayer = nn.Linear(n_classes, length, bias=False)
        units = 0
        while any(n.startswith(f"{_STAGES}.{len(self.Model.MainLayers)}.") for n in state):
            path = f"{_STAGES}.{len(self.Model.MainLayers)}.Layers"
            first: nn.Module
            if len(self.Model.MainLayers) == 0:
                first = _Basis(state, f"{path}.0")
                units = first.Basis.shape[0]
            else:
                first = _Transition(state, f"{path}.0", units)
                if first.LinearLayer is not None:
                    units = first.LinearLayer.Layer.out_channels
            parts = [first]
            while f"{path}.{len(parts)}.LinearLayer1.Layer.weight" in state:
                parts.append(_Block(state, f"{path}.{len(parts)}"))
            stage = nn.Module()
            stage.Layers = nn.ModuleList(parts)
            self.Model.MainLayers.append(stage)
        self.Model.AggregationLayer = _Convolution(state[f"{_IMAGE}.Layer.weight"], units)

    def forward(
        self, z: Float[Tensor, "batch z"], classes: Float[Tensor, "batch n_classes"] | None = None
    ) -> Float[Tensor, "batch rgb size size"]:
        x = z
        if self.embedded:
            x = torch.cat([z, self.Model.EmbeddingLayer(classes)], dim=1)
        for stage in self.Model.MainLayers:
            for part in stage.Layers:
                x = part(x)
        return self.Model.AggregationLayer(x)


class R3GAN(ZOnlyGenerator[R3GANNetwork]):
    """An R3GAN behind the ``Generator`` protocol.

    Args:
        module: The network, frozen and in eval mode.
        name: What people call it.
    """

    def __init__(self, module: R3GANNetwork, *, name: str) -> None:
        model = module.Model
        embedding = model.EmbeddingLayer if module.embedded else None
        n_in = model.MainLayers[0].Layers[0].LinearLayer.in_features
        super().__init__(
            module,
            name=name,
            z_shape=(n_in - (0 if embedding is None else embedding.out_features),),
            fingerprint=hash_tensors(module.state_dict(), "r3gan"),
            n_classes=0 if embedding is None else embedding.in_features,
        )
        size = model.MainLayers[0].Layers[0].Basis.shape[-1]
        units = model.MainLayers[0].Layers[0].Basis.shape[0]
        self.layers = {}
        for k, stage in enumerate(model.MainLayers):
            first = stage.Layers[0]
            if k and first.LinearLayer is not None:
                units = first.LinearLayer.Layer.out_channels
            for j in range(len(stage.Layers)):
                path = f"{_STAGES}.{k}.Layers.{j}"
                self.layers[path] = LayerInfo(units, size << k, size << k, path)
        self.image_size = size << (len(model.MainLayers) - 1)
        self.channels = model.AggregationLayer.Layer.out_channels

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
        return self.module(self._z(latent), classes)


def matches(part: Part) -> bool:
    """Whether R3GAN's program wrote the part."""
    return all(name in part.tensors for name in _MARKS)


def from_checkpoint(part: Part, *, name: str, device: torch.device | str) -> R3GAN:
    """The generator that a file holds.

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
