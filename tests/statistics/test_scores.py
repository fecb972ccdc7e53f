import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dissect.statistics import reference
from dissect.statistics.scores import (
    LayerScores,
    above,
    choose_edges,
    information_quality_ratio,
    intersection_over_union,
    over_chance,
    score,
)


@st.composite
def tables(draw):
    """A two-by-two table as (inside, active, area, total)."""
    cells = draw(st.lists(st.integers(0, 10**6), min_size=4, max_size=4).filter(any))
    inside, only_active, only_concept, _neither = cells
    return inside, inside + only_active, inside + only_concept, sum(cells)


@given(tables())
@settings(max_examples=200)
def test_scores_equal_the_slow_reference_and_stay_in_their_range(table):
    inside, active, area, total = table
    iou = intersection_over_union(np.array(inside), np.array(active), np.array(area))
    np.testing.assert_allclose(iou, reference.iou(inside, active, area))
    assert np.isnan(iou) or 0 <= iou <= 1
    quality = information_quality_ratio(*map(np.array, (inside, active, area, total)))
    expected = reference.information_quality_ratio(inside, active, area, total)
    np.testing.assert_allclose(quality, expected, atol=1e-9)
    assert 0 <= quality <= 1


def test_a_perfect_match_scores_one_and_independence_nothing():
    perfect = [np.array(v) for v in (30, 30, 30, 100)]
    independent = [np.array(v) for v in (6, 30, 20, 100)]
    assert intersection_over_union(*perfect[:3]) == 1
    np.testing.assert_allclose(information_quality_ratio(*perfect), 1)
    np.testing.assert_allclose(information_quality_ratio(*independent), 0, atol=1e-12)


def test_an_empty_union_has_no_iou():
    assert np.isnan(intersection_over_union(np.array(0), np.array(0), np.array(0)))


def test_over_chance_is_zero_at_chance_and_one_at_a_perfect_match():
    assert over_chance(np.array([0.4, 1.0, 1.0]), np.array([0.4, 0.4, 1.0])).tolist() == [0, 1, 0]


def test_above_counts_from_the_top():
    assert above(np.array([[5, 3, 2, 1]])).tolist() == [[6, 3, 1]]


def test_a_threshold_is_chosen_where_the_calibration_fold_tells_most():
    # One unit, one concept, two edges; the upper edge matches perfectly.
    histogram = np.zeros((2, 1, 3), np.int64)
    histogram[0, 0] = [60, 30, 10]
    histogram[1, 0] = [0, 0, 10]
    assert choose_edges(histogram, quantile_edge=0)[:, 0, 0].tolist() == [0, 1]


def test_a_threshold_that_outlines_mostly_the_concept_is_preferred_unless_it_tells_far_less():
    """Two units: above its upper edge either is half of the concept or more, above its lower not."""
    histogram = np.zeros((2, 2, 3), np.int64)
    histogram[0] = [[700, 205, 95], [700, 296, 4]]
    histogram[1] = [[10, 55, 60], [10, 112, 3]]
    inside, active = above(histogram[1]), above(histogram[0])
    told = information_quality_ratio(inside, active, np.array(125), np.array(1000))
    assert (told[:, 0] > told[:, 1]).all()
    assert told[0, 1] > told[0, 0] / 2
    assert told[1, 1] < told[1, 0] / 2
    assert choose_edges(histogram, quantile_edge=0)[1, :, 0].tolist() == [1, 0]


def test_chance_is_the_better_of_both_nulls():
    """Where the unit is on in the images with the concept, but anywhere, areas tell its overlap."""
    inside, active, shuffled, products = pairs([60, 5], 100, [45, 4])
    products[0, 0] = [5000, 900]  # of images of 100 pixels: 50 and 9 would be inside
    scores = score(
        inside, active, shuffled, products, np.array([500, 50]), 1000, image_pixels=100
    )  # fmt: skip
    np.testing.assert_allclose(scores.chance_shuffled[0, 0], [45 / 555, 4 / 146])
    np.testing.assert_allclose(scores.chance_areas[0, 0], [50 / 550, 9 / 141])
    assert scores.chance[0, 0].tolist() == scores.chance_areas[0, 0].tolist()
    assert scores.excess_information[0, 0, 0] > 0 > scores.over_chance[0, 0, 1]


def pairs(inside, active, shuffled):
    """Counts of one unit at one threshold for several concepts."""
    shaped = [np.array(v).reshape(1, 1, -1) for v in (inside, shuffled)]
    return shaped[0], np.full_like(shaped[0], active), shaped[1], shaped[1].copy()


def test_scores_are_those_of_the_counts():
    scores = score(*pairs([5], 10, [1]), np.array([15]), 100, image_pixels=1)
    np.testing.assert_allclose(scores.iou[0, 0, 0], 5 / 20)
    np.testing.assert_allclose(scores.chance[0, 0, 0], 1 / 24)
    np.testing.assert_allclose(scores.precision[0, 0, 0], 0.5)
    np.testing.assert_allclose(scores.recall[0, 0, 0], 1 / 3)


def test_the_label_is_the_concept_it_tells_most_about_not_the_largest_one():
    # The unit fires on all of concept 2 (small) and overlaps concept 1 (half the image) by chance.
    scores = score(*pairs([60, 5], 100, [60, 0]), np.array([510, 5]), 1000, image_pixels=1)
    assert scores.iou[0, 0, 0] > scores.iou[0, 0, 1]
    assert scores.best(0).tolist() == [1]


def test_a_unit_that_avoids_a_concept_is_not_named_after_it():
    # It fires on concept 1 and never on concept 2, the rest: it tells as much about either.
    scores = score(*pairs([300, 0], 300, [90, 210]), np.array([300, 700]), 1000, image_pixels=1)
    np.testing.assert_allclose(scores.information[0, 0], 1)
    assert scores.excess_information[0, 0, 1] < 0
    assert scores.best(0).tolist() == [0]


def informed(*excess):
    """Scores of units at one threshold whose excess information is as given, unit by unit."""
    information = np.array(excess, float)[None]
    ones = np.ones_like(information)
    return LayerScores(ones / 2, ones / 10, 0 * ones, information, 0 * ones, ones, ones)


def test_only_allowed_concepts_are_chosen():
    scores = informed([0.5, 0.3, 0.1], [0.1, 0.2, 0.3])
    assert scores.best(0).tolist() == [0, 2]
    assert scores.best(0, np.array([False, True, True])).tolist() == [1, 2]
    assert scores.best(0, np.array([True, True, False])).tolist() == [0, 1]


def test_a_half_is_chosen_only_where_it_is_ahead_in_every_part_of_the_fold():
    """Concept 1 is a half; it is ahead for the first two units and surely so for the first."""
    scores = informed([0.2, 0.4, 0.1], [0.2, 0.4, 0.1], [0.5, 0.4, 0.1])
    folds = [
        informed([0.2, 0.3, 0], [0.3, 0.2, 0], [0, 1, 0]),
        informed([0.1, 0.9, 0], [0.1, 0.9, 0], [0, 1, 0]),
    ]
    everything, half = np.ones(3, bool), np.array([False, True, False])
    choose = scores.best_unless_halved
    assert choose(0, everything, half, folds).tolist() == [1, 0, 0]
    assert choose(0, everything, ~everything, folds).tolist() == [1, 1, 0]  # there are no halves
    assert choose(0, half, half, folds).tolist() == [1, 1, 1]  # nothing else is allowed
    assert choose(0, np.array([False, True, True]), half, folds).tolist() == [1, 1, 1]


def test_network_dissections_label_is_the_concept_of_the_highest_iou():
    scores = dataclasses.replace(
        informed([1, 0, 0], [1, 0, 0]), iou=np.array([[[np.nan, 0.1, 0.3], [np.nan] * 3]])
    )
    assert scores.highest_iou(0).tolist() == [2, 0]


def test_every_concept_has_the_edge_at_which_a_unit_tells_most_about_it():
    draw = np.random.default_rng(0)
    bins = draw.integers(0, 6, (3, 500))  # of each unit at each pixel
    masks = [np.ones(500, bool), bins[0] > 3, np.zeros(500, bool), bins[1] + bins[2] > 5]
    histogram = np.array([[np.bincount(b[mask], minlength=6) for b in bins] for mask in masks])
    found = choose_edges(histogram, quantile_edge=4)
    assert (found[0] == 4).all()
    for unit, concept in np.ndindex(3, 3):
        mask = masks[concept + 1]
        ratios = [
            float(
                information_quality_ratio(
                    *(np.array(n.sum()) for n in (mask & fires, fires, mask)), np.array(500)
                )
            )
            for fires in (bins[unit] > edge for edge in range(5))
        ]
        precise = [
            mask[fires].mean() >= 0.5 if fires.any() else True
            for fires in (bins[unit] > edge for edge in range(5))
        ]
        preferred = np.where(precise, ratios, 0)
        enough = preferred.max() >= max(ratios) / 2
        assert found[1, unit, concept] == np.argmax(preferred if enough else ratios)
    assert len(np.unique(found[1])) > 2
