"""Inversion: generated images come back, starts, spaces, degradations, and the weights stay."""

import numpy as np
import pytest
import torch

from dissect.errors import ConfigError, GeneratorError
from dissect.generators.stylegan2 import StyleGAN2, StyleGAN2Config, StyleGAN2Network
from dissect.inversion import optimise
from dissect.inversion.coordinates import coordinates
from dissect.inversion.degradations import parse_degradation
from dissect.inversion.inversion import read_inversion
from dissect.inversion.objective import Objective
from dissect.inversion.optimise import invert
from dissect.inversion.settings import SPACES, InversionSettings, TuningSettings
from dissect.inversion.tuning import kept, tune
from dissect.latents import Latent


def tiny() -> StyleGAN2:
    torch.manual_seed(0)
    config = StyleGAN2Config(
        image_size=16, channels=(16, 16, 8), z_size=8, w_size=8, mapping_depth=2
    )
    return StyleGAN2(StyleGAN2Network(config).requires_grad_(False), name="tiny")


@pytest.fixture(scope="module")
def generator() -> StyleGAN2:
    return tiny()


class _Quarter(StyleGAN2):
    """The tiny generator at a quarter of its contrast, so that images lie in [-1, 1]."""

    def synthesize(self, latent, *, noise="const"):
        return super().synthesize(latent, noise=noise) / 4


@pytest.fixture(scope="module")
def quarter() -> _Quarter:
    return _Quarter(tiny().module, name="quarter")


@pytest.mark.parametrize("space", ["w", "w+", "s", "p", "p+"])
def test_a_generated_image_comes_back(quarter, space):
    images = quarter.synthesize(quarter.sample(range(2), seed=5))
    found = invert(quarter, images, InversionSettings(space=space, n_steps=150, n_starts=4))
    for k, one in enumerate(found):
        again = quarter.synthesize(one.latent)
        mse = ((again[0] - images[k]) / 2).clamp(-1, 1).square().mean().item()
        assert mse == pytest.approx(one.errors["mse"], rel=1e-4, abs=1e-9)
        assert mse < 1e-3, (space, mse)
        mean = quarter.synthesize(Latent("w", quarter.mean_w()[None]))
        assert mse < 0.1 * ((mean[0] - images[k]) / 2).square().mean()


def test_images_do_not_disturb_each_other(quarter):
    images = quarter.synthesize(quarter.sample(range(3), seed=5))
    settings = InversionSettings(space="w", n_steps=20, n_starts=2)
    together = invert(quarter, images, settings)
    # Jitter is drawn for a whole batch, so only its size is the same; without it all is.
    assert len({one.errors["mse"] for one in together}) == 3
    assert all(one.trace[-1] < one.trace[0] for one in together)


def test_more_starts_are_never_worse_at_the_start(quarter):
    images = quarter.synthesize(quarter.sample(range(1), seed=9))
    losses = [
        invert(quarter, images, InversionSettings(space="w", n_steps=1, n_starts=n))[0].trace[0]
        for n in (1, 4, 8)
    ]
    assert losses[0] >= losses[1] >= losses[2]


def test_the_same_call_gives_the_same_bits(quarter):
    images = quarter.synthesize(quarter.sample(range(1), seed=9))
    settings = InversionSettings(n_steps=10)
    first, second = (invert(quarter, images, settings)[0].latent.data for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("space", SPACES)
def test_starts_decode_to_points_of_the_space(generator, space):
    found = coordinates(generator, space)
    starts = found.starts(3, 0)
    assert starts.shape == (3, *found.shape)
    latent = found.decode(starts)
    assert torch.isfinite(generator.synthesize(latent)).all()
    assert found.prior(starts).shape == (3,)
    if space not in ("z", "s"):
        mean = found.decode(torch.zeros(1, *found.shape))
        w = generator.convert(generator.sample(range(4000), seed=1), "w").data
        if space.startswith("w"):
            at_mean = mean.data.reshape(1, -1, 8)[:, 0]
            assert (at_mean - w.mean(dim=0)).abs().max() < 0.1 * w.std(dim=0).max()


def test_p_is_white_on_samples(generator):
    found = coordinates(generator, "p")
    starts = found.starts(2001, 3)[1:] * 2
    covariance = torch.cov(starts.T)
    assert (covariance - torch.eye(len(covariance))).abs().max() < 0.15
    again = found.decode(starts[:5])
    expected = generator.convert(generator.sample(range(5), seed=3), "w").data
    assert torch.allclose(again.data, expected, atol=1e-4)


def test_a_prior_keeps_the_latent_near(quarter):
    images = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    norms = []
    for prior in (0.0, 1.0):
        settings = InversionSettings(space="w", n_steps=60, prior=prior, n_starts=1)
        one = invert(quarter, images, settings)[0]
        norms.append((one.latent.data - quarter.mean_w()).norm().item())
    assert norms[1] < 0.7 * norms[0]


def test_inpainting_looks_only_at_what_was_seen(quarter):
    images = quarter.synthesize(quarter.sample(range(1), seed=7))
    hole = parse_degradation("hole:4,4,12,12")
    seen = hole.observe(images, seed=0)
    spoiled = images.clone()
    spoiled[:, :, 4:12, 4:12] = 0.9
    settings = InversionSettings(space="w+", n_steps=40, n_starts=2)
    first = invert(quarter, seen, settings, degradation=hole)[0]
    second = invert(quarter, hole.observe(spoiled, seed=0), settings, degradation=hole)[0]
    assert torch.equal(first.latent.data, second.latent.data)
    drawn = quarter.synthesize(first.latent)
    answer = hole.consistent(drawn, seen)
    outside = hole.weight(16) > 0
    assert torch.equal(answer[:, :, outside], images[:, :, outside])
    assert torch.equal(answer[:, :, ~outside], drawn[:, :, ~outside])
    mse = ((drawn - images) / 2)[:, :, outside].square().mean().item()
    assert first.errors["mse"] == pytest.approx(mse, rel=1e-4)


def test_the_identity_degradation_is_reconstruction(quarter):
    images = quarter.synthesize(quarter.sample(range(1), seed=7))
    settings = InversionSettings(space="w", n_steps=15)
    plain = invert(quarter, images, settings)[0]
    whole = invert(quarter, images, settings, degradation=parse_degradation("none"))[0]
    assert torch.equal(plain.latent.data, whole.latent.data)


def test_an_inversion_is_written_and_read(quarter, tmp_path):
    images = quarter.synthesize(quarter.sample(range(1), seed=7))
    one = invert(quarter, images, InversionSettings(n_steps=3))[0]
    again = read_inversion(one.save(tmp_path / "a.safetensors"))
    assert torch.equal(again.latent.data, one.latent.data)
    assert (again.space, again.latent.space) == (one.space, one.latent.space) == ("w+", "w+")
    assert again.errors == dict(one.errors)
    assert again.trace == one.trace
    again.check(quarter)


def test_mistakes_are_one_line_each(generator, quarter, tmp_path):
    images = torch.zeros(1, 3, 16, 16)
    with pytest.raises(ConfigError, match=r"images have the shape \(1, 3, 8, 8\); expected"):
        invert(generator, torch.zeros(1, 3, 8, 8))
    with pytest.raises(ConfigError, match="perceptual is above 0 but no features"):
        invert(generator, images, InversionSettings(perceptual=1.0))
    with pytest.raises(ConfigError, match="space"):
        InversionSettings(space="v")
    with pytest.raises(ConfigError, match=r"expected a file NAME\.safetensors"):
        invert(quarter, images, InversionSettings(n_steps=1))[0].save(tmp_path / "a.npy")
    one = invert(quarter, images, InversionSettings(n_steps=1))[0]
    other = tiny()
    other.fingerprint = "0" * 64
    with pytest.raises(GeneratorError, match="belongs to a generator with the fingerprint"):
        one.check(other)


def test_spaces_that_a_generator_lacks(planted):
    with pytest.raises(GeneratorError, match="expected z"):
        coordinates(planted, "w+")
    with pytest.raises(GeneratorError, match="expected z"):
        coordinates(planted, "p")


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("fails", [False, True])
def test_tuning_gives_the_generator_back_to_the_bit(fails, progressive):
    generator = _Quarter(tiny().module, name="quarter")
    before = {k: v.clone() for k, v in generator.module.state_dict().items()}
    flags = {k: p.requires_grad for k, p in generator.module.named_parameters()}
    coarse = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0)) - 0.5
    image = torch.nn.functional.interpolate(coarse, size=16, mode="bilinear")
    one = invert(generator, image, InversionSettings(n_steps=10, n_starts=1))[0]
    start = one.errors["mse"]

    def use() -> None:
        with tune(
            generator, one, image,
            TuningSettings(tuning_steps=60, tuning_rate=1e-2, progressive=progressive),
        ) as tuned:  # fmt: skip
            assert torch.equal(tuned.latent.data, one.latent.data) is not progressive
            drawn = generator.synthesize(tuned.latent)
            assert ((drawn - image) / 2).square().mean() < 0.5 * start
            assert tuned.trace[-1] < tuned.trace[0]
            if fails:
                raise RuntimeError("in the middle")

    if fails:
        with pytest.raises(RuntimeError, match="in the middle"):
            use()
    else:
        use()
    after = generator.module.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert flags == {k: p.requires_grad for k, p in generator.module.named_parameters()}
    assert not generator.module.training
    assert all(p.grad is None for p in generator.module.parameters())


def test_stages_free_early_layers_first_and_all_in_the_end(quarter, monkeypatch):
    image = quarter.synthesize(quarter.sample([1], seed=5)) * 0.5
    one = invert(quarter, image, InversionSettings(n_steps=1, n_starts=1))[0]
    freed = []
    names = {id(one): name for name, one in quarter.module.named_parameters()}
    step = torch.optim.Adam.step

    def record(adam):
        parameters = [one for group in adam.param_groups for one in group["params"]]
        freed.append({names.get(id(p), "latent") for p in parameters if p.grad is not None})
        return step(adam)

    monkeypatch.setattr(torch.optim.Adam, "step", record)
    with tune(quarter, one, image, TuningSettings(tuning_steps=5, progressive=True)):
        pass
    assert len(freed) == 5
    assert all(before <= after for before, after in zip(freed, freed[1:], strict=False))
    assert all("latent" in names for names in freed)
    blocks = [{name.split(".")[1] for name in names if "synthesis.b" in name} for names in freed]
    assert blocks[0] == {"b4"}
    assert blocks[-1] == {"b4", "b8", "b16"}
    trained = {name for name in names.values() if name.startswith("synthesis")}
    assert {name for name in trained if "noise" not in name} <= freed[-1]


def test_kept_also_gives_buffers_and_modes_back():
    module = torch.nn.BatchNorm2d(2)
    module.eval()
    with kept(module):
        module.train()
        module(torch.randn(4, 2, 3, 3))
        module.weight.requires_grad_(False)
    assert not module.training
    assert module.weight.requires_grad
    assert module.num_batches_tracked == 0
    assert torch.equal(module.running_mean, torch.zeros(2))


def test_losses_fall_as_numpy_says(quarter):
    """The pixel term is the mean square of what was seen."""
    images = quarter.synthesize(quarter.sample(range(1), seed=7))
    one = invert(quarter, images, InversionSettings(space="w", n_steps=1, n_starts=1))[0]
    drawn = quarter.synthesize(one.latent).numpy()
    expected = np.square(drawn - images.numpy()).mean()
    # One step: the kept values are the start with the jitter of step 0, whose loss is the trace.
    assert one.trace[0] == pytest.approx(expected, rel=1e-4)


def test_the_better_starts_of_each_image_go_on_with_their_state():
    values = torch.arange(8.0)[:, None].requires_grad_()
    rows = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    losses = torch.tensor([4.0, 1.0, 3.0, 2.0, 5.0, 6.0, 8.0, 7.0])
    search = optimise._Search(values, rows, losses, values.detach().clone())
    adam = optimise._adam(search)
    (values * torch.arange(8.0)[:, None]).sum().backward()
    adam.step()
    moment = adam.state[values]["exp_avg"].clone()
    half, moved = optimise._give_up(search, adam, 2, last=False)
    assert half.best.tolist() == [1, 2, 5, 6]
    assert half.rows.tolist() == [0, 0, 1, 1]
    assert torch.equal(moved.state[half.values]["exp_avg"], moment[[1, 3, 4, 5]])
    last, _ = optimise._give_up(half, moved, 2, last=True)
    assert last.best.tolist() == [1, 5]
    assert last.kept.flatten().tolist() == [1, 4]


def test_the_pixel_term_is_a_mean_over_what_was_seen():
    numbers = torch.Generator().manual_seed(0)
    images, observed = (torch.rand(2, 3, 8, 8, generator=numbers) for _ in range(2))
    hole = parse_degradation("hole:0,0,8,6")
    objective = Objective(hole, hole.observe(observed, seed=0))
    found = objective.terms(images, torch.tensor([1, 0]))["pixel"]
    expected = (images - observed.flip(0))[..., 6:].square().mean(dim=(1, 2, 3))
    assert torch.allclose(found, expected)
