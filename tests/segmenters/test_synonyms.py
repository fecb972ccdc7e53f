"""Words that people type, and the concepts that they mean."""

import pytest

from segmenters.synonyms import means, singular


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("windows", "lit window"),
        ("glass", "window"),
        ("glass", "windowpane"),
        ("houses", "house"),
        ("homes", "house"),
        ("leaves", "crown"),
        ("grass", "grass"),
        ("bushes", "bush"),
        ("wind", "window"),
        ("ears", "Left ear"),
    ],
)
def test_a_plural_a_piece_or_another_word_means_the_concept(word, name):
    assert means(word, name)


@pytest.mark.parametrize(
    ("word", "name"), [("glass", "grass"), ("roofs", "house"), ("light", "window")]
)
def test_a_word_does_not_mean_another_thing(word, name):
    assert not means(word, name)


@pytest.mark.parametrize("word", ["bus", "glass", "grass", "gas", "axis", "tree"])
def test_a_word_that_is_no_plural_stays(word):
    assert singular(word) == word
