import shutil

import numpy as np
import pytest

from dissect import open_run
from dissect.edits import Insert
from dissect.edits.regions import box
from dissect.errors import ConfigError, DissectError
from dissect.studies import measure as measure_study
from dissect.studies.learned_values import learn_values
from dissect.studies.originals import Originals, open_models
from dissect.studies.pixels import measure

REGION = (0, 0, 16, 16)


@pytest.fixture(scope="module")
def originals(planted_run):
    return Originals(*open_models(planted_run), planted_run.config, n_samples=32, first=224)


def share_inside(originals, units, values, concept):
    """Share of the region that has a concept while units are held at values."""
    region = box(32, REGION)
    counts = measure(originals, [Insert("units", units, list(values), region)], region)
    return counts.inside_after[:, originals.vocabulary[concept].id - 1].mean() / counts.area


def test_a_painter_that_begins_at_little_learns_to_paint(originals):
    start = [0.1] * 3
    values = learn_values(
        originals, "units", [0, 1, 2], "blue", start, region=box(32, REGION), n_steps=60
    )
    assert share_inside(originals, [0, 1, 2], start, "blue") < 0.05
    assert share_inside(originals, [0, 1, 2], values, "blue") > 0.95
    assert values[2] > max(values[0], values[1])


def test_units_that_paint_something_else_cannot_learn_it(originals):
    values = learn_values(
        originals, "units", [0, 1], "blue", [0.1, 0.1], region=box(32, REGION), n_steps=60
    )
    assert share_inside(originals, [0, 1], values, "blue") < 0.1


def test_no_step_returns_the_start(originals):
    start = [0.25, -1.5]
    assert learn_values(originals, "units", [4, 1], "red", start, n_steps=0).tolist() == start


def test_the_same_call_gives_the_same_values(originals):
    first, second = (
        learn_values(originals, "units", [2], "blue", [0.1], rows=range(9), n_steps=5)
        for _ in range(2)
    )
    assert first.tobytes() == second.tobytes()


def test_the_network_is_left_as_it_was(originals):
    learn_values(originals, "units", [2], "blue", [0.1], n_steps=2)
    module = originals.generator.module
    assert all(parameter.grad is None for parameter in module.parameters())
    assert not any(layer._forward_hooks for layer in module.modules())


def test_every_set_has_values_of_its_own(planted_run, tmp_path):
    shutil.copytree(planted_run.path, tmp_path / "r")
    run = open_run(tmp_path / "r")
    effect = measure_study(
        run, kind="insert", concept="blue", n_units=1, order="sweep", region=REGION,
        value="learned", n_samples=40, n_search=32, draws=3, progress=False,
    ).effect  # fmt: skip
    (edit,) = effect.edits
    assert isinstance(edit, Insert)
    assert edit.units == (2,)
    summary = effect.record["summary"]
    assert summary["target"]["net_added_share"] > 1
    # Others paint something else, or fire where blue is painted without painting it.
    assert all(abs(draw) < 0.3 for draw in summary["random"]["draws"])
    assert summary["matched"] is None
    assert effect.record["question"]["value"] == "learned"


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"kind": "ablate"}, "value is 'learned'; expected it for units that are inserted"),
        ({"kind": "insert", "curve": ("iou",)}, "curve is given and the value is 'learned'"),
        ({"kind": "insert", "value": "best"}, "expected mean, learned, or a quantile"),
    ],
)
def test_what_cannot_be_learned_is_refused_in_one_line(planted_run, more, line):
    settings = {"concept": "blue", "value": "learned", "progress": False} | more
    with pytest.raises(DissectError, match=line):
        measure_study(planted_run, **settings)


def test_scores_without_a_gradient_are_refused(hard_originals):
    with pytest.raises(ConfigError, match=r"hard have no gradient to units of units; .*take mean"):
        learn_values(hard_originals, "units", [0], "paint", np.zeros(1))
    with pytest.raises(ConfigError, match="no units were given"):
        learn_values(hard_originals, "units", [], "paint", [])
