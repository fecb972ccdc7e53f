"""StyleGAN2 of genforce: the variables of a file of TensorFlow, as its converter writes them.

There is no file of the program itself here. The images are those that TensorFlow's file gives,
which were compared with NVIDIA's converter.
"""

import re

import numpy as np
import pytest
import torch

from dissect import CheckpointError, Latent, load_generator
from dissect.generators.checkpoint import read
from dissect.testing import check_generator
from tests.rounding import assert_same


def as_genforce(variables):
    """Variables of TensorFlow under genforce's names; axes of convolutions stay as they are."""
    line = torch.tensor([1.0, 3.0, 3.0, 1.0])
    found = {}
    for name, value in variables.items():
        dense = re.fullmatch(r"components/mapping/variables/Dense(\d)/(\w+)", name)
        layer = re.fullmatch(r"components/synthesis/variables/(\d+)x\1/(\w+)/(\w+)", name)
        noise = re.fullmatch(r"components/synthesis/variables/noise(\d+)", name)
        if dense:
            found[f"mapping.dense{dense[1]}.{dense[2]}"] = (
                value.T if dense[2] == "weight" else value
            )
        if noise:
            found[f"synthesis.layer{noise[1]}.noise"] = value
        if layer and layer[2] == "Const":
            found["synthesis.early_layer.const"] = value
        elif layer:
            level = int(layer[1]).bit_length() - 3
            index = {"Conv": 0, "Conv0_up": 2 * level - 1, "Conv1": 2 * level}.get(layer[2])
            target = f"output{level}" if index is None else f"layer{index}"
            part = layer[3].replace("mod_", "style.")
            found[f"synthesis.{target}.{part}"] = value.T if part == "style.weight" else value
            if layer[2] == "Conv0_up":
                found[f"synthesis.{target}.filter.kernel"] = (line[:, None] * line / 16)[None, None]
    found["truncation.w_avg"] = variables["variables/dlatent_avg"]
    return found


@pytest.fixture
def state(checkpoints):
    tensors = read(checkpoints / "tf_stylegan2_32.pkl").tensors
    return as_genforce({n[2:]: v for n, v in tensors.items() if n.startswith("2/")})


def test_images_are_those_of_the_same_variables(checkpoints, state, tmp_path):
    expected = np.load(checkpoints / "tf_stylegan2_32.npz")
    raw = {name: value + 1 for name, value in state.items()}
    torch.save({"generator": raw, "generator_smooth": state}, tmp_path / "g.pth")
    generator = load_generator(tmp_path / "g.pth")
    assert (generator.family, generator.source.group) == ("StyleGAN2", "generator_smooth")
    assert not generator.source.unused
    latent = Latent("z", torch.from_numpy(expected["z"]))
    assert_same(generator.synthesize(latent), expected["img"])
    check_generator(generator)


def test_another_architecture_is_named(state, tmp_path):
    torch.save(state | {"synthesis.skip_layer0.weight": torch.ones(2, 2)}, tmp_path / "g.pth")
    with pytest.raises(
        CheckpointError, match=r"genforce except for synthesis\.skip_layer0"
    ) as told:
        load_generator(tmp_path / "g.pth")
    assert "get the file again" not in str(told.value)
