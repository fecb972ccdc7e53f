import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from dissect import CheckpointError, Latent, load_generator
from dissect.testing import check_generator
from tests.rounding import assert_same

pytest.importorskip("diffusers", reason="diffusers is not installed")


def test_a_decoder_gives_the_images_of_the_library(checkpoints):
    generator = load_generator(checkpoints / "diffusers_autoencoderkl16")
    expected = np.load(checkpoints / "diffusers_autoencoderkl16.npz")
    image = generator.synthesize(Latent("z", torch.from_numpy(expected["z"])))
    assert_same(image, expected["decoded"])
    layers = list(generator.layers)
    assert "mid_block" in layers[0]
    assert "up_blocks.1" in layers[-1]
    assert len(check_generator(generator)) == 11


def test_it_is_dissected(checkpoints, tmp_path):
    from dissect import dissect

    path = str(checkpoints / "diffusers_autoencoderkl16")
    run = dissect(path, "colour", out=tmp_path / "r", n_samples=32, progress=False)
    assert len(run.summary()["layers"]) >= 6


def test_another_size_and_class_load_too(tmp_path):
    import json

    import diffusers

    torch.manual_seed(0)
    model = diffusers.VQModel(
        block_out_channels=(8, 16), layers_per_block=1, latent_channels=3, sample_size=32,
        norm_num_groups=4, num_vq_embeddings=16,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    model.save_pretrained(tmp_path / "vq", safe_serialization=True)
    generator = load_generator(tmp_path / "vq")
    assert generator.spaces["z"].shape == (3, 16, 16)
    latent = generator.sample(range(2), seed=0)
    with torch.no_grad():
        theirs = model.eval().decode(latent.data).sample
    assert_same(generator.synthesize(latent), theirs)
    weights = tmp_path / "vq" / "diffusion_pytorch_model.safetensors"
    state = load_file(weights)
    # What attentions were called before version 0.14 of the library.
    old = {
        name.replace(".to_out.0.", ".proj_attn.").replace(".to_q.", ".query."): state[name]
        for name in state
    }
    assert old.keys() != state.keys()
    save_file(old, weights)
    assert load_generator(tmp_path / "vq").fingerprint == generator.fingerprint
    save_file({name: value for name, value in state.items() if "conv_out" not in name}, weights)
    with pytest.raises(CheckpointError, match="is a VQModel except for 4 of its tensors"):
        load_generator(tmp_path / "vq")
    assert json.loads((tmp_path / "vq" / "config.json").read_text())["_class_name"] == "VQModel"


def test_without_the_library_it_says_what_to_install(checkpoints, monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(CheckpointError, match=r"pip install 'gan-dissection\[diffusers\]'"):
        load_generator(checkpoints / "diffusers_autoencoderkl16")
