import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dissect.errors import ConfigError
from dissect.latents import Latent, standard_normal, stream, uniform_labels


@given(
    st.lists(st.integers(0, 2**40), min_size=1, max_size=20, unique=True),
    st.integers(0, 2**64 - 1),
    st.data(),
)
@settings(max_examples=30)
def test_a_sample_is_the_same_bits_in_any_batch(indices, seed, data):
    whole = standard_normal(indices, seed=seed, size=7)
    subset = data.draw(st.lists(st.sampled_from(indices), min_size=1, max_size=20))
    part = standard_normal(subset, seed=seed, size=7)
    for row, index in enumerate(subset):
        assert torch.equal(part[row], whole[indices.index(index)])


def test_samples_of_other_indices_and_seeds_differ():
    a = standard_normal([0, 1], seed=0, size=50)
    b = standard_normal([0, 1], seed=1, size=50)
    assert len({tuple(row.tolist()) for row in torch.cat([a, b])}) == 4


def test_latents_are_standard_normal():
    values = standard_normal(range(2000), seed=3, size=50).flatten().double()
    assert abs(values.mean()) < 0.02
    assert abs(values.std() - 1) < 0.02


def test_the_first_values_of_a_stream_are_pinned():
    # A change here changes every image of every recipe ever written.
    found = standard_normal([5], seed=1, size=3)[0].numpy()
    expected = np.array([1.0854910612106323, -3.1241283416748047, 0.11435157060623169], np.float32)
    np.testing.assert_array_equal(found, expected)


def test_labels_do_not_move_the_latents_and_do_not_depend_on_the_batch():
    labels = uniform_labels(range(400), seed=2, n_classes=4)
    assert torch.equal(labels[7:9], uniform_labels([7, 8], seed=2, n_classes=4))
    assert sorted(set(labels.tolist())) == [0, 1, 2, 3]


def test_labels_are_drawn_from_a_stream_beside_that_of_the_latents():
    """The same key, with the third word of the counter at 1: no draw for a latent gets there."""
    seed, n = 2**63 + 5, 1000
    found = uniform_labels(range(40), seed=seed, n_classes=n)
    for index, label in enumerate(found.tolist()):
        philox = np.random.Philox(key=np.array([seed, index], np.uint64), counter=[0, 0, 1, 0])
        assert label == np.random.Generator(philox).integers(n)
    assert found.tolist() != [int(stream(seed, i).integers(n)) for i in range(40)]


@pytest.mark.parametrize(("seed", "index"), [(-1, 0), (0, -1), (2**64, 0)])
def test_a_seed_or_index_out_of_range_is_told_in_one_line(seed, index):
    with pytest.raises(ConfigError, match=r"is -?\d+; expected a whole number"):
        stream(seed, index)


def test_a_latent_can_be_cut_by_rows():
    latent = Latent("z", torch.arange(12.0).reshape(4, 3), torch.arange(4))
    part = latent[1:3]
    assert len(part) == 2
    assert part.label.tolist() == [1, 2]
    assert part.data[0].tolist() == [3, 4, 5]
