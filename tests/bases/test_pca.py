import functools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dissect.bases import rebuild_basis
from dissect.bases.pca import PixelMoments, PrincipalComponents
from tests.rounding import assert_same

VARIANCES = np.array([9.0, 4.0, 1.0, 0.25])


@pytest.fixture(scope="module")
def planted_pixels():
    """Maps whose pixels have known axes, variances and mean."""
    random = np.random.default_rng(0)
    axes = np.linalg.qr(random.standard_normal((4, 4)))[0].T
    mean = np.array([100.0, -3.0, 0.5, 7.0])
    pixels = (random.standard_normal((60_000, 4)) * np.sqrt(VARIANCES)) @ axes + mean
    maps = torch.from_numpy(pixels.astype(np.float32).reshape(6, 100, 100, 4))
    return maps.permute(0, 3, 1, 2).contiguous(), axes, mean


def moments_of(maps):
    return functools.reduce(PixelMoments.merge, map(PixelMoments.of, maps))


def fit(maps, n_components):
    return PrincipalComponents.fit(
        f"pca:{n_components}", moments_of(maps), n_components=n_components
    )


def test_a_planted_covariance_is_recovered(planted_pixels):
    maps, axes, mean = planted_pixels
    basis = fit(maps, 4)
    along = (basis.matrix.double().numpy() * axes).sum(axis=1)
    assert (np.abs(along) > 0.999).all()
    np.testing.assert_allclose(basis.mean.numpy(), mean, atol=0.05)
    np.testing.assert_allclose(basis.explained.numpy(), VARIANCES / VARIANCES.sum(), atol=0.01)


def test_components_are_those_of_a_singular_value_decomposition_of_all_pixels(planted_pixels):
    maps, _, _ = planted_pixels
    pixels = maps.double().permute(0, 2, 3, 1).reshape(-1, 4).numpy()
    centred = pixels - pixels.mean(axis=0)
    _, values, rows = np.linalg.svd(centred, full_matrices=False)
    basis = fit(maps, 3)
    for found, expected in zip(basis.matrix.numpy(), rows, strict=False):
        np.testing.assert_allclose(np.abs(found @ expected), 1, atol=1e-5)
    fractions = values**2 / (values**2).sum()
    np.testing.assert_allclose(basis.explained.numpy(), fractions[:3], rtol=1e-5)


@settings(max_examples=40)
@given(order=st.permutations(range(6)), cut=st.integers(1, 5))
def test_moments_merge_in_any_order_and_grouping(planted_pixels, order, cut):
    maps, _, _ = planted_pixels
    maps = maps[:, :, ::10, ::10]
    whole = moments_of(maps)
    shuffled = maps[list(order)]
    other = moments_of(shuffled[cut:]).merge(moments_of(shuffled[:cut]))
    assert other.n_pixels == whole.n_pixels
    np.testing.assert_allclose(other.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(other.scatter, whole.scatter, rtol=1e-10, atol=1e-9)


def test_two_parts_merge_to_the_same_bits_either_way_round(planted_pixels):
    a, b = (PixelMoments.of(m) for m in planted_pixels[0][:2])
    np.testing.assert_array_equal(a.merge(b).scatter, b.merge(a).scatter)
    np.testing.assert_array_equal(a.merge(b).mean, b.merge(a).mean)
    nothing = PixelMoments.empty(4)
    np.testing.assert_array_equal(nothing.merge(a).scatter, a.scatter)
    assert nothing.merge(nothing).n_pixels == 0


def test_variance_falls_along_the_components_and_they_do_not_correlate(planted_pixels):
    maps, _, _ = planted_pixels
    features = fit(maps, 4).encode(maps).double().permute(1, 0, 2, 3).reshape(4, -1)
    covariance = torch.cov(features)
    variances = covariance.diagonal()
    assert (variances[:-1] > variances[1:]).all()
    assert_same(torch.diag(variances), covariance)
    assert features.mean(dim=1).abs().max() < 1e-4 * features.std()


def test_all_components_are_a_way_back_and_fewer_give_the_nearest_point(planted_pixels):
    maps, _, _ = planted_pixels
    whole = fit(maps, 4)
    assert whole.exact
    assert_same(whole.decode(whole.encode(maps)), maps)
    some = fit(maps, 2)
    assert not some.exact
    assert some.n_units == 2
    left = maps - some.decode(some.encode(maps))
    assert left.double().var(dim=(0, 2, 3)).sum().item() == pytest.approx(1.25, rel=0.05)
    # What is left is out of reach: it has no part along the components.
    along = some.encode(left + some.mean[:, None, None])
    assert along.abs().max() < 1e-4 * some.encode(maps).abs().max()


def test_the_largest_loading_of_a_component_is_positive(planted_pixels):
    matrix = fit(planted_pixels[0], 4).matrix
    assert (matrix.gather(1, matrix.abs().argmax(dim=1, keepdim=True)) > 0).all()


def test_a_component_along_which_nothing_varies_is_zero():
    # Two channels are copies, one is constant: two of four components hold nothing but rounding.
    maps = torch.rand(8, 2, 16, 16, generator=torch.Generator().manual_seed(0)) * 3
    maps = torch.cat([maps, maps[:, :1], torch.full((8, 1, 16, 16), 0.3)], dim=1)
    basis = fit(maps, 4)
    assert (basis.encode(maps)[:, 2:] == 0).all()
    assert basis.matrix[:2].any(dim=1).all()
    assert not basis.exact
    assert_same(basis.decode(basis.encode(maps)), maps)
    constant = fit(maps[:, 3:], 1)
    assert (constant.encode(maps[:, 3:]) == 0).all()
    assert constant.explained.tolist() == [0]


def test_what_it_holds_makes_it_again(planted_pixels):
    basis = fit(planted_pixels[0], 3)
    again = rebuild_basis(basis.name, basis.to_tensors())
    assert again.fingerprint == basis.fingerprint
    assert torch.equal(again.encode(planted_pixels[0]), basis.encode(planted_pixels[0]))
