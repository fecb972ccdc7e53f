"""Moves of latents: the laws that they keep, alone and inside ``intervene``."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dissect.edits import Ablate, Move, from_json, intervene, to_json
from dissect.edits.applying import move_latent
from dissect.errors import ConfigError, GeneratorError
from dissect.generators.styled import HasStyles
from dissect.generators.stylegan2 import StyleGAN2, StyleGAN2Config, StyleGAN2Network
from dissect.latents import Latent
from tests.rounding import assert_same

LAYERS, SIZE = 6, 8


@pytest.fixture(scope="module")
def styled():
    torch.manual_seed(0)
    config = StyleGAN2Config(16, (8, 8, 8), z_size=SIZE, w_size=SIZE, mapping_depth=2)
    network = StyleGAN2Network(config)
    for name, value in network.named_parameters():
        if "affine.bias" in name:
            torch.nn.init.normal_(value, mean=1.0, std=0.3)
    torch.nn.init.normal_(network.mapping.w_avg)
    return StyleGAN2(network.eval().requires_grad_(False), name="tiny")


def arrays(*shape):
    return st.integers(0, 2**32 - 1).map(
        lambda seed: np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    )


strengths = st.floats(-8, 8, width=32)
layer_sets = st.one_of(
    st.none(), st.lists(st.integers(0, LAYERS - 1), min_size=1, max_size=LAYERS, unique=True)
)


@st.composite
def moves(draw, mode=None):
    vector = draw(st.one_of(arrays(SIZE), arrays(LAYERS, SIZE)))
    mode = mode or draw(st.sampled_from(["add", "set"]))
    return Move("w+", vector, draw(strengths), draw(layer_sets), mode)


latents = arrays(3, LAYERS, SIZE).map(lambda data: Latent("w+", torch.from_numpy(data)))


@settings(deadline=None, max_examples=50)
@given(latents, moves())
def test_a_recipe_of_moves_survives_json(latent, move):
    recipe = [move, Ablate("a", [3])]
    again = from_json(json.loads(json.dumps(to_json(recipe))))
    assert again == recipe
    assert torch.equal(again[0].apply(latent).data, move.apply(latent).data)


@settings(deadline=None, max_examples=50)
@given(latents, moves(mode="add"))
def test_a_move_by_nothing_changes_no_bit_and_one_there_and_back_only_rounds(latent, move):
    still = Move("w+", move.vector, 0, move.layers)
    assert torch.equal(still.apply(latent).data, latent.data)
    back = Move("w+", move.vector, -move.strength, move.layers)
    there = move.apply(latent)
    size = float(there.data.abs().max()) + float(latent.data.abs().max())
    assert (back.apply(there).data - latent.data).abs().max() <= 1e-6 * size


@settings(deadline=None, max_examples=50)
@given(latents, moves(mode="add"), moves(mode="add"))
def test_moves_that_add_commute(latent, first, second):
    one = second.apply(first.apply(latent)).data
    other = first.apply(second.apply(latent)).data
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5 * float(one.abs().max()))


@settings(deadline=None, max_examples=50)
@given(latents, moves(mode="set"))
def test_a_move_that_sets_does_so_once_and_changes_nothing_across(latent, move):
    once = move.apply(latent)
    size = float(once.data.abs().max())
    torch.testing.assert_close(move.apply(once).data, once.data, rtol=1e-4, atol=1e-5 * size)
    step = latent.step(move.vector, layers=move.layers).double()
    along = (once.data.double() * step).flatten(1).sum(dim=1) / step.square().sum()
    torch.testing.assert_close(along, torch.full_like(along, move.strength), rtol=1e-4, atol=1e-4)
    moved = (once.data - latent.data).double()
    shares = (moved * step).flatten(1).sum(dim=1) / step.square().sum()
    across = moved - shares[:, None, None] * step
    assert across.abs().max() <= 1e-5 * (size + 1)


@settings(deadline=None, max_examples=50)
@given(latents, moves(), st.sets(st.integers(0, LAYERS - 1), min_size=1))
def test_layers_that_are_not_named_keep_their_bits(latent, move, chosen):
    own = Move("w+", move.vector, 3, sorted(chosen), move.mode)
    after = own.apply(latent).data
    for layer in range(LAYERS):
        if layer not in chosen:
            assert torch.equal(after[:, layer], latent.data[:, layer])
    if move.mode == "add":
        rows = np.broadcast_to(own.vector, (LAYERS, SIZE)).copy()
        for layer in chosen:
            expected = latent.data[:, layer] + 3 * torch.from_numpy(rows[layer])
            assert torch.equal(after[:, layer], expected)


def images_of(generator, latent, *edits):
    with intervene(generator, edits):
        return generator.synthesize(latent)


def test_intervene_moves_the_latent_in_every_space_and_ends(styled):
    latent = styled.sample(range(3), seed=0)
    plain = styled.synthesize(latent)
    for space in styled.spaces:
        shape = styled.spaces[space].shape
        vector = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
        there = styled.convert(latent, space)
        expected = styled.synthesize(there.shift(2 * torch.from_numpy(vector)))
        moved = images_of(styled, latent, Move(space, vector, 2))
        torch.testing.assert_close(moved, expected, rtol=1e-5, atol=1e-6)
        assert not torch.allclose(moved, plain, atol=1e-2)
        still = images_of(styled, latent, Move(space, vector, 0))
        if space in ("p", "p+"):  # w / a, times a, is rounded twice
            assert_same(still, plain)
        else:
            assert torch.equal(still, plain)
    assert torch.equal(styled.synthesize(latent), plain)
    with pytest.raises(RuntimeError, match="stop"), intervene(styled, [Move("w", np.ones(SIZE))]):
        raise RuntimeError("stop")
    assert torch.equal(styled.synthesize(latent), plain)
    assert "synthesize" not in vars(styled)


def test_one_recipe_moves_the_latent_and_edits_units(styled):
    latent = styled.sample(range(2), seed=0)
    move, ablate = Move("w", np.ones(SIZE), 1.5), Ablate("b8.conv1", range(4))
    both = images_of(styled, latent, ablate, move)
    moved = styled.convert(latent, "w").shift(1.5 * torch.ones(SIZE))
    torch.testing.assert_close(both, images_of(styled, moved, ablate), rtol=1e-5, atol=1e-6)
    # A with inside another one moves too.
    with intervene(styled, [move]), intervene(styled, [move]):
        twice = styled.synthesize(latent)
    torch.testing.assert_close(
        twice, images_of(styled, latent, Move("w", np.ones(SIZE), 3)), rtol=1e-4, atol=1e-5
    )


def test_moves_act_in_the_order_of_the_spaces_whatever_the_order_of_the_recipe(styled):
    latent = styled.sample(range(2), seed=0)
    late, early = Move("w+", np.ones(SIZE), 1, [1]), Move("w", np.arange(SIZE), 1)
    assert torch.equal(
        images_of(styled, latent, late, early), images_of(styled, latent, early, late)
    )
    assert move_latent(styled, latent, [late, early]).space == "w+"
    assert move_latent(styled, latent, []) is latent


def test_a_latent_that_was_truncated_is_moved_on_from_where_it_is(styled):
    truncated = styled.convert(styled.sample([0, 1], seed=0), "w+", truncation=0.5)
    in_w = move_latent(styled, truncated, [Move("w", np.ones(SIZE), 2)])
    torch.testing.assert_close(in_w.data, truncated.data[:, 0] + 2)
    with pytest.raises(GeneratorError, match="cannot convert from 'w\\+' back to 'z'"):
        images_of(styled, truncated, Move("z", np.ones(SIZE)))


def test_spaces_lead_back_where_there_is_one_way(styled):
    latent = styled.sample(range(4), seed=0)
    w = styled.convert(latent, "w")
    wide = styled.convert(w, "w+")
    assert torch.equal(styled.convert(wide, "w").data, w.data)
    assert torch.equal(styled.convert(styled.convert(wide, "w"), "w+").data, wide.data)
    mixed = wide.with_layers(styled.convert(styled.sample(range(4, 8), seed=0), "w+"), [2, 3])
    with pytest.raises(GeneratorError, match="back to 'w': its layers differ"):
        styled.convert(mixed, "w")
    styles = styled.convert(mixed, "s")
    torch.testing.assert_close(styled.convert(styles, "w+").data, mixed.data, rtol=1e-3, atol=1e-4)
    plain = styled.convert(styled.convert(w, "s"), "w")
    torch.testing.assert_close(plain.data, w.data, rtol=1e-3, atol=1e-4)
    with pytest.raises(GeneratorError, match="no w\\+ has these styles"):
        styled.convert(Latent("s", styles.data + torch.randn_like(styles.data)), "w+")
    with pytest.raises(GeneratorError, match="back to 'z'"):
        styled.convert(w, "z")


def test_styles_that_do_not_determine_w_are_no_way_back():
    config = StyleGAN2Config(16, (8, 8, 4), z_size=SIZE, w_size=SIZE, mapping_depth=1)
    narrow = StyleGAN2(StyleGAN2Network(config).eval().requires_grad_(False), name="narrow")
    styles = narrow.convert(narrow.sample([0], seed=0), "s")
    with pytest.raises(GeneratorError, match=r"styles of layer 4 of narrow determine 4 of 8"):
        narrow.convert(styles, "w+")


def test_style_weights_are_those_of_the_layers_affine_map(styled):
    assert isinstance(styled, HasStyles)
    w = styled.convert(styled.sample([0, 1], seed=0), "w")
    first, second = styled.convert(w, "s").data
    for layer, part in styled.style_slices.items():
        weight = styled.style_weight(layer)
        affine = styled.module.get_submodule(f"synthesis.{layer}.affine")
        assert torch.equal(weight, affine.weight * affine.weight_gain)
        change = weight @ (w.data[1] - w.data[0])
        torch.testing.assert_close(change, second[part] - first[part], rtol=1e-4, atol=1e-4)


def test_a_move_by_default_adds_its_vector_once_and_cannot_be_changed():
    move = Move("z", [1.0, -2.0])
    assert move.apply(Latent("z", torch.ones(2, 2))).data.tolist() == [[2.0, -1.0]] * 2
    with pytest.raises(ValueError, match="read-only"):
        move.vector[0] = 3
    assert Move("w+", [1.0], layers=3).layers == (3,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Move("", [1.0]), "space is ''"),
        (lambda: Move(5, [1.0]), "space is 5"),
        (lambda: Move("w", [1.0], mode="put"), "mode is 'put'; expected add or set"),
        (lambda: Move("w", [0.0, 0.0]), "vector is zero"),
        (lambda: Move("w", [float("nan")]), "not finite"),
        (lambda: Move("w", "far"), "vector is not an array of numbers"),
        (lambda: Move("w", 3.0), r"vector has the shape \(\)"),
        (lambda: Move("w", [1.0], strength=float("inf")), "strength is inf"),
        (lambda: Move("w+", [1.0], layers=[]), "layers is"),
        (lambda: Move("w+", [1.0], layers=[1, 1]), "different whole numbers"),
        (lambda: Move("w+", [1.0], layers=[-1]), "different whole numbers"),
        (lambda: from_json([{"edit": "move", "space": "w"}]), "differs in vector"),
        (lambda: Move("w", [1.0]).apply(Latent("z", torch.zeros(1, 1))), "expected the same space"),
    ],
)  # fmt: skip
def test_a_wrong_move_is_one_line(make, message):
    with pytest.raises(ConfigError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("move", "error", "message"),
    [
        (Move("q", np.ones(SIZE)), GeneratorError, "space 'q' is not one of tiny's; expected z, p"),
        (Move("w", np.ones(SIZE + 1)), ConfigError, r"shape \(9,\); expected \(8,\), as latents"),
        (Move("w+", np.ones(3)), ConfigError, r"expected \(6, 8\) or \(8,\) for every layer"),
        (Move("w+", np.ones(SIZE), layers=[6]), ConfigError, "layer 6 is not in w\\+; expected 0"),
        (Move("w", np.ones(SIZE), layers=[0]), ConfigError, "expected w\\+, which has layers"),
    ],
)  # fmt: skip
def test_a_move_that_does_not_fit_the_generator_is_refused_before_anything_is_made(
    styled, move, error, message
):
    with pytest.raises(error, match=message), intervene(styled, [move]):
        pytest.fail("it began")
