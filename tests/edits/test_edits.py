import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dissect.edits import Ablate, Insert, Scale, from_json, to_json
from dissect.edits.recipes import read_recipe
from dissect.edits.regions import box, check_region, overlaps, pool
from dissect.errors import ConfigError

regions = st.one_of(
    st.none(),
    st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1)).map(
        lambda shape: np.random.default_rng(shape[2]).random(shape[:2], np.float32) + 1e-6
    ).filter(lambda region: region is None or region.max() <= 1),
)  # fmt: skip
unit_lists = st.lists(st.integers(0, 600), min_size=1, max_size=5, unique=True)
numbers = st.floats(-1e6, 1e6)


@st.composite
def edits(draw):
    layer, units, region = draw(st.sampled_from(["a", "b@pca:3"])), draw(unit_lists), draw(regions)
    kind = draw(st.sampled_from(["ablate", "insert", "scale"]))
    if kind == "ablate":
        return Ablate(layer, units, region, draw(st.floats(0, 1)))
    if kind == "scale":
        return Scale(layer, units, draw(numbers), region)
    return Insert(layer, units, [draw(numbers) for _ in units], region)


@settings(max_examples=50)
@given(st.lists(edits(), max_size=4))
def test_a_recipe_survives_json(recipe):
    again = from_json(json.loads(json.dumps(to_json(recipe))))
    assert again == recipe
    for one, other in zip(again, recipe, strict=True):
        assert hash(one) == hash(other)
        if one.region is not None:
            np.testing.assert_array_equal(one.region, other.region)


def test_edits_differ_by_what_they_do_and_where():
    half = np.array([[1, 0]])
    assert Ablate("a", [1]) != Ablate("a", [2])
    assert Ablate("a", [1]) != Ablate("a", [1], half)
    assert Ablate("a", [1]) != Scale("a", [1], 0)
    assert Ablate("a", [1], half) == Ablate("a", np.array([1]), half.astype(bool))


def test_an_edit_does_not_follow_the_array_it_was_given():
    region = np.ones((2, 2))
    edit = Ablate("a", [0], region)
    region[0, 0] = 0
    assert edit.region.min() == 1
    with pytest.raises(ValueError, match="read-only"):
        edit.region[0, 0] = 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Ablate("a", []), "units is .*expected whole numbers from 0"),
        (lambda: Ablate("a", [-1]), "units is"),
        (lambda: Ablate("a", [1.5]), "units is"),
        (lambda: Ablate("a", "12"), "units is"),
        (lambda: Ablate("a", [1, 1]), "unit 1 is given twice"),
        (lambda: Ablate("", [1]), "layer is"),
        (lambda: Ablate("a", [1], strength=1.1), "strength is 1.1"),
        (lambda: Ablate("a", [1], strength=float("nan")), "strength is nan"),
        (lambda: Insert("a", [1, 2], [1]), r"values is \[1\] for 2 units"),
        (lambda: Insert("a", [1], 3.0), "values is 3.0 for 1 units"),
        (lambda: Insert("a", [1], None), "values is None"),
        (lambda: Insert("a", [1], [float("inf")]), "a value to insert is inf"),
        (lambda: Scale("a", [1], "much"), "factor is 'much'"),
        (lambda: Ablate("a", [1], np.zeros((4, 4))), "marks none of its 4 × 4 pixels"),
        (lambda: Ablate("a", [1], np.ones(4)), "region has the shape"),
        (lambda: Ablate("a", [1], [[2.0]]), "expected numbers from 0 to 1"),
        (lambda: Ablate("a", [1], [[float("nan")]]), "expected numbers from 0 to 1"),
        (lambda: Ablate("a", [1], "left"), "region is not an array"),
        (lambda: box(32, (0, 0, 33, 4)), "region 0,0,33,4 is not inside the image"),
        (lambda: box(32, (4, 4, 4, 8)), "is not inside the image"),
        (lambda: box(32, (1, 2)), "region has 2 numbers"),
        (lambda: from_json({}), "the recipe is a dict"),
        (lambda: read_recipe(b"{}"), "the recipe has no 'edits'"),
        (lambda: from_json([{"edit": "remove"}]), "is 'remove'; expected ablate, insert, scale"),
        (lambda: from_json(["ablate"]), "is 'ablate'"),
        (lambda: from_json([{"edit": "ablate", "layer": "a"}]), "differs in units"),
        (lambda: from_json([{"edit": "ablate", "layer": "a", "units": [1], "x": 1}]), "in x"),
        (
            lambda: from_json(
                [{"edit": "ablate", "layer": "a", "units": [1], "region": {"runs": [[1, 9**9]]}}]
            ),
            "a region of the recipe is damaged",
        ),
        (
            lambda: from_json(
                [
                    {
                        "edit": "ablate", "layer": "a", "units": [1],
                        "region": {"height": 1, "width": 8193, "runs": [[1, 8193]]},
                    }
                ]
            ),
            "a region of the recipe is damaged",
        ),
    ],
)  # fmt: skip
def test_a_wrong_edit_is_told_in_one_line(make, message):
    with pytest.raises(ConfigError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_pooling_takes_the_mean_over_each_cell():
    region = np.arange(16, dtype=np.float32).reshape(4, 4) / 16
    np.testing.assert_allclose(
        pool(region, (2, 2)), region.reshape(2, 2, 2, 2).mean(axis=(1, 3)), rtol=1e-6
    )
    np.testing.assert_array_equal(pool(region, (4, 4)), region)
    np.testing.assert_array_equal(pool(region, (8, 8)), region.repeat(2, 0).repeat(2, 1))
    np.testing.assert_allclose(pool(np.eye(3, dtype=np.float32), (1, 2)), [[1 / 3, 1 / 3]])


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
def test_everywhere_stays_everywhere_and_the_area_is_kept(height, width, rows, columns):
    assert (pool(np.ones((height, width), np.float32), (rows, columns)) == 1).all()
    region = np.random.default_rng(height).random((height, width), np.float32)
    assert pool(region, (rows, columns)).mean() == pytest.approx(region.mean(), rel=1e-5)


def test_regions_overlap_where_both_claim_a_place():
    left, right = check_region([[1, 0]]), check_region([[0, 1]])
    assert overlaps(left, None)
    assert overlaps(left, check_region([[0.5, 0.5, 0.5, 0]]))
    assert not overlaps(left, right)
    assert not overlaps(left, check_region([[0, 0, 0, 1]]))
    assert overlaps(check_region([[0, 0, 0, 1]]), right)
    assert not overlaps(check_region([[0, 0, 0, 1]]), left)
    assert not overlaps(check_region([[0.3, 0.7]]), check_region([[0.7, 0.3]]))
