import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dissect.bases import Channels
from dissect.edits import Ablate, Insert, Scale, intervene
from dissect.edits.applying import check_reach
from dissect.errors import ConfigError, LayerError
from dissect.generators.base import LayerInfo
from dissect.generators.stylegan2 import StyleGAN2, StyleGAN2Config, StyleGAN2Network
from dissect.tracing import trace
from dissect.worlds.planted import PAINTS, PlantedGenerator
from segmenters import load_segmenter

LEFT = np.arange(32)[None, :].repeat(32, 0) < 16
NAMES = ["black", *PAINTS]


@pytest.fixture(scope="module")
def latent(planted):
    return planted.sample(range(16), seed=0)


@pytest.fixture(scope="module")
def label():
    segmenter = load_segmenter("colour")
    ids = {name: segmenter.vocabulary[name].id for name in NAMES}
    return lambda images: {n: segmenter.segment(images)[:, 0] == i for n, i in ids.items()}


def render(generator, latent, *edits, **options):
    with intervene(generator, edits, **options):
        return generator.synthesize(latent)


def hooks(generator):
    return [m for m in generator.module.modules() if m._forward_hooks]


def test_no_edit_gives_the_same_bits(planted, latent):
    assert torch.equal(render(planted, latent), planted.synthesize(latent))


def test_ablating_a_planted_unit_removes_exactly_its_pixels_and_nothing_else(
    planted, latent, label
):
    before = label(planted.synthesize(latent))
    for unit, paint in enumerate(PAINTS):
        after = label(render(planted, latent, Ablate("units", [unit])))
        assert before[paint].any()
        assert not after[paint].any()
        assert torch.equal(after["black"], before["black"] | before[paint])
        for other in set(PAINTS) - {paint}:
            assert torch.equal(after[other], before[other])


def test_ablating_in_a_region_removes_what_lies_in_it(planted, latent, label):
    before = label(planted.synthesize(latent))["red"]
    after = label(render(planted, latent, Ablate("units", [0], LEFT)))["red"]
    assert torch.equal(after, before & ~torch.from_numpy(LEFT))


def test_inserting_paints_exactly_the_region(planted, latent, label):
    others = Ablate("units", range(1, 5), LEFT)
    before = label(planted.synthesize(latent))
    after = label(render(planted, latent, others, Insert("units", [0], [1.0], LEFT)))
    region = torch.from_numpy(LEFT)
    assert torch.equal(after["red"], before["red"] | region)
    for paint in PAINTS[1:]:
        assert torch.equal(after[paint], before[paint] & ~region)


def test_strength_zero_and_factor_one_change_no_bit(planted, latent):
    plain = planted.synthesize(latent)
    for edit in (Ablate("units", [0, 3], strength=0), Scale("units", [0, 3], 1)):
        assert torch.equal(render(planted, latent, edit), plain)


def test_scaling_by_zero_is_ablating(planted, latent):
    soft = np.linspace(0, 1, 32 * 32).reshape(32, 32)
    for region in (None, LEFT, soft):
        assert torch.equal(
            render(planted, latent, Scale("units", [0, 2], 0, region)),
            render(planted, latent, Ablate("units", [0, 2], region)),
        )


def test_edits_are_applied_in_their_order(planted, latent):
    with intervene(planted, [Insert("units", [0], [2.0]), Scale("units", [0], 3)]):
        with trace(planted, "units") as maps:
            planted.synthesize(latent)
        assert (maps["units"][:, 0] == 6).all()
    with intervene(planted, [Scale("units", [0], 3), Insert("units", [0], [2.0])]):
        with trace(planted, "units") as maps:
            planted.synthesize(latent)
        assert (maps["units"][:, 0] == 2).all()


def test_a_trace_inside_sees_edited_outputs_and_one_around_sees_the_networks_own(planted, latent):
    with trace(planted, "units") as around, intervene(planted, [Ablate("units", [0])]):
        with trace(planted, "units") as inside:
            planted.synthesize(latent)
        assert not inside["units"][:, 0].any()
        assert around["units"][:, 0].any()
        assert torch.equal(inside["units"][:, 1:], around["units"][:, 1:])


def test_no_hook_is_left_after_the_with_or_an_exception(planted, latent):
    render(planted, latent, Ablate("units", [0]))
    assert hooks(planted) == []
    with pytest.raises(RuntimeError, match="stop"), intervene(planted, [Ablate("units", [0])]):
        raise RuntimeError("stop")
    assert hooks(planted) == []


def test_ablating_every_rotated_unit_zeroes_the_layer(planted, latent):
    with trace(planted, "units") as maps:
        planted.synthesize(latent)
    before = maps["units"]
    with (
        intervene(planted, [Ablate("units@rotation:0", range(9))]),
        trace(planted, "units") as maps,
    ):
        planted.synthesize(latent)
    assert maps["units"].abs().max() < 1e-5 * before.abs().max()


def test_in_a_basis_pixels_outside_the_region_keep_their_bits(planted, latent):
    with trace(planted, "units") as maps:
        planted.synthesize(latent)
        before = maps["units"]
        with (
            intervene(planted, [Ablate("units@rotation:0", range(9), LEFT)]),
            trace(planted, "units") as inside,
        ):
            planted.synthesize(latent)
            after = inside["units"]
    assert torch.equal(after[..., 16:], before[..., 16:])
    assert after[..., :16].abs().max() < 1e-5 * before.abs().max()


def test_in_a_basis_two_regions_are_edited_and_the_rest_keeps_its_bits(planted, latent):
    top = LEFT.T.copy()
    edits = [Ablate(f"{layer}@rotation:0", range(9), part)
             for layer, part in (("units", LEFT & top), ("units", LEFT & ~top))]  # fmt: skip
    with trace(planted, "units") as maps:
        planted.synthesize(latent)
    before = maps["units"]
    with intervene(planted, edits), trace(planted, "units") as maps:
        planted.synthesize(latent)
    assert torch.equal(maps["units"][..., 16:], before[..., 16:])
    assert maps["units"][..., :16].abs().max() < 1e-5 * before.abs().max()


def test_a_region_that_touches_the_border_goes_on_into_the_margin_of_a_layer(latent, label):
    framed = PlantedGenerator()
    framed.layers = {"units": LayerInfo(9, 28, 28, "units", margin=2)}
    before = label(framed.synthesize(latent))
    red = label(render(framed, latent, Insert("units", [0], [1.0], LEFT)))["red"]
    assert red[..., :16][before["black"][..., :16]].all()
    assert torch.equal(red[..., 16:], before["red"][..., 16:])


def test_what_a_basis_cannot_hold_is_kept(planted, latent, tmp_path):
    # Two features, channels 3 and 0; the other seven channels are the remainder.
    matrix = torch.eye(9)[[3, 0]]
    tensors = {
        "encoder.weight": matrix,
        "encoder.bias": torch.zeros(2),
        "decoder.weight": matrix.T.contiguous(),
        "decoder.bias": torch.zeros(9),
    }
    save_file(tensors, tmp_path / "two.safetensors", metadata={"activation": "relu"})
    layer = f"units@sae:{tmp_path / 'two.safetensors'}"
    assert torch.equal(
        render(planted, latent, Ablate(layer, [1])), render(planted, latent, Ablate("units", [0]))
    )


def test_several_layers_under_style_modulation_are_edited_at_once():
    torch.manual_seed(3)
    config = StyleGAN2Config(
        image_size=16, channels=(8, 6, 4), z_size=12, w_size=10, mapping_depth=2
    )
    generator = StyleGAN2(StyleGAN2Network(config).requires_grad_(False), name="tiny")
    latent = generator.sample([0, 1], seed=0)
    edits = [Ablate("b8.conv1", [0, 5]), Insert("b16.conv1", [3], [2.0], LEFT)]
    with intervene(generator, edits):
        with trace(generator, ["b8.conv1", "b16.conv1"]) as maps:
            images = generator.synthesize(latent)
        assert not maps["b8.conv1"][:, [0, 5]].any()
        assert (maps["b16.conv1"][:, 3, :, :8] == 2).all()
        assert not (maps["b16.conv1"][:, 3, :, 8:] == 2).any()
    plain = generator.synthesize(latent)
    assert not torch.equal(images, plain)
    assert torch.equal(render(generator, latent), plain)
    check_reach(generator, list(generator.layers), seed=0)


def test_principal_components_need_the_run_they_were_fitted_to(planted, latent):
    with pytest.raises(ConfigError, match=r"is fitted to a run.*run\.basis"):
        render(planted, latent, Ablate("units@pca:2", [0]))


def test_a_basis_without_a_way_back_is_refused(planted, latent):
    class OneWay(Channels):
        decode = None

    with pytest.raises(ConfigError, match="no way back"):
        render(
            planted, latent, Ablate("units@rotation:1", [0]),
            bases={"units@rotation:1": OneWay(9)},
        )  # fmt: skip


@pytest.mark.parametrize(
    ("edits", "error", "message"),
    [
        ([Ablate("unit", [0])], LayerError, "did you mean 'units'"),
        ([Ablate("all", [0])], LayerError, "expected one layer"),
        ([Ablate("units", [9])], LayerError, "unit 9 is not in units; expected 0 to 8"),
        ([Ablate("units", [1]), Insert("units", [1], [1])], ConfigError, "set to 0 and to 1"),
        ([Insert("units", [1], [2]), Insert("units", [1], [1], LEFT)], ConfigError, "2 and to 1"),
    ],
)
def test_edits_that_cannot_be_applied_are_told_in_one_line(planted, latent, edits, error, message):
    with pytest.raises(error, match=message) as caught:
        render(planted, latent, *edits)
    assert "\n" not in str(caught.value)
    assert hooks(planted) == []


def test_edits_of_one_unit_side_by_side_do_not_conflict(planted, latent):
    render(planted, latent, Ablate("units", [1], LEFT), Insert("units", [1], [1], ~LEFT))
    render(planted, latent, Ablate("units", [1], LEFT), Insert("units", [2], [1]))


def test_a_layer_that_never_reaches_the_image_is_refused(planted):
    check_reach(planted, ["units@rotation:0"], seed=0)
    blind = PlantedGenerator()
    blind.module.register_module("aside", torch.nn.Identity())
    blind.module.draw.register_forward_hook(
        lambda module, inputs, output: (blind.module.aside(output), output)[1]
    )
    blind.layers = {"aside": LayerInfo(9, 32, 32, "aside")}
    with pytest.raises(LayerError, match="no edit of layer 'aside' reaches the image"):
        check_reach(blind, ["aside"], seed=0)
