"""Captions of drawn scenes: short English phrases, true by construction, from seed and index.

A caption states a few facts from a scene's masks and attributes:

    a small brick house on the left with lit windows and a fence, at night
    autumn trees
    a lake, mountains and the moon, in fog

A concept of ``SCENES_VOCABULARY`` is a fact if its mask has at least ``SEEN`` of the pixels; an
attribute if its value is inside one of these ranges. There are gaps between the ranges, so that
no caption depends on a tiny difference:

==========  ==================================================================
lighting    night below 0.28, dusk from 0.34 to 0.48, day from 0.62
season      summer below 0.3, autumn from 0.46 to 0.64, winter from 0.74
cloudiness  clear sky below 0.15 where no cloud is seen, cloudy sky from 0.75
fog         from 0.35
house size  small below 0.46, large from 0.61, of a house that is seen
view        the house on the left below -0.5, on the right from 0.5
vegetation  many trees from 4, of trees that are seen
==========  ==================================================================

Facts without mention are not denied: a caption is true of every scene whose facts include its own.
One caption in five has a single fact, so that single words have a meaning.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from dissect.errors import ConfigError
from dissect.latents.sampling import CAPTION_STREAMS, stream
from dissect.worlds.scenes import Scenes
from segmenters.scenes_vocabulary import ATTRIBUTES, SCENES_VOCABULARY

_T = TypeVar("_T")

SEEN = 0.004
"""The least share of the pixels at which a thing is visible: 16 of 64 × 64."""
N_VARIANTS = 2**16
"""Number of captions of a scene; some of them have the same words."""
_MOST_INDICES = 2**44

_ALONE = 0.2  # share of captions with a single fact
_OPENINGS = ("a drawing of ", "a picture of ", "an image of ")
_OPENED = 0.25  # share of the others that begin with an opening
_HOUSE_FIRST = 0.6  # how often a visible house is mentioned, as the first thing
_SAID = 0.6  # how often its size, walls and place are mentioned

_RANGES = (
    ("night", "lighting", -np.inf, 0.28),
    ("dusk", "lighting", 0.34, 0.48),
    ("day", "lighting", 0.62, np.inf),
    ("summer", "season", -np.inf, 0.30),
    ("autumn", "season", 0.46, 0.64),
    ("winter", "season", 0.74, np.inf),
    ("few clouds", "cloudiness", -np.inf, 0.15),
    ("cloudy sky", "cloudiness", 0.75, np.inf),
    ("fog", "fog", 0.35, np.inf),
    ("small house", "house size", -np.inf, 0.46),
    ("large house", "house size", 0.61, np.inf),
    ("house on the left", "view", -np.inf, -0.5),
    ("house on the right", "view", 0.5, np.inf),
    ("many trees", "vegetation", 4, np.inf),
)
# The concept that a fact of a range requires, besides its value.
_NEEDS = {"small house": "house", "large house": "house", "house on the left": "house",
          "house on the right": "house", "many trees": "tree"}  # fmt: skip
_WALLS = {"brick": "brick wall", "wood": "wooden wall", "stone": "stone wall"}

# Fact → its wordings after things, and alone.
_SETTINGS = {
    "night": (("at night", "in the dark"), ("night", "a dark night")),
    "dusk": (("at dusk", "in the evening"), ("dusk", "the evening")),
    "day": (("by day", "in daylight"), ("daylight", "a bright day")),
    "summer": (("in summer",), ("summer",)),
    "autumn": (("in autumn",), ("autumn",)),
    "winter": (("in winter",), ("winter",)),
    "fog": (("in fog", "in the mist"), ("fog", "mist")),
    "clear sky": (("under a clear sky", "under a cloudless sky"), ("a clear sky",)),
    "cloudy sky": (("under a cloudy sky", "under a grey sky"), ("a cloudy sky",)),
    "grass": (("on grass", "in a meadow"), ("grass", "a meadow")),
    "sand": (("on sand", "on a beach"), ("sand", "a beach")),
    "snow": (("in the snow", "on snow"), ("snow", "snow on the ground")),
}
# Wordings of one thing: how often it is mentioned with others (rarely, if all scenes have it),
# and each wording with its facts.
_THINGS: tuple[tuple[float, Mapping[str, tuple[str, ...]]], ...] = (
    (1.5, {"trees": ("tree",), "a tree": ("tree",), "many trees": ("tree", "many trees"),
           "green trees": ("tree", "summer"), "a green tree": ("tree", "summer"),
           "autumn trees": ("tree", "autumn"), "an autumn tree": ("tree", "autumn"),
           "orange trees": ("tree", "autumn"), "snowy trees": ("tree", "winter"),
           "white trees": ("tree", "winter"), "a snowy tree": ("tree", "winter")}),
    (1.0, {"the sun": ("sun",), "a sun": ("sun",)}),
    (1.0, {"the moon": ("moon",), "a moon": ("moon",)}),
    (1.0, {"clouds": ("cloud",), "a cloud": ("cloud",), "clouds in the sky": ("cloud",)}),
    (0.7, {"mountains": ("mountain",), "a mountain": ("mountain",)}),
    (1.0, {"a lake": ("water",), "water": ("water",), "a pond": ("water",)}),
    (1.0, {"a road": ("road",), "a path": ("road",)}),
    (1.0, {"a fence": ("fence",), "a wooden fence": ("fence",)}),
    (1.0, {"a street lamp": ("lamp",), "a lamp": ("lamp",)}),
    (1.0, {"lit windows": ("lit window",), "a lit window": ("lit window",),
           "light in the windows": ("lit window",), "dark windows": ("window",),
           "windows": ("any window",), "a window": ("any window",)}),
    (0.6, {"a chimney": ("chimney",)}),
    (0.4, {"a door": ("door",)}),
    (0.3, {"a roof": ("roof",)}),
    (0.3, {"a wall": ("wall",), "a brick wall": ("wall", "brick wall"),
           "a wooden wall": ("wall", "wooden wall"), "a stone wall": ("wall", "stone wall")}),
    (0.2, {"a tree trunk": ("trunk",), "a trunk": ("trunk",)}),
    (0.2, {"the crown of a tree": ("crown",), "leaves": ("crown",)}),
    (0.1, {"the sky": ("sky",), "sky": ("sky",)}),
    (0.1, {"the ground": ("ground",)}),
)  # fmt: skip
# Adjectives of a house in their order, then its place: wordings with their facts.
_HOUSE: tuple[Mapping[str, str], ...] = (
    {"small": "small house", "large": "large house", "big": "large house"},
    {"brick": "brick wall", "red brick": "brick wall", "wooden": "wooden wall",
     "stone": "stone wall"},
    {"on the left": "house on the left", "on the right": "house on the right"},
)  # fmt: skip

_PLACES = {c.name: (SCENES_VOCABULARY.planes.index(c.plane), c.id) for c in SCENES_VOCABULARY}


@dataclass(frozen=True)
class Caption:
    """A caption and its facts.

    Args:
        text: The caption.
        facts: It is true of every scene that has all of them (``scene_facts``).

    Example:
        >>> Caption("a house", frozenset({"house"})).text
        'a house'
    """

    text: str
    facts: frozenset[str]


def caption_scenes(
    scenes: Scenes, indices: Sequence[int], *, seed: int, variant: int = 0
) -> list[str]:
    """The texts of ``describe_scenes``.

    Example:
        >>> from dissect.worlds import render_scenes
        >>> len(caption_scenes(render_scenes([3, 8], seed=0), [3, 8], seed=0))
        2
    """
    described = describe_scenes(scenes, indices, seed=seed, variant=variant)
    return [caption.text for caption in described]


def describe_scenes(
    scenes: Scenes, indices: Sequence[int], *, seed: int, variant: int = 0
) -> list[Caption]:
    """A caption for each scene; the same scene, index, seed and variant give the same words.

    Args:
        scenes: Rendered scenes of any size; captions come from their masks and attributes.
        indices: Index of each scene; with the seed it selects facts and words.
        seed: 0 ≤ seed < 2⁶⁴, such as that of the scenes.
        variant: 0 ≤ variant < ``N_VARIANTS``: another choice of facts and words.

    Raises:
        ConfigError: another number of indices than of scenes, an index from 2⁴⁴ on, or a variant
            out of range.

    Example:
        >>> from dissect.worlds import render_scenes
        >>> scenes = render_scenes([0, 1], seed=0)
        >>> len(describe_scenes(scenes, [0, 1], seed=0))
        2
    """
    if len(indices) != len(scenes):
        raise ConfigError(
            f"{len(indices)} indices were given for {len(scenes)} scenes; expected one for each"
        )
    for name, given, limit in (
        ("variant", variant, N_VARIANTS),
        ("index", max(indices, default=0), _MOST_INDICES),
    ):
        if not 0 <= given < limit:
            raise ConfigError(f"{name} is {given}; expected a whole number from 0 to {limit - 1}")
    first = CAPTION_STREAMS + variant * _MOST_INDICES
    return [
        _write(facts, stream(seed, first + int(index)))
        for facts, index in zip(scene_facts(scenes), indices, strict=True)
    ]


def scene_facts(scenes: Scenes) -> list[frozenset[str]]:
    """All facts of each scene, from its masks and attributes; see the module docstring.

    Example:
        >>> from dissect.worlds import render_scenes
        >>> scenes = render_scenes([0, 1], seed=0)
        >>> [len(facts) > 0 for facts in scene_facts(scenes)]
        [True, True]
    """
    planes, attributes = scenes.planes.numpy(), scenes.attributes.tolist()
    return [
        _facts(planes[row], dict(zip(ATTRIBUTES, attributes[row], strict=True)))
        for row in range(len(scenes))
    ]


def short_captions() -> list[Caption]:
    """Every caption with one thing or one setting, in every wording.

    Example:
        >>> Caption("a house", frozenset({"house"})) in short_captions()
        True
    """
    short = [
        Caption(text, frozenset({fact})) for fact, (_, alone) in _SETTINGS.items() for text in alone
    ]
    short += [
        Caption(text, frozenset(facts)) for _, group in _THINGS for text, facts in group.items()
    ]
    short.append(Caption("a house", frozenset({"house"})))
    before, walls, behind = _HOUSE
    for wordings in (before, walls):
        short += [Caption(f"a {word} house", frozenset({"house", fact}))
                  for word, fact in wordings.items()]  # fmt: skip
    short += [Caption(f"a house {place}", frozenset({"house", fact}))
              for place, fact in behind.items()]  # fmt: skip
    return short


def _facts(planes: np.ndarray, values: Mapping[str, float]) -> frozenset[str]:
    needed = SEEN * planes[0].size
    counts = [np.bincount(plane.reshape(-1), minlength=len(_PLACES) + 1) for plane in planes]
    facts = {name for name, (plane, number) in _PLACES.items() if counts[plane][number] >= needed}
    wall = planes[_PLACES["wall"][0]] == _PLACES["wall"][1]
    for material, fact in _WALLS.items():
        plane, number = _PLACES[material]
        if np.count_nonzero(wall & (planes[plane] == number)) >= needed:
            facts.add(fact)
    for fact, attribute, low, high in _RANGES:
        if low <= values[attribute] < high and _NEEDS.get(fact, fact) in (facts | {fact}):
            facts.add(fact)
    plane, number = _PLACES["cloud"]
    if "few clouds" in facts and "sky" in facts and counts[plane][number] == 0:
        facts.add("clear sky")
    if facts & {"window", "lit window"}:
        facts.add("any window")
    # Only the ground has a material.
    ground = planes[_PLACES["ground"][0]] == _PLACES["ground"][1]
    for material in ("grass", "sand", "snow"):
        plane, number = _PLACES[material]
        if np.count_nonzero(ground & (planes[plane] == number)) < needed:
            facts.discard(material)
    return frozenset(facts)


def _write(facts: frozenset[str], draws: np.random.Generator) -> Caption:
    settings = [fact for fact in _SETTINGS if fact in facts]
    things = [
        (weight, [(text, said) for text, said in group.items() if facts.issuperset(said)])
        for weight, group in _THINGS
    ]
    things = [(weight, group) for weight, group in things if group]
    names, said = [], set()

    if draws.random() < _ALONE:
        chosen = int(draws.integers(len(settings) + len(things) + ("house" in facts)))
        if chosen < len(settings):
            fact = settings[chosen]
            return Caption(_one(_SETTINGS[fact][1], draws), frozenset({fact}))
        if chosen < len(settings) + len(things):
            text, also = _one(things[chosen - len(settings)][1], draws)
            return Caption(text, frozenset(also))
        return Caption(*_house(facts, draws))

    if "house" in facts and draws.random() < _HOUSE_FIRST:
        text, also = _house(facts, draws)
        names.append(text)
        said |= also
    n_things = int(draws.integers(0 if names else 1, 4))
    if n_things and things:
        weights = np.array([weight for weight, _ in things])
        picked = draws.choice(
            len(things), min(n_things, len(things)), replace=False, p=weights / weights.sum()
        )
        for k in picked:
            text, also = _one(things[k][1], draws)
            names.append(text)
            said.update(also)
    if not names:  # a house so close that nothing else is visible
        text, also = _house(facts, draws)
        names.append(text)
        said |= also
    joined = _joined(names, holds="house" in said and bool(draws.random() < 0.5))
    placed = [settings[k] for k in draws.permutation(len(settings))[: draws.integers(0, 4)]]
    said.update(placed)
    opening = _one(_OPENINGS, draws) if draws.random() < _OPENED else ""
    text = opening + ", ".join([joined, *(_one(_SETTINGS[fact][0], draws) for fact in placed)])
    return Caption(text, frozenset(said))


def _house(facts: frozenset[str], draws: np.random.Generator) -> tuple[str, frozenset[str]]:
    """A house with some of its size, walls and place."""
    words, said = [], {"house"}
    for wordings in _HOUSE:
        true = [(text, fact) for text, fact in wordings.items() if fact in facts]
        if true and draws.random() < _SAID:
            text, fact = _one(true, draws)
            words.append(text)
            said.add(fact)
    at = len(words) - any(word in _HOUSE[-1] for word in words)
    return " ".join(["a", *words[:at], "house", *words[at:]]), frozenset(said)


def _one(choices: Sequence[_T], draws: np.random.Generator) -> _T:
    return choices[int(draws.integers(len(choices)))]


def _joined(names: Sequence[str], *, holds: bool) -> str:
    """``a, b and c``; if the first contains the others, ``a with b and c``."""
    if holds and len(names) > 1:
        return f"{names[0]} with {_joined(names[1:], holds=False)}"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
