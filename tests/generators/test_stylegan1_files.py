"""StyleGAN as TensorFlow's pickles hold it, written here from tensors of genforce's layout."""

import pickle
import re
import sys
import types

import numpy as np
import pytest
import torch

from dissect import CheckpointError, Latent, load_generator
from dissect.generators.checkpoint import read
from dissect.testing import check_generator
from tests.generators.test_stylegan1 import small_state
from tests.rounding import assert_same

NAMES = {
    "weight": "weight", "bias": "bias", "const": "const", "apply_noise.weight": "Noise/weight",
    "style.weight": "StyleMod/weight", "style.bias": "StyleMod/bias",
}  # fmt: skip


def as_variables(state):
    """Names and values as the paper's program saves them: own, of the mapping, of the synthesis."""
    own, mapping, synthesis = {}, {}, {}
    n_layers = sum(name.endswith("style.bias") for name in state)
    for name, value in state.items():
        layer = re.fullmatch(r"synthesis\.layer(\d+)\.(.+)", name)
        output = re.fullmatch(r"synthesis\.output(\d+)\.(\w+)", name)
        dense = re.fullmatch(r"mapping\.dense(\d+)\.(\w+)", name)
        if name == "truncation.w_avg":
            own["dlatent_avg"] = value
        elif name == "mapping.label_weight":
            mapping["LabelConcat/weight"] = value
        elif dense:
            mapping[f"Dense{dense[1]}/{dense[2]}"] = value.T if dense[2] == "weight" else value
        elif output:
            lod = n_layers // 2 - 1 - int(output[1])
            moved = value.permute(2, 3, 1, 0) if output[2] == "weight" else value
            synthesis[f"ToRGB_lod{lod}/{output[2]}"] = moved
        elif name == "synthesis.lod":
            synthesis["lod"] = value
        elif layer and layer[2] == "apply_noise.noise":
            synthesis[f"noise{layer[1]}"] = value
        elif layer and layer[2] in NAMES:
            index, size = int(layer[1]), 4 << (int(layer[1]) // 2)
            part = ("Conv0_up", "Conv1")[index % 2] if index > 1 else ("Const", "Conv")[index]
            turned = {"weight": (2, 3, 1, 0), "style.weight": (1, 0)}.get(layer[2])
            synthesis[f"{size}x{size}/{part}/{NAMES[layer[2]]}"] = (
                value if turned is None else value.permute(turned)
            )
    return own, mapping, synthesis


class Network:
    """Pickled as an object of the program's class of this name."""

    def __init__(self, name, variables, components=()):
        self.version, self.name, self.static_kwargs = 3, name, {"num_channels": 3}
        self.components = dict(components)
        self.build_module_src, self.build_func_name = "raise SystemExit", "G_style"
        self.variables = [(key, value.contiguous().numpy()) for key, value in variables.items()]


def write_pickle(path, *states):
    """Generators, each of (own, mapping, synthesis), with a discriminator in second place."""
    networks = []
    for own, mapping, synthesis in states:
        parts = {"mapping": mapping, "synthesis": synthesis}
        parts = {name: Network(name, variables) for name, variables in parts.items()}
        networks.append(Network("G", own, parts))
    networks.insert(1, Network("D", {"4x4/Dense0/weight": torch.ones(4, 4)}))
    names = ("dnnlib", "dnnlib.tflib", "dnnlib.tflib.network")
    Network.__module__ = names[-1]
    sys.modules |= {name: types.ModuleType(name) for name in names}
    sys.modules[names[-1]].Network = Network
    try:
        path.write_bytes(pickle.dumps(tuple(networks)))
    finally:
        for name in names:
            del sys.modules[name]
        Network.__module__ = __name__
    return path


def test_images_are_those_of_the_same_tensors_in_genforces_file(checkpoints, tmp_path):
    file = checkpoints / "genforce_stylegan1_32.pth"
    groups = read(file).groups()
    path = write_pickle(
        tmp_path / "karras.pkl",
        as_variables(groups["generator"]),
        as_variables(groups["generator_smooth"]),
    )
    generator, original = load_generator(path), load_generator(file)
    assert generator.family == "StyleGAN"
    assert generator.fingerprint == original.fingerprint
    expected = np.load(file.with_suffix(".npz"))
    with torch.no_grad():
        images = generator.synthesize(Latent("z", torch.from_numpy(expected["z"])))
    assert_same(images, expected["img"])


def test_classes_and_larger_sizes_are_found(tmp_path):
    state = small_state(channels=(6, 5, 5, 4, 4, 3), classes=3)
    generator = load_generator(write_pickle(tmp_path / "g.pkl", as_variables(state)))
    torch.save(state, tmp_path / "g.pth")
    assert generator.fingerprint == load_generator(tmp_path / "g.pth").fingerprint
    assert (generator.image_size, generator.n_classes) == (128, 3)


def test_it_keeps_all_laws(tmp_path):
    path = write_pickle(tmp_path / "g.pkl", as_variables(small_state()))
    check_generator(load_generator(path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise2": None}, "noise2"),
        ({"8x8/Conv1/weight": None}, r"layer3\.weight"),
        ({"8x8/Conv1/bias": torch.ones(7)}, r"synthesis\.layer3\.bias"),
        ({"lod": torch.tensor(2.0)}, "middle of progressive training"),
        ({"ToRGB_lod0/weight": torch.ones(3)}, "do not fit together"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(tmp_path, changes, message):
    own, mapping, synthesis = as_variables(small_state())
    synthesis = {k: v for k, v in (synthesis | changes).items() if v is not None}
    with pytest.raises(CheckpointError, match=message) as caught:
        load_generator(write_pickle(tmp_path / "g.pkl", (own, mapping, synthesis)))
    assert "\n" not in str(caught.value)
