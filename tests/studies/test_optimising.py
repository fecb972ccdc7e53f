import numpy as np
import pytest

from dissect.edits.regions import box
from dissect.errors import ConfigError
from dissect.studies.optimise import optimise, rank_by_weight
from dissect.studies.originals import Originals, open_models
from dissect.studies.pixels import Treatment
from dissect.worlds.planted import PAINTS


@pytest.fixture(scope="module")
def originals(planted_run):
    return Originals(*open_models(planted_run), planted_run.config, n_samples=32, first=224)


@pytest.mark.parametrize("concept", PAINTS[:4])
def test_units_that_only_fire_where_a_concept_is_lose_their_weight(originals, planted_run, concept):
    start = planted_run.iou("units").sel(concept=concept).values
    weights = optimise(originals, Treatment("units"), concept, start, n_steps=40)
    painter = PAINTS.index(concept)
    assert weights[painter] > 0.8
    # Units 5 and 6 fire where others paint, and begin with their IoU.
    assert np.delete(weights, painter).max() < 0.05
    assert ((weights >= 0) & (weights <= 1)).all()


def test_a_unit_that_begins_at_nothing_is_found(originals):
    weights = optimise(originals, Treatment("units"), "red", np.full(9, 0.1), n_steps=40)
    assert rank_by_weight(weights, np.zeros(9))[0] == 0


def test_insertion_finds_what_paints_inside_the_region(originals):
    treatment = Treatment("units", [1.5] * 9, box(32, (0, 0, 16, 16)))
    weights = optimise(originals, treatment, "blue", np.full(9, 0.2), n_steps=40)
    assert rank_by_weight(weights, np.zeros(9))[0] == 2
    assert weights[2] > 0.9
    assert np.delete(weights, [2, 6]).max() < 0.3


def test_a_larger_penalty_leaves_less(originals, planted_run):
    start = planted_run.iou("units").sel(concept="red").values
    light, heavy = (
        optimise(originals, Treatment("units"), "red", start, n_steps=30, penalty=penalty).sum()
        for penalty in (0, 3)
    )
    assert heavy < light


def test_the_network_is_left_as_it_was(originals, planted):
    optimise(originals, Treatment("units"), "red", np.zeros(9), n_steps=2)
    module = originals.generator.module
    assert all(parameter.grad is None for parameter in module.parameters())
    assert not any(layer._forward_hooks for layer in module.modules())


def test_equal_weights_are_ranked_by_where_they_began():
    weights, start = np.array([0, 1, 1, 0.5, 0]), np.array([0.2, 0.1, 0.3, np.nan, 0.4])
    assert rank_by_weight(weights, start) == [2, 1, 3, 4, 0]


def test_a_concept_that_never_appears_has_nothing_to_learn_from(originals):
    with pytest.raises(ConfigError, match="'orange' is in none of the 32 unedited images"):
        optimise(originals, Treatment("units"), "orange", np.zeros(9))


def test_scores_without_a_gradient_are_told(hard_originals):
    with pytest.raises(
        ConfigError, match=r"hard have no gradient to units of units; .*take greedy"
    ):
        optimise(hard_originals, Treatment("units"), "paint", np.zeros(9))
