import numpy as np
import pytest
import torch

from dissect import GeneratorError, load_generator, trace
from dissect.directions.hspace import (
    bottleneck_steps,
    sample_bottlenecks,
    step_boundaries,
    step_components,
    synthesize_asymmetric,
)

pytest.importorskip("diffusers", reason="diffusers is not installed")


@pytest.fixture(scope="module")
def diffusion(checkpoints):
    return load_generator(checkpoints / "diffusers_ddpm16")


def test_bottlenecks_are_what_the_layers_put_out(diffusion):
    steps, found = sample_bottlenecks(diffusion, n_samples=5, seed=0)
    assert steps == bottleneck_steps(diffusion) == tuple(diffusion.module.timesteps)
    with trace(diffusion, "all") as maps:
        diffusion.synthesize(diffusion.sample([3], seed=0))
    for k, step in enumerate(steps):
        assert np.allclose(found[3, k], maps[f"t{step}/mid_block"][0], atol=1e-4)


def test_components_and_boundaries_have_a_vector_for_each_step(diffusion):
    _, found = sample_bottlenecks(diffusion, n_samples=60, steps=bottleneck_steps(diffusion)[:2])
    components = step_components(found, n_components=3)
    assert [one.axes.shape for one in components] == [(3, found[0, 0].size)] * 2
    scores = found[:, 1].reshape(60, -1) @ components[1].axes[0]
    boundaries = step_boundaries(found, scores)
    assert boundaries[1].normal @ components[1].axes[0] > 0.5
    assert boundaries[1].trained.value == 1


def test_no_shift_gives_the_image_and_a_shift_of_the_prediction_alone_another(diffusion):
    latent = diffusion.sample([0, 1], seed=0)
    plain = diffusion.synthesize(latent)
    steps = bottleneck_steps(diffusion)
    info = diffusion.layers[f"t{steps[0]}/mid_block"]
    shape = (len(steps), info.units, info.height, info.width)
    nothing = synthesize_asymmetric(diffusion, latent, np.zeros(shape), steps)
    assert torch.allclose(nothing, plain, atol=1e-4)
    shift = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    moved = synthesize_asymmetric(diffusion, latent, shift, steps)
    assert (moved - plain).abs().mean() > 1e-3
    assert diffusion.module.unet.mid_block._forward_hooks  # the generator's own are still there
    assert torch.equal(diffusion.synthesize(latent), plain)


def test_at_the_last_step_the_result_is_the_edited_prediction(diffusion):
    """x_0 = √ᾱ P + D: with one step of editing at the end it differs by √ᾱ · (P' − P)."""
    from dissect import Move, intervene

    latent = diffusion.sample([0], seed=0)
    last = diffusion.module.timesteps[-1]
    info = diffusion.layers[f"t{last}/mid_block"]
    shift = np.ones((1, info.units, info.height, info.width), np.float32)
    moved = synthesize_asymmetric(diffusion, latent, shift, [last])
    predictions = {}

    def keep(name):
        original = diffusion.module.advance

        def advance(t, sample, output):
            ahead, image = original(t, sample, output)
            if t == last:
                predictions[name] = ahead, image
            return ahead, image

        return advance

    for name, edits in (("plain", []), ("edited", [Move(f"t{last}/mid_block", shift[0])])):
        diffusion.module.advance = keep(name)
        try:
            with intervene(diffusion, edits):
                diffusion.synthesize(latent)
        finally:
            del diffusion.module.advance
    alpha = float(diffusion.module.scheduler.final_alpha_cumprod)
    (ahead, image), (_, edited) = predictions["plain"], predictions["edited"]
    assert torch.allclose(moved, ahead + alpha**0.5 * (edited - image), atol=1e-4)


def test_other_generators_and_steps_are_refused(diffusion, checkpoints):
    with pytest.raises(GeneratorError, match="no h-space"):
        sample_bottlenecks(load_generator(checkpoints / "dcgan_small64.pth"), n_samples=2)
    with pytest.raises(GeneratorError, match="no step 3"):
        sample_bottlenecks(diffusion, n_samples=2, steps=[3])
    with pytest.raises(GeneratorError, match="shape"):
        synthesize_asymmetric(
            diffusion,
            diffusion.sample([0], seed=0),
            np.zeros((1, 2)),
            bottleneck_steps(diffusion)[:1],
        )
