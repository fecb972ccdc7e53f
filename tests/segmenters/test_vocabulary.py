import pytest

from segmenters import SegmenterError, Vocabulary
from segmenters.vocabulary import Concept

SKY = ("sky", "object", "object", "#56b4e9")
SAND = ("sand", "material", "material", "#e69f00")


def test_ids_follow_the_order_and_planes_come_once():
    vocabulary = Vocabulary.build([SKY, SAND, ("tree", "object", "object", "#009e73")])
    assert [concept.id for concept in vocabulary] == [1, 2, 3]
    assert vocabulary.planes == ("object", "material")
    assert [c.name for c in vocabulary.in_plane("object")] == ["sky", "tree"]
    assert vocabulary["sand"].colour == "#e69f00"
    assert "sand" in vocabulary
    assert "snow" not in vocabulary


def test_joining_moves_ids_up_and_keeps_the_rest():
    joined = Vocabulary.build([SKY]).join(Vocabulary.build([SAND]))
    assert [(c.id, c.name, c.plane) for c in joined] == [
        (1, "sky", "object"),
        (2, "sand", "material"),
    ]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Vocabulary.build([SKY, SKY]), "names 'sky' twice"),
        (lambda: Vocabulary((Concept(2, *SKY),)), r"ids are \[2\]; expected 1 to 1"),
        (lambda: Vocabulary.build([("sky", "thing", "object", "#56b4e9")]), "category 'thing'"),
        (lambda: Vocabulary.build([("sky", "object", "object", "blue")]), "colour 'blue'"),
        (lambda: Vocabulary.build([SKY])["sea"], "'sea' is not in the vocabulary; it has sky"),
        (
            lambda: Vocabulary.build([SKY]).join(Vocabulary.build([SKY])),
            "both segmenters name 'sky'",
        ),
        (
            lambda: Vocabulary.build([SKY]).join(
                Vocabulary.build([("tree", "object", "object", "#009e73")])
            ),
            "both segmenters have a plane 'object'",
        ),
    ],
)
def test_a_vocabulary_that_cannot_be_is_refused_in_one_line(make, message):
    with pytest.raises(SegmenterError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
