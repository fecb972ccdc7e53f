import numpy as np
import pytest

from dissect import ConfigError, GeneratorError, load_generator
from dissect.directions.fitting import fit_directions
from dissect.directions.question import FitQuestion
from dissect.directions.samples import AttributeReader
from tests.directions.worlds import constant, generator, predictor

READER = AttributeReader([predictor()])


def test_boundaries_are_the_planted_directions_and_say_where_they_come_from():
    world = generator()
    red, green, blue = fit_directions(world, FitQuestion(n_samples=800), reader=READER)
    assert [one.name for one in (red, green, blue)] == ["red", "green", "blue"]
    assert red.vector[0] > 0.9
    assert green.vector[1:3] @ np.array([2, 1]) / np.sqrt(5) > 0.9
    assert red.provenance.method == "boundary"
    assert red.provenance.fingerprints["generator"] == world.fingerprint
    held_out = red.provenance.settings["accuracy"]["held_out"]
    assert held_out[1] > 0.9
    red.check(world)


def test_a_kept_attribute_does_not_move_with_it():
    question = FitQuestion(n_samples=800, attributes=("green",), keep=("blue",))
    (green,) = fit_directions(generator(), question, reader=READER)
    (blue,) = fit_directions(
        generator(), FitQuestion(n_samples=800, attributes=("blue",)), reader=READER
    )
    assert green.name == "green, blue kept"
    assert abs(green.vector @ blue.vector) < 1e-6
    assert abs(green.vector[2]) < 0.2
    assert green.vector[1] > 0.8


@pytest.mark.parametrize(
    ("file", "method", "space"),
    [
        ("sg2ada_uncond64.pkl", "sefa", "w"),
        ("sg2ada_uncond64.pkl", "ganspace", "w"),
        ("sg2ada_uncond64.pkl", "stylespace", "s"),
        ("dcgan_small64.pth", "hessian", "z"),
        ("diffusers_ddpm16", "hspace", "mid_block"),
    ],
)
def test_every_method_gives_directions_that_move_its_generator(checkpoints, file, method, space):
    from dissect import intervene

    if file.startswith("diffusers"):
        pytest.importorskip("diffusers", reason="diffusers is not installed")
    world = load_generator(checkpoints / file)
    question = FitQuestion(method=method, n_directions=2, n_samples=60, steps=2)
    reader = READER if method == "stylespace" else None
    found = fit_directions(world, question, reader=reader)
    assert {one.space for one in found} == {space}
    latent = world.sample([0], seed=0)
    plain = world.synthesize(latent)
    for one in found:
        one.check(world)
        with intervene(world, one.moves(2)):
            assert (world.synthesize(latent) - plain).abs().max() > 0


def test_a_diffusion_model_has_boundaries_in_its_bottleneck(checkpoints):
    pytest.importorskip("diffusers", reason="diffusers is not installed")
    world = load_generator(checkpoints / "diffusers_ddpm16")
    question = FitQuestion(method="hspace", n_samples=60, attributes=("red",), keep=("blue",))
    (red,) = fit_directions(world, question, reader=READER)
    assert red.steps == tuple(world.module.timesteps)
    assert red.name == "red, blue kept"
    assert set(red.provenance.settings["accuracy"]) == {str(t) for t in world.module.timesteps}


def test_chosen_layers_of_w_plus_are_moved_alone(checkpoints):
    world = load_generator(checkpoints / "sg2ada_uncond64.pkl")
    (found,) = fit_directions(world, FitQuestion(method="sefa", n_directions=1, layers=(0, 1)))
    assert (found.space, found.layers) == ("w+", (0, 1))


def test_mistakes_are_told_in_one_line(checkpoints):
    with pytest.raises(ConfigError, match="no predictor"):
        fit_directions(generator(), FitQuestion())
    with pytest.raises(ConfigError, match="'rde' is not read; did you mean 'red'"):
        fit_directions(generator(), FitQuestion(n_samples=60, attributes=("rde",)), reader=READER)
    still = AttributeReader([constant()])
    with pytest.raises(ConfigError, match="the same in all samples"):
        fit_directions(generator(), FitQuestion(n_samples=60, attributes=("red",)), reader=still)
    with pytest.raises(GeneratorError, match="space 'w' is not one of painted's"):
        fit_directions(generator(), FitQuestion(n_samples=60, space="w"), reader=READER)
    with pytest.raises(GeneratorError, match="no h-space"):
        fit_directions(generator(), FitQuestion(method="hspace"))
    with pytest.raises(ConfigError, match="keep was given for sefa"):
        FitQuestion(method="sefa", keep=("red",))
