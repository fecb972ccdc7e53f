"""What is found in files of every container, under which names, and how damage is told."""

import io
import json
import pickle
import struct
import subprocess
import sys
import zipfile
from argparse import Namespace
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from safetensors.torch import load_file, save_file
from torch import nn

from dissect import CheckpointError
from dissect.generators.checkpoint import read
from dissect.generators.reading.tensors import DTYPES
from tests.generators.hostile import Calls, tensor, torch_zip

ROOT = Path(__file__).resolve().parents[2]
FILES = [
    "biggan_hf32", "dcgan_small64.pth", "dcgan_small64.safetensors",
    "dcgan_small64_dataparallel.pth", "dcgan_small64_whole_module.pth", "diffusers_autoencoderkl16",
    "diffusers_ddpm16/unet", "eigengan_pytorch32.pt", "gandissect_proggan32.pth",
    "genforce_pggan32.pth", "genforce_stylegan1_32.pth", "lucidrains_sg2_32",
    "rosinality_converted64.pt", "rosinality_train16.pt", "sg2ada_cond32.pkl",
    "sg2ada_uncond64.pkl", "sg3t_uncond32.pkl", "tf_stylegan2_32.pkl",
]  # fmt: skip


def saved(path, content, **options):
    torch.save(content, path, **options)
    return read(path)


def same(found, expected):
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    found, expected = (
        tensor.contiguous().reshape(-1).view(torch.uint8) for tensor in (found, expected)
    )
    assert torch.equal(found, expected)


# Files of real programs


def test_files_of_real_programs_are_read_and_nothing_in_them_runs(checkpoints):
    names = checkpoints.at_hand(FILES)
    done = subprocess.run(
        [sys.executable, "-m", "tests.generators.watched", checkpoints / "dcgan_small64.pth",
         *(checkpoints / name for name in names)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    _, *found = map(json.loads, done.stdout.splitlines())
    assert [(answer["message"], answer["events"]) for answer in found] == [("", [])] * len(names)


def flat(content, prefix=""):
    if isinstance(content, torch.Tensor):
        yield prefix, content
    elif isinstance(content, dict | list):
        for key, value in content.items() if isinstance(content, dict) else enumerate(content):
            yield from flat(value, f"{prefix}/{key}" if prefix else str(key))


@pytest.mark.parametrize(
    "name", [n for n in FILES if n.endswith(("4.pth", "2.pth", ".pt", "l.pth"))]
)
def test_tensors_equal_those_that_torch_reads(checkpoints, name):
    if "whole_module" in name:
        pytest.skip("torch cannot read it without its classes")
    if not hasattr(torch.serialization, "safe_globals"):
        pytest.skip("torch before 2.5 has no safe_globals")
    with torch.serialization.safe_globals([Namespace]):
        expected = dict(flat(torch.load(checkpoints / name, weights_only=True)))
    found = read(checkpoints / name)
    assert found.container == "torch"
    assert found.tensors.keys() == expected.keys()
    for key, value in expected.items():
        same(found.tensors[key], value)


def test_three_ways_of_saving_one_network_give_the_same_tensors(checkpoints):
    expected = load_file(checkpoints / "dcgan_small64.safetensors")
    for kind, prefix in (("", ""), ("_whole_module", ""), ("_dataparallel", "module.")):
        found = read(checkpoints / f"dcgan_small64{kind}.pth")
        assert list(found.groups()) == [""]
        assert found.tensors.keys() == {prefix + key for key in expected}
        for key, value in expected.items():
            same(found.tensors[prefix + key], value)


def test_a_whole_module_tells_its_classes_and_settings(checkpoints):
    found = read(checkpoints / "dcgan_small64_whole_module.pth")
    assert found.attributes["__class__"] == "gan_face_generate.models:Generator"
    assert found.attributes["main.0.__class__"] == "torch.nn.modules.conv:ConvTranspose2d"
    assert found.attributes["main.0.kernel_size"] == (4, 4)
    assert found.globals[0] == "gan_face_generate.models.Generator"


def test_a_pickle_of_nvidia_gives_names_of_state_dicts_and_attributes(checkpoints):
    found = read(checkpoints / "sg2ada_cond32.pkl")
    expected = np.load(checkpoints / "sg2ada_cond32.npz")
    assert found.container == "pickle"
    assert list(found.groups()) == ["G", "D", "G_ema", "augment_pipe"]
    assert found.tensors["G_ema/synthesis.b4.const"].shape == (48, 4, 4)
    assert found.tensors["G_ema/synthesis.b8.conv0.resample_filter"].shape == (4, 4)
    assert found.attributes["G_ema/img_resolution"] == 32
    assert found.attributes["G_ema/synthesis.b8.conv0.up"] == 2
    kind = "torch_utils.persistence:SynthesisBlock"
    assert found.attributes["G_ema/synthesis.b4.__class__"] == kind
    assert found.globals[0] == "torch_utils.persistence._reconstruct_persistent_obj"
    # ψ = 0.5 moves w half of the way to the stored mean.
    mean = found.tensors["G_ema/mapping.w_avg"]
    half = mean + 0.5 * (torch.from_numpy(expected["w"]) - mean)
    assert half.shape == expected["w"].shape
    assert mean.abs().min() > 0


def test_a_pickle_of_stylegan3_tells_the_geometry_of_its_layers(checkpoints):
    found = read(checkpoints / "sg3t_uncond32.pkl")
    assert found.attributes["G_ema/synthesis.input.size"] == [36, 36]
    assert found.attributes["G_ema/synthesis.layer_names"][0] == "L0_36_32"
    assert found.attributes["G_ema/synthesis.L0_36_32.padding"] == [9, 8, 9, 8]
    assert found.tensors["G_ema/synthesis.input.freqs"].shape == (32, 2)


def test_a_pickle_of_tensorflow_gives_variables_by_their_names(checkpoints):
    found = read(checkpoints / "tf_stylegan2_32.pkl")
    assert found.attributes["2/__class__"] == "dnnlib.tflib.network:Network"
    assert found.attributes["2/static_kwargs/resolution"] == 32
    assert found.attributes["2/components/synthesis/variables/lod"] == 0.0
    shape = found.tensors["2/components/synthesis/variables/4x4/Const/const"].shape
    assert shape == (1, 32, 4, 4)
    assert found.tensors["2/variables/dlatent_avg"].shape == (40,)


def test_settings_of_a_training_are_attributes(checkpoints):
    found = read(checkpoints / "rosinality_train16.pt")
    assert found.attributes["args/size"] == 16
    assert found.attributes["args/arch"] == "stylegan2"
    assert {"g", "d", "g_ema"} <= found.groups().keys()


# Folders


def test_a_folder_gives_its_weights_and_configuration(checkpoints):
    found = read(checkpoints / "biggan_hf32")
    assert (found.container, found.attributes["z_dim"]) == ("folder", 16)
    assert found.attributes["layers/1"] == [True, 16, 8]
    found = read(checkpoints / "diffusers_ddpm16" / "unet")
    assert found.attributes["_class_name"] == "UNet2DModel"
    found = read(checkpoints / "lucidrains_sg2_32")
    assert (found.attributes["image_size"], found.attributes["version"]) == (32, "1.9.0")
    assert list(found.groups()) == ["GAN"]


def test_the_last_of_numbered_files_counts(tmp_path):
    for number in (2, 10, 9):
        torch.save({"w": torch.full((2,), float(number))}, tmp_path / f"model_{number}.pt")
    (tmp_path / ".config.json").write_text('{"image_size": 32}')
    assert read(tmp_path).tensors["w"].tolist() == [10.0, 10.0]


def sharded(folder, places):
    folder.mkdir(exist_ok=True)
    save_file({"a": torch.ones(2)}, folder / "one.safetensors")
    save_file({"b": torch.zeros(2), "c": torch.ones(1)}, folder / "two.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    return folder


def test_weights_in_several_files_are_joined(tmp_path):
    found = read(sharded(tmp_path, {"a": "one.safetensors", "b": "two.safetensors"}))
    assert list(found.tensors) == ["a", "b"]


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ({"a": "../one.safetensors"}, "no file here"),
        ({"a": "/etc/passwd"}, "no file here"),
        ({"a": 3}, "no file here"),
        ({"x": "one.safetensors"}, "lacks 'x'"),
        ({"a": "three.safetensors"}, "is not a file"),
        ({}, "without a weight_map"),
        ([], "without a weight_map"),
    ],
)
def test_an_index_that_leads_astray_is_refused(tmp_path, places, message):
    with pytest.raises(CheckpointError, match=message):
        read(sharded(tmp_path / "f", places))


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("notes.txt", "", "a folder without weights"),
        ("model_index.json", "{}", "whole pipeline of diffusers"),
        ("saved_model.pb", "", "SavedModel of TensorFlow"),
        ("model.safetensors.index.json", "[" * 100_000, "is not JSON"),
    ],
)
def test_a_folder_without_weights_is_told_in_one_line(tmp_path, file, content, message):
    (tmp_path / file).write_text(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


# Tensors


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_of_every_type_are_read(tmp_path, zipped):
    content = {}
    for name, dtype in DTYPES.items():
        if not hasattr(nn, "Buffer") and dtype in (torch.uint16, torch.uint32, torch.uint64):
            continue  # torch before 2.5 cannot save them
        raw = torch.arange(96, dtype=torch.uint8) % (2 if dtype == torch.bool else 64)
        content[name] = raw.view(dtype)
        content[f"{name} of one"] = raw.view(dtype)[3]
    found = saved(tmp_path / "f", content, _use_new_zipfile_serialization=zipped)
    assert found.container == ("torch" if zipped else "torch legacy")
    assert found.tensors.keys() == content.keys()
    for name, expected in content.items():
        same(found.tensors[name], expected)


@pytest.mark.parametrize("zipped", [True, False])
def test_views_parameters_and_shared_storages_are_what_they_were(tmp_path, zipped):
    whole = torch.arange(24.0).reshape(4, 6)
    buffer = getattr(nn, "Buffer", torch.Tensor)  # torch before 2.5 has none
    content = {
        "whole": whole, "part": whole[1:3, ::2], "turned": whole.T, "none": whole[:0],
        "empty": torch.empty(0, 3), "one": torch.tensor(3), "parameter": nn.Parameter(whole[0]),
        "buffer": buffer(torch.ones(2)), "ones": torch.ones(1, 1).expand(1, 1),
    }  # fmt: skip
    found = saved(tmp_path / "f", content, _use_new_zipfile_serialization=zipped).tensors
    for name, expected in content.items():
        same(found[name], expected.detach())
        assert found[name].stride() == expected.stride()
        assert not found[name].requires_grad
        assert type(found[name]) is torch.Tensor
    found["whole"][0, 0] = 7  # ordinary tensors: they can be written, and share what they shared
    assert found["turned"][0, 0] == 7


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("zipped", [True, False])
def test_any_protocol_of_pickle_does(tmp_path, protocol, zipped):
    content = {"g": {"w": torch.arange(5.0)}, "text": "x", "n": 3}
    found = saved(
        tmp_path / "f", content, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped
    )
    assert found.tensors["g/w"].tolist() == [0, 1, 2, 3, 4]
    assert found.attributes == {"text": "x", "n": 3}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.eye(3).to_sparse(), "a tensor of a kind that is not read"),
        (torch.ones(1).expand(5), "expanded view"),
        (torch.tensor([1j]).conj(), "conjugate"),
        (torch.empty(2, device="meta"), "a tensor of a kind that is not read"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_tensors_that_are_more_than_numbers_are_refused(tmp_path, value, message):
    with pytest.raises(CheckpointError, match=message) as caught:
        saved(tmp_path / "f", {"w": value})
    assert "\n" not in str(caught.value)


def test_storages_that_are_parts_of_others_are_read(tmp_path):
    # As torch wrote storages that share memory until 2018: (key, offset, size) at the end.
    file = io.BytesIO()
    torch.save({"w": torch.arange(6.0)}, file, _use_new_zipfile_serialization=False)
    content = file.getvalue()
    part = b"(X\x01\x00\x00\x00kK\x02K\x03t"
    at = content.index(b"K\x06Nt") + 2
    content = content[:at] + part + content[at + 1 :]
    size = content.index(b"K\x06\x85", at)
    content = content[: size + 1] + b"\x03" + content[size + 2 :]
    (tmp_path / "f").write_bytes(content)
    assert read(tmp_path / "f").tensors["w"].tolist() == [2.0, 3.0, 4.0]


# Names


class Block(nn.Module):
    """A module with what modules have."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 1)
        self.register_buffer("kept", torch.ones(2))
        self.register_buffer("left", torch.zeros(2), persistent=False)
        self.register_parameter("absent", None)
        self.size = np.array([4, 5])
        self.options = {"up": 2, "names": ["a", "b"]}
        self.act = nn.functional.relu
        self.parent = [self]
        self.table = torch.zeros(100)


def test_modules_are_groups_wherever_they_lie(tmp_path):
    block = Block()
    found = saved(tmp_path / "f", {"G": block, "all": [nn.Sequential(block)], "epoch": 3})
    assert found.groups().keys() == {"G", "all/0"}
    inside = set(block.state_dict()) | {"left", "table"}
    assert found.groups()["G"].keys() == inside
    assert found.groups()["all/0"].keys() == {f"0.{name}" for name in inside}
    assert found.tensors["all/0/0.conv.weight"] is found.tensors["G/conv.weight"]
    attributes = found.attributes
    assert attributes["G/size"] == [4, 5]
    assert (attributes["G/options/up"], attributes["G/options/names"]) == (2, ["a", "b"])
    assert attributes["G/conv.__class__"] == "torch.nn.modules.conv:Conv2d"
    assert attributes["all/0/0.conv.kernel_size"] == (1, 1)
    assert attributes["G/act"] == "torch.nn.functional.relu"
    assert attributes["epoch"] == 3
    alone = saved(tmp_path / "g", nn.Sequential(block))
    assert "0.conv.weight" in alone.tensors


def test_two_tensors_of_one_name_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="two tensors of the name 'a/b'"):
        saved(tmp_path / "f", {"a": {"b": torch.ones(1)}, "a/b": torch.zeros(1)})


def test_long_lists_are_left_out(tmp_path):
    found = saved(tmp_path / "f", {"w": torch.ones(1), "losses": [0.5] * 100_000, "few": [1, 2]})
    assert found.attributes == {"few": [1, 2]}


# Damage


@pytest.fixture(scope="module")
def good_files():
    content = {
        "g": {"w": torch.arange(6.0).reshape(2, 3), "h": torch.ones(2).half()},
        "n": [1, "a"],
    }
    files = {}
    for name, options in (("zip", {}), ("legacy", {"_use_new_zipfile_serialization": False})):
        file = io.BytesIO()
        torch.save(content, file, **options)
        files[name] = file.getvalue()
    files["arrays"] = pickle.dumps({"a": np.arange(5.0), "b": np.float32(3), "c": Calls(Block)}, 4)
    files["storages"] = pickle.dumps(content, 4)
    return files


@given(data=st.data())
@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("kind", ["zip", "legacy", "arrays", "storages"])
def test_a_damaged_file_is_read_or_told_in_one_line(good_files, tmp_path, kind, data):
    content = bytearray(good_files[kind])
    places = st.integers(0, len(content) - 1)
    for place, byte in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=4)):
        content[place] = byte
    if data.draw(st.booleans()):
        del content[data.draw(places) :]
    path = tmp_path / "damaged"
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    try:
        found = read(path)
    except CheckpointError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert sum(tensor.nbytes for tensor in found.tensors.values()) <= 2 * len(content)


@pytest.mark.parametrize("shape", [[2**63, 0], [2**32, 2**32], [-1], [3], ["a"]])
def test_a_safetensors_file_that_contradicts_itself_is_told_in_one_line(tmp_path, shape):
    header = {"w": {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}}
    raw = json.dumps(header).encode()
    (tmp_path / "f").write_bytes(struct.pack("<Q", len(raw)) + raw)
    with pytest.raises(CheckpointError, match="not a whole safetensors file") as caught:
        read(tmp_path / "f")
    assert "\n" not in str(caught.value)


def test_a_zip_of_more_than_4_gigabytes_has_its_sizes_elsewhere(tmp_path):
    # The list of members as zip64 writes it: each size and place in the extra field.
    content = torch_zip(tensor(0, (4,), (1,)))

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        infos, start = archive.infolist(), archive.start_dir
    entries = b""
    for info in infos:
        raw = info.filename.encode()
        extra = struct.pack("<HHQQQ", 1, 24, info.file_size, info.file_size, info.header_offset)
        entries += struct.pack(
            "<4sHHHHHHIIIHHHHHII", b"PK\x01\x02", 45, 45, 0, 0, 0, 0, 0, *(0xFFFFFFFF,) * 2,
            len(raw), len(extra), 0, 0, 0, 0, 0xFFFFFFFF,
        ) + raw + extra  # fmt: skip
    end = start + len(entries)
    tail = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 2, 2, len(entries), start)
    tail += struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
    tail += struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, *(0xFFFF,) * 2, *(0xFFFFFFFF,) * 2, 0)
    (tmp_path / "f").write_bytes(content[:start] + entries + tail)
    assert read(tmp_path / "f").tensors[""].tolist() == [0.0] * 4
