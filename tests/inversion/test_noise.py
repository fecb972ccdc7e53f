"""Noise maps that are searched beside a latent: their regulariser, their way back, what they gain."""

import numpy as np
import pytest
import torch

from dissect.errors import GeneratorError
from dissect.generators.stylegan2 import StyleGAN2, StyleGAN2Config, StyleGAN2Network
from dissect.inversion.inversion import read_inversion
from dissect.inversion.noise import noise_maps, regularity, standardise, stored_maps
from dissect.inversion.optimise import invert
from dissect.inversion.settings import InversionSettings


def noisy(strength: float = 0.5, *, use_noise: bool = True) -> StyleGAN2:
    torch.manual_seed(0)
    config = StyleGAN2Config(
        image_size=16, channels=(16, 16, 8), z_size=8, w_size=8, mapping_depth=2,
        use_noise=use_noise,
    )  # fmt: skip
    network = StyleGAN2Network(config).requires_grad_(False)
    for name, one in network.named_parameters():
        if name.endswith("noise_strength"):
            one.fill_(strength)
        if "torgb.weight" in name:  # images inside [-1, 1]
            one.mul_(0.15)
    return StyleGAN2(network, name="noisy")


def slow_regularity(noise: np.ndarray) -> tuple[float, float]:
    """By loops over pixels: of one map, and of white noise on average."""
    total = expected = 0.0
    while True:
        n = len(noise)
        down = sum(noise[y, x] * noise[y - 1, x] for y in range(n) for x in range(n)) / n**2
        right = sum(noise[y, x] * noise[y, x - 1] for y in range(n) for x in range(n)) / n**2
        total += down**2 + right**2
        expected += 2 / n**2
        if n <= 8:
            return total, expected
        noise = 2 * noise.reshape(n // 2, 2, n // 2, 2).mean(axis=(1, 3))


def test_the_regulariser_is_that_of_loops_over_pixels():
    torch.manual_seed(1)
    maps = {"a": torch.randn(2, 1, 32, 32), "b": torch.randn(2, 1, 4, 4)}
    found = regularity(maps)
    for k in range(2):
        parts = [slow_regularity(one[k, 0].double().numpy()) for one in maps.values()]
        total, of_noise = (sum(part) for part in zip(*parts, strict=True))
        assert found[k].item() == pytest.approx(total / of_noise, rel=1e-4)
    many = {"a": torch.randn(4000, 1, 16, 16)}
    assert regularity(many).mean() == pytest.approx(1, abs=0.15)
    picture = {"a": torch.linspace(-1, 1, 32).expand(1, 1, 32, 32).clone()}
    standardise(picture)
    assert regularity(picture) > 100 * regularity({"a": maps["a"][:1]})


def test_the_generators_own_maps_are_back_also_after_an_exception():
    generator = noisy()
    before = {k: v.clone() for k, v in generator.module.state_dict().items()}
    latent = generator.sample([3], seed=0)
    plain = generator.synthesize(latent)
    own = {name: one[None, None] for name, one in stored_maps(generator).items()}
    with noise_maps(generator, own):
        assert torch.equal(generator.synthesize(latent), plain)
    other = {name: torch.randn_like(one) for name, one in own.items()}
    with noise_maps(generator, other):
        assert not torch.equal(generator.synthesize(latent), plain)
    with pytest.raises(ZeroDivisionError), noise_maps(generator, other):
        print(1 / 0)
    assert torch.equal(generator.synthesize(latent), plain)
    assert all(torch.equal(one, before[k]) for k, one in generator.module.state_dict().items())


def test_an_image_of_other_noise_comes_nearer_and_its_maps_stay_noise(tmp_path):
    generator = noisy()
    latent = generator.sample([5], seed=0)
    torch.manual_seed(2)
    others = {n: torch.randn(1, 1, *m.shape) for n, m in stored_maps(generator).items()}
    standardise(others)
    with noise_maps(generator, others):
        image = generator.synthesize(latent)
    errors = {}
    for noise in (False, True):
        settings = InversionSettings(space="w", n_steps=150, n_starts=2, noise=noise)
        (one,) = invert(generator, image, settings)
        errors[noise] = one.errors["mse"]
    assert errors[True] < 0.5 * errors[False]
    for found in one.noise.values():
        assert found.mean().abs() < 1e-4
        assert found.var(unbiased=False) == pytest.approx(1, abs=1e-3)
    assert regularity(one.noise) < 3  # 1 for noise
    again = read_inversion(one.save(tmp_path / "one.safetensors"))
    with noise_maps(generator, again.noise):
        drawn = generator.synthesize(again.latent)
    mse = ((drawn.clamp(-1, 1) - image.clamp(-1, 1)) / 2).square().mean().item()
    assert mse == pytest.approx(errors[True], rel=1e-3)


def test_maps_that_a_generator_lacks_are_one_line():
    plain = noisy(use_noise=False)
    image = plain.synthesize(plain.sample([0], seed=0))
    with pytest.raises(GeneratorError, match="has no noise maps that could be searched"):
        invert(plain, image, InversionSettings(noise=True, n_steps=1))
    generator = noisy()
    name = next(iter(stored_maps(generator)))
    small = noise_maps(generator, {name: torch.zeros(1, 1, 5, 5)})
    with pytest.raises(GeneratorError, match="is not one of noisy's"), small:
        pass
