import numpy as np
import pytest
import torch

from dissect import ConfigError
from dissect.directions.card import describe_card, measure_card, solve_strength
from dissect.directions.direction import Direction
from dissect.directions.samples import AttributeReader
from tests.directions.worlds import generator, predictor

READER = AttributeReader([predictor()])
N = {"n_samples": 64, "draws": 3}


def test_the_target_is_moved_by_one_deviation_whatever_the_vector_is():
    world = generator()
    for direction in (
        Direction("short", "z", 0.1 * np.eye(40)[0]),
        Direction("backwards", "z", -5 * np.eye(40)[0]),
        Direction("slanted", "z", np.eye(40)[0] + 2 * np.eye(40)[6]),
    ):
        card = measure_card(world, READER, direction, "red", **N)
        assert card["reached"]
        assert card["effect"]["value"] == pytest.approx(1, abs=0.02)
    # The slanted one has to go √5 times as far, and leaves the data the more.
    straight = measure_card(world, READER, Direction("one", "z", np.eye(40)[0]), "red", **N)
    assert card["strength"] == pytest.approx(np.sqrt(5) * straight["strength"], rel=0.02)
    assert card["distance"] > straight["distance"] > 1


def test_side_effects_and_dependency_are_those_that_were_planted():
    # Blue drags green along: Δgreen = 0.1, its deviation √(0.2² + 0.1²).
    card = measure_card(generator(), READER, Direction("b", "z", np.eye(40)[2]), "blue", **N)
    green, red = card["side_effects"]["green"], card["side_effects"]["red"]
    assert green["value"] == pytest.approx(0.1 / np.hypot(0.2, 0.1), abs=0.1)
    assert green["beyond"]
    assert red["value"] == pytest.approx(0, abs=1e-6)
    assert not red["beyond"]
    assert card["dependency"]["value"] == pytest.approx(green["value"] / 2, abs=0.01)
    assert card["monotone"] == 1
    assert card["random"]["effect"] < 1
    assert card["identity"] is None
    text = describe_card(card)
    assert "blue moved by 1 deviations" in text
    assert "certain" in text


def test_a_direction_that_does_nothing_does_not_reach_the_shift():
    card = measure_card(generator(), READER, Direction("n", "z", np.eye(40)[5]), "red", **N)
    assert not card["reached"]
    assert "not reached" in describe_card(card)
    assert card["effect"]["value"] == pytest.approx(0, abs=1e-6)


def test_an_identity_predictor_is_asked_before_and_after():
    class Identity:
        name, attributes, fingerprint, device = "identity", ("a", "b"), "2", "cpu"

        def predict(self, images):
            return images.mean(dim=(2, 3))[:, :2]

    direction = Direction("r", "z", np.eye(40)[0])
    card = measure_card(generator(), READER, direction, "red", identity=Identity(), **N)
    assert card["identity"] == pytest.approx(0.2 * card["length"], rel=1e-3)


def test_mistakes_are_told_in_one_line():
    direction = Direction("r", "z", np.eye(40)[0])
    with pytest.raises(ConfigError, match="'re' is not read; did you mean 'red'"):
        measure_card(generator(), READER, direction, "re")
    with pytest.raises(ConfigError, match="above 0"):
        measure_card(generator(), READER, direction, "red", shift=0)


def test_the_strength_is_where_the_response_first_reaches_the_shift():
    assert solve_strength([0, 0.4, 0.2, 2.2], [0, 1, 2, 4], 1.2) == (3.0, True)
    assert solve_strength([0, 0.1], [0, 8], 1.0) == (8.0, False)
    assert torch.tensor(solve_strength([0, 3.0], [0, 1], 1.0)[0]).item() == pytest.approx(1 / 3)
