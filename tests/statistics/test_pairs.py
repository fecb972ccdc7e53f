import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dissect.statistics import (
    BlockLabels,
    Counter,
    LayerCounts,
    calibration_size,
    evaluation_clusters,
    reference,
)
from dissect.statistics.scores import above
from tests.statistics.test_counts import random_case

N_CONCEPTS = 5


def count(case, blocks, *, n_samples, counts=None, chosen=None):
    """Counts of blocks of sample indices, one after the other."""
    maps, planes, edges, n_concepts = case
    if counts is None:
        counts = LayerCounts.empty(
            n_concepts=n_concepts, n_units=maps.shape[1], n_edges=edges.shape[1]
        )
    counter = Counter(counts, edges, quantile_edge=2)
    if chosen is not None:
        counter.chosen = chosen
    for block in blocks:
        labels = BlockLabels.prepare(
            planes[block], block, n_concepts=n_concepts, n_samples=n_samples
        )
        counter.add(maps[block], labels)
    return counts, counter.chosen


def same(a, b):
    return all(x.tobytes() == b.to_arrays()[name].tobytes() for name, x in a.to_arrays().items())


def blocks_of(n, size):
    return [list(range(start, min(start + size, n))) for start in range(0, n, size)]


@pytest.mark.parametrize(
    ("n", "calibration", "clusters"),
    [(16, 8, 1), (17, 8, 2), (100, 24, 10), (1000, 248, 94), (50_000, 1024, 6122)],
)
def test_the_first_quarter_of_the_clusters_chooses_thresholds(n, calibration, clusters):
    assert calibration_size(n) == calibration
    assert evaluation_clusters(n) == clusters


def test_histograms_equal_the_slow_reference_in_every_set():
    n = 61  # seven whole clusters and one of five
    case = random_case(3, images=n, grid=(5, 4), units=3)
    maps, planes, edges, n_concepts = case
    counts, _ = count(case, blocks_of(n, 32), n_samples=n)
    own = list(range(n))
    others = [i - 1 if i % 8 else min(i + 8, n) - 1 for i in own]
    k = calibration_size(n)
    for position, (images, masks) in enumerate(
        [(own[:k], own[:k]), (own[k:], own[k:]), (own[k:], others[k:])]
    ):
        expected = reference.count_above(maps[images], planes[masks], edges, n_concepts)
        np.testing.assert_array_equal(above(counts.histogram)[position], expected)


def test_pairs_equal_the_slow_reference_cluster_by_cluster():
    n = 45
    case = random_case(5, images=n, grid=(5, 4), units=3)
    counts, chosen = count(case, blocks_of(n, 16), n_samples=n)
    expected = reference.count_pairs(*case[:3], case[3], chosen, n_calibration=calibration_size(n))
    for name, array in expected.items():
        np.testing.assert_array_equal(getattr(counts.pairs, name), array, err_msg=name)


def test_halves_add_up_to_the_histogram_at_the_chosen_edge():
    n = 80
    case = random_case(6, images=n, grid=(4, 4), units=4)
    counts, chosen = count(case, blocks_of(n, 40), n_samples=n)
    inside = above(counts.histogram)
    units, concepts = np.indices(chosen.shape[1:])
    for kind in range(2):
        for position, name in ((1, "inside"), (2, "shuffled")):
            stored = getattr(counts.pairs, name)[:, kind].sum(axis=0)
            whole = inside[position, concepts + 1, units, chosen[kind]]
            np.testing.assert_array_equal(stored, whole)


@given(st.sampled_from([8, 16, 24, 48]), st.integers(0, 1000))
@settings(max_examples=15)
def test_counts_do_not_depend_on_how_samples_are_cut_into_blocks(size, seed):
    n = 91
    case = random_case(seed, images=n, grid=(3, 3), units=2)
    cut, _ = count(case, blocks_of(n, size), n_samples=n)
    whole, _ = count(case, [list(range(n))], n_samples=n)
    assert same(cut, whole)


@given(st.permutations(range(5)), st.integers(0, 1000))
@settings(max_examples=15)
def test_shards_merge_in_any_order_to_the_same_bytes(order, seed):
    n = 64
    case = random_case(seed, images=n, grid=(3, 3), units=2)
    whole, chosen = count(case, [list(range(n))], n_samples=n)
    # Thresholds are settled on the calibration fold; then its shards and all others are alike.
    pieces = [[0, 8], [16, 24], [32], [40, 56], [48]]
    shards = [
        count(
            case,
            [list(range(start, start + 8)) for start in piece],
            n_samples=n,
            chosen=chosen,
        )[0]
        for piece in pieces
    ]
    merged = shards[order[0]]
    for place in order[1:]:
        merged = merged.merge(shards[place])
    assert same(merged, whole)


@given(st.integers(0, 1000))
@settings(max_examples=15)
def test_all_pixels_are_in_row_0_and_a_plane_never_holds_more(seed):
    n = 24
    case = random_case(seed, images=n)
    counts, _ = count(case, [list(range(n))], n_samples=n)
    totals = counts.histogram.sum(axis=-1)
    assert (totals[1, 0] == 16 * 9 * 8).all()
    assert (totals[:, 1:3].sum(axis=1) <= totals[:, 0]).all()
    assert (totals[:, 3:].sum(axis=1) <= totals[:, 0]).all()
    assert counts.pairs.pixels.sum() == 16 * 9 * 8


def test_a_cluster_of_one_image_is_its_own_partner():
    n = 17
    _, planes, _, n_concepts = random_case(8, images=n)
    labels = BlockLabels.prepare(planes[16:], [16], n_concepts=n_concepts, n_samples=n).clusters[0]
    assert torch.equal(labels.codes[0], labels.codes[1])
