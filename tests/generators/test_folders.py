"""Folders in which people have their weights: which file of several is read."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from dissect import CheckpointError, load_generator
from tests.generators.test_dcgan import small_state


def shifted(amount):
    return {name: value + amount for name, value in small_state().items()}


def fingerprint(tmp_path, state):
    folder = tmp_path / "alone"
    folder.mkdir(exist_ok=True)
    torch.save(state, folder / "g.pth")
    return load_generator(folder / "g.pth").fingerprint


FILES = {
    "averaged, others beside": (["D.pth", "G.pth", "G_ema.pth", "G_optim.pth"], "G_ema.pth"),
    "averaged by another word": (["netD.pt", "netG.pt", "avg_netG.pt"], "avg_netG.pt"),
    "a generator alone": (["netD.pth", "netG.pth"], "netG.pth"),
    "the last of a training": (["network-snapshot-000200.pt", "network-snapshot-001000.pt",
                                "network-snapshot-000400.pt"], "network-snapshot-001000.pt"),
    "one file": (["weights.bin"], "weights.bin"),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_the_file_of_the_averaged_generator_is_taken(tmp_path, case):
    files, taken = FILES[case]
    (tmp_path / "run").mkdir()
    for k, file in enumerate(files):
        torch.save(shifted(k), tmp_path / "run" / file)
    expected = fingerprint(tmp_path, shifted(files.index(taken)))
    assert load_generator(tmp_path / "run").fingerprint == expected


def test_a_folder_of_files_that_say_nothing_names_them(tmp_path):
    for file in ("first.pth", "second.pth"):
        torch.save(small_state(), tmp_path / file)
    with pytest.raises(CheckpointError, match=r"several files \(first.pth, second.pth\); give"):
        load_generator(tmp_path)


@pytest.fixture
def diffusion(checkpoints, tmp_path):
    pytest.importorskip("diffusers")
    shutil.copytree(checkpoints / "diffusers_ddpm16", tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("variant", ["fp16", "bf16"])
def test_a_variant_is_read_where_the_plain_file_is_missing(diffusion, variant):
    expected = load_generator(diffusion).fingerprint
    file = diffusion / "unet" / "diffusion_pytorch_model.safetensors"
    file.rename(file.with_name(f"diffusion_pytorch_model.{variant}.safetensors"))
    assert load_generator(diffusion).fingerprint == expected


def test_a_training_gives_the_averaged_network_of_its_last_checkpoint(diffusion, tmp_path):
    home = tmp_path / "training"
    last, before = home / "checkpoint-1000", home / "checkpoint-500"
    for checkpoint in (before, last):
        for k, name in enumerate(("unet", "unet_ema")):
            shutil.copytree(diffusion / "unet", checkpoint / name)
            file = checkpoint / name / "diffusion_pytorch_model.safetensors"
            state = load_file(file)
            save_file({n: v + k + 2 * (checkpoint == last) for n, v in state.items()}, file)
    found = [load_generator(p).fingerprint for p in (home, last, last / "unet_ema")]
    assert len(set(found)) == 1
    assert load_generator(last / "unet").fingerprint not in found
    assert load_generator(before).fingerprint not in found


def test_a_scheduler_two_levels_up_is_obeyed(diffusion, tmp_path):
    home = tmp_path / "training"
    shutil.copytree(diffusion / "unet", home / "checkpoint-1" / "unet")
    shutil.copytree(diffusion / "scheduler", home / "scheduler")
    file = home / "scheduler" / "scheduler_config.json"
    settings = json.loads(file.read_text()) | {"beta_end": 0.05}
    file.write_text(json.dumps(settings))
    generator = load_generator(home / "checkpoint-1" / "unet")
    assert generator.source.obeyed["scheduler/beta_end"] == 0.05
