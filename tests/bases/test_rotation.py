import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dissect.bases import Basis
from dissect.bases.rotation import Rotation
from tests.rounding import assert_same


def draw(seed=0, n_channels=16):
    return Rotation.draw(f"rotation:{seed}", seed=seed, n_channels=n_channels)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**64 - 1), n_channels=st.integers(1, 40))
def test_a_rotation_is_orthonormal_with_determinant_one(seed, n_channels):
    matrix = draw(seed, n_channels).matrix.double()
    identity = torch.eye(n_channels, dtype=torch.float64)
    assert (matrix @ matrix.T - identity).abs().max() < 1e-6
    assert torch.linalg.det(matrix).item() == pytest.approx(1, abs=1e-5)


@settings(max_examples=20)
@given(seed=st.integers(0, 100), n_channels=st.integers(1, 24), batch=st.integers(1, 4))
def test_decoding_is_the_inverse_of_encoding(seed, n_channels, batch):
    maps = torch.randn(batch, n_channels, 3, 5, generator=torch.Generator().manual_seed(seed))
    rotation = draw(seed, n_channels)
    features = rotation.encode(maps)
    assert features.shape == maps.shape
    assert_same(rotation.decode(features), maps)
    # Lengths of pixels stay.
    assert_same(features.norm(dim=1), maps.norm(dim=1))
    assert rotation.exact


def test_encoding_agrees_with_a_loop_over_pixels():
    maps = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(1))
    rotation = draw(3, 5)
    features = rotation.encode(maps)
    for b, y, x in np.ndindex(2, 3, 4):
        expected = rotation.matrix.numpy() @ maps[b, :, y, x].numpy()
        assert_same(features[b, :, y, x], expected)


def test_a_sample_is_encoded_alike_in_any_batch():
    maps = torch.randn(7, 32, 8, 8, generator=torch.Generator().manual_seed(1))
    rotation = draw(0, 32)
    whole = rotation.encode(maps)
    alone = torch.cat([rotation.encode(maps[row : row + 1]) for row in range(7)])
    assert_same(whole, alone)


def test_seed_and_number_of_channels_fix_the_rotation():
    assert torch.equal(draw(5, 8).matrix, draw(5, 8).matrix)
    assert draw(5, 8).fingerprint == draw(5, 8).fingerprint
    assert draw(5, 8).fingerprint != draw(6, 8).fingerprint
    # Another number of channels is another draw, not a corner of the same one.
    assert (draw(5, 9).matrix[:8, :8] - draw(5, 8).matrix).abs().max() > 0.1
    assert isinstance(draw(), Basis)


def test_rotations_are_spread_evenly_over_all_rotations():
    # Under the Haar measure every entry has mean 0, variance 1/n and fourth moment 3/(n (n + 2)).
    n = 4
    entries = torch.stack([draw(seed, n).matrix for seed in range(3000)]).double()
    assert entries.mean(dim=0).abs().max() < 0.04
    torch.testing.assert_close(
        (entries**2).mean(dim=0), torch.full((n, n), 1 / n).double(), rtol=0, atol=0.025
    )
    torch.testing.assert_close(
        (entries**4).mean(dim=0), torch.full((n, n), 3 / (n * (n + 2))).double(), rtol=0, atol=0.025
    )
