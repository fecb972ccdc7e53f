import numpy as np
import pytest
import scipy.ndimage
import torch

from segmenters import SegmenterError, Vocabulary, load_segmenter
from segmenters.quadrants import Quadrants, divide


class Painted:
    """A segmenter whose red channel says what is there: 1 sky, 2 tree, 3 sand."""

    name = "painted"
    fingerprint = "painted"
    device = torch.device("cpu")
    vocabulary = Vocabulary.build(
        [
            ("sky", "object", "object", "#56b4e9"),
            ("tree", "object", "object", "#009e73"),
            ("sand", "material", "material", "#e69f00"),
        ]
    )

    def segment(self, images):
        ids = images[:, 0].long()
        return torch.stack([torch.where(ids < 3, ids, 0), torch.where(ids == 3, ids, 0)], dim=1)

    def score(self, images):
        return images.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)


def naive_halves(labels, concepts):
    """Top 1, bottom 2; left 1, right 2; by scipy's components."""
    vertical, horizontal = np.zeros_like(labels), np.zeros_like(labels)
    for concept in concepts:
        pieces, n = scipy.ndimage.label(labels == concept)
        for piece in range(1, n + 1):
            for y, x in zip(*np.nonzero(pieces == piece), strict=True):
                rows, columns = np.nonzero(pieces == piece)
                vertical[y, x] = np.sign(2 * y - rows.min() - rows.max()) % 3
                horizontal[y, x] = np.sign(2 * x - columns.min() - columns.max()) % 3
    turn = np.array([0, 2, 1])  # above the middle came out as 2
    return turn[vertical], turn[horizontal]


def test_halves_are_those_of_a_naive_search_for_connected_pieces():
    labels = np.random.default_rng(0).integers(0, 4, (3, 13, 17))
    labels[2] = np.kron(labels[2, :5, :6], np.ones((3, 3), int))[:13, :17]
    first = np.array([[0, 4, 6, 0], [0, 8, 10, 0]])
    vertical, horizontal = divide(labels, first)
    for image in range(3):
        expected = naive_halves(labels[image], (1, 2))
        for found, side, ids in zip(
            (vertical[image], horizontal[image]), expected, first, strict=True
        ):
            wanted = np.where(side > 0, ids[labels[image]] + side - 1, 0)
            np.testing.assert_array_equal(found, wanted)


def test_halves_are_concepts_that_know_their_whole():
    halves = Quadrants(Painted())
    assert halves.vocabulary.planes == (
        "object", "material", "object vertical", "object horizontal",
    )  # fmt: skip
    assert "sand-left" not in halves.vocabulary
    assert halves.vocabulary["tree-left"].part_of == "tree"
    assert [c.is_half for c in halves.vocabulary][:4] == [False, False, False, True]
    image = torch.zeros(1, 3, 4, 5)
    image[:, 0, :2, 1:4] = 2
    planes = halves.segment(image)
    name = dict(enumerate(["-", *halves.vocabulary.names]))
    assert [name[i] for i in planes[0, 2, :, 1].tolist()] == ["tree-top", "tree-bottom", "-", "-"]
    # Three columns: the middle one is in neither half.
    assert [name[i] for i in planes[0, 3, 0].tolist()] == ["-", "tree-left", "-", "tree-right", "-"]


def test_the_mirror_image_has_the_mirrored_halves():
    halves = Quadrants(Painted())
    images = torch.randint(0, 4, (4, 1, 9, 10)).float().expand(-1, 3, -1, -1)
    v = halves.vocabulary
    swap = torch.tensor([0, *(v.mirrored(name).id for name in v.names)])
    assert torch.equal(halves.segment(images.flip(-1)), swap[halves.segment(images).flip(-1)])


def test_a_half_scores_as_its_object_where_it_is_and_lets_gradients_through():
    halves = Quadrants(Painted())
    image = torch.zeros(1, 3, 4, 4)
    image[:, 0, :, :] = 1
    image.requires_grad_()
    score = halves.score(image)
    left = halves.vocabulary["sky-left"].id - 1
    assert torch.equal(score[0, left, :, :2], score[0, 0, :, :2])
    assert score[0, left, :, 2:].eq(0).all()
    score[0, left].sum().backward()
    assert image.grad[..., :2].ne(0).all()
    assert image.grad[..., 2:].eq(0).all()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("quadrants", "'quadrants' has nothing before it"),
        ("colour+quadrants", "found no objects in colour"),
        ("scenes+quadrants+quadrants", "give quadrants once"),
        ("colour+colour", "colour is joined to itself"),
        ("scenes+quadrants+scenes", "scenes is joined to itself"),
        ("colour+autocast", "autocast was given colour on the cpu"),
    ],
)
def test_what_cannot_be_joined_is_refused_in_one_line(spec, message):
    with pytest.raises(SegmenterError, match=message) as caught:
        load_segmenter(spec)
    assert "\n" not in str(caught.value)
