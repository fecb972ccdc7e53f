"""Pickles as NVIDIA's programs write them, of generators that are known but not read."""

import pickle
import sys
import types

import pytest
import torch

from dissect import CheckpointError, load_generator


def nested(tensors, class_name="Generator"):
    """Modules around tensors, by dotted names, as plain descriptions."""
    module = {"class_name": class_name, "_parameters": {}, "_buffers": {}, "_modules": {}}
    for name, value in tensors.items():
        *path, last = name.split(".")
        owner = module
        for part in path:
            parts = owner["_modules"]
            owner = parts.setdefault(part, nested({}, "Layer"))
        owner["_parameters"][last] = value
    return module


class Persistent:
    """Pickles as ``torch_utils.persistence`` does, with source that must not run."""

    def __init__(self, module):
        self.module = module

    def __reduce__(self):
        state = dict(self.module)
        class_name = state.pop("class_name")
        state["_modules"] = {name: Persistent(m) for name, m in state["_modules"].items()}
        meta = {"type": "class", "version": 6, "module_src": "raise SystemExit"}
        function = sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj
        return function, (meta | {"class_name": class_name, "state": state},)


def write_pickle(path, tensors, class_name="Generator"):
    def _reconstruct_persistent_obj(meta):
        """Only its name is written."""

    module = types.ModuleType("torch_utils.persistence")
    _reconstruct_persistent_obj.__module__ = module.__name__
    _reconstruct_persistent_obj.__qualname__ = "_reconstruct_persistent_obj"
    module._reconstruct_persistent_obj = _reconstruct_persistent_obj
    sys.modules |= {"torch_utils": types.ModuleType("torch_utils"), module.__name__: module}
    try:
        discriminator = Persistent(nested({"b4.out.weight": torch.ones(1, 4)}, "Discriminator"))
        generator = Persistent(nested(tensors, class_name))
        path.write_bytes(pickle.dumps({"G": generator, "D": discriminator, "G_ema": generator}))
    finally:
        del sys.modules["torch_utils"], sys.modules[module.__name__]
    return path


ONE = torch.ones(2, 2)
THREE = {"synthesis.input.freqs": ONE, "synthesis.input.weight": ONE, "mapping.fc0.weight": ONE}
CASES = {
    "XL with classes": (THREE | {"mapping.embed_proj.weight": ONE}, "Generator", "StyleGAN-XL"),
    "XL without classes": (THREE | {"mapping.embed.weight": ONE}, "Generator", "StyleGAN-XL"),
    "XL enlarged": (THREE, "SuperresGenerator", "StyleGAN-XL"),
    "EG3D": (
        {
            "backbone.mapping.fc0.weight": ONE,
            "backbone.synthesis.b4.const": ONE,
            "superresolution.block0.conv0.weight": ONE,
            "decoder.net.0.weight": ONE,
        },
        "TriPlaneGenerator",
        "EG3D",
    ),
    "StyleGAN-T": (
        THREE | {"synthesis.b8.conv0.affine.proj.weight": ONE},
        "Generator",
        "StyleGAN-T",
    ),
    "GigaGAN": (
        {"style_network.net.0.weight": ONE, "style_to_conv_modulations.weight": ONE},
        "Generator",
        "GigaGAN",
    ),
}


@pytest.mark.parametrize(("tensors", "class_name", "family"), CASES.values(), ids=CASES)
def test_generators_that_are_not_read_are_named_in_one_line(tmp_path, tensors, class_name, family):
    path = write_pickle(tmp_path / "network.pkl", tensors, class_name)
    with pytest.raises(CheckpointError, match=rf"is a {family}.*package\.module:factory") as caught:
        load_generator(path)
    assert "\n" not in str(caught.value)


def test_a_state_dict_of_gigagan_is_named_too(tmp_path):
    torch.save({"G": {"style_to_conv_modulations.weight": ONE}}, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="is a GigaGAN"):
        load_generator(tmp_path / "model.pt")


def test_stylegan3_itself_is_not_taken_for_one_of_them(tmp_path):
    path = write_pickle(tmp_path / "network.pkl", THREE)
    with pytest.raises(CheckpointError, match="StyleGAN3"):
        load_generator(path)
