"""The procedural scenes: exact masks, the same bytes everywhere, attributes that mean something."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dissect.errors import ConfigError
from dissect.worlds import draw_scenes, render, render_scenes
from segmenters.scenes_vocabulary import ATTRIBUTES, SCENES_VOCABULARY


@pytest.fixture(scope="module")
def scenes():
    return render_scenes(range(300), seed=11)


def of(scenes, name):
    concept = SCENES_VOCABULARY[name]
    return scenes.planes[:, SCENES_VOCABULARY.planes.index(concept.plane)] == concept.id


def test_every_pixel_carries_exactly_one_object_and_each_plane_only_its_own_concepts(scenes):
    for k, plane in enumerate(SCENES_VOCABULARY.planes):
        allowed = {c.id for c in SCENES_VOCABULARY.in_plane(plane)}
        found = set(scenes.planes[:, k].unique().tolist())
        assert found - {0} <= allowed
        if plane == "object":
            assert 0 not in found


def test_every_concept_occurs(scenes):
    found = set(scenes.planes.unique().tolist()) - {0}
    assert found == {c.id for c in SCENES_VOCABULARY}


def test_parts_lie_on_the_objects_they_are_parts_of(scenes):
    for part, whole in [("roof", "house"), ("window", "house"), ("lit window", "house"),
                        ("door", "house"), ("chimney", "house"), ("wall", "house"),
                        ("trunk", "tree"), ("crown", "tree")]:  # fmt: skip
        assert not (of(scenes, part) & ~of(scenes, whole)).any(), part


def test_a_tree_is_trunk_and_crown_and_nothing_else(scenes):
    assert torch.equal(of(scenes, "tree"), of(scenes, "trunk") | of(scenes, "crown"))


@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**32),
    index=st.integers(0, 10**6),
    before=st.integers(0, 20),
    after=st.integers(0, 20),
    correlation=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_a_scene_is_the_same_bytes_in_any_batch(seed, index, before, after, correlation):
    alone = render_scenes([index], seed=seed, size=32, correlation=correlation, n_threads=1)
    crowd = [10**7 + k for k in range(before)], [10**8 + k for k in range(after)]
    together = render_scenes(
        [*crowd[0], index, *crowd[1]], seed=seed, size=32, correlation=correlation
    )
    assert torch.equal(alone.images[0], together.images[before])
    assert torch.equal(alone.planes[0], together.planes[before])
    assert torch.equal(alone.attributes[0], together.attributes[before])


def test_images_are_rgb_at_256_levels_from_minus_one_to_one(scenes):
    assert scenes.images.dtype == torch.float32
    levels = (scenes.images + 1) * 127.5
    assert (levels - levels.round()).abs().max() < 1e-4
    assert 0 <= levels.min() < 20
    assert 235 < levels.max() <= 255.001


def test_a_larger_size_shows_the_same_scene():
    small, large = (render_scenes(range(40), seed=3, size=size) for size in (64, 128))
    shrunk = torch.nn.functional.avg_pool2d(large.images, 2)
    assert (shrunk - small.images).abs().mean() < 0.02
    agreement = (large.planes[:, :, ::2, ::2] == small.planes).float().mean()
    assert agreement > 0.95


def test_with_all_correlations_the_world_goes_together_as_in_life():
    parameters = draw_scenes(range(3000), seed=5)
    lit = parameters.lit.max(axis=1)
    assert lit[parameters.lighting < 0.3].mean() > 0.9
    assert lit[parameters.lighting > 0.5].max() == 0
    snow = parameters.ground[:, 0] == 2
    assert np.array_equal(snow, parameters.season > np.float32(0.7))
    assert np.corrcoef(parameters.cloudiness, parameters.lighting)[0, 1] < -0.2


def test_the_knob_at_zero_removes_every_correlation():
    parameters = draw_scenes(range(6000), seed=5, correlation=0.0)
    columns = [parameters.attributes, parameters.lit, parameters.ground[:, :1] == 2,
               parameters.celestial[:, 1:2], parameters.celestial[:, 3:]]  # fmt: skip
    table = np.concatenate(columns, axis=1).astype(float)
    correlations = np.corrcoef(table.T) - np.eye(table.shape[1])
    # The height of sun and moon depends on which it is, and on nothing else.
    correlations[-1, -2] = correlations[-2, -1] = 0.0
    # Both windows are of one house, lit by separate draws. 4.5 standard errors.
    assert np.abs(correlations).max() < 4.5 / np.sqrt(6000)


def test_editing_one_attribute_moves_what_it_names_and_nothing_drawn():
    parameters = draw_scenes(range(64), seed=9)
    night, noon = (render(parameters.edited("lighting", v)) for v in (0.05, 0.95))
    assert torch.equal(night.planes, noon.planes)
    assert (noon.images.mean(dim=(1, 2, 3)) > night.images.mean(dim=(1, 2, 3)) + 0.3).all()

    bare, grown = (render(parameters.edited("vegetation", v)) for v in (0.0, 5.0))
    assert not of(bare, "tree").any()
    assert of(grown, "tree").float().mean() > 0.1

    small, large = (render(parameters.edited("house size", v)) for v in (0.38, 0.69))
    assert of(large, "house").sum() > 1.3 * of(small, "house").sum()


def test_a_pan_moves_near_things_more_than_far_ones():
    parameters = draw_scenes(range(200), seed=9).edited("fog", 0.0)
    left, right = (render(parameters.edited("view", v)) for v in (-0.5, 0.5))

    def middle(scenes, name):
        mask = of(scenes, name).float()
        columns = torch.arange(64.0)
        inside = (mask[:, :, :1].sum(dim=(1, 2)) == 0) & (mask[:, :, -1:].sum(dim=(1, 2)) == 0)
        weight = mask.sum(dim=(1, 2))
        return (mask * columns).sum(dim=(1, 2)) / weight, inside & (weight > 0)

    shifts = {}
    for name in ("sun", "house", "lamp"):
        (a, seen_a), (b, seen_b) = middle(left, name), middle(right, name)
        both = seen_a & seen_b
        assert both.sum() >= 5, name
        shifts[name] = (b - a)[both].median().item()
    assert 0 < shifts["sun"] < shifts["house"] < shifts["lamp"]


def test_houses_windows_doors_and_trunks_are_big_enough_to_be_learnt():
    parameters = draw_scenes(range(500), seed=2).edited("vegetation", 0.0).edited("view", 0.0)
    scenes = render(parameters)
    fence_and_lamp = of(scenes, "fence").any(2).any(1) | of(scenes, "lamp").any(2).any(1)
    clear = torch.from_numpy(parameters.house_size > 0) & ~fence_and_lamp
    assert clear.sum() > 100
    wall = (of(scenes, "house")[clear] & ~of(scenes, "roof")[clear]).sum(dim=2).amax(dim=1)
    assert wall.min() >= 23
    assert wall.max() <= 45
    door = of(scenes, "door")[clear].sum(dim=2).amax(dim=1)
    assert door.min() >= 5


def test_an_attribute_that_scenes_do_not_have_is_refused_with_the_names_of_those_they_do():
    with pytest.raises(ConfigError, match=f"'rain' is not .*{ATTRIBUTES[0]}"):
        draw_scenes([0], seed=0).edited("rain", 1.0)


@pytest.mark.parametrize("correlation", [-0.1, 1.5])
def test_a_correlation_out_of_range_is_refused(correlation):
    with pytest.raises(ConfigError, match="from 0 to 1"):
        draw_scenes([0], seed=0, correlation=correlation)
