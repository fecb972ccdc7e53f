import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dissect.statistics import BlockLabels, Counter, LayerCounts, evaluation_clusters, score
from dissect.statistics.certainty import (
    both_p_values,
    interval,
    label_p_values,
    p_values,
    q_values,
)
from dissect.worlds import render_scenes


def moments(inside, union, other=None):
    """``squares`` of one pair from its values in each cluster."""
    other = inside if other is None else other
    products = (inside * inside, inside * union, union * union, (inside - other) ** 2)
    return np.array([p.sum() for p in products])


def test_the_interval_is_that_of_the_jackknife_over_clusters():
    draw = np.random.default_rng(0)
    union = draw.integers(200, 400, 60)
    inside = (union * draw.uniform(0.2, 0.5, 60)).astype(int)
    low, high = interval(inside.sum(), union.sum(), moments(inside, union), 60)
    without = (inside.sum() - inside) / (union.sum() - union)
    error = np.sqrt(59 / 60 * ((without - without.mean()) ** 2).sum())
    assert (high - low) / 2 == pytest.approx(stats.t.ppf(0.975, 59) * error, rel=0.03)
    assert (high + low) / 2 == pytest.approx(inside.sum() / union.sum(), rel=0.01)


def test_the_interval_of_independent_trials_is_wilsons():
    """Clusters of one pixel each are independent trials, whose score interval libraries know."""
    inside = np.array([1] * 200 + [0] * 200)
    union = np.ones(400, int)
    found = interval(inside.sum(), union.sum(), moments(inside, union), 400)
    known = stats.binomtest(200, 400).proportion_ci(0.95, method="wilson")
    np.testing.assert_allclose(found, [known.low, known.high], rtol=0.02)


def test_the_p_value_is_that_of_a_paired_t_test():
    draw = np.random.default_rng(1)
    own, other = draw.integers(0, 50, 40), draw.integers(0, 45, 40)
    found = p_values((own - other).sum(), moments(own, own, other)[3], 40)
    assert found == pytest.approx(stats.ttest_rel(own, other, alternative="greater").pvalue)


def test_no_interval_has_length_0_and_what_never_occurs_has_none():
    union, nothing = np.full(94, 40), np.zeros(94, int)
    low, high = interval(0, union.sum(), moments(nothing, union), 94)
    assert low == 0
    assert 0.03 < high < 0.05  # about four in 94
    low, high = interval(union.sum(), union.sum(), moments(union, union), 94)
    assert 0.95 < low < 0.97
    assert high == 1
    inside, union = np.full(10, 5), np.full(10, 10)
    low, high = interval(inside.sum(), union.sum(), moments(inside, union), 10)
    assert 0.1 < low < 0.3  # ten clusters are not many
    assert 0.7 < high < 0.9
    nothing = np.zeros(10, int)
    assert np.isnan(interval(0, 0, moments(nothing, nothing), 10)).all()
    assert p_values(0, 0, 10) == 1
    assert p_values(inside.sum(), moments(inside, union, nothing)[3], 10) == 0
    assert p_values(-inside.sum(), moments(nothing, union, inside)[3], 10) == 1


def test_one_cluster_says_nothing():
    assert np.isnan(interval(5, 10, np.array([25, 50, 100, 9]), 1)).all()
    assert p_values(5, 25, 1) == 1


def test_a_label_pays_for_every_concept_it_was_chosen_from():
    p = np.array([[0.001, 0.5], [0.3, 0.02]])
    np.testing.assert_allclose(label_p_values(p, np.array([0, 1]), 10), [0.01, 0.2])
    assert label_p_values(p, np.array([1, 0]), 10).max() == 1
    for n_concepts in (0, 1):  # with one concept or none there was no choice to pay for
        assert label_p_values(p, np.array([1, 0]), n_concepts).tolist() == [0.5, 0.3]


@given(st.lists(st.floats(0, 1), max_size=30))
def test_q_values_are_those_of_benjamini_and_hochberg(p):
    p = np.array(p)
    # By definition: of all limits that let p in, the one with the smallest rate of false finds.
    rates = len(p) * np.sort(p) / np.arange(1, len(p) + 1)
    expected = [min(rates[np.sort(p) >= one], default=1.0) for one in p]
    np.testing.assert_allclose(q_values(p), np.minimum(expected, 1), rtol=1e-12)
    if len(p):
        np.testing.assert_array_equal(q_values(p), stats.false_discovery_control(p, method="bh"))


def counted(maps, planes, edges, n_concepts):
    """Pair counts of one layer over all images."""
    n = len(maps)
    counts = LayerCounts.empty(n_concepts=n_concepts, n_units=maps.shape[1], n_edges=edges.shape[1])
    counter = Counter(counts, edges, quantile_edge=0)
    for start in range(0, n, 32):
        block = list(range(start, min(start + 32, n)))
        labels = BlockLabels.prepare(planes[block], block, n_concepts=n_concepts, n_samples=n)
        counter.add(maps[block], labels)
    return counts.pairs


def noisy_squares(n, draw):
    """A square in half of the images; two units fire on it, displaced, and on a speck elsewhere."""
    planes = torch.zeros(n, 1, 16, 16, dtype=torch.int64)
    maps = torch.zeros(n, 2, 16, 16)
    for image in range(n):
        y, x = torch.randint(0, 9, (2,), generator=draw).tolist()
        if torch.rand(1, generator=draw) < 0.5:
            planes[image, 0, y : y + 6, x : x + 6] = 1
        for unit, most in enumerate((2, 7)):
            dy, dx = torch.randint(0, most, (2,), generator=draw).tolist()
            if torch.rand(1, generator=draw) < 0.9:
                maps[image, unit, y + dy : y + dy + 6, x + dx : x + dx + 6] = 1
    return maps, planes


@pytest.mark.slow
def test_the_interval_covers_the_true_iou_in_about_95_of_100_runs():
    edges = torch.full((2, 1), 0.5)
    many = counted(*noisy_squares(12_000, torch.Generator().manual_seed(1)), edges, 1)
    inside, active = many.inside.sum(axis=0)[0, :, 0], many.active.sum(axis=0)[0, :, 0]
    truth = inside / (active + many.area.sum() - inside)
    assert truth[0] > 2 * truth[1]
    covered, repeats = np.zeros(2), 300
    for seed in range(repeats):
        maps, planes = noisy_squares(128, torch.Generator().manual_seed(1000 + seed))
        pairs = counted(maps, planes, edges, 1)
        inside, active = pairs.inside.sum(axis=0)[0], pairs.active.sum(axis=0)[0]
        low, high = interval(
            inside,
            active + pairs.area.sum() - inside,
            pairs.squares[:, 0],
            evaluation_clusters(128),
        )
        covered += ((low <= truth[:, None]) & (truth[:, None] <= high))[:, 0]
    # Of 300 runs at 95 %, between 273 and 296 in all but one case of a thousand.
    assert (covered / repeats >= 0.91).all()
    assert (covered / repeats <= 0.99).all()


def test_on_shuffled_masks_hardly_any_unit_is_found():
    """Units that know where things usually are and how bright an image is, but not this image."""
    scenes = render_scenes(range(128), seed=9, size=32)
    planes = scenes.planes
    n_concepts = int(planes.max())
    draw = torch.Generator().manual_seed(0)
    place = torch.randn(1, 24, 8, 8, generator=draw)  # what all images share
    whole = torch.randn(128, 24, 1, 1, generator=draw)  # what all pixels of an image share
    maps = place + whole + torch.randn(128, 24, 8, 8, generator=draw)
    edges = torch.linspace(-2, 3.5, 12).expand(24, 12).contiguous()
    shares, any_found = [], 0
    for _ in range(100):
        shuffled = planes[torch.randperm(128, generator=draw)]
        pairs = counted(maps, shuffled, edges, n_concepts)
        inside, active, other, products = (
            a.sum(axis=0) for a in (pairs.inside, pairs.active, pairs.shuffled, pairs.products)
        )
        area = pairs.area.sum(axis=0)
        total = int(pairs.pixels.sum())
        found = score(inside, active, other, products, area, total, image_pixels=32 * 32)
        best = found.best(1)
        p = both_p_values(
            inside, other, products, pairs.squares,
            image_pixels=32 * 32, n_clusters=evaluation_clusters(128),
        )[1]  # fmt: skip
        found = q_values(label_p_values(p, best, int((area > 0).sum()))) <= 0.05
        shares.append(found.mean())
        any_found += found.any()
    assert np.mean(shares) <= 0.05
    # Where nothing is true, any find is false: at most 5 of 100 runs, up to the luck of the draw.
    assert any_found <= 11


@pytest.mark.slow
def test_the_interval_of_a_rare_pair_covers_its_iou_in_about_95_of_100_runs():
    """IoU .004: now and then a cluster holds some of it, mostly none does."""
    draw = np.random.default_rng(5)
    n, repeats = 94, 2000
    size = draw.gamma(2, 100, (repeats, n)).astype(int) + 1
    share = np.where(draw.random((repeats, n)) < 0.04, draw.uniform(0.0, 0.2, (repeats, n)), 0)
    inside = np.rint(size * share).astype(int)
    truth = 0.04 * 0.1
    squares = np.stack([(inside**2).sum(1), (inside * size).sum(1), (size**2).sum(1)])
    low, high = interval(inside.sum(1), size.sum(1), squares, n)
    covered = ((low <= truth) & (truth <= high)).mean()
    assert 0.91 <= covered <= 0.995
