"""Optimisation towards words: it gets nearer, alone or in a batch, and no words change nothing."""

import pytest
import torch

from dissect.errors import ConfigError
from dissect.text.optimise import optimise
from dissect.text.scorer import TextScorer
from tests.text.planted_words import Brightness, tiny_stylegan2, w_plus

pytestmark = pytest.mark.usefixtures("one_thread")


def test_images_get_nearer_to_the_words_and_stay_nearer_to_their_start_for_a_larger_weight():
    generator, scorer = tiny_stylegan2(), TextScorer(Brightness())
    latent = w_plus(generator, 2)
    away = []
    for keep in (0.0, 0.1):
        done = optimise(generator, scorer, latent, "red", n_steps=25, keep=keep)
        assert (done.distances[-1] < 0.5 * done.distances[0]).all() or keep
        assert done.distances.shape == (26, 2)
        away.append((done.latent.data - latent.data).norm())
    assert away[1] < away[0]


def test_each_image_is_moved_on_its_own():
    generator, scorer = tiny_stylegan2(), TextScorer(Brightness(), n_crops=2)
    latent = w_plus(generator, 3)
    together = optimise(generator, scorer, latent, "red", n_steps=4)
    alone = optimise(generator, scorer, latent[1:2], "red", n_steps=4)
    assert torch.allclose(together.latent.data[1:2], alone.latent.data, atol=1e-4)


@pytest.mark.parametrize(("text", "n_steps"), [(" ", 5), ("red", 0)])
def test_no_words_and_no_steps_change_nothing(text, n_steps):
    generator = tiny_stylegan2()
    latent = w_plus(generator, 2)
    done = optimise(generator, TextScorer(Brightness()), latent, text, n_steps=n_steps)
    assert torch.equal(done.latent.data, latent.data)


def test_numbers_below_0_are_refused():
    generator = tiny_stylegan2()
    with pytest.raises(ConfigError, match="keep is -1"):
        optimise(generator, TextScorer(Brightness()), w_plus(generator, 1), "red", keep=-1)
