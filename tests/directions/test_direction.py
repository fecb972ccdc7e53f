"""Directions: their laws as moves, their file, and what does not fit."""

import dataclasses
import json
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dissect import Ablate, Latent, intervene, load_generator, trace
from dissect.directions.direction import (
    FILE,
    Direction,
    Provenance,
    read_direction,
    save_direction,
)
from dissect.edits import from_json, to_json
from dissect.errors import ConfigError, GeneratorError
from dissect.generators.stylegan2 import StyleGAN2, StyleGAN2Config, StyleGAN2Network

SIZE, LAYERS = 8, 6


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture(scope="module")
def styled():
    torch.manual_seed(0)
    config = StyleGAN2Config(16, (8, 8, 8), z_size=SIZE, w_size=SIZE, mapping_depth=2)
    return StyleGAN2(StyleGAN2Network(config).eval().requires_grad_(False), name="tiny")


@pytest.fixture(scope="module")
def diffusion(checkpoints):
    pytest.importorskip("diffusers", reason="diffusers is not installed")
    return load_generator(str(checkpoints / "diffusers_ddpm16"))


@st.composite
def directions(draw):
    seed = draw(st.integers(0, 1000))
    space, shape = draw(
        st.sampled_from([("z", (SIZE,)), ("w+", (SIZE,)), ("w+", (LAYERS, SIZE)), ("s", (5,))])
    )
    layers = draw(st.none() | st.sets(st.integers(0, LAYERS - 1), min_size=1))
    return Direction(
        name="smile",
        space=space,
        vector=numbers(*shape, seed=seed),
        layers=None if layers is None or space != "w+" else sorted(layers),
        unit=draw(st.sampled_from(["1", "σ"])),
        sigma=draw(st.floats(0.25, 4)),
        origin=draw(st.none() | st.just(numbers(*shape, seed=seed + 1))),
        mode=draw(st.sampled_from(["add", "set"])),
        provenance=Provenance("boundary", {"n": [1, 2.5, None]}, {"generator": "ab" * 32}),
    )


def points_of(direction):
    shape = (LAYERS, SIZE) if direction.space == "w+" else direction.vector.shape
    return numbers(4, *shape, seed=7)


@settings(max_examples=60)
@given(directions(), st.floats(-4, 4))
def test_a_strength_adds_to_the_coordinate_or_becomes_it(direction, strength):
    points = points_of(direction)
    before = direction.coordinates(points)
    (move,) = direction.moves(strength)
    after = move.apply(Latent(direction.space, torch.from_numpy(points))).data.numpy()
    expected = strength + (before if direction.mode == "add" else 0)
    np.testing.assert_allclose(direction.coordinates(after), expected, atol=2e-4, rtol=1e-4)
    across = (after - points).reshape(4, -1)
    assert np.linalg.matrix_rank(across, tol=1e-3) <= 1


@settings(max_examples=20)
@given(directions())
def test_a_file_gives_the_same_direction_and_the_same_bytes(tmp_path_factory, direction):
    folder = tmp_path_factory.mktemp("directions")
    first = save_direction(direction, folder / "one.safetensors")
    again = read_direction(first)
    assert again == direction
    assert again.provenance == direction.provenance
    assert np.array_equal(again.vector, direction.vector)
    second = save_direction(again, folder / "two.safetensors")
    assert first.read_bytes() == second.read_bytes()
    assert sorted(p.name for p in folder.iterdir()) == ["one.safetensors", "two.safetensors"]


@pytest.mark.parametrize(
    "change",
    [{"name": "b"}, {"mode": "set"}, {"unit": "σ"}, {"sigma": 3.0}, {"origin": np.ones(2)},
     {"vector": np.array([1, 2])}, {"provenance": Provenance("sefa")}],
)  # fmt: skip
def test_directions_are_equal_where_all_of_them_is(change):
    direction = Direction("a", "z", [1, 1], sigma=2.0)
    assert dataclasses.replace(direction) == direction
    assert hash(dataclasses.replace(direction)) == hash(direction)
    assert dataclasses.replace(direction, **change) != direction


def test_a_direction_is_a_move_of_a_recipe_beside_edits_of_units(styled, tmp_path):
    path = save_direction(
        Direction("view", "w+", numbers(SIZE), layers=[1, 2], unit="σ", sigma=0.5),
        tmp_path / "view.safetensors",
    )
    direction = read_direction(path)
    direction.check(styled)
    recipe = [*direction.moves(3), Ablate("b8.conv1", [0])]
    assert from_json(json.loads(json.dumps(to_json(recipe)))) == recipe
    latent = styled.sample([0, 1], seed=0)
    with intervene(styled, recipe):
        edited = styled.synthesize(latent)
    by_hand = styled.convert(latent, "w+").shift(
        1.5 * torch.from_numpy(numbers(SIZE)), layers=[1, 2]
    )
    with intervene(styled, [Ablate("b8.conv1", [0])]):
        expected = styled.synthesize(by_hand)
    torch.testing.assert_close(edited, expected, rtol=1e-4, atol=1e-5)
    assert direction.moves(3, layers=[4])[0].layers == (4,)


@pytest.mark.parametrize("shape", [(8,), (8, 8, 8)])
@pytest.mark.parametrize("mode", ["add", "set"])
def test_a_layer_is_a_space_whose_outputs_move(styled, shape, mode):
    layer = "b8.conv1"
    info = styled.layers[layer]
    assert (info.units, info.height, info.width) == (8, 8, 8)
    direction = Direction(
        "more",
        layer,
        numbers(*shape),
        mode=mode,
        unit="σ",
        sigma=2.0,
        origin=numbers(*shape, seed=3),
    )
    direction.check(styled)
    latent = styled.sample(range(3), seed=0)
    with trace(styled, [layer]) as maps:
        plain = styled.synthesize(latent)
    before = maps[layer].numpy().copy()
    with intervene(styled, direction.moves(1.5)), trace(styled, [layer]) as maps:
        moved = styled.synthesize(latent)
    after = maps[layer].numpy()
    expected = 1.5 + (direction.coordinates(before) if mode == "add" else 0)
    np.testing.assert_allclose(direction.coordinates(after), expected, rtol=1e-4, atol=1e-4)
    if mode == "add":
        wide = numbers(*shape) if len(shape) == 3 else numbers(*shape)[:, None, None]
        np.testing.assert_allclose(after, before + 3 * wide, rtol=1e-5, atol=1e-5)
    assert (moved - plain).abs().max() > 1e-3
    assert torch.equal(styled.synthesize(latent), plain)


def test_moves_and_edits_of_one_layer_act_in_the_order_given(styled):
    layer = "b8.conv1"
    move, ablate = Direction("up", layer, np.ones(8)).moves(2)[0], Ablate(layer, range(8))
    latent = styled.sample([0], seed=0)

    def output(*edits):
        with intervene(styled, edits), trace(styled, [layer]) as maps:
            styled.synthesize(latent)
        return maps[layer]

    assert torch.equal(output(move, ablate), torch.zeros(1, 8, 8, 8))
    assert torch.equal(output(ablate, move), torch.full((1, 8, 8, 8), 2.0))


def test_a_margin_moves_along_and_does_not_count(styled):
    from dissect.edits import Move
    from dissect.generators.shapes import LayerInfo

    info = LayerInfo(2, 4, 4, "x", margin=3)
    maps = torch.from_numpy(numbers(1, 2, 10, 10))
    vector = numbers(2, 4, 4, seed=1)
    after = Move("x", vector, 2.0, mode="set").apply_to_maps(maps, info)
    inner = after[0, :, 3:7, 3:7].numpy().astype(np.float64)
    assert (inner * vector).sum() / (vector**2).sum() == pytest.approx(2, abs=1e-4)
    step = (after - maps)[0]
    torch.testing.assert_close(step[:, 0, 0], step[:, 3, 3])


def test_steps_of_a_diffusion_model_have_moves_of_their_own(diffusion):
    layer = next(name for name in diffusion.layers if name.endswith("/mid_block"))
    info = diffusion.layers[layer]
    steps = [
        int(name.split("/")[0][1:]) for name in diffusion.layers if name.endswith("/mid_block")
    ]
    first, second = steps[:2]
    each = numbers(2, info.units)
    direction = Direction("one", "mid_block", each, steps=[first, second], origin=each, mode="set")
    direction.check(diffusion)
    moves = direction.moves(0.5)
    assert [move.space for move in moves] == [f"t{first}/mid_block", f"t{second}/mid_block"]
    assert [move.strength for move in moves] == [1.5, 1.5]
    assert np.array_equal(moves[1].vector, each[1])
    shared = Direction("all", "mid_block", numbers(info.units), steps=steps)
    shared.check(diffusion)
    latent = diffusion.sample([0], seed=0)
    plain = diffusion.synthesize(latent)
    with intervene(diffusion, shared.moves(0)):
        assert torch.equal(diffusion.synthesize(latent), plain)
    with intervene(diffusion, shared.moves(5)):
        assert not torch.allclose(diffusion.synthesize(latent), plain, atol=1e-3)
    with pytest.raises(GeneratorError, match=r"space 't7/mid_block' is not one of .*did you mean"):
        Direction("odd", "mid_block", numbers(info.units), steps=[7]).check(diffusion)
    with pytest.raises(ConfigError, match="a point is in one step"):
        direction.coordinates(numbers(1, info.units, info.height, info.width))


def test_a_boundary_of_another_generator_is_refused_unless_that_is_meant(styled):
    own = Provenance(fingerprints={"generator": styled.fingerprint})
    Direction("own", "z", numbers(SIZE), provenance=own).check(styled)
    other = Provenance(fingerprints={"generator": "0" * 64})
    direction = Direction("smile", "z", numbers(SIZE), provenance=other)
    with pytest.raises(
        ConfigError, match="'smile' was found in a generator of weights 000000000000…, and tiny"
    ):
        direction.check(styled)
    direction.check(styled, same_weights=False)


@pytest.mark.parametrize(
    ("direction", "error", "message"),
    [
        (("q", (8,)), GeneratorError, "space 'q' is not one of tiny's; .*expected z, p, w, p\\+, w"),
        (("b8.conv2", (8,)), GeneratorError, "did you mean 'b8.conv1'"),
        (("z", (9,)), ConfigError, r"vector has the shape \(9,\); expected \(8,\)"),
        (("b8.conv1", (9,)), ConfigError, r"expected \(8,\) for every pixel or \(8, 8, 8\)"),
        (("b8.conv1", (8, 4, 4)), ConfigError, r"shape \(8, 4, 4\); expected"),
    ],
)  # fmt: skip
def test_a_direction_that_does_not_fit_is_refused_in_one_line(styled, direction, error, message):
    space, shape = direction
    with pytest.raises(error, match=message) as caught:
        Direction("d", space, np.ones(shape)).check(styled)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "a\nb"}, "name is 'a\\\\nb'; expected a text of one line"),
        ({"name": ""}, "name is ''"),
        ({"space": 3}, "space is '3'"),
        ({"vector": [0, 0]}, "vector is zero"),
        ({"vector": [[np.nan]]}, "not finite"),
        ({"layers": [1]}, "layers is .* in the space 'z'; expected w\\+"),
        ({"space": "w+", "layers": [1, 1]}, "different whole numbers"),
        ({"steps": [-1]}, "steps is .*as in t800"),
        ({"steps": [1, 2], "vector": np.ones((3, 2))}, "for 2 steps; expected one vector"),
        ({"unit": "2"}, "unit is '2'; expected 1 or σ"),
        ({"unit": "σ"}, "sigma is None"),
        ({"sigma": -1}, "sigma is -1"),
        ({"sigma": "far"}, "sigma is 'far'"),
        ({"origin": [1, 2, 3]}, "origin has the shape \\(3,\\)"),
        ({"origin": "here"}, "origin has"),
        ({"mode": "put"}, "mode is 'put'"),
        ({"provenance": "me"}, "provenance is a str"),
    ],
)
def test_a_wrong_value_is_one_line(values, message):
    with pytest.raises(ConfigError, match=message) as caught:
        Direction(**{"name": "a", "space": "z", "vector": [1, 2]} | values)
    assert "\n" not in str(caught.value)


def test_provenance_holds_plain_values_only():
    with pytest.raises(ConfigError, match="not plain values"):
        Provenance(settings={"x": float("nan")})
    with pytest.raises(ConfigError, match="fingerprints is"):
        Provenance(fingerprints={"generator": 3})
    with pytest.raises(ConfigError, match="strength is nan"):
        Direction("a", "z", [1]).moves(float("nan"))
    with pytest.raises(ConfigError, match="for a direction in 'z'"):
        Direction("a", "z", [1]).moves(1, layers=[0])
    with pytest.raises(ConfigError, match=r"points of the shape \(3,\) in 'z'"):
        Direction("a", "z", [1, 2]).coordinates(np.ones((2, 3)))


def changed_record(path, change):
    """The file with another record in its metadata."""
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    head = json.loads(data[8 : 8 + size])
    record = json.loads(head["__metadata__"][FILE.format])
    change(head, record)
    if "__metadata__" in head:
        head["__metadata__"][FILE.format] = json.dumps(record)
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + size :]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda head, record: head.pop("__metadata__"), "holds no direction; expected"),
        (lambda head, record: record.update(version=2), "the version 2; expected 1"),
        (lambda head, record: record.update(mode="put"), "mode is 'put'"),
        (lambda head, record: record.update(code="x"), "is damaged"),
        (lambda head, record: record.pop("space"), "is damaged"),
        (lambda head, record: record.update(name="a\u202eb"), "U\\+202E"),
    ],
)
def test_a_damaged_file_is_one_line(change, message, tmp_path):
    path = save_direction(Direction("a", "z", [1, 2]), tmp_path / "a.safetensors")
    assert read_direction(path).vector.tolist() == [1, 2]
    path.write_bytes(changed_record(path, change))
    with pytest.raises(ConfigError, match=message) as caught:
        read_direction(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\x80\x04N.", b"{" * 100, bytes(8)])
def test_another_file_is_one_line(content, tmp_path):
    path = tmp_path / "x.safetensors"
    with pytest.raises(ConfigError, match="cannot be read"):
        read_direction(path)
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="is damaged") as caught:
        read_direction(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"expected a file NAME\.safetensors"):
        save_direction(Direction("a", "z", [1]), tmp_path / "a.npy")
