"""How networks read images: sizes, tiles, numbers."""

import pytest
import torch
from torch import nn

from segmenters import SegmenterError
from segmenters.class_names import from_labels
from segmenters.network_segmenter import NetworkSegmenter
from segmenters.reading import Reading, average_tiles
from segmenters.testing import check_segmenter
from tests.rounding import assert_same

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


@pytest.mark.parametrize(
    ("settings", "given", "expected"),
    [
        ({"size": (64, 48)}, (100, 30), (64, 48)),
        ({"shortest": 32}, (64, 128), (32, 64)),
        ({"shortest": 32, "longest": 48}, (64, 128), (24, 48)),
        ({"shortest": 50, "multiple": 32}, (100, 100), (64, 64)),
        ({"multiple": 32}, (33, 64), (64, 64)),
        ({}, (33, 65), (33, 65)),
    ],
)
def test_images_are_read_at_the_size_that_is_asked(settings, given, expected):
    reading = Reading(**PLAIN, **settings)
    assert tuple(reading.read(torch.zeros(1, 3, *given)).shape[2:]) == expected


def test_numbers_are_those_of_mean_deviation_and_order():
    reading = Reading(mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0), reversed=True)
    image = torch.tensor([1.0, 0.0, -1.0])[None, :, None, None]  # red 1, green 0.5, blue 0
    assert torch.allclose(reading.read(image).flatten(), torch.tensor([-0.2, 0.3, 0.35]))


def test_tiles_come_from_twice_the_size_on_cover_all_and_overlap():
    reading = Reading(**PLAIN, size=(64, 64))
    assert reading.cut(128, 100) is None
    for height, width in ((129, 64), (300, 200), (40, 400)):
        scaled, corners = reading.cut(height, width)
        assert min(scaled) >= 64
        covered = torch.zeros(scaled)
        for top, left in corners:
            covered[top : top + 64, left : left + 64] += 1
            assert top + 64 <= scaled[0]
            assert left + 64 <= scaled[1]
        assert covered.min() >= 1
    _, corners = reading.cut(64, 160)
    assert [left for _, left in corners] == [0, 48, 96]
    assert Reading(**PLAIN, size=(64, 64), tiles="resize").cut(999, 999) is None
    assert Reading(**PLAIN, size=(64, 64), tiles="tile").cut(64, 65)
    assert Reading(**PLAIN, size=(64, 64), tiles="tile").cut(64, 64) is None


def test_where_tiles_agree_their_average_is_what_they_say():
    whole = torch.randn(1, 2, 100, 70)
    corners = [(0, 0), (36, 0), (0, 6), (36, 6)]
    parts = [whole[:, :, top : top + 64, left : left + 64] for top, left in corners]
    assert_same(average_tiles(parts, corners, (100, 70)), whole)


class _Brightest(nn.Module):
    """Says of each pixel how red, green and blue it is: right in any tile."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.eye(3)[:, :, None, None] * 9)

    def forward(self, images):
        return nn.functional.conv2d(images, self.weight)


@pytest.mark.parametrize("meaning", ["logits", "shares", "probabilities"])
def test_a_large_image_in_tiles_is_marked_as_it_is_as_a_whole(meaning):
    network = _Brightest()
    classes = from_labels(["red", "background", "blue"], plane="hue", source="s")
    reading = Reading(**PLAIN, size=(32, 32), antialias=False)

    def said(images):
        answer = network(images) / 9
        return answer if meaning == "shares" else answer * 9 if meaning == "logits" else answer

    segmenter = NetworkSegmenter("hues", network, said, classes, reading, meaning=meaning)
    draw = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 96, 70, generator=draw) * 2 - 1
    found, best = segmenter.segment(image), image.argmax(1)
    if meaning == "probabilities":
        assert segmenter.vocabulary.planes == ("hue red", "hue blue")
        expected = (image[:, [0, 2]] > 0).long() * torch.tensor([1, 2])[None, :, None, None]
    else:
        expected = torch.tensor([1, 0, 2])[best][:, None]
    assert torch.equal(found, expected)
    assert len(check_segmenter(segmenter, torch.rand(3, 3, 80, 64, generator=draw))) == 10


def test_one_logit_marks_where_it_is_above_zero():
    network = _Brightest()
    classes = from_labels(["red"], plane="hue", source="s")
    segmenter = NetworkSegmenter(
        "red",
        network,
        lambda x: network(x)[:, :1] - 4.5,
        classes,
        Reading(**PLAIN),
        meaning="binary",
    )
    image = torch.tensor([-0.5, 0.5]).reshape(1, 1, 1, 2).repeat(1, 3, 1, 1)
    assert segmenter.segment(image).flatten().tolist() == [0, 1]
    check_segmenter(segmenter)


def test_a_size_that_the_network_does_not_take_is_told_in_one_line():
    def stumble(images):
        raise RuntimeError("Expected more than\n1 value")

    classes = from_labels(["a", "b"], plane="p", source="s")
    segmenter = NetworkSegmenter("odd", _Brightest(), stumble, classes, Reading(**PLAIN))
    with pytest.raises(SegmenterError, match="odd can't read an image at 8 × 9 pixels") as caught:
        segmenter.segment(torch.zeros(1, 3, 8, 9))
    assert "\n" not in str(caught.value)
