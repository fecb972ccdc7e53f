"""StyleGAN2 files of several programs, converted to this project's names and layout.

===================================  ==============================================================
written by                           differs in
===================================  ==============================================================
stylegan2-ada-pytorch, stylegan3     nothing: names and layout are the ones used here
rosinality/stylegan2-pytorch         names; weights of convolutions lack their 1/√fan-in; filters
                                     hold their gain of 4
genforce                             names; layers are counted; axes of weights, the + 1 of
                                     ``style.bias`` and the turned kernels as in TensorFlow's
stylegan2, stylegan2-ada (TF)        names; axes of weights; ``mod_bias`` lacks its + 1;
                                     ``Conv0_up`` and ``Skip`` are turned around
===================================  ==============================================================

The tensors determine the architecture: sizes, channels, depth, classes, and which of the three
architectures (``torgb`` everywhere, ``skip`` weights, or neither). Only the clamp and the mapping's
learning rate multiplier leave no trace in tensors. They are attributes in NVIDIA's files; other
files get the programs' defaults, no clamp and 0.01.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dissect.errors import CheckpointError
from dissect.generators.mapping import USUAL, Layout, find_layout, mapping_sizes
from dissect.generators.native import build_native
from dissect.generators.states import build
from dissect.generators.stylegan2 import (
    FORMAT,
    StyleGAN2,
    StyleGAN2Config,
    StyleGAN2Network,
    default_filter,
)
from dissect.generators.weights import Part
from dissect.latents import stream

_NVIDIA = ("synthesis.b4.const", "mapping.fc0.weight")
_ROSINALITY = ("input.input", "style.1.weight", "conv1.conv.modulation.weight")
_GENFORCE = (
    "mapping.dense0.weight",
    "synthesis.early_layer.const",
    "synthesis.layer0.style.weight",
    "synthesis.output0.style.weight",
)
_TF = "components/synthesis/variables/4x4/Conv/mod_weight"  # StyleGAN has StyleMod/weight there
_MARKS = (_NVIDIA, _ROSINALITY, _GENFORCE)
_RATE = 0.01


def matches(part: Part) -> bool:
    """Whether the file is this project's own, or holds a StyleGAN2 of the programs above."""
    if part.attributes.get("format") == FORMAT:
        return True
    if any(all(name in part.tensors for name in names) for names in _MARKS):
        return True
    return _TF in part.nested


def from_checkpoint(part: Part, *, name: str, device: torch.device | str) -> StyleGAN2:
    """Load the generator from a file.

    Raises:
        CheckpointError: tensors that do not fit together, or another activation.
    """
    if part.attributes.get("format") == FORMAT:
        network = build_native(part, lambda config: StyleGAN2Network(_configured(**config)))
    else:
        config, state, layout = _find(part)
        network = build(
            lambda: _lay_out(config, layout, mean="mapping.w_avg" in state),
            state,
            part.path,
            family="StyleGAN2",
        )
    return StyleGAN2(network.to(device), name=name)


def _configured(*, channels: Sequence[int], **settings: Any) -> StyleGAN2Config:
    """Rebuild the configuration written by ``save_stylegan2``."""
    return StyleGAN2Config(channels=tuple(channels), **settings)


def _lay_out(config: StyleGAN2Config, layout: Layout, *, mean: bool) -> StyleGAN2Network:
    network = StyleGAN2Network(config, layout)
    if not mean:  # the generator estimates it on first use
        network.mapping.w_avg = None
    return network


class Found(NamedTuple):
    """A generator in a file: its configuration and its tensors."""

    config: StyleGAN2Config
    state: dict[str, Tensor]
    layout: Layout = USUAL


def _find(part: Part) -> Found:
    """Find the StyleGAN2 of a part.

    Raises:
        CheckpointError: an activation that is not leaky ReLU.
        KeyError: missing tensors.
    """
    if all(name in part.tensors for name in _NVIDIA):
        return _from_nvidia(part)
    if all(name in part.tensors for name in _ROSINALITY):
        return _complete(_from_rosinality(part), _RATE, None)
    if all(name in part.tensors for name in _GENFORCE):
        return _complete(_from_genforce(part), _RATE, None)
    return _complete(_from_tensorflow(part.nested), _RATE, None)


def _from_nvidia(part: Part) -> Found:
    attribute = part.attributes.get
    for layer in ("synthesis.b4.conv1", "mapping.fc0"):
        activation = attribute(f"{layer}.activation", "lrelu")
        if activation != "lrelu":
            raise CheckpointError(
                f"{part.path} has the activation {activation!r} in {layer}; expected "
                "'lrelu'; wrap the generator as package.module:factory instead"
            )
    clamp = attribute("synthesis.b4.conv1.conv_clamp")
    rate = float(attribute("mapping.fc0.bias_gain", _RATE))
    stated = "mapping.fc0.bias_gain" in part.attributes
    about = part.ledger.obeyed if stated else part.ledger.assumed
    about |= {"conv_clamp": clamp, "lr_multiplier of the mapping": rate}
    return _complete(dict(part.tensors), rate, clamp)


def _from_rosinality(part: Part) -> dict[str, Tensor]:
    state, average = part.tensors, part.beside("latent_avg")
    tensors = {"synthesis.b4.const": state["input.input"][0]}
    lacking: list[str] = []
    if average is not None:
        tensors["mapping.w_avg"] = average.flatten()
    for name in state:
        dense = re.fullmatch(r"style\.(\d+)\.(weight|bias)", name)
        if dense:
            tensors[f"mapping.fc{int(dense[1]) - 1}.{dense[2]}"] = state[name]

    def take(target: str, source: str, number: int | None = None) -> None:
        weight = state[f"{source}.conv.weight"][0]
        for kind in ("weight", "bias"):
            tensors[f"{target}.affine.{kind}"] = state[f"{source}.conv.modulation.{kind}"]
        if number is None:  # to RGB, whose 1/√fan-in is in the style
            tensors[f"{target}.weight"] = weight
            tensors[f"{target}.bias"] = state[f"{source}.bias"].flatten()
            return
        tensors[f"{target}.weight"] = weight / math.sqrt(weight[0].numel())
        tensors[f"{target}.bias"] = state[f"{source}.activate.bias"]
        if f"{source}.noise.weight" in state:
            tensors[f"{target}.noise_strength"] = state[f"{source}.noise.weight"].reshape(())
            maps = state.get(f"noises.noise_{number}")
            if maps is None:
                lacking.append(f"noises.noise_{number}")
                size = 4 << ((number + 1) // 2)
                values = stream(0, number).standard_normal((size, size), dtype="float32")
                maps = torch.from_numpy(values)[None, None]
            tensors[f"{target}.noise_const"] = maps[0, 0]
        if f"{source}.conv.blur.kernel" in state:
            tensors[f"{target}.resample_filter"] = state[f"{source}.conv.blur.kernel"] / 4

    take("synthesis.b4.conv1", "conv1", 0)
    take("synthesis.b4.torgb", "to_rgb1")
    k = 0
    while f"to_rgbs.{k}.conv.weight" in state:
        block = f"synthesis.b{8 << k}"
        take(f"{block}.conv0", f"convs.{2 * k}", 2 * k + 1)
        take(f"{block}.conv1", f"convs.{2 * k + 1}", 2 * k + 2)
        take(f"{block}.torgb", f"to_rgbs.{k}")
        tensors[f"{block}.resample_filter"] = state[f"to_rgbs.{k}.upsample.kernel"] / 4
        k += 1
    if lacking:
        part.ledger.missing[f"{lacking[0]} … {lacking[-1]}"] = (
            "fixed maps stand in; the strengths of noise are the file's"
        )
    if average is None:
        part.ledger.assumed["latent_avg"] = "the mean of w is that of 10,000 samples"
    return tensors


def _from_genforce(part: Part) -> dict[str, Tensor]:
    """Weights are height × width × in × out; every second layer doubles the size."""
    state = part.tensors
    tensors = {"synthesis.b4.const": state["synthesis.early_layer.const"][0]}
    if "truncation.w_avg" in state:
        tensors["mapping.w_avg"] = state["truncation.w_avg"].reshape(
            -1, state["synthesis.layer0.style.weight"].shape[1]
        )[0]
    known = {"truncation.w_avg", "synthesis.early_layer.const", "synthesis.lod"}
    for name in state:
        dense = re.fullmatch(r"mapping\.dense(\d{1,3})\.(weight|bias)", name)
        layer = re.fullmatch(r"synthesis\.(layer|output)(\d{1,3})\.(.+)", name)
        if dense:
            tensors[f"mapping.fc{dense[1]}.{dense[2]}"] = state[name]
        elif layer:
            number, output = int(layer[2]), layer[1] == "output"
            size = 4 << (number if output else (number + 1) // 2)
            doubles = not output and number % 2 == 1
            target = "torgb" if output else "conv0" if doubles else "conv1"
            found = _convert_genforce(layer[3], state[name], doubles=doubles, output=output)
            if found is None:
                continue
            tensors[f"synthesis.b{size}.{target}.{found[0]}"] = found[1]
        elif not name.endswith(".kernel"):
            continue
        known.add(name)
    odd = [name for name in state if name not in known]
    if odd:
        raise CheckpointError(
            f"{part.path} is a StyleGAN2 of genforce except for {', '.join(odd[:3])}; expected its "
            "architecture 'skip' without classes; wrap it as package.module:factory instead"
        )
    return tensors


def _convert_genforce(
    name: str, value: Tensor, *, doubles: bool, output: bool
) -> tuple[str, Tensor] | None:
    """The name here of a layer's tensor, and the converted tensor; None if it is unknown."""
    if name == "weight":
        taps = 1 if output else 3
        if value.shape[:2] == (taps, taps):  # later versions store these axes last
            value = value.permute(3, 2, 0, 1)
        if not output:  # whose 1/√fan-in is in the style
            value = value / math.sqrt(value[0].numel())
        return "weight", value.flip(2, 3) if doubles else value
    if name == "filter.kernel":
        kernel = value.reshape(value.shape[-2:])
        return "resample_filter", kernel / kernel.sum()
    if name == "style.bias":
        return "affine.bias", value + 1
    scalar = name == "noise_strength"
    found = {
        "bias": "bias",
        "style.weight": "affine.weight",
        "noise": "noise_const",
        "noise_strength": "noise_strength",
    }.get(name)
    if found == "noise_const":
        value = value[0, 0]
    return None if found is None else (found, value.reshape(()) if scalar else value)


def _from_tensorflow(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    synthesis, mapping = (f"components/{part}/variables/" for part in ("synthesis", "mapping"))
    found = {"mapping.w_avg": tensors["variables/dlatent_avg"]}
    for name in tensors:
        dense = re.fullmatch(r"(Dense(\d+)|LabelEmbed)/(weight|bias)", name.removeprefix(mapping))
        if name.startswith(mapping) and dense:
            target = "embed" if dense[2] is None else f"fc{dense[2]}"
            value = tensors[name]
            found[f"mapping.{target}.{dense[3]}"] = value.T if dense[3] == "weight" else value
        layer = re.fullmatch(r"(\d+)x\1/(\w+)/(\w+)", name.removeprefix(synthesis))
        if name.startswith(synthesis) and layer:
            target, converted = _convert_variable(int(layer[1]), layer[2], layer[3], tensors[name])
            found[f"synthesis.b{layer[1]}.{target}"] = converted
        noise = re.fullmatch(r"noise(\d+)", name.removeprefix(synthesis))
        if name.startswith(synthesis) and noise:
            # noise0 belongs to 4 pixels; then two per size.
            number = int(noise[1])
            size, part = 4 << ((number + 1) // 2), 1 if number % 2 == 0 else 0
            found[f"synthesis.b{size}.conv{part}.noise_const"] = tensors[name][0, 0]
    return found


def _convert_variable(size: int, layer: str, part: str, value: Tensor) -> tuple[str, Tensor]:
    if layer == "Const":
        return "const", value[0]
    first = "conv1" if size == 4 else "conv0"
    target = {"Conv": first, "Conv0_up": "conv0", "Conv1": "conv1", "ToRGB": "torgb"}.get(
        layer, layer.lower()
    )
    if part == "weight":
        value = value.permute(3, 2, 0, 1)
        if layer in ("Conv0_up", "Skip"):
            value = value.flip(2, 3)
        return f"{target}.weight", value
    if part == "mod_weight":
        return f"{target}.affine.weight", value.T
    if part == "mod_bias":
        return f"{target}.affine.bias", value + 1
    return f"{target}.{part}", value.reshape(()) if part == "noise_strength" else value


def _complete(state: dict[str, Tensor], rate: float, clamp: float | None) -> Found:
    """The configuration that the tensors imply, with default filters where the file has none."""
    sizes = sorted(
        int(found[1])
        for name in state
        if (found := re.fullmatch(r"synthesis\.b(\d+)\.conv1\.weight", name))
    )
    w_size = state["synthesis.b4.conv1.affine.weight"].shape[1]
    architecture = "orig"
    if "synthesis.b4.torgb.weight" in state:
        architecture = "skip"
    elif "synthesis.b8.skip.weight" in state:
        architecture = "resnet"
    config = StyleGAN2Config(
        image_size=sizes[-1],
        channels=tuple(state[f"synthesis.b{size}.conv1.weight"].shape[0] for size in sizes),
        w_size=w_size,
        mapping_rate=rate,
        rgb_channels=state[f"synthesis.b{sizes[-1]}.torgb.weight"].shape[0],
        architecture=architecture,
        conv_clamp=None if clamp is None else float(clamp),
        use_noise="synthesis.b4.conv1.noise_const" in state,
        **mapping_sizes(state),
    )
    for size in sizes:
        block = f"synthesis.b{size}"
        parts = ["", "conv1."] + ["conv0."] * (size > 4)
        parts += ["skip."] * (architecture == "resnet" and size > 4)
        for part in parts:
            state.setdefault(f"{block}.{part}resample_filter", default_filter())
    return Found(config, state, find_layout(state, w_size))
