import numpy as np
import pytest
import torch

from dissect import ConfigError, Latent, SegmenterError, load_generator
from dissect.directions.direction import Direction, Provenance
from dissect.directions.effects import measure_effects
from dissect.directions.rescoring import (
    equal_moves,
    rescore,
    rescore_layers,
    step_length,
)
from dissect.directions.samples import WHOLE, AttributeReader, Truncation, score_samples
from dissect.edits.applying import move_latent
from dissect.generators.base import Space
from dissect.latents import standard_normal


class Layered:
    """Three layers of w+ of four numbers; layer k paints its first number in channel k.

    ``loud`` says how much each layer shows; w is 2 z + 1.
    """

    name, fingerprint, n_classes, channels, image_size = "layered", "0" * 64, 0, 3, 8
    not_editable = None

    def __init__(self, loud=(1.0, 1.0, 1.0)):
        self.loud, self.layers = torch.tensor(loud), {}
        self.spaces = {
            "z": Space("z", (4,)),
            "w": Space("w", (4,)),
            "w+": Space("w+", (3, 4)),
        }

    def sample(self, indices, *, seed, label=None):
        return Latent("z", standard_normal(list(indices), seed=seed, size=4))

    def convert(self, latent, space, *, truncation=1.0, cutoff=None):
        data = latent.data
        if latent.space == "z" and space != "z":
            data = 2 * data + 1
        if latent.space in ("z", "w") and space == "w+":
            data = data[:, None].expand(-1, 3, -1)
        if truncation != 1.0:
            near = 1 + truncation * (data - 1)
            last = 3 if cutoff is None else cutoff
            data = torch.cat([near[:, :last], data[:, last:]], dim=1)
        return Latent(space, data)

    def synthesize(self, latent, *, noise="const"):
        values = self.convert(latent, "w+").data[:, :, 0] * self.loud
        return values[:, :, None, None].expand(-1, -1, 8, 8)


class Channels:
    """Reads the mean of each channel."""

    name, attributes, fingerprint, device = "channels", ("red", "green", "blue"), "1", "cpu"

    def predict(self, images):
        return images.mean(dim=(2, 3))


READER = AttributeReader([Channels()])
FIRST = Direction("first", "w", [1.0, 0, 0, 0])


def test_effects_are_means_in_deviations_with_intervals_and_floors():
    random = np.random.default_rng(0)
    plain = random.standard_normal((400, 2)) * [2.0, 5.0]
    edited = np.stack([plain + np.array([4.0, 0.0]), plain + random.standard_normal((400, 2))])
    noise = np.stack([plain - np.array([0.2, 0.0]), plain + np.array([0.0, 1.5])])
    found = measure_effects(plain, edited, noise, names=["a", "b"], attributes=["x", "y"])
    unit = plain.std(axis=0, ddof=1)
    assert np.allclose(found.signed, (edited - plain).mean(axis=1) / unit)
    assert np.allclose(found.clipped, (edited - plain).clip(min=0).mean(axis=1) / unit)
    assert found.clipped[1, 0] > 0.15 > abs(found.signed[1, 0])  # noise alone is positive, clipped
    assert np.allclose(found.floor, np.array([[0.2, 1.5]] * 2) / unit)
    near = 1e-9  # an effect without spread
    assert (found.low <= found.signed + near).all()
    assert (found.signed <= found.high + near).all()
    assert found.beyond.tolist() == [[True, False], [False, False]]
    error = (found.high - found.low)[1, 0] / (2 * 1.96)
    assert error == pytest.approx((edited - plain)[1, :, 0].std() / unit[0] / 20, rel=0.1)


def test_an_attribute_that_does_not_vary_has_no_effect_to_tell():
    plain = np.c_[np.arange(5.0), np.ones(5)]
    found = measure_effects(plain, plain[None] + 1, plain[None], names=["a"], attributes=["x", "y"])
    assert np.isnan(found.signed[0, 1])
    assert not found.beyond[0, 1]


def test_without_random_directions_there_is_no_floor_and_only_the_interval_counts():
    plain = np.random.default_rng(0).standard_normal((50, 1))
    found = measure_effects(
        plain, plain[None] + 1, plain[:0].reshape(0, 50, 1), names=["a"], attributes=["x"]
    )
    assert np.isnan(found.floor).all()
    assert found.beyond.all()


def test_a_direction_is_rescored_at_the_length_of_the_space():
    # w is 2 z + 1: σ̄ is 2, so λ = 2 moves 4; each channel's deviation is 2.
    generator = Layered()
    assert step_length(generator, FIRST, seed=0) == pytest.approx(2, rel=0.03)
    long = Direction("long", "w", [9.0, 0, 0, 0], unit="σ", sigma=3.0)
    found = rescore(generator, READER, [FIRST, long], n_samples=64, draws=4)
    assert np.allclose(found.signed, 2, rtol=0.25)
    assert np.allclose(found.signed[0], found.signed[1], rtol=1e-3)
    assert found.length == pytest.approx(2 * step_length(generator, FIRST, seed=0))
    assert (found.floor < 2).all()
    assert found.beyond.all()


def test_layers_are_ranked_with_the_only_active_one_first():
    found = rescore_layers(Layered((0.0, 0.0, 1.0)), READER, FIRST, n_samples=32)
    assert found.names == ("0", "1", "2")
    blue = np.abs(np.nan_to_num(found.signed[:, 2]))
    assert blue.argmax() == 2
    assert blue[:2].tolist() == [0, 0]
    assert np.isnan(found.signed[:, :2]).all()  # red and green never vary
    groups = rescore_layers(Layered(), READER, FIRST, groups=[[0, 1], [2]], n_samples=16)
    assert groups.names == ("0-1", "2")
    assert np.allclose(groups.signed[0, 2], 0, atol=1e-5)


def test_each_layer_has_the_floor_of_random_directions_in_it():
    found = rescore_layers(Layered(), READER, FIRST, n_samples=32, draws=5)
    off = ~np.eye(3, dtype=bool)
    assert np.allclose(found.floor[off], 0, atol=1e-5)
    assert (np.diag(found.floor) > 0.05).all()


def test_in_truncated_layers_the_step_is_psi_times_as_long():
    generator, length = Layered(), 4.0
    latent = generator.convert(generator.sample([0], seed=0), "w+")
    cut = Truncation(0.5, cutoff=2)
    moved = move_latent(generator, latent, equal_moves(generator, FIRST, length, truncation=cut))
    change = (moved.data - latent.data)[0, :, 0]
    assert change.tolist() == pytest.approx([2.0, 2.0, 4.0], abs=1e-5)
    # Without that, layers that count the same would be ranked by their truncation.
    found = rescore_layers(generator, READER, FIRST, truncation=cut, n_samples=64)
    assert np.allclose(np.diag(found.signed), found.signed[2, 2], rtol=0.25)
    psi = Truncation(0.5)
    (move,) = equal_moves(generator, FIRST, length, truncation=psi, layers=[1])
    assert (move.layers, move.strength) == ((1,), pytest.approx(2.0))


def test_samples_are_read_in_several_spaces_at_once():
    generator = Layered()
    z, w = score_samples(generator, READER, spaces=["z", "w"], n_samples=40, first=7)
    assert np.allclose(w.points, 2 * z.points + 1)
    assert np.allclose(w.score("green"), w.points[:, 0], atol=1e-5)
    assert np.allclose(z.points[0], generator.sample([7], seed=0).data[0])
    assert score_samples(Layered((1, 0, 1)), READER, spaces=["z"], n_samples=9)[0].varying == (
        "red",
        "blue",
    )


def test_mistakes_are_told_in_one_line():
    generator = Layered()
    with pytest.raises(ConfigError, match="no directions"):
        rescore(generator, READER, [])
    with pytest.raises(ConfigError, match=r"different spaces, shapes or layers \(w, z\)"):
        rescore(generator, READER, [FIRST, Direction("z", "z", [1.0, 0, 0, 0])])
    of_another = Direction(
        "far", "w", [1.0, 0, 0, 0], provenance=Provenance(fingerprints={"generator": "9" * 64})
    )
    with pytest.raises(ConfigError, match="expected the same generator"):
        rescore(generator, READER, [of_another])
    with pytest.raises(ConfigError, match="direction of w"):
        rescore_layers(generator, READER, Direction("z", "w+", np.ones((3, 4))))
    with pytest.raises(SegmenterError, match="'rd' is read by no predictor; did you mean 'red'"):
        AttributeReader([Channels()], ["rd"])

    class Long(Channels):
        def predict(self, images):
            return images.mean(dim=(2, 3))[:, :2]

    with pytest.raises(SegmenterError, match=r"shape \(16, 2\); expected \(16, 3\)"):
        rescore(generator, AttributeReader([Long()]), [FIRST], n_samples=16)


def test_two_predictors_are_read_as_one():
    class Other(Channels):
        name, attributes = "other", ("red", "brightness")

        def predict(self, images):
            return torch.stack([-images.mean(dim=(1, 2, 3)), images.mean(dim=(1, 2, 3))], dim=1)

    both = AttributeReader([Channels(), Other()])
    assert both.attributes == ("red", "green", "blue", "red (other)", "brightness")
    some = AttributeReader([Channels(), Other()], ["brightness", "red"])
    images = torch.rand(2, 3, 8, 8)
    assert np.allclose(some.read(images), both.read(images)[:, [4, 0]])
    assert len(both.fingerprints) == 2


def test_directions_of_a_real_generator_with_styles_are_rescored(checkpoints):
    generator = load_generator(checkpoints / "sg2ada_uncond64.pkl")
    size = generator.spaces["w"].shape[0]
    direction = Direction("some", "w", np.eye(size)[0])
    found = rescore(generator, READER, [direction], n_samples=8, draws=2, truncation=WHOLE)
    assert np.isfinite(found.signed).all()
    layers = rescore_layers(generator, READER, direction, n_samples=4, draws=1)
    assert len(layers.names) == generator.spaces["w+"].shape[0]
