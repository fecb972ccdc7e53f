import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from dissect.edits import Insert, Move, intervene
from dissect.edits.applying import check_edits
from dissect.errors import ConfigError, GeneratorError, LayerError, RunError
from dissect.painting.brushes import find_brush, pick_brush
from dissect.painting.canvas import Canvas, changes, to_png
from dissect.painting.covering import to_edits
from dissect.painting.masks import write_mask
from dissect.painting.recipe import write_recipe
from dissect.painting.strokes import Stroke


@pytest.fixture(scope="module")
def canvas(planted_run):
    return Canvas(planted_run)


@pytest.fixture(scope="module")
def blank(canvas):
    return canvas.blank(seed=5, index=3, truncation=1.0, label=None)


def red(box=None, value=1.0, **more):
    return Stroke("draw", "units", (0,), (value,), box=box, concept="red", **more)


def change(canvas, painting, concept):
    found = changes(canvas.original(painting), canvas.paint(painting), canvas.vocabulary)
    return {one.concept: one.after - one.before for one in found}.get(concept, 0)


def test_a_box_is_painted_to_the_pixel(canvas, blank):
    painted = canvas.paint(replace(blank, strokes=(red((0, 0, 32, 32)),)))
    assert int((painted.planes[0] == canvas.vocabulary["red"].id).sum()) > 900
    gone = replace(blank, strokes=(Stroke("remove", "units", (0,)),))
    assert change(canvas, gone, "red") == -36  # the square of 6 × 6


def test_the_same_recipe_gives_the_same_bytes_in_a_fresh_process_too(
    canvas, blank, planted_run, command, tmp_path
):
    mask = write_mask(np.tri(32, dtype=bool))
    painting = replace(
        blank, strokes=(red((4, 4, 9, 20)), Stroke("remove", "units", (1,), mask=mask))
    )
    first = to_png(canvas.paint(painting).image)
    assert first != to_png(canvas.original(painting).image)
    canvas.paint(replace(painting, index=4))
    torch.set_num_threads(2)
    assert to_png(canvas.paint(painting).image) == first
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    file, out = tmp_path / "recipe.json", tmp_path / "again.png"
    file.write_bytes(write_recipe(painting))
    done = command("paint", planted_run.path, file, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == first
    rows = {
        row["concept"]: row["after"] - row["before"] for row in json.loads(done.stdout)["changes"]
    }
    assert rows["red"] > 0


def test_a_recipe_may_move_the_latent_and_be_painted_over(
    canvas, blank, planted, planted_run, command, tmp_path
):
    vector = np.zeros(planted.spaces["z"].shape[0], np.float32)
    vector[:4] = 3.0
    moved = replace(blank, edits=(Move("z", vector, 2.0),))
    latent = planted.sample([blank.index], seed=blank.seed).shift(2 * torch.from_numpy(vector))
    assert torch.equal(canvas.paint(moved).image, planted.synthesize(latent)[0])
    # What it is compared with is the sample as it is.
    assert torch.equal(canvas.original(moved).image, canvas.paint(blank).image)
    both = replace(moved, strokes=(red((0, 0, 32, 32)),))
    with intervene(planted, to_edits(both.strokes, 32)):
        expected = planted.synthesize(latent)[0]
    assert torch.equal(canvas.paint(both).image, expected)
    still = replace(blank, edits=(Move("z", vector, 0.0),))
    assert torch.equal(canvas.paint(still).image, canvas.paint(blank).image)
    file, out = tmp_path / "recipe.json", tmp_path / "moved.png"
    file.write_bytes(write_recipe(both))
    done = command("paint", planted_run.path, file, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "1 strokes, 1 other edits" in done.stdout
    assert out.read_bytes() == to_png(canvas.paint(both).image)


def test_an_edit_that_contradicts_a_stroke_is_refused(canvas, blank):
    clash = replace(blank, strokes=(red(value=1.0),), edits=(Insert("units", [0], [2.0]),))
    with pytest.raises(ConfigError, match="unit 0 of units is set to 2 and to 1"):
        canvas.paint(clash)
    lost = replace(blank, edits=(Move("w", [1.0]),))
    with pytest.raises(GeneratorError, match="space 'w' is not one of"):
        canvas.paint(lost)


def test_what_is_painted_later_covers_what_was_before(canvas, blank):
    under, over = red(value=3.0), Stroke("remove", "units", (0,), box=(0, 0, 16, 32))
    edits = to_edits((under, over), 32)
    check_edits(canvas.generator, edits)  # nothing contradicts
    both = canvas.paint(replace(blank, strokes=(under, over))).image
    assert (both[0, :16] <= canvas.paint(replace(blank, strokes=(over,))).image[0, :16]).all()
    below = canvas.paint(replace(blank, strokes=(under,))).image
    assert torch.equal(both[:, 16:], below[:, 16:])
    assert to_edits((under, red(value=2.0)), 32)[0].values == (2.0,)


def test_only_the_units_that_are_wanted_again_give_up_their_place():
    first = Stroke("draw", "units", (0, 1, 2), (1.0, 2.0, 3.0), box=(0, 0, 8, 8))
    later = Stroke("draw", "units", (1,), (9.0,), box=(0, 0, 4, 8))
    edits = to_edits((first, later), 32)
    assert [edit.units for edit in edits] == [(0, 2), (1,), (1,)]
    assert [int(edit.region.sum()) for edit in edits] == [64, 32, 32]


def test_a_recipe_of_another_generator_or_layer_is_refused_in_one_line(canvas, blank):
    with pytest.raises(RunError, match="was painted with the generator"):
        canvas.paint(replace(blank, generator="e" * 64))
    with pytest.raises(RunError, match="pixels along a side"):
        canvas.paint(replace(blank, image_size=64))
    with pytest.raises(ConfigError, match="label is 3"):
        canvas.paint(replace(blank, label=3))
    for stroke in (Stroke("remove", "unit", (0,)), Stroke("remove", "units", (9,))):
        with pytest.raises(LayerError):
            canvas.paint(replace(blank, strokes=(stroke,)))


def test_units_by_hand_have_values_of_their_own_and_others_are_refused(canvas):
    assert all(value > 0 for value in pick_brush(canvas, [0, 1], "draw", layer="units").values)
    for units, layer in (([9], "units"), ([0], "nowhere")):
        with pytest.raises(LayerError):
            pick_brush(canvas, units, "draw", layer=layer)
    with pytest.raises(ConfigError, match="mode"):
        find_brush(canvas, "red", "erase")
