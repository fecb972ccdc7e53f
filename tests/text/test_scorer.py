"""Scorers: their formulas, their crops, and what is not text."""

import pytest
import torch

from dissect.errors import ConfigError
from dissect.text.scorer import CROPS, TextScorer
from tests.text.planted_words import Brightness

IMAGES = torch.rand(3, 3, 20, 20, generator=torch.Generator().manual_seed(0)) * 2 - 1


def angle(vectors):
    return torch.atan2(vectors[:, 1], vectors[:, 0])


def test_cosine_and_distance_are_those_of_the_angles():
    scorer = TextScorer(Brightness())
    red = IMAGES[:, 0].mean(dim=(1, 2))
    assert torch.allclose(scorer.cosine(IMAGES, ["red", "dark"]),
                          torch.stack([(red - 1).cos(), (red + 1).cos()], dim=1), atol=1e-6)  # fmt: skip
    text = scorer.encode_texts(["red"])[0]
    assert torch.allclose(scorer.distance(IMAGES, text), 1 - (red - 1).cos(), atol=1e-6)


def test_crops_are_seeded_squares_and_their_cosines_are_averaged():
    scorer = TextScorer(Brightness(), n_crops=5, seed=2)
    crops = scorer.crops(IMAGES, step=7)
    assert len(crops) == 5
    for crop in crops:
        assert crop.shape[-1] == crop.shape[-2]
        assert CROPS[0] * 20 - 1 <= crop.shape[-1] <= CROPS[1] * 20 + 1
    again = TextScorer(Brightness(), n_crops=5, seed=2).crops(IMAGES, step=7)
    assert all(torch.equal(a, b) for a, b in zip(crops, again, strict=True))
    other = scorer.crops(IMAGES, step=8)
    assert any(
        a.shape != b.shape or not torch.equal(a, b) for a, b in zip(crops, other, strict=True)
    )
    text = scorer.encode_texts(["red"])[0]
    expected = torch.stack(
        [1 - (view[:, 0].mean(dim=(1, 2)) - 1).cos() for view in (IMAGES, *crops)]
    ).mean(dim=0)
    assert torch.allclose(scorer.distance(IMAGES, text, step=7), expected, atol=1e-6)


def test_the_directional_loss_is_0_along_the_difference_2_against_it_and_1_without_a_change():
    scorer = TextScorer(Brightness())
    grey = torch.zeros(1, 3, 8, 8)
    delta = scorer.difference("red", "grey")
    assert float(delta.norm()) == pytest.approx(1)
    red = grey.clone()
    red[:, 0] = 1.0
    assert float(scorer.directional(red, grey, delta)) == pytest.approx(0, abs=1e-6)
    assert float(scorer.directional(grey, red, delta)) == pytest.approx(2, abs=1e-6)
    assert float(scorer.directional(grey, grey, delta)) == pytest.approx(1)


def test_the_same_words_have_no_difference():
    assert TextScorer(Brightness()).difference("red", " red") is None


@pytest.mark.parametrize("templates", [(), ("no place",), ("{} and {}",)])
def test_templates_without_their_one_place_are_refused(templates):
    with pytest.raises(ConfigError, match="one {} for the text".replace("{}", r"\{\}")):
        TextScorer(Brightness(), templates=templates)


def test_an_empty_text_is_refused():
    with pytest.raises(ConfigError, match="expected words"):
        TextScorer(Brightness()).cosine(IMAGES, [" "])
