"""Words of units: a unit that fires on images of one word gets it, and no unit does by chance."""

import itertools
import math

import numpy as np
import pytest
import torch

from dissect.errors import ConfigError
from dissect.studies.originals import open_generator
from dissect.text.scorer import TextScorer
from dissect.text.unit_labels import (
    Seen,
    describe_agreement,
    find_concept,
    label_units,
    score_words,
    search_units,
    soft_wpmi,
)
from segmenters.vocabulary import Vocabulary

pytestmark = pytest.mark.usefixtures("one_thread")
N_IMAGES, N_WORDS, N_UNITS = 400, 6, 30


def planted_scores(draws):
    """Images that each show one word; a unit that fires for it, or for none (odd ones)."""
    shown = draws.integers(0, N_WORDS, N_IMAGES)
    cosines = 0.1 * draws.standard_normal((N_IMAGES, N_WORDS))
    cosines[np.arange(N_IMAGES), shown] += 0.5
    activations = draws.standard_normal((N_IMAGES, N_UNITS))
    words = np.arange(N_UNITS) % N_WORDS
    for unit in range(0, N_UNITS, 2):
        activations[:, unit] += 3 * (shown == words[unit])
    return activations, cosines, words


def test_a_unit_that_fires_on_images_of_a_word_gets_that_word_and_on_shuffled_ones_does_not():
    draws = np.random.default_rng(0)
    activations, cosines, words = planted_scores(draws)
    found = score_words(activations, cosines, top=50)
    fires = np.arange(N_UNITS) % 2 == 0
    assert (found.best[fires] == words[fires]).all()
    assert (found.p[fires] < 0.001).all()
    assert (found.z > found.chance)[fires].all()
    # Units of noise are below 0.05 as rarely as chance says; so are all units of shuffled images.
    assert (found.p[~fires] < 0.05).mean() < 0.3
    shuffled = score_words(activations, cosines[draws.permutation(N_IMAGES)], top=50)
    assert (shuffled.p[fires] < 0.05).mean() < 0.3
    assert (shuffled.best[fires] == words[fires]).mean() < 0.7


def test_of_units_of_noise_no_more_than_chance_says_are_above_it():
    draws = np.random.default_rng(3)
    p = np.concatenate(
        [
            score_words(
                draws.standard_normal((60, 20)), 0.2 * draws.standard_normal((60, 4)), top=10,
                n_sets=200, seed=seed,
            ).p
            for seed in range(10)
        ]
    )  # fmt: skip
    # Of 200 units; a p of the unit's best word is not smaller than a uniform one.
    assert 0.45 < p.mean() < 0.8
    assert (p <= 0.1).mean() < 0.2
    assert (p <= 0.5).mean() > 0.1


def test_scores_are_those_of_the_formula_in_plain_loops():
    draws = np.random.default_rng(1)
    activations = draws.standard_normal((12, 70))
    probabilities = draws.dirichlet(np.ones(3), 12)
    evidence = [[0.0] * 3 for _ in range(70)]
    for unit in range(70):
        ranked = sorted(range(12), key=lambda image: -activations[image, unit])
        for rank, image in enumerate(ranked[:4]):
            p = 0.998 + (0.97 - 0.998) * rank / 3
            for word in range(3):
                evidence[unit][word] += math.log(1 + p * (probabilities[image, word] - 1) + 1e-7)
    for word in range(3):
        mean = sum(math.exp(evidence[unit][word]) for unit in range(70)) / 70
        for unit in range(70):
            evidence[unit][word] -= math.log(mean)
    assert np.allclose(soft_wpmi(activations, probabilities, top=4), evidence, atol=1e-9)


class Colours:
    """Image vectors are the mean colour; so the planted run's red, green, … are words."""

    name, fingerprint = "colours", "colours"

    def encode_images(self, images):
        means = images.mean(dim=(2, 3)) - images.mean(dim=(1, 2, 3))[:, None]
        return torch.nn.functional.normalize(means + 1e-6, dim=1)

    def encode_texts(self, texts, *, templates=("{}",)):
        table = {"red": (1.0, 0, 0), "green": (0, 1.0, 0), "blue": (0, 0, 1.0)}
        return torch.tensor([table[text.split()[-1]] for text in texts])


def test_a_runs_units_have_words_beside_their_labels_whatever_the_blocks(planted_run):
    run = planted_run
    generator = open_generator(run)
    words = ["red", "a green", "blue"]
    table = label_units(run, generator, TextScorer(Colours()), words, top=10)
    assert table.groupby("layer").size().to_dict() == {
        layer: info.units for layer, info in run.layers.items()
    }
    assert set(table.word) <= set(words)
    assert ((table.p > 0) & (table.q >= table.p)).all()
    assert (table.above_chance == (table.q <= 0.05)).all()
    for layer in run.layers:
        own = table[table.layer == layer]
        assert own.concept.tolist() == run.units(layer).concept.tolist()
    again = label_units(run, generator, TextScorer(Colours()), words, top=10)
    assert again.equals(table)
    with pytest.raises(ConfigError, match=r"top images of .* were to describe a unit"):
        label_units(run, generator, TextScorer(Colours()), words, n_samples=12, top=7)
    with pytest.raises(ConfigError, match="expected two or more"):
        label_units(run, generator, TextScorer(Colours()), words[:1], top=2)


def test_units_are_found_by_words_that_their_top_images_show_and_none_by_chance():
    draws = np.random.default_rng(5)
    activations, cosines, words = planted_scores(draws)
    fires = np.arange(N_UNITS) % 2 == 0
    # A vector of an image is its row of cosines, that of text w the unit vector w.
    scorer = TextScorer(Rows())
    texts = [str(n) for n in range(N_WORDS)]
    seen = Seen({"layer": activations}, torch.tensor(cosines))
    for word in range(0, N_WORDS, 2):
        found = search_units(seen, scorer, str(word), texts, top=50)
        right = set(np.flatnonzero(fires & (words == word)))
        assert set(found.unit[: len(right)]) == right
        assert found.z.is_monotonic_decreasing
        assert (found.q <= 0.05).all()
    shuffled = Seen({"layer": activations}, torch.tensor(cosines[draws.permutation(N_IMAGES)]))
    n_found = [len(search_units(shuffled, scorer, text, texts, top=50)) for text in texts]
    assert sum(n_found) <= 2
    # Two texts give the same probabilities as ``score_words``, hence the same Z of the best word.
    alone = score_words(activations, cosines[:, :2], top=50)
    found = search_units(seen, scorer, "0", ["0", "1"], top=50).set_index("unit")
    of_both = [unit for unit in found.index if alone.best[unit] == 0]
    assert of_both
    assert np.allclose(found.z[of_both], alone.z[of_both])


class Rows:
    """Towers whose texts are the unit vectors."""

    name, fingerprint = "rows", "rows"

    def encode_texts(self, texts, *, templates=("{}",)):
        return torch.eye(N_WORDS, dtype=torch.float64)[[int(text) for text in texts]]


def test_agreement_counts_the_same_things_and_what_chance_would_give():
    import pandas as pd

    vocabulary = Vocabulary.build(
        [("tree", "object", "object", "#009e73"), ("crown", "part", "part", "#2fbf8f"),
         ("sky", "object", "object", "#56b4e9")],
        part_of={"crown": "tree"},
    )  # fmt: skip
    assert [find_concept(vocabulary, word) for word in ("the sky", "Trees", "fog")] == [
        "sky", "tree", None,
    ]  # fmt: skip
    table = pd.DataFrame(
        {
            "word": ["trees", "the sky", "the sky", "fog", "trees"],
            "concept": ["crown", "sky", "tree", "sky", "tree"],
            "above_chance": [True, True, True, True, False],
            "is_named": [True] * 5,
        }
    )
    found = describe_agreement(table, vocabulary)
    assert (found.units, found.above_chance, found.both, found.same) == (5, 4, 4, 2)
    # Trees meet two of four labels, the sky twice two of four, fog none.
    assert found.by_chance == pytest.approx(2 / 4 + 2 * 2 / 4)
    assert found.p == pytest.approx(count_deals(table[table.above_chance]), abs=0.05)


def count_deals(table):
    """The share of all deals of words in which at least two are the same thing as their label."""
    alike = {("trees", "crown"), ("trees", "tree"), ("the sky", "sky")}
    deals = [
        sum(pair in alike for pair in zip(words, table.concept, strict=True))
        for words in itertools.permutations(table.word)
    ]
    return np.mean([n >= 2 for n in deals])
