"""Paint by Word: words are satisfied inside the region, and outside not a bit changes."""

import numpy as np
import pytest
import torch

pytest.importorskip("cma", reason="cma is not installed")

from dissect.edits.regions import box
from dissect.errors import ConfigError, GeneratorError
from dissect.generators.stylegan2 import StyleGAN2, StyleGAN2Config, StyleGAN2Network
from dissect.latents import Latent
from dissect.text.paint import Leak, composite, masked_styles, paint
from dissect.text.scorer import TextScorer
from dissect.text.settings import PaintSettings
from tests.directions.worlds import generator as painted_world
from tests.text.planted_words import Brightness, tiny_stylegan2

pytestmark = pytest.mark.usefixtures("one_thread")
SHORT = PaintSettings(draws=8, generations=5, population=8, refine=12, near=0.0, smallest=1)
RIGHT = box(16, (4, 8, 14, 16))


def outside(image, region):
    return image[..., torch.tensor(region == 0)]


def test_a_scorer_of_red_is_satisfied_inside_and_outside_not_a_bit_changes():
    generator = tiny_stylegan2()
    latent = generator.sample([3], seed=0)
    whole = generator.synthesize(latent)
    for text, sign in (("red", 1), ("dark", -1)):
        done = paint(generator, TextScorer(Brightness()), latent, RIGHT, text, SHORT)
        assert torch.equal(done.original, whole)
        inside = torch.tensor(RIGHT > 0)
        change = (done.image - whole)[0, 0][inside].mean()
        assert sign * change > 0.2
        assert torch.equal(outside(done.image, RIGHT), outside(whole, RIGHT))
        first, searched, refined = done.distances
        assert refined <= searched < 0.5 * first
        assert refined < 0.3 * first
        # Without compositing a little leaks across the border, without a mask much more.
        assert 0 < done.leak.mean < 0.5 * done.unmasked.mean
        assert Leak.between(done.image, whole, RIGHT) == Leak(0.0, 0.0)


def test_the_same_seed_gives_the_same_bits_and_numpys_own_seed_is_left_alone():
    generator, scorer = tiny_stylegan2(), TextScorer(Brightness(), n_crops=1)
    latent = generator.sample([1], seed=2)
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    one, same, other = (
        paint(generator, scorer, latent, RIGHT, "red", SHORT, seed=seed).image for seed in (5, 5, 6)
    )
    assert np.array_equal(np.random.get_state()[1], before)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_no_generations_and_no_steps_change_nothing():
    generator = tiny_stylegan2()
    nothing = PaintSettings(draws=0, generations=0, refine=0)
    latent = generator.sample([0], seed=0)
    done = paint(generator, TextScorer(Brightness()), latent, RIGHT, "red", nothing)
    assert torch.equal(done.image, generator.synthesize(latent))
    assert done.leak == done.unmasked == Leak(0.0, 0.0)


@torch.no_grad()
def test_of_the_random_samples_the_nearest_is_where_the_search_starts():
    generator, scorer = tiny_stylegan2(), TextScorer(Brightness())
    latent = generator.sample([3], seed=0)
    only = PaintSettings(draws=20, generations=0, refine=0, near=0.0)
    done = paint(generator, scorer, latent, RIGHT, "red", only, seed=4)
    target = scorer.encode_texts(["red"])[0]
    styles = generator.convert(latent, "s").data
    reached = []
    for number in range(20):  # one by one, the crop cut by hand: 10 rows, 1 more on each side
        sample = generator.sample([2**40 + number], seed=4)
        with masked_styles(generator, styles, RIGHT):
            raw = generator.synthesize(sample)
        crop = composite(raw, done.original, RIGHT)[..., 3:15, 4:16]
        reached.append(float(scorer.distance(crop, target)))
    assert min(reached) < done.distances[0]
    assert done.distances[1] == pytest.approx(min(reached), abs=1e-5)
    assert paint(
        generator, scorer, latent, RIGHT, "red", PaintSettings(draws=0, generations=0, refine=0)
    ).distances[1] == pytest.approx(done.distances[0], abs=1e-6)


@torch.no_grad()
def test_masked_styles_everywhere_or_nowhere_are_those_of_one_image():
    generator = tiny_stylegan2()
    first, second = (generator.convert(generator.sample([k], seed=0), "s") for k in (0, 1))
    expected = [generator.synthesize(one) for one in (first, second)]
    everywhere = np.ones((16, 16), np.float32)
    with masked_styles(generator, first.data, everywhere):
        assert torch.equal(generator.synthesize(second), expected[1])
    with masked_styles(generator, first.data, RIGHT, smallest=1024):
        assert torch.equal(generator.synthesize(second), expected[0])
    with masked_styles(generator, first.data, RIGHT):
        between = generator.synthesize(second)
    with pytest.raises(ZeroDivisionError), masked_styles(generator, first.data, RIGHT):
        raise ZeroDivisionError
    assert not any("forward" in vars(module) for module in generator.module.modules())
    assert torch.equal(generator.synthesize(second), expected[1])
    # In the middle of the region it is the second image more than the first, outside the reverse.
    near = [(between - one)[0].abs().mean(dim=0) for one in expected]
    assert near[1][8:11, 12:].mean() < near[0][8:11, 12:].mean()
    assert near[0][:, :3].mean() < near[1][:, :3].mean()


@torch.no_grad()
def test_a_masked_layer_is_the_blend_of_its_two_outputs():
    torch.manual_seed(1)
    config = StyleGAN2Config(image_size=8, channels=(4, 4), z_size=4, w_size=4, mapping_depth=1)
    generator = StyleGAN2(StyleGAN2Network(config).eval().requires_grad_(False), name="two")
    mask = torch.rand(8, 8)
    styles = [torch.randn(1, 4) for _ in range(2)]
    x = torch.randn(1, 4, 4, 4)
    layer = generator.module.get_submodule("synthesis.b8.conv0")
    plain = [layer(x, style) for style in styles]
    part = generator.style_slices["b8.conv0"]
    given = torch.zeros(1, generator.spaces["s"].shape[0])
    given[:, part] = styles[0]
    with masked_styles(generator, given, mask.numpy()):
        found = layer(x, styles[1])
    assert torch.allclose(found, (1 - mask) * plain[0] + mask * plain[1], atol=1e-6)


def test_a_soft_region_is_mixed_and_its_zeros_keep_their_bits():
    original, image = torch.rand(1, 3, 2, 2), torch.rand(1, 3, 2, 2)
    region = np.array([[0, 0.25], [0.5, 1]], np.float32)
    found = composite(image, original, region)
    assert torch.equal(found[..., 0, 0], original[..., 0, 0])
    assert torch.equal(found[..., 1, 1], image[..., 1, 1])
    expected = 0.75 * original[..., 0, 1] + 0.25 * image[..., 0, 1]
    assert torch.allclose(found[..., 0, 1], expected)


def test_what_cannot_be_painted_is_refused_in_one_line():
    generator, scorer = tiny_stylegan2(), TextScorer(Brightness())
    latent = generator.sample([0], seed=0)
    for latents, region, said in (
        (latent, box(8, (0, 0, 4, 4)), "the mask has 8 × 8 pixels; expected the image's 16 × 16"),
        (generator.sample([0, 1], seed=0), RIGHT, "2 latents were to be painted"),
        (latent, np.zeros((16, 16)), "region marks none of its 16 × 16 pixels"),
    ):
        with pytest.raises(ConfigError, match=said) as caught:
            paint(generator, scorer, latents, region, "red", SHORT)
        assert "\n" not in str(caught.value)
    styles = Latent("s", generator.convert(latent, "s").data)
    with pytest.raises(GeneratorError, match="latent in 's'"):
        paint(generator, scorer, styles, RIGHT, "red", SHORT)
    other = painted_world()
    with pytest.raises(GeneratorError, match="has no styles to be masked"):
        paint(other, scorer, other.sample([0], seed=0), RIGHT, "red", SHORT)
