"""StyleCLIP's global directions: the planted channel is chosen, and fast ways give the slow numbers."""

import numpy as np
import pytest
import torch

from dissect.errors import ConfigError, GeneratorError
from dissect.latents import Latent
from dissect.text.channel_effects import estimate_sizes, measure_effects, prefix
from dissect.text.global_directions import global_edit
from dissect.text.scorer import TextScorer
from tests.directions.worlds import generator as painted
from tests.text.planted_words import Brightness, FollowsOneChannel, tiny_stylegan2

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("layer", ["b4.conv1", "b8.conv1", "b16.conv0"])
@pytest.mark.parametrize("keep", [1.0, 0.2])
def test_of_a_scorer_that_is_linear_in_one_channel_that_channel_alone_is_chosen(layer, keep):
    generator = tiny_stylegan2()
    channel = generator.style_slices[layer].start + 2
    scorer = TextScorer(FollowsOneChannel(generator, channel))
    effects = measure_effects(generator, scorer, n_images=3, keep=keep)
    assert effects.measured[channel]
    edit = global_edit(effects, scorer, "moved", "still", threshold=0.1)
    assert edit.passed == (channel,)
    vector = edit.direction.vector
    assert np.flatnonzero(vector).tolist() == [channel]
    assert vector[channel] == pytest.approx(effects.statistics.deviation[channel], rel=1e-5)
    # The other way round it is the opposite; towards what no channel changes, none passes.
    back = global_edit(effects, scorer, "still", "moved", threshold=0.1)
    assert np.allclose(back.direction.vector, -vector)
    with pytest.raises(ConfigError, match="no channel passes β"):
        global_edit(effects, scorer, "elsewhere", "still", threshold=0.999)


def test_above_every_relevance_no_channel_passes():
    generator = tiny_stylegan2()
    scorer = TextScorer(Brightness())
    effects = measure_effects(generator, scorer, n_images=2, keep=0.3)
    with pytest.raises(
        ConfigError, match=r"no channel passes β = 1.1 .* the largest relevance is 0"
    ) as caught:
        global_edit(effects, scorer, "red", "dark", threshold=1.1)
    assert "\n" not in str(caught.value)


def test_strength_0_and_the_empty_edit_are_the_identity():
    generator = tiny_stylegan2()
    scorer = TextScorer(Brightness())
    effects = measure_effects(generator, scorer, n_images=2, keep=0.3)
    latent = generator.sample([0, 1], seed=1)
    images = generator.synthesize(latent)
    edit = global_edit(effects, scorer, "red", "grey", threshold=0.0)
    assert torch.equal(generator.synthesize(edit.apply(generator, latent, 0.0)), images)
    moved = generator.synthesize(edit.apply(generator, latent, 0.1))
    change = scorer.encode_images(moved) - scorer.encode_images(images)
    assert (change @ scorer.difference("red", "grey") > 1e-4).all()
    empty = global_edit(effects, scorer, "red", " red ", threshold=0.5)
    assert empty.direction is None
    assert torch.equal(generator.synthesize(empty.apply(generator, latent, 5.0)), images)


def test_the_table_is_that_of_one_channel_and_image_at_a_time_without_a_cache():
    generator = tiny_stylegan2()
    towers = Brightness()
    effects = measure_effects(generator, TextScorer(towers), n_images=2, step=4.0, keep=1.0, seed=3)
    styles = generator.convert(generator.sample([0, 1], seed=3), "s").data
    mean, deviation = effects.statistics.mean, effects.statistics.deviation
    for channel in np.flatnonzero(effects.measured)[::7]:
        rows = []
        for image in styles:
            ends = []
            for sign in (-1, 1):
                moved = image.clone()
                moved[channel] = float(mean[channel] + sign * 4 * deviation[channel])
                ends.append(towers.encode_images(generator.synthesize(Latent("s", moved[None])))[0])
            change = ends[1] - ends[0]
            rows.append(change / change.norm() if change.norm() > 1e-5 else 0 * change)
        expected = torch.stack(rows).mean(dim=0)
        assert np.allclose(effects.table[channel], expected, atol=2e-3), channel
    assert not effects.table[effects.statistics.is_rgb].any()


@torch.no_grad()
def test_with_the_cached_prefix_images_are_the_same_and_earlier_layers_do_not_run():
    generator = tiny_stylegan2()
    styles = generator.convert(generator.sample([4], seed=0), "s").data
    part = generator.style_slices["b8.conv1"]
    moved = styles.repeat(3, 1)
    moved[:, part] += torch.randn(3, part.stop - part.start)
    expected = generator.synthesize(Latent("s", moved))
    first = generator.module.get_submodule(generator.layers["b4.conv1"].module)
    with prefix(generator, styles, "b8.conv1"):
        found = generator.synthesize(Latent("s", moved))
        assert "forward" in vars(first)
    assert torch.allclose(found, expected, atol=1e-5)
    assert "forward" not in vars(first)
    assert torch.equal(generator.synthesize(Latent("s", moved)), expected)


def test_estimated_sizes_are_the_lengths_of_the_derivative():
    generator = tiny_stylegan2()
    scorer = TextScorer(Brightness())
    styles = generator.convert(generator.sample(range(2), seed=0), "s").data
    found = estimate_sizes(generator, scorer, styles, seed=0)

    def one(s):
        return scorer.encode_images(generator.synthesize(Latent("s", s[None])))[0]

    exact = torch.stack([torch.func.jacrev(one)(s).norm(dim=0) for s in styles])
    exact = exact.square().mean(dim=0).sqrt().numpy()
    assert np.corrcoef(found, exact)[0, 1] > 0.95
    assert 0.5 < np.median(found[exact > 0] / exact[exact > 0]) < 2


def test_a_stopped_measurement_goes_on_to_the_same_bytes(tmp_path):
    generator = tiny_stylegan2()
    scorer = TextScorer(Brightness())
    whole = measure_effects(generator, scorer, n_images=2, keep=0.5, out=tmp_path / "a.safetensors")

    class Stops(Brightness):
        n_left = 7

        def encode_images(self, images):
            self.n_left -= 1
            if self.n_left < 0:
                raise KeyboardInterrupt
            return super().encode_images(images)

    with pytest.raises(KeyboardInterrupt):
        measure_effects(
            generator, TextScorer(Stops()), n_images=2, keep=0.5, out=tmp_path / "b.safetensors"
        )
    again = measure_effects(generator, scorer, n_images=2, keep=0.5, out=tmp_path / "b.safetensors")
    assert np.array_equal(whole.table, again.table)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    with pytest.raises(ConfigError, match="measured with n_images 2, not 3"):
        measure_effects(generator, scorer, n_images=3, keep=0.5, out=tmp_path / "b.safetensors")


def test_a_generator_without_styles_is_refused():
    with pytest.raises(GeneratorError, match="has no styles"):
        measure_effects(painted(), TextScorer(Brightness()))
