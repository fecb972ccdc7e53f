"""StyleGAN2 as people's files hold it, brought to this project's names and layout.

===================================  ==============================================================
written by                           differs in
===================================  ==============================================================
stylegan2-ada-pytorch, stylegan3     nothing: names and layout are the ones used here
rosinality/stylegan2-pytorch         names; weights of convolutions lack their 1/√fan-in; filters
                                     hold their gain of 4
stylegan2, stylegan2-ada (TF)        names; axes of weights; ``mod_bias`` lacks its + 1;
                                     ``Conv0_up`` and ``Skip`` are turned around
===================================  ==============================================================

What a file is built like is read off its tensors: sizes, channels, depth, classes, and which of the
three architectures (``torgb`` everywhere, ``skip`` weights, or neither). Only the clamp and the
mapping's learning rate multiplier leave no trace in tensors; they are attributes in NVIDIA's files,
and elsewhere none and 0.01, as the programs have them.
"""

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from dissect.errors import CheckpointError
from dissect.generators.checkpoint import Checkpoint
from dissect.generators.mapping import mapping_sizes
from dissect.generators.native import build_native
from dissect.generators.states import build, find_groups
from dissect.generators.stylegan2 import (
    FORMAT,
    StyleGAN2,
    StyleGAN2Config,
    StyleGAN2Network,
    default_filter,
)

_NVIDIA = ("synthesis.b4.const", "mapping.fc0.weight")
_ROSINALITY = ("input.input", "style.1.weight", "conv1.conv.modulation.weight")
_TF = "components/synthesis/variables/4x4/Conv/mod_weight"  # StyleGAN has StyleMod/weight there
_RATE = 0.01


def matches(checkpoint: Checkpoint) -> bool:
    """Whether the file is this project's own, or holds a StyleGAN2 of the programs above."""
    if checkpoint.attributes.get("format") == FORMAT:
        return True
    groups = checkpoint.groups().values()
    return any(name.endswith(_TF) for name in checkpoint.tensors) or any(
        all(name in state for name in names) for state in groups for names in (_NVIDIA, _ROSINALITY)
    )


def from_checkpoint(checkpoint: Checkpoint, *, name: str, device: torch.device | str) -> StyleGAN2:
    """The generator that a file holds.

    Raises:
        CheckpointError: tensors that do not fit together, or another activation.
    """
    if checkpoint.attributes.get("format") == FORMAT:
        network = build_native(
            checkpoint, lambda config: StyleGAN2Network(StyleGAN2Config(**config))
        )
    else:
        config, state = find(checkpoint)
        network = build(
            lambda: _lay_out(config, mean="mapping.w_avg" in state),
            state,
            checkpoint.path,
            family="StyleGAN2",
        )
    return StyleGAN2(network.to(device), name=name)


def _lay_out(config: StyleGAN2Config, *, mean: bool) -> StyleGAN2Network:
    network = StyleGAN2Network(config)
    if not mean:  # the generator estimates it when it is asked for
        network.mapping.w_avg = None
    return network


class Found(NamedTuple):
    """A generator in a file: what it is built from, and its tensors."""

    config: StyleGAN2Config
    state: dict[str, Tensor]


def find(checkpoint: Checkpoint) -> Found | None:
    """The StyleGAN2 of a file, averaged weights before others; None if it holds none.

    Raises:
        CheckpointError: one with an activation that is not leaky ReLU.
        KeyError: one with tensors missing.
    """
    groups = find_groups(checkpoint)
    for group, state in groups.items():
        if all(name in state for name in _NVIDIA):
            return _from_nvidia(checkpoint, group, state)
        if all(name in state for name in _ROSINALITY):
            average = groups.get("", {}).get("latent_avg")
            return _complete(_from_rosinality(state, average), _RATE, None)
    networks = [name.removesuffix(_TF) for name in checkpoint.tensors if name.endswith(_TF)]
    if networks:  # (G, D, Gs): the last one is averaged
        return _complete(_from_tensorflow(checkpoint.tensors, networks[-1]), _RATE, None)
    return None


def _from_nvidia(checkpoint: Checkpoint, group: str, state: Mapping[str, Tensor]) -> Found:
    def attribute(name: str, default: object = None) -> object:
        return checkpoint.attributes.get(f"{group}/{name}" if group else name, default)

    for layer in ("synthesis.b4.conv1", "mapping.fc0"):
        activation = attribute(f"{layer}.activation", "lrelu")
        if activation != "lrelu":
            raise CheckpointError(
                f"{checkpoint.path} has the activation {activation!r} in {layer}; expected "
                "'lrelu'; wrap the generator as package.module:factory instead"
            )
    clamp = attribute("synthesis.b4.conv1.conv_clamp")
    return _complete(dict(state), float(attribute("mapping.fc0.bias_gain", _RATE)), clamp)


def _from_rosinality(state: Mapping[str, Tensor], average: Tensor | None) -> dict[str, Tensor]:
    tensors = {"synthesis.b4.const": state["input.input"][0]}
    if average is not None:
        tensors["mapping.w_avg"] = average.flatten()
    for name in state:
        dense = re.fullmatch(r"style\.(\d+)\.(weight|bias)", name)
        if dense:
            tensors[f"mapping.fc{int(dense[1]) - 1}.{dense[2]}"] = state[name]

    def take(target: str, source: str, number: int | None = None) -> None:
        weight = state[f"{source}.conv.weight"][0]
        for part in ("weight", "bias"):
            tensors[f"{target}.affine.{part}"] = state[f"{source}.conv.modulation.{part}"]
        if number is None:  # to RGB, whose 1/√fan-in is in the style
            tensors[f"{target}.weight"] = weight
            tensors[f"{target}.bias"] = state[f"{source}.bias"].flatten()
            return
        tensors[f"{target}.weight"] = weight / math.sqrt(weight[0].numel())
        tensors[f"{target}.bias"] = state[f"{source}.activate.bias"]
        if f"noises.noise_{number}" in state:
            tensors[f"{target}.noise_strength"] = state[f"{source}.noise.weight"].reshape(())
            tensors[f"{target}.noise_const"] = state[f"noises.noise_{number}"][0, 0]
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
    return tensors


def _from_tensorflow(tensors: Mapping[str, Tensor], network: str) -> dict[str, Tensor]:
    synthesis, mapping = (f"{network}components/{p}/variables/" for p in ("synthesis", "mapping"))
    found = {"mapping.w_avg": tensors[f"{network}variables/dlatent_avg"]}
    for name, value in tensors.items():
        dense = re.fullmatch(r"(Dense(\d+)|LabelEmbed)/(weight|bias)", name.removeprefix(mapping))
        if name.startswith(mapping) and dense:
            target = "embed" if dense[2] is None else f"fc{dense[2]}"
            found[f"mapping.{target}.{dense[3]}"] = value.T if dense[3] == "weight" else value
        layer = re.fullmatch(r"(\d+)x\1/(\w+)/(\w+)", name.removeprefix(synthesis))
        if name.startswith(synthesis) and layer:
            target, converted = _convert_variable(int(layer[1]), layer[2], layer[3], value)
            found[f"synthesis.b{layer[1]}.{target}"] = converted
        noise = re.fullmatch(r"noise(\d+)", name.removeprefix(synthesis))
        if name.startswith(synthesis) and noise:
            # noise0 is that of 4 pixels; then two for each size.
            number = int(noise[1])
            size, part = 4 << ((number + 1) // 2), 1 if number % 2 == 0 else 0
            found[f"synthesis.b{size}.conv{part}.noise_const"] = value[0, 0]
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
    """The configuration that tensors speak of, and filters where a file leaves them out."""
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
    return Found(config, state)
