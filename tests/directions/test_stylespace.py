import numpy as np
import pytest
import torch

from dissect import ConfigError, GeneratorError, Latent, load_generator, load_segmenter
from dissect.directions.stylespace import (
    StyleStatistics,
    attribute_channels,
    local_channels,
    sample_styles,
    style_statistics,
)


def population(n_channels=40):
    layers = {"b4.conv1": slice(0, 30), "b4.torgb": slice(30, n_channels)}
    return StyleStatistics(np.zeros(n_channels), np.ones(n_channels), layers)


def test_channels_that_follow_a_planted_attribute_are_first_and_certain():
    random = np.random.default_rng(0)
    examples = random.standard_normal((20, 40))
    examples[:, 7] = 3 + 0.3 * examples[:, 7]
    examples[:, 11] = -2 + 0.5 * examples[:, 11]
    examples[:, 35] = 9  # of a ToRGB layer, which is left out
    table = attribute_channels(examples, population())
    assert table.channel[:2].tolist() == [7, 11]
    assert table.difference[0] > 0 > table.difference[1]
    assert (table.q[:2] < 0.001).all()
    assert 35 not in set(table.channel)
    assert (table.q[2:] > 0.05).all()
    d = examples[:, 7]
    assert table.theta[0] == pytest.approx(abs(d.mean()) / d.std(ddof=1))


def test_channels_of_random_examples_are_rarely_called_certain():
    random = np.random.default_rng(1)
    found = [
        (attribute_channels(random.standard_normal((10, 40)), population()).q < 0.05).any()
        for _ in range(100)
    ]
    assert sum(found) <= 12


def test_statistics_are_those_of_the_styles(checkpoints):
    generator = load_generator(checkpoints / "sg2ada_uncond64.pkl")
    found = style_statistics(generator, n_samples=300)
    styles = sample_styles(generator, n_samples=300, seed=0)
    latent = generator.convert(generator.sample([299], seed=0), "s")
    assert np.allclose(styles[299], latent.data[0], atol=1e-5)
    assert np.allclose(found.mean, styles.mean(axis=0))
    assert found.is_rgb.sum() == sum(
        part.stop - part.start for name, part in found.layers.items() if "torgb" in name
    )
    assert found.place(found.layers["b8.conv0"].start + 2) == ("b8.conv0", 2)
    with pytest.raises(GeneratorError, match="no styles"):
        style_statistics(load_generator(checkpoints / "genforce_pggan32.pth"))
    with pytest.raises(ConfigError, match="at least 3 rows"):
        attribute_channels(np.zeros((2, 40)), population())


class TwoSquares:
    """Channel 0 changes a red square, 1 a blue one, 2 one or the other, 3 nothing."""

    name = "squares"

    def __init__(self):
        from dissect.generators.shapes import Space

        self.spaces = {"z": Space("z", (4,)), "s": Space("s", (4,))}
        self.style_slices = {"b4.conv1": slice(0, 4)}

    def style_weight(self, layer):
        return torch.eye(4)

    def sample(self, indices, *, seed, label=None):
        from dissect.latents import standard_normal

        return Latent("z", standard_normal(indices, seed=seed, size=4))

    def convert(self, latent, space, **options):
        return Latent(space, latent.data)

    def synthesize(self, latent, *, noise="const"):
        images = -torch.ones(len(latent), 3, 64, 64)
        red, blue, either = (0.05 * latent.data[:, k, None, None] for k in range(3))
        is_red = latent.data[:, 3, None, None] > 0
        images[:, 0, 4:20, 4:20] = 0.9 + red + torch.where(is_red, either, 0)
        images[:, 2, 40:60, 40:60] = 0.9 + blue + torch.where(is_red, 0, either)
        return images


def test_channels_that_act_in_one_place_are_local_and_others_not():
    generator = TwoSquares()
    # A sample of each kind: red and blue are drawn by the sign of the last channel.
    is_red = [generator.sample([k], seed=0).data[0, 3] > 0 for k in range(10)]
    table = local_channels(
        generator, load_segmenter("colour"), style_statistics(generator, n_samples=200),
        n_samples=10, channels=[0, 1, 2],
    ).set_index("channel")  # fmt: skip
    assert table.concept[[0, 1]].tolist() == ["red", "blue"]
    assert table.share[[0, 1]].tolist() == pytest.approx([1, 1])
    n_red = sum(is_red)
    assert table.share[2] == pytest.approx(max(n_red, 10 - n_red) / 10)
    assert table.second_share[2] == pytest.approx(min(n_red, 10 - n_red) / 10)
    assert table.local.tolist() == [True, True, abs(10 - 2 * n_red) / 10 > 0.25]
    assert (table.change > 0).all()


def test_a_channel_that_changes_nothing_has_no_concept():
    class Still(TwoSquares):
        def synthesize(self, latent, *, noise="const"):
            return super().synthesize(Latent("s", torch.zeros_like(latent.data)))

    generator = Still()
    table = local_channels(
        generator, load_segmenter("colour"), style_statistics(generator, n_samples=50), n_samples=2
    )
    assert table.concept.tolist() == [""] * 4
    assert not table.local.any()
    assert (table.change == 0).all()
