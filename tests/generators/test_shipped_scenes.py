"""The generators of scenes that come with the package. Their quality is in their cards."""

import pytest
import torch

from dissect import load_generator
from dissect.generators import zoo
from segmenters import load_segmenter
from tests.rounding import assert_same

NAMES = ("scenes-stylegan2", "scenes-pggan")


@pytest.fixture(scope="module", params=NAMES)
def generator(request):
    return load_generator(request.param)


def test_it_has_a_card_and_all_of_them_are_small(generator):
    card = (zoo.SHIPPED / f"{generator.name}.md").read_text()
    assert "Fréchet" in card
    assert sum(file.stat().st_size for file in zoo.SHIPPED.iterdir()) < 16e6


def test_it_draws_scenes_of_many_things(generator):
    with torch.no_grad():
        images = generator.synthesize(generator.sample(range(64), seed=0))
    assert images.shape == (64, 3, 64, 64)
    segmenter = load_segmenter("scenes")
    labels = segmenter.segment(images).flatten(1)
    seen = {
        concept.name
        for concept in segmenter.vocabulary
        if ((labels == concept.id).sum(dim=1) >= 12).float().mean() >= 0.2
    }
    assert {"sky", "ground", "tree", "house", "window", "roof", "cloud"} <= seen


def test_samples_differ_from_each_other(generator):
    with torch.no_grad():
        images = generator.synthesize(generator.sample(range(32), seed=5)).flatten(1)
    apart = torch.cdist(images, images) + torch.eye(32) * 1e9
    assert (apart.min(dim=1).values / images.shape[1] ** 0.5).min() > 0.05


def test_the_style_based_one_has_its_spaces_and_truncates_towards_its_mean():
    generator = load_generator("scenes-stylegan2")
    assert list(generator.spaces) == ["z", "p", "w", "p+", "w+", "s"]
    latent = generator.sample(range(16), seed=0)
    with torch.no_grad():
        full, half, none = (
            generator.synthesize(generator.convert(latent, "w+", truncation=t)) for t in (1, 0.5, 0)
        )
    assert half.var(dim=0).mean() < full.var(dim=0).mean()
    assert_same(none, none[:1].expand_as(none))
