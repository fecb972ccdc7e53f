import json
import sys

import numpy as np
import pytest
import torch

from dissect import CheckpointError, GeneratorError, Latent, load_generator, trace
from dissect.cli import main
from dissect.edits.applying import intervene
from dissect.edits.unit_edits import Ablate
from dissect.generators.checkpoint import read
from dissect.generators.converting import convert_file
from dissect.testing import check_generator
from tests.generators.onnx_files import field, model, network, node, program, tensor, value
from tests.rounding import assert_same

WIDE = {"z": 10}


def written(folder, content, beside=b"", name="g.onnx"):
    (folder / name).write_bytes(content)
    if beside:
        (folder / "g.data").write_bytes(beside)
    return folder / name


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return written(tmp_path_factory.mktemp("onnx"), program(network())[0])


@pytest.mark.parametrize("batch", ["batch", 1, 2])
@pytest.mark.parametrize("last", [False, True])
def test_images_and_maps_equal_those_of_the_network_that_was_exported(tmp_path, batch, last):
    net = network()
    generator = load_generator(written(tmp_path, program(net, batch=batch, last=last)[0]))
    latent = generator.sample(range(5), seed=1)
    with trace(generator, "all") as maps:
        images = generator.synthesize(latent)
    expected = latent.data[:, :, None, None]
    for i, part in enumerate(net):
        expected = part(expected)
        if f"norm{i}" in maps:
            assert_same(maps[f"norm{i}"], expected)
    assert_same(images, expected)
    assert list(generator.layers) == ["norm1", "norm4"]
    assert [(i.units, i.height) for i in generator.layers.values()] == [(8, 4), (6, 8)]


def test_it_keeps_the_laws_that_hold_without_edits(file):
    checked = check_generator(load_generator(file))
    assert len(checked) == 9
    assert checked[-1] == "edits and gradients are refused in one line"


def test_a_generator_that_claims_it_cannot_be_edited_must_refuse_edits():
    from dissect.worlds.planted import PlantedGenerator

    planted = PlantedGenerator()
    planted.not_editable = "a claim"
    with pytest.raises(GeneratorError, match="takes gradients, but is not editable"):
        check_generator(planted)


def test_bits_depend_neither_on_the_batch_nor_on_the_number_of_threads(file):
    generator = load_generator(file)
    together = generator.synthesize(generator.sample(range(6), seed=2))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        alone = [generator.synthesize(generator.sample([i], seed=2)) for i in range(6)]
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(torch.cat(alone), together)


def test_a_label_chooses_a_row(tmp_path):
    net = network()
    generator = load_generator(written(tmp_path, program(net, label=True)[0]))
    assert generator.n_classes == 4
    latent = generator.sample([0, 1], seed=0, label=3)
    shifted = latent.data + 3 * torch.eye(10)[3]
    assert_same(generator.synthesize(latent), net(shifted[:, :, None, None]))
    check_generator(generator)


@pytest.mark.parametrize(
    ("metadata", "end", "scale", "shift"),
    [
        ({}, "Sigmoid", 2, -1),
        ({"image_range": "-1,1"}, "Sigmoid", 1, 0),
        ({"image_range": "0, 1"}, "Tanh", 2, -1),
        ({}, "Tanh", 1, 0),
    ],
)
def test_the_range_is_declared_or_found_out(tmp_path, metadata, end, scale, shift):
    net = network(end=getattr(torch.nn, end))
    content, _ = program(net, end=end, metadata=metadata)
    generator = load_generator(written(tmp_path, content))
    latent = generator.sample([0], seed=0)
    expected = net(latent.data[:, :, None, None]) * scale + shift
    assert_same(generator.synthesize(latent), expected)


def test_values_in_a_file_beside_it_are_read(tmp_path):
    net = network()
    generator = load_generator(written(tmp_path, *program(net, external="g.data")))
    latent = generator.sample([0], seed=0)
    expected = net(latent.data[:, :, None, None])
    assert_same(generator.synthesize(latent), expected)
    assert torch.equal(read(tmp_path / "g.onnx").tensors["0.weight"], net[0].weight)


@pytest.mark.parametrize("place", ["../g.data", "/etc/passwd", "sub/g.data", "..", "", "link"])
def test_values_elsewhere_are_refused(tmp_path, place):
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(tmp_path / "g.data")
    content, beside = program(network(), external=place)
    (tmp_path / "g.data").write_bytes(beside or bytes(1 << 16))
    (inside / "g.onnx").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"takes values from .*; expected the plain name"):
        load_generator(inside / "g.onnx")


def test_values_elsewhere_are_found_inside_of_operations_too(tmp_path):
    constant = node("Constant", [], "c", value=tensor("", np.ones(4, "float32"), location="../x"))
    content = model([constant], [value("z", [1, 4])], [value("c", [4])], [])
    with pytest.raises(CheckpointError, match=r"takes values from '\.\./x'"):
        load_generator(written(tmp_path, content))


@pytest.mark.parametrize(
    ("nodes", "inputs", "message"),
    [
        ([node("RandomNormalLike", ["z"], "image")], WIDE, "draws random numbers .*RandomNormalLike"),
        ([node("Loop", ["z"], "image")], WIDE, "holds loops"),
        ([node("Relu", ["z"], "image")], WIDE, r"puts out image \[1, 10\]; expected square images"),
        ([node("Relu", ["z"], "image")], {}, "with the inputs none; expected one latent"),
        ([node("Relu", ["z"], "image")], WIDE | {"x": 3}, r"inputs z \[1, 10\], x \[1, 3\]"),
        ([node("Nonsense", ["z"], "image")], WIDE, "onnxruntime .* cannot run .*Nonsense"),
    ],
)  # fmt: skip
def test_programs_that_are_no_generators_are_told_in_one_line(tmp_path, nodes, inputs, message):
    given = [value(name, [1, n]) for name, n in inputs.items()]
    content = model(nodes, given, [value("image", [1, 10])], [])
    with pytest.raises(CheckpointError, match=message) as caught:
        load_generator(written(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_damaged_files_are_told_in_one_line(tmp_path):
    good, _ = program(network())
    draw = np.random.default_rng(0)
    damaged = [good[: len(good) * k // 7] for k in range(7)]
    damaged += [draw.bytes(500) for _ in range(20)]
    for k in range(60):
        changed = bytearray(good)
        changed[int(draw.integers(1500))] ^= 1 << k % 8
        damaged.append(bytes(changed))
    damaged.append(field(7, field(1, field(5, field(6, b"")) * 3) + field(12, b"")))
    inner = b""
    for _ in range(40):
        inner = field(1, field(5, field(6, inner)))
    damaged.append(field(7, inner))
    messages = []
    for content in damaged:
        try:
            load_generator(written(tmp_path, content))
        except CheckpointError as error:
            messages.append(str(error))
    assert len(messages) >= 30
    assert [m for m in messages if "\n" in m or str(tmp_path / "g.onnx") not in m] == []


def test_edits_gradients_and_conversion_are_refused(file, tmp_path, monkeypatch):
    generator = load_generator(file)
    latent = generator.sample([0], seed=0)
    with (
        pytest.raises(GeneratorError, match="layers can only be read: an ONNX program"),
        intervene(generator, [Ablate("norm1", [0])]),
    ):
        pass
    with pytest.raises(GeneratorError, match=r"requires gradients .* expected a latent without"):
        generator.synthesize(Latent("z", latent.data.clone().requires_grad_()))
    # A machine that has this device.
    monkeypatch.setattr("dissect.generators.loading.find_device", torch.device)
    with pytest.raises(GeneratorError, match="expected the device cpu"):
        load_generator(file, device="meta")
    with pytest.raises(CheckpointError, match="is an ONNX program; expected weights to convert"):
        convert_file(file, tmp_path / "out.safetensors")


def test_without_the_runtime_it_says_what_to_install(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(CheckpointError, match=r"pip install 'gan-dissection\[onnx\]'"):
        load_generator(file)


def test_the_commands_inspect_run_and_ablate(file, tmp_path, capsys):
    assert main(["inspect", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["family"] == "ONNX program"
    values = [v for v in network().state_dict().values() if v.is_floating_point()]
    assert found["parameters"] == sum(v.numel() for v in values)
    run = str(tmp_path / "run")
    assert main(["run", str(file), "--segmenter", "colour", "--samples", "64", "--out", run]) == 0
    capsys.readouterr()
    question = ["--concept", "grey", "--units", "2", "--layer", "norm1"]
    assert main(["ablate", run, *question]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "layers can only be read" in message
