import numpy as np
import pytest
from scipy.stats import entropy

from dissect import ConfigError, GeneratorError, load_generator
from dissect.directions.disentanglement import (
    chance_level,
    completeness,
    dci,
    describe_spaces,
    disentanglement,
    measure_space,
    measure_spaces,
)
from dissect.directions.samples import AttributeReader
from tests.directions.worlds import constant, generator, predictor


def test_one_code_for_each_attribute_is_disentangled_and_complete():
    importances = np.zeros((6, 3))
    importances[[0, 2, 5], [0, 1, 2]] = [1, 0.5, 2]
    assert disentanglement(importances) == pytest.approx(1)
    assert completeness(importances) == pytest.approx(1)
    alike = np.ones((6, 3))
    assert disentanglement(alike) == pytest.approx(0)
    assert completeness(alike) == pytest.approx(0)


def test_scores_are_those_of_entropies_by_a_library():
    random = np.random.default_rng(0)
    r = random.random((9, 4)) * (random.random((9, 4)) > 0.3)
    weights = r.sum(axis=1)
    d = [1 - entropy(row, base=4) if row.any() else 0 for row in r]
    assert disentanglement(r) == pytest.approx(np.sum(weights * d) / weights.sum())
    assert completeness(r) == pytest.approx(np.mean([1 - entropy(c, base=9) for c in r.T]))


def planted(n=600, rotated=False):
    random = np.random.default_rng(0)
    codes = random.standard_normal((n, 4))
    factors = codes[:, :4].copy()
    if rotated:
        codes = codes @ np.linalg.qr(random.standard_normal((4, 4)))[0]
    return codes, factors


def test_planted_channels_are_told_from_a_rotation_of_them():
    straight = dci(*planted(), trees=20)
    turned = dci(*planted(rotated=True), trees=20)
    assert straight[0].value > 0.9
    assert straight[1].value > 0.9
    assert straight[2].value > 0.95
    assert turned[0].high < straight[0].low
    assert turned[1].high < straight[1].low
    assert straight[3].argmax(axis=0).tolist() == [0, 1, 2, 3]
    for one in (*straight[:3], *turned[:3]):
        assert 0 <= one.low <= one.value <= one.high <= 1


def test_noise_among_many_codes_has_a_large_d_and_so_has_its_chance_level():
    random = np.random.default_rng(2)
    codes, scores = random.standard_normal((400, 200)), random.standard_normal((400, 3))
    found = dci(codes, scores, trees=10)
    by_chance, _ = chance_level(codes, scores, trees=10)
    assert found[0].value > 0.5  # though nothing is known
    assert abs(by_chance - found[0].value) < 0.15
    assert chance_level(*planted(), trees=20)[0] < 0.5 < dci(*planted(), trees=20)[0].low


def test_a_score_that_has_nothing_to_do_with_the_codes_is_guessed():
    codes, _ = planted()
    accuracy = dci(codes, np.random.default_rng(1).standard_normal((600, 2)), trees=10)[2]
    assert accuracy.low < 0.5 + 0.1
    assert accuracy.value < 0.62


def test_z_of_a_generator_with_planted_codes_is_measured():
    found = measure_space(
        generator(), AttributeReader([predictor()]), "z", n_samples=400, n_edited=32, trees=20
    )
    assert found.n_codes == 40
    assert found.disentanglement.value > 0.5  # green has two codes, one of them blue's
    assert found.reached == 3
    assert found.importances[:3].argmax(axis=0).tolist() == [0, 1, 2]
    # Green moves with blue (0.1/√5·10 σ …), red with nothing.
    assert 0 < found.dependency.value < 0.5
    text = describe_spaces(
        [found], generator="painted", attributes=("red", "green", "blue"), n_samples=400
    )
    assert "0.31" in text
    assert "base 3" in text


def test_every_space_and_a_layer_can_be_measured(checkpoints):
    world = load_generator(checkpoints / "sg2ada_uncond64.pkl")
    reader, small = AttributeReader([predictor()]), {"n_samples": 120, "n_edited": 8, "trees": 2}
    spaces = (*world.spaces, "b4.conv1")
    found = measure_spaces(world, reader, spaces, share=0.3, **small)
    assert [one.space for one in found] == list(spaces)
    assert all(0 <= one.disentanglement.value <= 1 for one in found)
    assert found[-1].n_codes == world.layers["b4.conv1"].units
    for one in (found[2], found[-1]):  # w+, which has samples of its own, and the layer
        alone = measure_space(world, reader, one.space, share=0.3, **small)
        assert (alone.disentanglement, alone.dependency) == (one.disentanglement, one.dependency)


def test_mistakes_are_told_in_one_line():
    with pytest.raises(ConfigError, match="at least two"):
        disentanglement(np.ones((3, 1)))
    with pytest.raises(ConfigError, match="too few for two"):
        dci(np.ones((30, 2)), np.ones((30, 2)))
    with pytest.raises(ConfigError, match="one class is empty"):
        dci(np.random.default_rng(0).standard_normal((200, 2)), np.ones((200, 2)))
    reader = AttributeReader([predictor()])
    with pytest.raises(GeneratorError, match="neither a space nor a layer"):
        measure_space(generator(), reader, "w")
    with pytest.raises(ConfigError, match="0 of 3 attributes vary"):
        measure_space(generator(), AttributeReader([constant()]), "z", n_samples=100)
