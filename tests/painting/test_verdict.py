"""What a stroke did, in words; and where it works if it did not."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from dissect.errors import ConfigError
from dissect.painting import brushes
from dissect.painting.brushes import (
    Candidate,
    Shape,
    find_brush,
    learned_candidates,
    trial_rows,
    try_stroke,
    usual_shape,
)
from dissect.painting.canvas import Canvas
from dissect.painting.masks import write_mask
from dissect.painting.recipe import write_recipe
from dissect.painting.starts import N_TRIED, best_starts
from dissect.painting.strokes import Stroke
from dissect.painting.suggestions import advise
from dissect.painting.verdict import Verdict, compare, judge, judge_all, painted_pixels, summarise
from dissect.studies.learned_values import learn_values

BOX = (0, 0, 16, 12)


@pytest.fixture(scope="module")
def canvas(planted_run):
    return Canvas(planted_run)


@pytest.fixture(scope="module")
def blank(canvas):
    return canvas.blank(seed=5, index=3, truncation=1.0, label=None)


def red(mode="draw", units=(0,), box=BOX, **more):
    values = tuple([1.0] * len(units)) if mode == "draw" else ()
    return Stroke(mode, "units", units, values, box=box, concept="red", **more)


def count(planes, vocabulary, name, inside):
    concept = vocabulary[name]
    return int(((planes[0] == concept.id).numpy() & inside).sum())


def test_a_verdict_counts_what_was_painted_and_nothing_else(canvas, blank):
    painting = replace(blank, strokes=(red(),))
    before, after = canvas.original(painting), canvas.paint(painting)
    inside = np.zeros((32, 32), bool)
    inside[:16, :12] = True
    found = judge(canvas, painting)
    assert found.painted == 192
    assert found.before == count(before.planes, canvas.vocabulary, "red", inside)
    assert found.after == count(after.planes, canvas.vocabulary, "red", inside)
    for name, pixels in found.became:
        gained = count(after.planes, canvas.vocabulary, name, inside)
        assert pixels == gained - count(before.planes, canvas.vocabulary, name, inside)
    assert found.elsewhere == int(((before.planes != after.planes)[0].numpy() & ~inside).sum()) == 0
    assert found.worked
    assert found.words.startswith(f"red {found.change:+,} px of 192 painted")


def test_each_stroke_is_judged_against_what_was_there_before_it(canvas, blank):
    painting = replace(blank, strokes=(red(), red("remove")))
    drawn, removed = judge_all(canvas, painting)
    assert drawn.change > 100
    assert removed.before == drawn.after
    assert removed.after == 0  # the later stroke has the unit
    assert removed.worked
    assert removed.gain == 1
    with pytest.raises(ConfigError, match="has 2 strokes, so none of number 2"):
        judge(canvas, painting, 2)
    with pytest.raises(ConfigError, match="paint first"):
        judge(canvas, blank)


def test_units_that_fire_without_painting_are_said_not_to_work(canvas, blank):
    advice = advise(canvas, replace(blank, strokes=(red(units=(5,)),)))
    assert advice.verdict.worked is False
    assert advice.verdict.words == "red +0 px of 192 painted: it did not work"
    assert advice.elsewhere.startswith("worked in 0 of 8 other images: red +0 px")
    layer, *others = advice.suggestions
    assert layer.startswith("8 units of units at strength 1 (red +")
    assert any(one.startswith("here, draw ") for one in others)
    assert advice.n_tried > 5


def test_a_suggestion_is_a_stroke_that_was_tried_and_worked(canvas, blank):
    stroke = red(units=(5,))
    advice = advise(canvas, replace(blank, strokes=(stroke,)))
    other = find_brush(canvas, "red", "draw", shape=Shape(box=BOX))
    assert other.units[0] == 0
    redone = Stroke("draw", "units", other.units[:8], other.values[:8], 1.0, box=BOX, concept="red")
    change = judge(canvas, replace(blank, strokes=(redone,))).change
    assert advice.suggestions[0].endswith(f"(red {change:+,} px)")


def test_where_nothing_works_it_says_so(canvas, blank, monkeypatch):
    import dissect.painting.suggestions as module

    nothing = Verdict("draw", "red", 192, 0, 0, (), 0)
    monkeypatch.setattr(module, "_judge", lambda *_: nothing)
    monkeypatch.setattr(module, "try_stroke", lambda canvas, stroke, rows: [nothing] * len(rows))
    advice = advise(canvas, replace(blank, strokes=(red(units=(5,)),)))
    assert advice.suggestions == ()
    assert advice.lines[-1].startswith(
        f"nothing that was tried works with this shape ({advice.n_tried}"
    )


def test_a_stroke_that_worked_needs_no_suggestion(canvas, blank):
    advice = advise(canvas, replace(blank, strokes=(red(),)))
    assert advice.verdict.worked
    assert (advice.suggestions, advice.n_tried) == ((), 0)
    assert advice.lines[1].startswith("the same stroke worked in 8 of 8 other images")


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (Verdict("draw", "tree", 900, 0, 215, (("grass", 538),), 0), "tree +215 px of 900 painted, some became grass +538"),
        (Verdict("draw", "tree", 3000, 0, 215, (("grass", 538),), 12), "tree +215 px of 3,000 painted, mostly became grass +538: it did not work; 12 px changed elsewhere"),
        (Verdict("draw", "tree", 900, 100, 60, (("grass", 538), ("sky", 30), ("sun", 4)), 0), "tree -40 px of 900 painted, mostly became grass +538 and sky +30: it did not work"),
        (Verdict("draw", "tree", 90, 90, 90, (), 0), "tree was there already, on all 90 painted px"),
        (Verdict("remove", "tree", 90, 0, 0, (), 3), "no tree was where you painted; 3 px changed elsewhere"),
        (Verdict("remove", "tree", 900, 400, 100, (("sky", 290),), 0), "tree -300 of 400 px, mostly became sky +290"),
        (Verdict("remove", "tree", 900, 400, 350, (), 0), "tree -50 of 400 px: it did not work"),
        (Verdict("draw", "", 900, 0, 0, (("sky", 290),), 0), "units by hand, 900 painted px: sky +290"),
    ],
)  # fmt: skip
def test_words(verdict, words):
    assert verdict.words == words


def test_several_images_are_told_in_one_sentence():
    verdicts = [
        Verdict("draw", "tree", 100, 0, 40, (("grass", 60),), 0),
        Verdict("draw", "tree", 100, 0, 0, (("grass", 20),), 0),
    ]
    assert summarise(verdicts) == (
        "worked in 1 of 2 other images: tree +20 px of 100 painted on average, the rest became "
        "grass +40"
    )


def test_a_brush_is_tried_with_the_shape_that_is_painted(canvas):
    for mode in ("draw", "remove"):
        brush = find_brush(canvas, "red", mode)
        assert brush.units[0] == 0
        assert brush.gain > 0.5
    assert brush.values == ()
    shape = Shape(box=(0, 0, 8, 8))
    brush = find_brush(canvas, "red", "draw", shape=shape)
    assert "px of 64 painted on average" in brush.tried
    stroke = shape.stroke(
        "draw", brush.layer, brush.units[: brush.n_units], brush.values[: brush.n_units],
        strength=brush.strength, concept="red",
    )  # fmt: skip
    rows = trial_rows(canvas, "red", "draw", shape)
    assert brush.tried == summarise(try_stroke(canvas, stroke, rows))
    mask = np.zeros((32, 32), bool)
    mask[4:9, 10:15] = True
    masked = find_brush(canvas, "red", "draw", shape=Shape(mask=write_mask(mask)))
    assert "px of 25 painted on average" in masked.tried
    top, left, bottom, right = usual_shape(canvas, "red").box
    assert (
        f"px of {(bottom - top) * (right - left)} painted"
        in find_brush(canvas, "red", "draw").tried
    )


def test_learned_values_are_tried_on_images_that_they_were_not_learned_on(canvas, monkeypatch):
    learned_on = set()

    def spy(originals, layer, units, concept, start, *, rows, **settings):
        learned_on.update(rows)
        return learn_values(originals, layer, units, concept, start, rows=rows, **settings)

    monkeypatch.setattr(brushes, "learn_values", spy)
    shape = Shape(box=(0, 0, 16, 16))
    weak = Candidate("units", (0, 1), (0.1, 0.1), (2,), "two units")
    stroke = weak.stroke(shape, "draw", "red", 2, 1.0)
    rows = trial_rows(canvas, "red", "draw", shape)
    (best,) = learned_candidates(canvas, "red", [weak], shape)
    assert learned_on
    assert not learned_on & set(rows)
    assert "with learned values" in best.source
    (before, after) = (
        np.mean([one.gain for one in try_stroke(canvas, stroke, rows)])
        for stroke in (stroke, best.stroke(shape, "draw", "red", 2, 1.0))
    )
    assert before < 0.1
    assert after > 0.9
    assert find_brush(canvas, "red", "draw", shape=shape, learned=True).gain > 0.9


def test_a_trial_takes_images_in_which_there_is_something_to_do(canvas):
    shape = Shape(box=(0, 0, 16, 16))
    planes = torch.cat([canvas.search.planes(n) for n in canvas.search.numbers])[:, 0]
    inside = (planes == canvas.vocabulary["red"].id)[:, :16, :16].flatten(1).sum(dim=1)
    assert all(inside[row] > 0 for row in trial_rows(canvas, "red", "remove", shape))
    assert all(inside[row] == 0 for row in trial_rows(canvas, "red", "draw", shape))
    assert trial_rows(canvas, "orange", "remove", shape) == []
    brush = find_brush(canvas, "orange", "remove", shape=shape)
    assert (brush.gain, brush.tried) == (None, "")
    assert "not tried" in brush.how


def test_a_mask_of_another_size_marks_the_pixels_under_it():
    mask = np.zeros((2, 2), bool)
    mask[0, 1] = True
    stroke = Stroke("remove", "units", (1,), mask=write_mask(mask))
    expected = np.zeros((8, 8), bool)
    expected[:4, 4:] = True
    np.testing.assert_array_equal(painted_pixels(stroke, 8), expected)
    assert painted_pixels(Stroke("remove", "units", (1,)), 3).all()
    large = Stroke("remove", "units", (1,), mask=write_mask(np.kron(mask, np.ones((8, 8))) > 0))
    np.testing.assert_array_equal(painted_pixels(large, 8), expected)


def test_only_the_concepts_of_the_plane_are_named(canvas):
    before = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
    after = before.clone()
    vocabulary = canvas.vocabulary
    after[0, 0, :2] = vocabulary["blue"].id
    after[0, 0, 3] = vocabulary["red"].id
    (found,) = compare(before, after, red(box=(0, 0, 3, 4)), vocabulary)
    assert found.became == (("blue", 8),)
    assert found.elsewhere == 4


def test_the_command_line_tells_the_verdict(command, planted_run, canvas, blank, tmp_path):
    painting = replace(blank, strokes=(red(), red(units=(5,), box=(16, 0, 32, 32))))
    recipe = tmp_path / "recipe.json"
    recipe.write_bytes(write_recipe(painting))
    arguments = ("paint", planted_run.path, recipe, "--out", tmp_path / "p.png")
    done = command(*arguments)
    assert done.returncode == 0, done.stderr
    assert f"stroke 1: {judge(canvas, painting, 0).words}" in done.stdout
    assert "stroke 2: red +0 px of 512 painted: it did not work" in done.stdout
    assert "with this shape works: 8 units of units" in done.stdout
    found = json.loads(command(*arguments, "--json").stdout)
    assert [one["worked"] for one in found["verdicts"]] == [True, False]
    assert found["advice"][0] == found["verdicts"][-1]["words"]


@pytest.mark.parametrize("mode", ["draw", "remove"])
def test_good_images_are_those_in_which_the_stroke_alone_gains_most(canvas, mode):
    stroke = red(mode)
    alone = {
        canvas.search.sample_of_row(row): try_stroke(canvas, stroke, [row])[0]
        for row in range(N_TRIED)
    }
    gains = sorted((one.gain for one in alone.values() if one.worked), reverse=True)
    found = best_starts(canvas, stroke, most=4)
    assert found
    assert [start.verdict.gain for start in found] == gains[:4]
    assert all(alone[start.index] == start.verdict for start in found)
