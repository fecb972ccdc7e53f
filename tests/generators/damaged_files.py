"""Files and folders of generators that are damaged on purpose, by kind; none holds code.

``hostile.py`` has those that were made to run something. Here a small file describes too much, or
names what a family has with tensors of another kind.
"""

import json
import shutil
import struct
from pathlib import Path

import torch
from safetensors.torch import save_file

DATA = Path(__file__).resolve().parents[1] / "data"


def _state(tensors):
    def make(folder):
        path = folder / "file.pt"
        torch.save(tensors() if callable(tensors) else tensors, path)
        return path

    return make


def _bytes(content, name="file.safetensors"):
    def make(folder):
        path = folder / name
        path.write_bytes(content() if callable(content) else content)
        return path

    return make


def _folder(name, **changes):
    """A copy of a small folder of diffusers with changes of its config."""

    def make(folder):
        path = shutil.copytree(DATA / name, folder / name)
        file = next(path.rglob("config.json"))
        config = json.loads(file.read_text()) | changes
        file.write_text(json.dumps(config))
        return path

    return make


def _config(name, content):
    def make(folder):
        path = shutil.copytree(DATA / name, folder / name)
        next(path.rglob("config.json")).write_bytes(content)
        return path

    return make


def _safetensors(header, data=b""):
    text = json.dumps(header).encode() if not isinstance(header, bytes) else header
    return struct.pack("<Q", len(text)) + text + data


def _converted(attributes):
    def make(folder):
        path = folder / "file.safetensors"
        about = {"format": "gan-dissection/checkpoint", "attributes": attributes}
        save_file({"main.0.weight": torch.zeros(4, 4, 4, 4)}, path, metadata=about)
        return path

    return make


def _native(config, format):
    def make(folder):
        path = folder / "file.safetensors"
        save_file({"a": torch.zeros(1)}, path, metadata={"format": format, "config": config})
        return path

    return make


def dcgan(n_layers):
    """A DCGAN of one channel in each layer."""
    return {f"main.{3 * i}.weight": torch.zeros(1, 1, 4, 4) for i in range(n_layers)}


def _cut(name):
    def content():
        whole = (DATA / name).read_bytes()
        return whole[: len(whole) // 2]

    return _bytes(content, Path(name).name)


def _scalars(name):
    """The names of a small file with numbers in place of all tensors."""

    def make(folder):
        from dissect.generators.checkpoint import read

        found = read(DATA / name)
        tensors = {key.replace("/", "."): torch.zeros(()) for key in found.tensors}
        groups = {}
        for key, value in found.tensors.items():
            group, _, own = key.rpartition("/")
            groups.setdefault(group, {})[own] = torch.zeros(()) if value.ndim else value
        torch.save(groups if "" not in groups else groups[""] or tensors, folder / "file.pt")
        return folder / "file.pt"

    return make


NESTED = b"[" * 100_000 + b"]" * 100_000
AUTOENCODER, UNET = "diffusers_autoencoderkl16", "diffusers_ddpm16"
MANY = {f"{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(60_000)}

KINDS = {
    "59 layers of one channel": _state(lambda: dcgan(59)),
    "14 layers of one channel": _state(lambda: dcgan(14)),
    "60,000 layers": _state(lambda: dcgan(60_000)),
    "60,000 empty tensors": _state(lambda: {f"{i}": torch.zeros(0) for i in range(60_000)}),
    "60,000 empty safetensors": _bytes(_safetensors(MANY)),
    "names nested 5,000 deep": _state({"a." * 5000 + "0.weight": torch.zeros(4, 4, 4, 4), "b.weight": torch.zeros(4, 3, 4, 4)}),
    "dictionaries nested": _state(lambda: _nest(90)),
    "numbers alone": _state({"main.0.weight": 3, "main.1.weight": "x"}),
    "a header nested": _bytes(_safetensors(NESTED)),
    "a header beyond the file": _bytes(struct.pack("<Q", 10**12) + b"{}"),
    "a tensor beyond the file": _bytes(_safetensors({"a": {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}})),
    "a negative shape": _bytes(_safetensors({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, bytes(4))),
    "a type that is none": _bytes(_safetensors({"a": {"dtype": "F3", "shape": [1], "data_offsets": [0, 4]}}, bytes(4))),
    "attributes nested": _converted(NESTED.decode()),
    "attributes that are null": _converted("null"),
    "attributes of numbers": _converted("[1, 2]"),
    "a scene generator without a configuration": _native("null", "dissect-pggan"),
    "a configuration nested": _config(AUTOENCODER, NESTED),
    "a configuration that is a list": _config(AUTOENCODER, b"[1, 2]"),
    "a configuration that is null": _config(UNET, b"null"),
    "100,000 layers": _folder(AUTOENCODER, layers_per_block=100_000),
    "10¹² layers": _folder(AUTOENCODER, layers_per_block=10**12),
    "10¹² channels": _folder(AUTOENCODER, block_out_channels=[10**12]),
    "100,000 blocks": _folder(AUTOENCODER, block_out_channels=[32] * 100_000, up_block_types=["UpDecoderBlock2D"] * 100_000, down_block_types=["DownEncoderBlock2D"] * 100_000),
    "a side of 10⁹": _folder(AUTOENCODER, sample_size=10**9),
    "a side of 8,192": _folder(AUTOENCODER, sample_size=8192),
    "a side in words": _folder(AUTOENCODER, sample_size="large"),
    "a side of null": _folder(AUTOENCODER, sample_size=None),
    "blocks that are null": _folder(AUTOENCODER, block_out_channels=None),
    "a scale in words": _folder(AUTOENCODER, scaling_factor="much"),
    "no norm groups": _folder(AUTOENCODER, norm_num_groups=0),
    "an activation of nobody": _folder(AUTOENCODER, act_fn="__import__('os')"),
    "blocks of nobody": _folder(AUTOENCODER, up_block_types=["os.system"]),
    "a U-Net of 100,000 layers": _folder(UNET, layers_per_block=100_000),
    "a U-Net of 10⁹ pixels": _folder(UNET, sample_size=10**9),
    "a U-Net of 8,192 pixels": _folder(UNET, sample_size=8192),
    "a U-Net of null": _folder(UNET, block_out_channels=None),
    "a BigGAN of numbers": _scalars("biggan_hf32"),
    "a DCGAN cut short": _cut("dcgan_small64.pth"),
}  # fmt: skip
"""Kind → what makes the file in a folder; gives its path."""


def _nest(levels):
    content = {"main.0.weight": torch.zeros(4, 3, 4, 4)}
    for _ in range(levels):
        content = {"inner": content}
    return content


def kinds():
    """All kinds, and each family's small file with numbers in place of its tensors."""
    families = {f"{path.stem} of numbers": _scalars(path.name) for path in _files()}
    return KINDS | families


def _files():
    return sorted(p for p in DATA.iterdir() if p.suffix in (".pt", ".pth", ".pkl", ".safetensors"))
