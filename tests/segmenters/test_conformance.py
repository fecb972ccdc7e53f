"""Every shipped segmenter keeps the laws, and a broken one is told what it breaks."""

import pytest
import torch

from segmenters import SEGMENTERS, SegmenterError, load_segmenter
from segmenters.colour import ColourSegmenter
from segmenters.testing import check_segmenter

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("name", [*SEGMENTERS, "scenes+colour"])
def test_shipped_segmenters_keep_all_laws(name):
    assert len(check_segmenter(load_segmenter(name))) >= 10


class Moody(ColourSegmenter):
    def score(self, images):
        return super().score(images) * torch.rand(1)


class Loud(ColourSegmenter):
    def score(self, images):
        return 100 * super().score(images)


class Cut(ColourSegmenter):
    @torch.no_grad()
    def score(self, images):
        return super().score(images)


class Leaning(ColourSegmenter):
    def score(self, images):
        return super().score(images - 0.3 * images.mean(dim=0, keepdim=True))


class Foreign(ColourSegmenter):
    def segment(self, images):
        return super().segment(images) + 3


class Real(ColourSegmenter):
    def segment(self, images):
        return super().segment(images).float()


class Flat(ColourSegmenter):
    def segment(self, images):
        return super().segment(images)[:, 0]


class Crossed(ColourSegmenter):
    def score(self, images):
        return super().score(images).flip(1)


class Writing(ColourSegmenter):
    def segment(self, images):
        labels = super().segment(images)
        images.clamp_(-0.1, 0.1)
        return labels


class Square(ColourSegmenter):
    def score(self, images):
        side = min(images.shape[-2:])
        return super().score(images[..., :side, :side])


class Lenient(ColourSegmenter):
    def segment(self, images):
        return super().segment(
            images[:, :1].expand(-1, 3, -1, -1) if images.shape[1] == 1 else images
        )


class Bare(ColourSegmenter):
    def segment(self, images):
        if images.ndim != 4:
            raise ValueError("no")
        return super().segment(images)


class Unsigned(ColourSegmenter):
    def __init__(self):
        super().__init__()
        self.fingerprint = "mine"


class Changing(ColourSegmenter):
    def segment(self, images):
        self.fingerprint = "f" * 64
        return super().segment(images)


class Mixing(ColourSegmenter):
    def features(self, images):
        return (images - images.mean(dim=0)).mean(dim=(2, 3))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Moody, "gives one image two scores"),
        (Loud, r"scores from .* to .*; expected all in \[0, 1\]"),
        (Cut, "cuts gradients off"),
        (Leaning, "in another batch"),
        (Foreign, "marks plane 'colour' with"),
        (Real, r"gives torch.float32 labels; expected whole numbers"),
        (Flat, r"gives planes of shape \(3, 64, 64\)"),
        (Crossed, "with another concept than its highest"),
        (Writing, "gives one image two labels|changes the images"),
        (Square, r"gives scores of \(48, 48\); expected \(48, 80\)"),
        (Lenient, "takes a grey image in segment; expected SegmenterError"),
        (Bare, "raises ValueError in segment for an image without a batch"),
        (Unsigned, "has the fingerprint 'mine'"),
        (Changing, "changes its fingerprint"),
        (Mixing, "gives other features in another batch"),
    ],
)
def test_a_broken_law_is_named(broken, message):
    with pytest.raises(SegmenterError, match=message) as caught:
        check_segmenter(broken())
    assert "\n" not in str(caught.value)


def test_labels_that_are_not_found_by_score_need_not_agree_with_it():
    check_segmenter(Crossed(), by_score=False)
