import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dissect.statistics import BlockLabels, Counter, LayerCounts
from dissect.statistics.presence import count_together
from dissect.statistics.units.coactivation import Coactivation, Scale
from tests.statistics.test_counts import random_case
from tests.statistics.test_pairs import blocks_of


def units_case(seed, n):
    """Maps of five units: two go together, one against them, one is constant, one is noise."""
    draw = torch.Generator().manual_seed(seed)
    shared = torch.randn(n, 1, 1, generator=draw)
    maps = torch.randn(n, 5, 4, 3, generator=draw)
    maps[:, 0] += 2 * shared
    maps[:, 1] = 1e4 * (maps[:, 1] + 2 * shared)
    maps[:, 2] -= 2 * shared
    maps[:, 3] = 0.7
    return maps


def edges_of(maps):
    values = maps.permute(1, 0, 2, 3).flatten(1)
    return torch.quantile(values, torch.linspace(0.1, 0.9999, 9), dim=1).T.contiguous().numpy()


def counted(maps, scale, parts):
    found = []
    for part in parts:
        sums = Coactivation.zeros(unit=maps.shape[1], other=maps.shape[1])
        sums.add_maps(maps[part], scale)
        found.append(sums)
    return found


def test_correlations_are_those_of_numpy():
    maps = units_case(0, 300)
    maps[:, 0] += 50  # levels count from the unit's own lowest edge, however far from 0 that is
    found = counted(maps, Scale.from_edges(edges_of(maps)), [slice(None)])[0]
    moving = [0, 1, 2, 4]
    exact = np.corrcoef(maps.double().mean(dim=(2, 3)).numpy()[:, moving].T)
    matrix = found.correlation()
    np.testing.assert_allclose(matrix[np.ix_(moving, moving)], exact, atol=1e-4)
    assert matrix[0, 1] > 0.9
    assert matrix[0, 2] < -0.9
    assert np.isnan(matrix[3]).all()
    assert found.saturated.tolist() == [0] * 5
    np.testing.assert_array_equal(matrix, matrix.T)


def test_sums_are_those_of_whole_numbers_by_loops():
    maps = units_case(1, 20)
    scale = Scale.from_edges(edges_of(maps))
    found = counted(maps, scale, [slice(None)])[0]
    numbers, _ = scale.numbers(maps)
    for u in range(5):
        assert found.sums[u] == sum(int(q) for q in numbers[:, u])
        for v in range(5):
            assert found.products[u, v] == sum(int(a) * int(b) for a, b in numbers[:, [u, v]])
    assert found.images == 20


@given(st.permutations(range(6)), st.integers(0, 1000), st.sampled_from([8, 16, 48]))
@settings(max_examples=20)
def test_parts_add_up_in_any_order_to_the_same_bytes(order, seed, size):
    n = 48
    maps, planes, edges, n_concepts = random_case(seed, images=n, units=3)

    def count(blocks):
        counts = LayerCounts.empty(
            n_concepts=n_concepts, n_units=3, n_edges=7,
            statistics=[Coactivation.zeros(unit=3, other=3)],
        )  # fmt: skip
        counter = Counter(counts, edges, quantile_edge=2)
        # The thresholds of pairs are settled elsewhere; here they only have to be the same.
        counter.chosen = np.zeros((2, 3, n_concepts), np.int64)
        for block in blocks:
            labels = BlockLabels.prepare(planes[block], block, n_concepts=n_concepts, n_samples=n)
            counter.add(maps[block], labels)
        return counts

    whole = count(blocks_of(n, size))
    parts = [count([list(range(8 * k, 8 * k + 8))]) for k in order]
    merged = parts[0]
    for part in parts[1:]:
        merged = merged.merge(part)
    arrays = whole.to_arrays()
    assert set(arrays) == set(merged.to_arrays()) > {"coactivation_products"}
    for name, array in merged.to_arrays().items():
        assert array.tobytes() == arrays[name].tobytes(), name
    again = LayerCounts.from_arrays(merged.to_arrays()).statistic(Coactivation)
    expected = whole.statistic(Coactivation).correlation()
    np.testing.assert_array_equal(again.correlation(), expected)


def test_a_mean_does_not_depend_on_the_images_beside_it():
    maps = torch.randn(9, 3, 31, 17, generator=torch.Generator().manual_seed(0))
    scale = Scale(np.zeros(3), np.full(3, 1e-12))
    scale_numbers = np.stack([scale.numbers(maps[k : k + 1])[0][0] for k in range(9)])
    np.testing.assert_array_equal(scale.numbers(maps)[0], scale_numbers)


def test_means_far_beyond_the_pilot_are_held_and_counted():
    maps = units_case(2, 40)
    scale = Scale.from_edges(edges_of(maps))
    maps[7, 4] = 1e9
    found = counted(maps, scale, [slice(None)])[0]
    assert found.saturated.tolist() == [0, 0, 0, 0, 1]
    assert np.isfinite(found.correlation()[4, 0])


@pytest.mark.parametrize("width", [0.0, 3.0])
def test_a_unit_that_did_not_move_in_the_pilot_has_a_scale(width):
    edges = np.array([[0.0, 0.0], [1.0, 1.0 + width]])
    scale = Scale.from_edges(edges)
    assert (scale.step > 0).all()
    assert scale.zero.tolist() == [0, 1]


def test_concepts_occur_together_in_images_of_the_evaluation_fold():
    n = 45
    _, planes, _, n_concepts = random_case(3, images=n, grid=(2, 2))
    together = np.zeros((n_concepts, n_concepts), np.int64)
    for block in blocks_of(n, 16):
        labels = BlockLabels.prepare(
            planes[block], block, n_concepts=n_concepts, n_samples=n, count_planes=block[0] == 16
        )
        together += count_together(labels, n_concepts)
    expected = np.zeros_like(together)
    for image in range(8, n):
        present = [c for c in range(n_concepts) if (planes[image] == c + 1).any()]
        for a in present:
            for b in present:
                expected[a, b] += 1
    np.testing.assert_array_equal(together, expected)
    assert 0 < together[0, 1] < n - 8
