import pytest
import torch

from dissect.errors import ConfigError
from dissect.text.reranking import rerank
from dissect.text.scorer import TextScorer
from dissect.worlds.planted import PlantedGenerator


class Brightness:
    """Towers for which a text is near a bright image."""

    name, fingerprint = "brightness", "0" * 64

    def encode_images(self, images):
        angle = images.mean(dim=(1, 2, 3)).clamp(-1, 1)
        return torch.stack([angle, (1 - angle**2).sqrt()], dim=1)

    def encode_texts(self, texts, *, templates):
        return torch.tensor([[1.0, 0.0]]).expand(len(texts), 2)


def test_the_nearest_samples_are_kept_in_their_order():
    generator, scorer = PlantedGenerator(), TextScorer(Brightness())
    found = rerank(generator, scorer, "bright", n_samples=20, keep=4, seed=3)
    with torch.no_grad():
        images = generator.synthesize(generator.sample(range(20), seed=3)).clamp(-1, 1)
    brightness = images.mean(dim=(1, 2, 3))
    expected = sorted(range(20), key=lambda k: -float(brightness[k]))[:4]
    assert list(found.indices) == expected
    assert torch.allclose(found.images, images[expected], atol=1e-5)
    assert found.cosines == pytest.approx(brightness[expected].tolist(), abs=1e-5)
    assert expected != sorted(expected)


def test_more_than_are_drawn_cannot_be_kept():
    with pytest.raises(ConfigError, match="5 of 4 samples"):
        rerank(PlantedGenerator(), TextScorer(Brightness()), "a", n_samples=4, keep=5)
