import json

import pytest
import torch
from safetensors import safe_open

from dissect import load_generator
from dissect.errors import CheckpointError
from dissect.generators.converting import convert_file

FILES = (
    "sg2ada_cond32.pkl", "sg3t_uncond32.pkl", "tf_stylegan2_32.pkl", "rosinality_train16.pt",
    "rosinality_converted64.pt", "genforce_stylegan1_32.pth", "genforce_pggan32.pth",
    "gandissect_proggan32.pth", "biggan_hf32", "lucidrains_sg2_32", "eigengan_pytorch32.pt",
    "dcgan_small64.pth", "dcgan_small64_whole_module.pth",
)  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_converted_file_is_the_same_generator(checkpoints, tmp_path, name):
    out = tmp_path / "clean.safetensors"
    convert_file(checkpoints / name, out)
    first, again = load_generator(checkpoints / name), load_generator(out)
    assert again.fingerprint == first.fingerprint
    assert again.family == first.family
    assert list(tmp_path.iterdir()) == [out]
    latent = first.sample(range(2), seed=0)
    assert torch.equal(first.synthesize(latent), again.synthesize(latent))


def test_only_what_makes_the_generator_is_kept(checkpoints, tmp_path):
    out = tmp_path / "clean.safetensors"
    convert_file(checkpoints / "sg2ada_cond32.pkl", out)
    with safe_open(out, framework="pt") as file:
        assert {name.split("/")[0] for name in file.keys()} == {"G_ema"}  # noqa: SIM118
        about = json.loads(file.metadata()["attributes"])
    assert about["G_ema/img_resolution"] == 32
    assert not any(name.startswith("D/") for name in about)


def test_mistakes_are_one_line_and_leave_nothing(command, checkpoints, tmp_path):
    source = checkpoints / "dcgan_small64.pth"
    (tmp_path / "there.safetensors").write_bytes(b"mine")
    (tmp_path / "odd.pt").write_bytes(b"nothing")
    for given, out, message in (
        (source, "out.pt", "ends in .safetensors"),
        (source, "there.safetensors", "exists; expected a name that is free"),
        (tmp_path / "odd.pt", "out.safetensors", "odd.pt"),
    ):
        done = command("convert", given, tmp_path / out)
        assert done.returncode == 2
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
    assert (tmp_path / "there.safetensors").read_bytes() == b"mine"
    assert len(list(tmp_path.iterdir())) == 2
    done = command("convert", source, tmp_path / "out.safetensors", "--json")
    assert json.loads(done.stdout)["family"] == "DCGAN"


def test_damaged_attributes_are_told(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "x.safetensors"
    about = {"format": "gan-dissection/checkpoint", "attributes": "[1"}
    save_file({"a": torch.zeros(1)}, path, metadata=about)
    with pytest.raises(CheckpointError, match="damaged attributes"):
        load_generator(path)
