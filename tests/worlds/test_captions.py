"""Captions of scenes: nothing is said that the masks and attributes do not hold."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dissect.errors import ConfigError
from dissect.worlds import (
    caption_scenes,
    describe_scenes,
    draw_scenes,
    render,
    render_scenes,
    scene_facts,
)
from segmenters.scenes_vocabulary import ATTRIBUTES, SCENES_VOCABULARY

# Words of captions → the concepts of which one has to be in the masks.
_HELD = {
    "moon": ("moon",), "sun": ("sun",), "cloud": ("cloud",), "house": ("house",), "lamp": ("lamp",),
    "fence": ("fence",), "lake": ("water",), "pond": ("water",), "road": ("road",),
    "tree": ("tree",), "lit window": ("lit window",), "window": ("window", "lit window"),
    "chimney": ("chimney",), "mountain": ("mountain",), "brick": ("brick",), "beach": ("sand",),
    "meadow": ("grass",), "on snow": ("snow",), "door": ("door",), "leaves": ("crown",),
}  # fmt: skip


@pytest.fixture(scope="module")
def scenes():
    return render_scenes(range(400), seed=21)


def pixels(scenes, row, name):
    concept = SCENES_VOCABULARY[name]
    return int(
        (scenes.planes[row, SCENES_VOCABULARY.planes.index(concept.plane)] == concept.id).sum()
    )


@pytest.mark.parametrize("variant", [0, 7])
def test_what_the_words_name_is_in_the_masks(scenes, variant):
    said = dict.fromkeys(_HELD, 0)
    for row, text in enumerate(caption_scenes(scenes, range(400), seed=21, variant=variant)):
        for word, names in _HELD.items():
            if word in text.replace("clear", "").replace("cloudless", "").replace("cloudy", ""):
                said[word] += 1
                assert sum(pixels(scenes, row, name) for name in names) >= 16, text
    assert min(said.values()) > 0, said


def test_what_the_words_say_of_light_season_and_fog_is_in_the_attributes(scenes):
    column = {name: scenes.attributes[:, k].tolist() for k, name in enumerate(ATTRIBUTES)}
    ranges = {
        "night": ("lighting", 0, 0.28), "dark": ("lighting", 0, 0.28), "daylight": ("lighting", 0.62, 1),
        "dusk": ("lighting", 0.34, 0.48), "summer": ("season", 0, 0.3), "autumn": ("season", 0.46, 0.64),
        "orange": ("season", 0.46, 0.64), "winter": ("season", 0.74, 1), "fog": ("fog", 0.35, 1),
        "cloudless": ("cloudiness", 0, 0.15), "grey sky": ("cloudiness", 0.75, 1),
        "small": ("house size", 0.3, 0.46), "large": ("house size", 0.61, 0.7),
        "left": ("view", -1, -0.5), "right": ("view", 0.5, 1), "many trees": ("vegetation", 4, 5),
    }  # fmt: skip
    said = dict.fromkeys(ranges, 0)
    for row, text in enumerate(caption_scenes(scenes, range(400), seed=3)):
        words = text.replace("dark windows", "").replace("bright", "")
        for word, (attribute, low, high) in ranges.items():
            if word in words:
                said[word] += 1
                assert low <= column[attribute][row] <= high, text
    assert min(said.values()) > 0, said


def test_a_caption_says_facts_of_its_scene_and_the_house_walls_are_those_of_its_facade(scenes):
    facts = scene_facts(scenes)
    for caption, held in zip(describe_scenes(scenes, range(400), seed=5), facts, strict=True):
        assert caption.facts
        assert caption.facts <= held, caption
    walls = draw_scenes(range(400), seed=21).facade[:, 0]
    for row, held in enumerate(facts):
        for kind, name in enumerate(("brick wall", "wooden wall", "stone wall")):
            if name in held:
                assert walls[row] == kind


@settings(max_examples=10)
@given(index=st.integers(0, 10**6), before=st.integers(0, 4), variant=st.integers(0, 2**16 - 1))
def test_a_scene_has_the_same_caption_in_any_batch(index, before, variant):
    alone = render_scenes([index], seed=2, size=32, n_threads=1)
    indices = [*range(before), index]
    together = render_scenes(indices, seed=2, size=32, n_threads=1)
    one = caption_scenes(alone, [index], seed=2, variant=variant)
    assert caption_scenes(together, indices, seed=2, variant=variant)[-1:] == one


def test_variants_seeds_and_indices_choose_other_words(scenes):
    def texts(**given):
        return caption_scenes(scenes, given.pop("indices", range(400)), **given)

    first = texts(seed=1)
    assert len(set(first)) > 250
    for other in (texts(seed=1, variant=1), texts(seed=2), texts(seed=1, indices=range(1, 401))):
        assert sum(a != b for a, b in zip(first, other, strict=True)) > 300


def test_moving_an_attribute_moves_the_facts_that_it_names_and_no_other():
    drawn = draw_scenes(range(60), seed=4)
    night, day = (scene_facts(render(drawn.edited("lighting", v))) for v in (0.1, 0.9))
    for dark, bright in zip(night, day, strict=True):
        assert dark - {"night"} == bright - {"day"}
        assert ("night" in dark, "day" in bright) == (True, True)
    assert not any("tree" in held for held in scene_facts(render(drawn.edited("vegetation", 0.0))))
    assert not any("house" in held for held in scene_facts(render(drawn.edited("house size", 0.0))))


@pytest.mark.parametrize(
    ("indices", "variant", "said"),
    [([0], 0, "1 indices .* 2 scenes"), ([0, 1], 2**16, "variant"), ([0, 2**44], 0, "index")],
)
def test_what_is_out_of_range_is_refused(indices, variant, said):
    with pytest.raises(ConfigError, match=said):
        caption_scenes(render_scenes([0, 1], seed=0, size=16), indices, seed=0, variant=variant)
