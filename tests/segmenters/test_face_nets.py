"""The networks of faces: the numbers of the package's own, its layout of weights, and their laws."""

import io
import json
import os
import tarfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch

from segmenters import load_predictor
from segmenters.errors import SegmenterError
from segmenters.fetching import CACHE_VARIABLE
from segmenters.predictors import face_nets, weights
from segmenters.predictors.faces_attributes import (
    FacesAttributes,
    build_networks,
    head_pose,
    log_odds,
)
from segmenters.predictors.identity import Identity, identity_distance
from segmenters.predictors.tfjs import as_state, read_tensors

EXPECTED = Path(__file__).parents[3] / "shared" / "predictors" / "face_nets_expected.npz"


@pytest.fixture(scope="module")
def expected():
    if not EXPECTED.exists():
        pytest.skip(f"needs {EXPECTED}")
    for name in ("faces-attributes", "identity"):
        try:
            weights.get(name)
        except SegmenterError as error:
            pytest.skip(f"{name} is not to be had here: {error}")
    return np.load(EXPECTED)


@pytest.fixture(scope="module")
def images(expected):
    return torch.from_numpy(expected["images"]).float() / 127.5 - 1


def agrees(found, wanted):
    assert np.abs(found - wanted).max() <= 1e-4 * np.ptp(wanted)


def test_attributes_are_those_of_the_packages_networks(images, expected):
    predictor = load_predictor("faces-attributes")
    found = dict(zip(predictor.attributes, predictor.predict(images).T.numpy(), strict=True))
    agrees(found["age"], expected["age"][:, 0])
    male = expected["gender"].astype(np.float64)
    agrees(1 / (1 + np.exp(-found["gender"])), male[:, 0])
    odds = np.stack([found[name] for name in face_nets.EXPRESSIONS], axis=1)
    agrees(1 / (1 + np.exp(-odds)), expected["expressions"])
    agrees(predictor.landmarks(images).flatten(1).numpy(), expected["landmarks"])
    points = expected["landmarks"].reshape(-1, 68, 2)
    nose, left, right = (points[:, k, 0] for k in (30, 0, 16))
    agrees(found["yaw"], (nose - left - (right - nose)) / (right - left))


def test_descriptors_are_those_of_the_packages_network(images, expected):
    identity = load_predictor("identity")
    found = identity.predict(images)
    agrees(found.numpy(), expected["descriptor"])
    turned = torch.from_numpy(np.roll(expected["descriptor"], 1, axis=0))
    distances = np.linalg.norm(expected["descriptor"] - turned.numpy(), axis=1)
    agrees(identity_distance(found, turned).numpy(), distances)
    assert len(identity.attributes) == 128


@pytest.fixture(scope="module")
def untrained():
    torch.manual_seed(3)
    recognition = face_nets.Recognition()
    for name, parameter in recognition.named_parameters():
        if name.endswith("scale.weights"):
            torch.nn.init.constant_(parameter, 1.0)
    return [FacesAttributes(build_networks()), Identity(recognition)]


def test_a_face_is_read_alone_at_any_size_and_gradients_reach_it(untrained):
    images = (torch.rand(3, 3, 48, 60) * 2 - 1).requires_grad_(True)
    for predictor in untrained:
        values = predictor.predict(images)
        assert values.shape == (3, len(predictor.attributes))
        (gradient,) = torch.autograd.grad(values[1].sum(), images)
        assert gradient[1].abs().max() > 0
        assert gradient[[0, 2]].abs().max() == 0
        alone = predictor.predict(images[1:2])
        torch.testing.assert_close(alone, values[1:2], rtol=1e-4, atol=1e-4)
        assert predictor.predict(torch.zeros(1, 3, 200, 200)).shape[0] == 1
        with pytest.raises(SegmenterError, match=f"{predictor.name}: images have the shape"):
            predictor.predict(torch.zeros(1, 1, 8, 8))
    assert untrained[0].fingerprint != untrained[1].fingerprint


def test_log_odds_are_those_of_the_softmax():
    logits = torch.randn(5, 7, dtype=torch.float64)
    p = logits.softmax(dim=1)
    torch.testing.assert_close(log_odds(logits), (p / (1 - p)).log())
    far = log_odds(torch.tensor([[500.0, 0.0, 0.0]]))
    assert torch.isfinite(far).all()


def test_yaw_and_pitch_are_zero_in_the_middle_and_one_at_the_ends():
    points = torch.full((3, 68, 2), 0.5)
    points[:, 0, 0], points[:, 16, 0] = 0.2, 0.8
    points[:, 36:48, 1], points[:, 8, 1] = 0.3, 0.7
    points[1, 30] = torch.tensor([0.8, 0.7])
    points[2, 30] = torch.tensor([0.2, 0.3])
    found = head_pose(points)
    torch.testing.assert_close(found, torch.tensor([[0.0, 0], [1, 1], [-1, -1]]))


def test_same_padding_is_that_of_tensorflow():
    # From its documentation: with stride 2 an even side of a 3 × 3 window is padded behind only,
    # an odd one on both sides; with stride 1 on both.
    for side, stride, before in ((6, 2, 0), (7, 2, 1), (6, 1, 1)):
        x = torch.ones(1, 1, side, side)
        padded = face_nets.pad_same(x, 3, stride)
        assert padded.shape[-1] == side + before + 1
        assert padded[0, 0, before, before] == 1
        assert (padded[0, 0, :before, :] == 0).all()
        assert (padded[0, 0, -1] == 0).all()


def written(tensors):
    """Tensors as TensorFlow.js's converter writes them: (manifest, bytes)."""
    entries, data = [], b""
    for name, (values, quantised) in tensors.items():
        entry = {"name": name, "shape": list(values.shape), "dtype": "float32"}
        if quantised is None:
            data += values.astype("<f4").tobytes()
        else:
            entry["quantization"] = quantised
            data += values.astype({"uint8": "u1", "uint16": "<u2"}[quantised["dtype"]]).tobytes()
        entries.append(entry)
    return json.dumps([{"weights": entries, "paths": ["x.bin"]}]).encode(), data


def test_quantised_and_plain_tensors_are_read_in_order():
    plain = np.arange(6.0).reshape(2, 3)
    bytes_ = np.array([0, 128, 255])
    manifest, data = written(
        {
            "a/filters": (plain, None),
            "b": (bytes_, {"dtype": "uint8", "scale": 0.5, "min": -1.0}),
            "c": (np.array([65535]), {"dtype": "uint16", "scale": 2.0, "min": 0.0}),
        }
    )
    found = read_tensors(manifest, data)
    assert np.array_equal(found["a/filters"], plain)
    assert found["b"].tolist() == [-1.0, 63.0, 126.5]
    assert found["c"].tolist() == [131070.0]
    for broken in (data[:-1], data + b"x"):
        with pytest.raises(ValueError, match="bytes"):
            read_tensors(manifest, broken)
    with pytest.raises(ValueError, match="of type int32"):
        read_tensors(manifest.replace(b"uint16", b"int32"), data)


def test_layouts_become_those_of_torch():
    filters = np.random.default_rng(0).standard_normal((3, 3, 4, 5)).astype(np.float32)
    pixels = torch.randn(1, 4, 6, 6)
    state = as_state({"x/filters": filters, "x/bias": np.zeros(5, np.float32)})
    found = torch.nn.functional.conv2d(pixels, state["x.weight"])
    by_hand = torch.from_numpy(np.einsum("hwio,ihw->o", filters, pixels[0, :, 2:5, 1:4].numpy()))
    torch.testing.assert_close(found[0, :, 2, 1], by_hand, rtol=1e-4, atol=1e-4)
    depthwise = np.ones((3, 3, 4, 1), np.float32)
    parts = {
        "y/depthwise_filter": depthwise,
        "y/pointwise_filter": filters[:1, :1],
        "y/bias": np.zeros(5, np.float32),
    }
    assert sorted(as_state(parts)) == [
        "y.depthwise.weight",
        "y.pointwise.bias",
        "y.pointwise.weight",
    ]
    assert as_state({"fc": np.zeros((4, 2), np.float32)})["fc.weight"].shape == (2, 4)
    with pytest.raises(ValueError, match="odd of the shape"):
        as_state({"odd": np.zeros((2, 2, 2), np.float32)})


def tarball(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The entry of identity with weights of our own, in the package's layout, and its tarball."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    tensors = {}
    for name, value in face_nets.Recognition().state_dict().items():
        path, _, leaf = name.replace(".", "/").rpartition("/")
        shape, kind = tuple(value.shape), {"weight": "filters"}.get(leaf, leaf)
        if len(shape) == 4:
            shape = (shape[2], shape[3], shape[1], shape[0])
        elif path == "fc":
            path, kind, shape = "", "fc", shape[::-1]
        values = rng.integers(0, 256, shape)
        tensors[f"{path}/{kind}".strip("/")] = (
            values,
            {"dtype": "uint8", "scale": 1e-3, "min": -0.1},
        )
    manifest, data = written(tensors)
    entry = weights.ENTRIES["identity"]
    names = list(entry.package.members)
    content = {names[0]: manifest, names[1]: data}
    members = {name: sha256(value).hexdigest() for name, value in content.items()}
    made = replace(entry, package=replace(entry.package, members=members))
    monkeypatch.setitem(weights.ENTRIES, "identity", made)
    return tarball(tmp_path / "it.tgz", content | {"package/LICENSE": b"MIT"})


def test_a_tarball_gives_weights_and_licence(package):
    path = weights.get("identity", source=package)
    assert (path.parent / "LICENSE").read_text() == "MIT"
    assert list(path.parent.parent.iterdir()) == [path.parent]
    assert load_predictor("identity").predict(torch.zeros(1, 3, 64, 64)).shape == (1, 128)
    assert weights.get("identity", source="nowhere") == path


def test_npm_fetches_the_tarball(package, tmp_path, monkeypatch):
    tools = tmp_path / "tools"
    tools.mkdir()
    npm = tools / "npm"
    npm.write_text(
        "#!/bin/sh\n"
        f'[ "$1" = pack ] && [ "$6" = @vladmandic/face-api@1.7.15 ] && cp {package} "$5"\n'
    )
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    assert weights.get("identity").is_file()


def test_without_npm_or_a_network_one_line_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    with pytest.raises(
        SegmenterError, match=r"identity is not in the cache .* run: dissect zoo get"
    ):
        load_predictor("identity")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        SegmenterError, match=r"npm, which fetches .* is not installed; .*--from FILE"
    ):
        weights.get("identity")
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'first line' >&2\necho 'npm error no network' >&2\nexit 1\n")
    npm.chmod(0o755)
    with pytest.raises(
        SegmenterError, match=r"npm could not fetch .* \(npm error no network\)"
    ) as caught:
        weights.get("identity")
    assert "\n" not in str(caught.value)


def test_other_files_are_refused_and_nothing_is_kept(package, tmp_path):
    other = tarball(tmp_path / "other.tgz", {"package/model/x": b"1"})
    with pytest.raises(SegmenterError, match="is not the tarball of @vladmandic"):
        weights.get("identity", source=other)
    plain = tmp_path / "plain.tgz"
    plain.write_bytes(b"no archive")
    with pytest.raises(SegmenterError, match="is not the tarball of @vladmandic"):
        weights.get("identity", source=plain)
    first, second = weights.ENTRIES["identity"].package.members
    odd = tarball(tmp_path / "odd.tgz", {first: b"x", second: b"y", "package/LICENSE": b""})
    with pytest.raises(SegmenterError, match=r"with SHA-256 .* again") as caught:
        weights.get("identity", source=odd)
    assert "\n" not in str(caught.value)
    with pytest.raises(SegmenterError, match="is not a file; expected the tarball"):
        weights.get("identity", source=tmp_path / "none.tgz")
    with pytest.raises(SegmenterError, match="did you mean 'identity'"):
        weights.get("identiy")
    assert not weights.is_at_hand("identity")
