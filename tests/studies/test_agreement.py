"""The segmenter on images seen another way."""

import numpy as np
import pytest
import torch

from dissect.edits import Ablate
from dissect.errors import ConfigError
from dissect.studies.agreement import measure_agreement, most_changed, open_second, views
from dissect.studies.agreement_text import agreement_findings, agreement_tables
from dissect.studies.originals import Originals, open_models
from segmenters import load_segmenter


@pytest.fixture(scope="module")
def originals(planted_run):
    return Originals(*open_models(planted_run), planted_run.config, n_samples=40)


@pytest.mark.parametrize("size", [8, 32, 64])
def test_labels_come_back_to_the_pixels_they_belong_to(size):
    torch.manual_seed(0)
    images = torch.randn(2, 1, size, size)
    for view in views(size):
        back = view.back(view.see(images))
        inside = slice(view.margin, size - view.margin)
        assert torch.equal(back[..., inside, inside], images[..., inside, inside])
        assert not torch.equal(view.see(images), images)


def test_a_segmenter_of_single_pixels_agrees_with_itself_wholly(originals):
    found = measure_agreement(originals, [Ablate("units", [0])], concept="green")
    assert found["images"] == 40
    for row in found["views"]:
        assert (row["same_before"], row["same_after"]) == (1, 1)
        assert (row["iou_before"], row["iou_after"]) == (1, 1)
    assert found["net"] == found["views"][0]["net"] == 0
    red = measure_agreement(originals, [Ablate("units", [0])], concept="red")
    assert red["net"] == 1
    assert [row["iou_after"] for row in red["views"]] == [None] * 3  # nothing is left of it
    assert measure_agreement(originals, [Ablate("units", [0])])["net"] is None


class Nervous:
    """Marks red where it is, and half of the time elsewhere on images without it."""

    def __init__(self, inner):
        self._inner = inner
        self.name, self.vocabulary = "nervous", inner.vocabulary
        self.device, self.fingerprint = inner.device, inner.fingerprint

    def segment(self, images):
        planes = self._inner.segment(images)
        red, black = self.vocabulary["red"].id, self.vocabulary["black"].id
        unsure = ~(planes == red).flatten(1).any(dim=1)
        left = torch.zeros_like(planes, dtype=torch.bool)
        left[..., : images.shape[-1] // 2] = True  # mirrored, it lies on the other side
        return torch.where(unsure[:, None, None, None] & left & (planes == black), red, planes)


def test_what_the_segmenter_makes_up_on_edited_images_is_seen(planted_run):
    generator, segmenter = open_models(planted_run)
    originals = Originals(generator, Nervous(segmenter), planted_run.config, n_samples=32)
    found = measure_agreement(originals, [Ablate("units", [0])], concept="red")
    mirrored = found["views"][0]
    assert mirrored["iou_before"] == 1
    assert mirrored["iou_after"] < 0.05
    assert mirrored["same_after"] < 0.6 < mirrored["same_before"]


def test_a_second_segmenter_is_held_against_the_first(originals):
    class Half(Nervous):
        """Reads no red in the upper half."""

        def segment(self, images):
            planes = self._inner.segment(images).clone()
            upper = planes[..., : images.shape[-2] // 2, :]
            upper[upper == self.vocabulary["red"].id] = 0
            return planes

    second = Half(load_segmenter("colour"))
    found = measure_agreement(originals, [Ablate("units", [1])], concept="red", second=second)
    row = found["views"][-1]
    assert row["view"] == "read by nervous"
    planes = torch.cat([originals.planes(number) for number in originals.numbers])[:, 0]
    red = (planes == originals.vocabulary["red"].id).numpy()
    assert row["iou_before"] == pytest.approx(red[:, 16:].sum() / red.sum())
    assert row["iou_after"] == row["iou_before"]
    assert row["same_before"] is None
    # One that does not know the concept is not asked.
    assert len(measure_agreement(originals, [], concept=None, second=second)["views"]) == 3


def test_it_is_told_in_a_sentence_and_a_table(originals):
    found = {"agreement": measure_agreement(originals, [Ablate("units", [0])], concept="green")}
    (sentence,) = agreement_findings(found)
    assert "green overlaps with itself by at least 1.00 (IoU) in edited images" in sentence
    (table,) = agreement_tables(found)
    assert table.rows[0]["view"] == "mirrored"
    assert np.isfinite([row["net"] for row in table.rows]).all()
    assert agreement_findings({}) == []
    assert agreement_tables({}) == ()


def test_a_second_segmenter_must_share_concepts(originals):
    colour = originals.segmenter
    assert open_second(None, colour, device="cpu") is None
    assert open_second("colour", colour, device="cpu", concept="red").name == "colour"
    with pytest.raises(ConfigError, match="second is 'faces', which knows no concept of colour"):
        open_second("faces", colour, device="cpu")
    with pytest.raises(ConfigError, match="second is 'colour', which knows no 'tree'"):
        open_second("colour", colour, device="cpu", concept="tree")


def test_the_concept_of_an_edit_that_aims_at_none_is_the_one_that_changes_most():
    rows = [
        {"concept": "tree", "before": 9.0, "change": -9.0},  # unknown to the second segmenter
        {"concept": "red", "before": 5.0, "change": 2.0},
        {"concept": "blue", "before": 5.0, "change": -3.0},
        {"concept": "green", "before": 0.0, "change": 4.0},  # no share of nothing
    ]
    assert most_changed(rows, load_segmenter("colour")) == "blue"
    assert most_changed(rows[:1], load_segmenter("colour")) is None
    assert most_changed(rows, None) is None
