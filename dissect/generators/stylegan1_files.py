"""Converts the TensorFlow StyleGAN files of the paper's authors to genforce's names.

Their pickles hold three networks, (G, D, Gs), the last of which is averaged. Each has parts for
mapping and synthesis, and variables as pairs of a name and values. ``StyleMod`` in names
distinguishes it from StyleGAN2, ``4x4/Const`` from PGGAN. Axes of weights are in reverse order.
Transposed convolutions keep their kernel as it is, as in genforce's files. Blurs are not variables;
they are the filter (1, 2, 1) ⊗ (1, 2, 1) / 16 of the paper's code.

References:
    Karras, Laine, Aila, A Style-Based Generator Architecture for Generative Adversarial Networks,
    CVPR 2019, section 2 and appendix C.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

_MARK = "4x4/Const/StyleMod/weight"
_SYNTHESIS = "components/synthesis/variables/"
_MAPPING = "components/mapping/variables/"
_TAPS = torch.tensor([1.0, 2.0, 1.0])
_PARTS = {
    "weight": "weight",
    "bias": "bias",
    "const": "const",
    "Noise/weight": "apply_noise.weight",
    "StyleMod/weight": "style.weight",
    "StyleMod/bias": "style.bias",
}


def is_tensorflow(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are the variables of a network of such a pickle."""
    return _SYNTHESIS + _MARK in tensors


def from_tensorflow(tensors: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """The generator of one network of such a pickle under genforce's names; None if there is none.

    Raises:
        KeyError: an image layer or constant noise is missing.
    """
    if not is_tensorflow(tensors):
        return None
    synthesis, mapping, own = (
        {name.removeprefix(start): tensors[name] for name in tensors if name.startswith(start)}
        for start in (_SYNTHESIS, _MAPPING, "variables/")
    )
    state = {}
    if "dlatent_avg" in own:
        state["truncation.w_avg"] = own["dlatent_avg"]
    if "lod" in synthesis:
        state["synthesis.lod"] = synthesis["lod"]
    for name, value in mapping.items():
        dense = re.fullmatch(r"Dense(\d{1,3})/(weight|bias)", name)
        if dense:
            state[f"mapping.dense{dense[1]}.{dense[2]}"] = value.T if value.ndim == 2 else value
        elif name == "LabelConcat/weight":
            state["mapping.label_weight"] = value
    last = 0
    for name, value in synthesis.items():
        layer = re.fullmatch(r"(\d{1,5})x\1/(Const|Conv|Conv0_up|Conv1)/(.+)", name)
        if layer and layer[3] in _PARTS:
            level = int(layer[1]).bit_length() - 3
            index = 2 * level + (layer[2] in ("Conv", "Conv1"))
            last = max(last, index)
            if layer[3] == "weight":
                value = value.permute(3, 2, 0, 1)  # noqa: PLW2901
            state[f"synthesis.layer{index}.{_PARTS[layer[3]]}"] = (
                value.T if layer[3] == "StyleMod/weight" else value
            )
    for index in range(last + 1):
        name = f"synthesis.layer{index}"
        state[f"{name}.apply_noise.noise"] = synthesis[f"noise{index}"]
        if index and index % 2 == 0:
            units = state[f"{name}.bias"].shape[0]
            state[f"{name}.blur.kernel"] = (_TAPS[:, None] * _TAPS / 16).repeat(units, 1, 1, 1)
    output = f"synthesis.output{last // 2}"
    state[f"{output}.weight"] = synthesis["ToRGB_lod0/weight"].permute(3, 2, 0, 1)
    state[f"{output}.bias"] = synthesis["ToRGB_lod0/bias"]
    return state
