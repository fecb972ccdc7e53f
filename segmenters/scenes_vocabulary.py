"""The concepts of the procedural scenes, which the renderer paints and the scenes segmenter marks.

Separate from the segmenter, so that the renderer can name its labels without a network. The first
colours are those of Okabe and Ito; all differ in lightness too.
"""

from segmenters.vocabulary import Vocabulary

SCENES_VOCABULARY = Vocabulary.build(
    [
        ("sky", "object", "object", "#56b4e9"),
        ("cloud", "object", "object", "#dfe7ee"),
        ("sun", "object", "object", "#f0e442"),
        ("moon", "object", "object", "#b8b4e0"),
        ("mountain", "object", "object", "#7a6a8f"),
        ("ground", "object", "object", "#8c9a3b"),
        ("water", "object", "object", "#0072b2"),
        ("road", "object", "object", "#8a8a8a"),
        ("tree", "object", "object", "#009e73"),
        ("house", "object", "object", "#d55e00"),
        ("fence", "object", "object", "#e0b98a"),
        ("lamp", "object", "object", "#cc79a7"),
        ("trunk", "part", "part", "#7b4a12"),
        ("crown", "part", "part", "#2fbf8f"),
        ("wall", "part", "part", "#e69f00"),
        ("roof", "part", "part", "#a3320b"),
        ("window", "part", "part", "#3a6ea5"),
        ("lit window", "part", "part", "#ffd84d"),
        ("door", "part", "part", "#6b2d5c"),
        ("chimney", "part", "part", "#4d4d4d"),
        ("grass", "material", "material", "#5da832"),
        ("sand", "material", "material", "#e6cf8b"),
        ("snow", "material", "material", "#cfe8ff"),
        ("brick", "material", "material", "#b5482f"),
        ("wood", "material", "material", "#a9743f"),
        ("stone", "material", "material", "#8793a3"),
    ],
    part_of={
        "trunk": "tree",
        "crown": "tree",
        "wall": "house",
        "roof": "house",
        "window": "house",
        "lit window": "house",
        "door": "house",
        "chimney": "house",
    },
)

ATTRIBUTES = ("lighting", "cloudiness", "season", "view", "vegetation", "house size", "fog")

SCENES_CLIP = "scenes-clip"
"""Name of the model of words and drawn scenes that comes with the package."""
