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
    joined = Vocabulary.build([SKY]).join(Vocabulary.build([SAND]), name="more")
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
            lambda: Vocabulary.build([SKY], part_of={"sky": "sea"}),
            "'sky' is a part of 'sea'; expected another concept",
        ),
        (
            lambda: Vocabulary.build([SKY, SAND], part_of={"sky": "sand", "sand": "sky"}),
            "'sky' is a part of itself",
        ),
        (
            lambda: Vocabulary.build([SKY], part_of={"sea": "sky"}),
            "'sea' of part_of is not a concept",
        ),
    ],
)
def test_a_vocabulary_that_cannot_be_is_refused_in_one_line(make, message):
    with pytest.raises(SegmenterError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_names_that_clash_get_the_name_of_the_later_segmenter():
    first = Vocabulary.build([SKY, ("sky (b)", "object", "object", "#56b4e9")])
    later = Vocabulary.build([SKY, ("star", "part", "part", "#ffffff")], part_of={"star": "sky"})
    joined = first.join(later, name="b")
    assert joined.names == ("sky", "sky (b)", "sky (b 2)", "star")
    assert joined.planes == ("object", "object (b)", "part")
    # The part follows the whole of its own segmenter.
    assert joined.wholes == {"star": "sky (b 2)"}
    assert [c.name for c in joined.parts("sky (b 2)")] == ["star"]
    assert joined.parts("sky") == ()


def test_left_and_right_change_places_in_the_mirror():
    rows = [
        (n, "part", "part", "#ffffff") for n in ("left eye", "right eye", "bright", "tree-left")
    ]
    vocabulary = Vocabulary.build(rows)
    assert vocabulary.mirrored("left eye").name == "right eye"
    assert vocabulary.mirrored("bright").name == "bright"
    assert vocabulary.mirrored("tree-left").name == "tree-left"  # it has no counterpart here
