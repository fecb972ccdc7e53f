import pytest
import torch

from segmenters import JoinedSegmenter, Segmenter, SegmenterError, load_segmenter
from segmenters.colour import TYPICAL, oklab


def flat(colour, size=4):
    rgb = [int(colour[i : i + 2], 16) / 127.5 - 1 for i in (1, 3, 5)]
    return torch.tensor(rgb)[None, :, None, None].expand(1, 3, size, size)


@pytest.fixture(scope="module")
def colour():
    return load_segmenter("colour")


def test_it_follows_the_protocol(colour):
    assert isinstance(colour, Segmenter)
    assert colour.vocabulary.names == tuple(TYPICAL)


@pytest.mark.parametrize("name", list(TYPICAL))
def test_a_typical_colour_is_given_its_own_name(colour, name):
    planes = colour.segment(flat(TYPICAL[name]))
    assert planes.shape == (1, 1, 4, 4)
    assert (planes == colour.vocabulary[name].id).all()


def test_white_black_and_grey_have_no_hue_in_oklab():
    # Lightness of white is 1 and of black 0 by definition (Ottosson 2020).
    for level, lightness in ((1.0, 1.0), (-1.0, 0.0)):
        lab = oklab(torch.full((1, 3, 1, 1), level)).flatten()
        torch.testing.assert_close(lab, torch.tensor([lightness, 0.0, 0.0]), atol=2e-3, rtol=0)


def test_the_highest_score_is_the_label_and_scores_sum_to_one(colour):
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    scores = colour.score(images)
    assert torch.equal(scores.argmax(dim=1) + 1, colour.segment(images)[:, 0])
    torch.testing.assert_close(scores.sum(dim=1), torch.ones(2, 8, 8))


def test_scores_have_a_finite_gradient_even_at_black_and_out_of_range(colour):
    images = torch.tensor([-1.0, 0.3, 1.5]).reshape(1, 3, 1, 1).clone().requires_grad_()
    colour.score(images)[:, 4].sum().backward()
    assert torch.isfinite(images.grad).all()
    assert images.grad[0, 1].abs().item() > 0


def test_grey_images_are_refused_in_one_line(colour):
    with pytest.raises(SegmenterError, match=r"shape \(1, 1, 4, 4\); expected"):
        colour.segment(torch.zeros(1, 1, 4, 4))


class Halves:
    """Marks the left half, for joining."""

    name = "halves"
    fingerprint = "halves"
    device = torch.device("cpu")

    def __init__(self):
        from segmenters import Vocabulary

        self.vocabulary = Vocabulary.build([("left", "attribute", "side", "#000000")])

    def segment(self, images):
        planes = torch.zeros(len(images), 1, *images.shape[2:], dtype=torch.int64)
        planes[..., : images.shape[3] // 2] = 1
        return planes

    def score(self, images):
        return self.segment(images).float()


def test_joined_segmenters_give_both_planes_with_ids_of_the_joint_vocabulary(colour):
    joined = JoinedSegmenter(Halves(), colour)
    planes = joined.segment(flat(TYPICAL["red"]))
    assert joined.vocabulary.planes == ("side", "colour")
    assert planes[0, 0].unique().tolist() == [0, 1]
    assert (planes[0, 1] == joined.vocabulary["red"].id).all()
    assert joined.score(flat(TYPICAL["red"])).shape == (1, 12, 4, 4)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("color", "did you mean 'colour'"),
        ("", "segmenter '' is not known"),
        ("colour+colour", "colour is joined to itself"),
        ("no_such:thing", "cannot be imported"),
        ("builtins:list", "gave a list"),
    ],
)
def test_a_segmenter_that_is_not_there_is_told_in_one_line(spec, message):
    with pytest.raises(SegmenterError, match=message) as caught:
        load_segmenter(spec)
    assert "\n" not in str(caught.value)
