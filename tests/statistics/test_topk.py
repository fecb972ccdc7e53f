import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dissect.statistics import BlockLabels, TopImages
from dissect.statistics.reference import count_outline
from dissect.statistics.units import LayerBlock, Setup
from tests.statistics.test_counts import random_case


def batch(peaks, indices):
    """The top of a batch: as many places as it has images."""
    top = TopImages.none(n_units=peaks.shape[1], k=len(indices))
    top.values[...], top.indices[...] = peaks.T, indices
    return top


@given(st.integers(0, 1000), st.permutations(range(5)))
@settings(max_examples=40)
def test_the_top_is_exact_whatever_the_order_of_batches_and_ties_go_to_lower_indices(seed, order):
    peaks = np.random.default_rng(seed).integers(0, 6, size=(20, 3)).astype(np.float32)
    top = TopImages.none(n_units=3, k=4)
    for part in order:
        rows = list(range(4 * part, 4 * part + 4))
        top = top.merge(batch(peaks[rows], rows))
    for unit in range(3):
        ranked = sorted(range(20), key=lambda i: (-peaks[i, unit], i))[:4]
        assert top.indices[unit].tolist() == ranked
        assert top.values[unit].tolist() == peaks[ranked, unit].tolist()


def test_fewer_samples_than_places_leave_places_empty():
    top = TopImages.none(n_units=1, k=3).merge(batch(np.array([[2.0], [5.0]], np.float32), [7, 9]))
    assert top.indices.tolist() == [[9, 7, -1]]
    assert top.values[0, 2] == -np.inf


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("size", [8, 24])
def test_outlines_are_those_of_the_reference_and_images_of_the_calibration_fold_take_no_part(
    native, size
):
    n, k = 45, 4
    maps, planes, edges, n_concepts = random_case(
        3, images=n, grid=(6, 5), units=4, size=(7, 4), edges=5
    )
    chosen = np.random.default_rng(0).integers(0, 5, (2, 4, n_concepts))
    found = TopImages.empty(Setup(4, n_concepts, top_images=k, coactivation=False, threshold=1))
    for start in range(0, n, size):
        block = list(range(start, min(start + size, n)))
        labels = BlockLabels.prepare(planes[block], block, n_concepts=n_concepts, n_samples=n)
        whole = LayerBlock(maps[block], labels, edges, chosen, native=native)
        found.add(whole, slice(2, 4))
        found.add(whole, slice(0, 2))
    peaks = maps.amax(dim=(2, 3))
    for unit in range(4):
        ranked = sorted(range(8, n), key=lambda i: (-float(peaks[i, unit]), i))[:k]
        assert found.indices[unit].tolist() == ranked
        for rank, image in enumerate(ranked):
            for concept in range(n_concepts):
                limit = float(edges[unit, chosen[1, unit, concept]])
                expected = count_outline(
                    maps[image, unit], planes[image], limit, concept, nearest=native
                )
                if not (planes[image] == concept + 1).any():
                    expected = (0, 0)
                got = found.active[unit, rank, concept], found.inside[unit, rank, concept]
                assert got == expected


def test_images_that_hold_no_concept_at_all_are_looked_at_too():
    planes = torch.zeros(32, 1, 6, 5, dtype=torch.int64)
    labels = BlockLabels.prepare(planes, range(32), n_concepts=3, n_samples=32)
    found = TopImages.empty(Setup(2, 3, top_images=4, coactivation=False))
    chosen = np.zeros((2, 2, 3), np.int64)
    maps = torch.arange(32.0)[:, None, None, None].expand(32, 2, 3, 3)
    found.add(LayerBlock(maps, labels, torch.zeros(2, 1), chosen), slice(0, 2))
    assert found.indices.tolist() == [[31, 30, 29, 28]] * 2
    assert not found.active.any()
