"""Random sets: of the layer, disjoint from the chosen one, of its size or of its strength."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissect.errors import ConfigError
from dissect.studies.image_change import ImageChange
from dissect.studies.originals import Originals, open_models
from dissect.studies.pixels import Treatment
from dissect.studies.random_sets import check_size, matched_sets, plain_sets, random_order


@given(st.integers(2, 60), st.integers(0, 1000), st.data())
def test_plain_sets_are_disjoint_from_the_chosen_one_and_as_large_as_can_be(n_units, seed, data):
    size = data.draw(st.integers(1, n_units))
    chosen = random_order(n_units, 99, seed=seed)[:size]
    sets = plain_sets(n_units, chosen, range(4), seed=seed)
    if size == n_units:
        assert sets == []
        return
    for units in sets:
        assert not set(units) & set(chosen)
        assert len(set(units)) == len(units) == min(size, n_units - size)
        assert max(units) < n_units
    assert plain_sets(n_units, chosen, [2], seed=seed) == sets[2:3]


def test_sets_are_those_of_the_seed():
    sets = plain_sets(40, [1, 2, 3], range(6), seed=3)
    assert sets == plain_sets(40, [1, 2, 3], range(6), seed=3)
    assert sets != plain_sets(40, [1, 2, 3], range(6), seed=4)
    assert len({tuple(units) for units in sets}) == 6
    with pytest.raises(ConfigError, match="units is 10; expected from 1 to 9"):
        check_size(9, 10)


@given(st.integers(0, 1000), st.integers(1, 12))
def test_matched_sets_change_images_as_strongly_as_the_units_allow(seed, n_chosen):
    strengths = np.random.default_rng(seed).exponential(size=40)
    strengths[:n_chosen] *= 3  # chosen units are strong ones

    def change(units):
        return float(strengths[list(units)].sum())

    wanted, sets = matched_sets(change, 40, range(n_chosen), draws=5, seed=seed)
    assert wanted == pytest.approx(strengths[:n_chosen].sum())
    for found in sets:
        assert not set(found.units) & set(range(n_chosen))
        assert found.image_change == pytest.approx(change(found.units))
        rest = strengths[n_chosen:]
        if wanted > rest.sum():
            assert len(found.units) == len(rest)
        elif len(found.units) > 1:
            # One unit more or less of the same order would not come nearer by more than itself.
            assert abs(found.image_change - wanted) <= rest.max()


def test_a_weak_unit_is_matched_by_the_nearest_of_several():
    strengths = [0.1, 5, 6, 0.2, 7, 8, 9]
    _, sets = matched_sets(lambda u: sum(strengths[k] for k in u), 7, [0], draws=8, seed=0)
    assert all(found.units == [3] for found in sets)
    _, none = matched_sets(lambda u: 1.0, 3, [0, 1, 2], draws=4, seed=0)
    assert none == []


def test_the_change_of_images_is_the_mean_distance_over_two(planted, planted_run):
    originals = Originals(*open_models(planted_run), planted_run.config, n_samples=40)
    change = ImageChange(originals)
    treatment = Treatment("units")
    assert change.of([]) == 0
    # A red square of 36 pixels goes: 255 in one channel (red is #ff0000 or like it) of three.
    plain = planted.synthesize(planted.sample(range(32), seed=0)).clamp(-1, 1)
    square = (plain + 1).sum(dim=1)[:, None]
    assert square.shape == (32, 1, 32, 32)
    colour = planted.module.paint[0]
    expected = 36 / 1024 * float(colour.mean()) / 2
    assert change.of(treatment.of([0])) == pytest.approx(expected, rel=1e-4)
    assert change.of(treatment.of([5])) == 0
