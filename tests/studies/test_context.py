import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tqdm import tqdm

from dissect import open_run
from dissect.cli import main
from dissect.errors import ConfigError, DissectError
from dissect.generators.base import LayerInfo
from dissect.studies import measure, store
from dissect.studies.context import measurement as context
from dissect.studies.context.measurement import choose_examples
from dissect.studies.context.places import (
    PlaceCounts,
    Places,
    choose_places,
    find_contexts,
    measure_places,
)
from dissect.studies.context.tables import context_table, draws_table
from dissect.studies.drawing.bars import Panel, draw_bars
from dissect.studies.originals import Originals, open_models
from dissect.studies.pixels import Treatment

N_SAMPLES = 16
FEW = {"n_samples": 6, "n_search": 32, "n_units": 1, "side": 8, "progress": False}


@pytest.fixture(scope="module")
def run(planted_run, tmp_path_factory):
    """A copy: effects are written into the folder of a run."""
    path = tmp_path_factory.mktemp("context") / "r"
    shutil.copytree(planted_run.path, path)
    return open_run(path)


@pytest.fixture(scope="module")
def originals(planted_run):
    config = replace(planted_run.config, block=N_SAMPLES)
    return Originals(*open_models(planted_run), config, n_samples=N_SAMPLES)


@pytest.fixture(scope="module")
def small_boxes(originals):
    """Red, the planted unit 0, in boxes of 2 × 2 pixels."""
    places = Places(32, 2, 4)
    counts = measure_places(
        originals, Treatment("units", np.ones(9)), [0], places, "red", bar=tqdm(disable=True)
    )
    return places, counts, find_contexts(originals, places, "red")


def pixels_of(originals, places, concept):
    """Its pixels in every box of every unedited image, counted one by one."""
    planes = originals.planes(0)[:, 0] == originals.vocabulary[concept].id
    return np.array(
        [[image[t:b, x:r].sum().item() for t, x, b, r in places.corners] for image in planes]
    )


def test_what_comes_depends_on_what_was_there(originals, small_boxes):
    # Red over black is red; over another colour it is a mixture, which has another name.
    places, counts, _ = small_boxes
    red, black = (pixels_of(originals, places, name) for name in ("red", "black"))
    np.testing.assert_array_equal(counts.before, red)
    np.testing.assert_array_equal(counts.added, black)
    np.testing.assert_array_equal(counts.after, red + black)
    # 0xe5 of 255 in one of three channels.
    np.testing.assert_allclose(counts.change[black == 4], 0xE5 / 255 / 3, atol=1e-6)


def test_contexts_are_those_that_cover_half_of_the_box(originals, small_boxes):
    places, _, contexts = small_boxes
    names = list(originals.vocabulary.names)
    pixels = {name: pixels_of(originals, places, name) for name in names}
    own = pixels["red"] >= 2
    for column, name in enumerate(names):
        expected = own if name == "red" else (pixels[name] >= 2) & ~own
        np.testing.assert_array_equal(contexts[..., column], expected)
    assert contexts.any(axis=-1).all()  # every place is in a group
    np.testing.assert_array_equal(contexts[..., -1], ~contexts[..., :-1].any(axis=-1))
    assert (contexts[own].sum(axis=-1) == 1).all()


def test_the_table_adds_up_each_context(originals, small_boxes):
    places, counts, contexts = small_boxes
    table = context_table(counts, contexts, originals.vocabulary, seed=0).set_index("context")
    assert table.added_share.drop("red").idxmax() == "black"
    assert (table.places == contexts.sum(axis=(0, 1))[[*table.reset_index().context.map(
        {name: at for at, name in enumerate([*originals.vocabulary.names, "mixed"])}
    )]]).all()  # fmt: skip
    black, red = (pixels_of(originals, places, name) for name in ("black", "red"))
    for name in ("black", "green", "blue"):
        here = contexts[..., originals.vocabulary[name].id - 1]
        share = black[here].sum() / (4 - red[here]).sum()
        row = table.loc[name]
        assert row.added_share == pytest.approx(share)
        assert row.added_share_low <= share <= row.added_share_high
        assert (row.places, row.images) == (here.sum(), here.any(axis=1).sum())
        assert row.success == pytest.approx((black[here] >= (4 - red[here]) / 4).mean())
        assert row.before_share == pytest.approx(red[here].mean() / 4)
    # A box that is red already has no other pixel that could become so.
    assert table.loc["red"].added_share == pytest.approx(
        black[red >= 2].sum() / (4 - red[red >= 2]).sum()
    )
    assert table.loc["black"].added_share > 0.9
    assert table.loc["green"].added_share < 0.5


def test_boxes_that_hold_nothing_but_the_concept_are_undefined_and_few_are_marked(originals):
    full = PlaceCounts(*[np.full((12, 3), 4.0)] * 2, *[np.zeros((12, 3))] * 2, area=4)
    contexts = np.zeros((12, 3, 12), bool)
    contexts[..., originals.vocabulary["red"].id - 1] = True
    (row,) = context_table(full, contexts, originals.vocabulary, seed=0).itertuples()
    assert np.isnan([row.added_share, row.added_share_low, row.success]).all()
    assert (row.context, row.before_share, row.few) == ("red", 1, False)
    contexts[:, 2] = False
    (row,) = context_table(full, contexts, originals.vocabulary, seed=0).itertuples()
    assert (row.places, row.few) == (24, True)


def test_the_mean_of_draws_has_an_interval_over_draws_too(originals):
    contexts = np.zeros((2, 2, 12), bool)
    contexts[..., -1] = True
    one = PlaceCounts(*[np.array([[1.0, 2], [1, 2]])] * 4, area=4)
    two = PlaceCounts(*[np.array([[1.0, 2], [1, 2]])] * 2, *[np.zeros((2, 2))] * 2, area=4)
    (row,) = draws_table([one, two], contexts, originals.vocabulary).itertuples()
    assert row.added_share == pytest.approx(0.5 * 6 / 10)
    assert row.added_share_low < 0 < row.added_share_high
    (row,) = draws_table([one], contexts, originals.vocabulary).itertuples()
    assert row.added_share == pytest.approx(6 / 10)
    assert np.isnan(row.added_share_low)


def test_places_fit_into_the_image_and_fill_cells_of_the_layer():
    assert len(Places(32, 8, 8).corners) == 16
    assert len(Places(32, 8, 5).corners) == 25  # a margin of 4 is left out
    assert Places(5, 5, 1).corners == [(0, 0, 5, 5)]
    sides = [choose_places(64, LayerInfo(1, n, n, ""), None, None).side for n in (4, 16, 64)]
    assert sides == [16, 8, 8]
    assert choose_places(1024, LayerInfo(1, 1024, 1024, ""), None, None).side == 128
    assert choose_places(4, LayerInfo(1, 4, 4, ""), None, None).stride == 1
    with pytest.raises(ConfigError, match="side is 4; expected at least 16 pixels, one cell"):
        choose_places(64, LayerInfo(1, 4, 4, ""), 4, None)


def test_examples_are_not_the_best_ones_only():
    added = np.array([[0, 9, 5], [1, 0, 0]])
    counts = PlaceCounts(*[added] * 3, change=np.array([[0.1, 0, 0], [0, 0.2, 0.3]]), area=9)
    everywhere = np.ones((2, 3), bool)
    assert choose_examples(counts, everywhere, 3) == [(0, 1), (1, 0), (0, 0)]
    assert choose_examples(counts, added < 1, 2) == [(1, 2), (0, 0)]
    assert choose_examples(counts, added > 4, 3) == [(0, 1), (0, 2)]


def test_a_measurement_is_told_kept_and_drawn(run):
    effect = measure(run, "context", concept="red", draws=2, **FEW).effect
    summary = effect.record["summary"]
    assert (summary["units"], summary["places"], summary["side"]) == ([0], 16, 8)
    contexts = {row["context"]: row for row in summary["contexts"]}
    assert contexts["red"]["places"] == 6  # a square of 36 pixels in a cell of 64, in each image
    assert contexts["black"]["places"] >= 6 * 13
    assert contexts["black"]["added_share"] > 0.9
    assert contexts["black"]["random"]["added_share"] < contexts["black"]["added_share"]
    assert set(effect.table.set) == {"chosen", "random"}
    assert {path.name for path in effect.path.iterdir()} == {
        "recipe.json", "effect.parquet", "places.parquet", "contexts.svg", "sheet.png",
    }  # fmt: skip
    each = pd.read_parquet(effect.path / "places.parquet")
    assert len(each) == 6 * 16
    assert (each.contexts != "").all()
    assert each[each.contexts == "black"].added.sum() <= contexts["black"]["places"] * 64
    sheet = np.asarray(Image.open(io.BytesIO((effect.path / "sheet.png").read_bytes())))
    assert sheet.shape[1] > 9 * 112
    assert "Where do these units make red?" in (effect.path / "contexts.svg").read_text()
    content = {path.name: path.read_bytes() for path in effect.path.glob("*.p*")}
    again = measure(run, "context", concept="red", draws=2, **FEW).effect
    assert {path.name: path.read_bytes() for path in again.path.glob("*.p*")} == content


def test_bars_stand_a_long_name_an_undefined_value_and_no_baseline():
    columns = {f"share{end}": [0.5, np.nan] for end in ("", "_low", "_high")}
    table = pd.DataFrame(
        {"context": ["a<" * 30, "b"], "places": [3, 4], "few": [True, False], **columns}
    )
    svg = draw_bars(
        table, table[:0], [Panel("share", "t<")], colours={"b": "#123456"}, title="T", label="L"
    )
    assert "a&lt;" in svg
    assert "a<" not in svg
    assert svg.count("<rect") == 2  # the paper and one bar
    assert "random units" not in svg


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"side": 0}, ConfigError, "side is 0; expected a whole number of at least 1"),
        ({"stride": 0}, ConfigError, "stride is 0"),
        ({"side": 33}, ConfigError, "side is 33; expected 1 to 32 pixels, as the image has"),
        ({"stride": 40}, ConfigError, "stride is 40; expected 1 to 32 pixels"),
        ({"concept": "window"}, DissectError, "'window' is not in the vocabulary"),
        ({"concept": "orange"}, ConfigError, "no mean where it is"),
        ({"n_units": 10}, ConfigError, "units is 10; expected from 1 to 9"),
        ({"layer": "unit"}, DissectError, "layer 'unit' is not in"),
        ({"order": "best"}, ConfigError, "order is 'best'"),
        ({"value": "much"}, ConfigError, "value is 'much'"),
        ({"name": "../up"}, ConfigError, "name is '../up'"),
        ({"n_samples": 1}, ConfigError, "n_samples is 1"),
    ],
)
def test_a_wrong_question_is_told_in_one_line_and_leaves_nothing(run, settings, error, message):
    before = store.effect_names(run)
    with pytest.raises(error, match=message) as caught:
        measure(run, "context", **{"concept": "red", **FEW, **settings})
    assert "\n" not in str(caught.value)
    assert store.effect_names(run) == before


def test_the_command_line_measures_lists_and_shows(command, run, capsys):
    few = ("--units", 1, "--samples", 4, "--search", 32, "--side", 8)
    done = command("context", run.path, "--concept", "blue", *few, "--name", "b", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["kind"], found["units"], found["name"]) == ("context", [2], "b")
    assert max(found["contexts"], key=lambda row: row["places"])["context"] == "black"
    assert main(["effects", str(run.path)]) == 0
    assert "b: blue into " in capsys.readouterr().out
    assert main(["effects", str(run.path), "show", "b"]) == 0
    shown = capsys.readouterr().out
    assert "What becomes blue, by what covers at least half of the box" in shown
    assert "contexts.svg" in shown


def test_a_mistake_on_the_command_line_is_one_line(run, capsys):
    assert main(["context", str(run.path), "--concept", "blue", "--stride", "0"]) == 2
    told = capsys.readouterr().err
    assert told == "dissect: --stride is 0; expected a whole number of at least 1\n"


def test_an_interrupted_measurement_is_told_and_leaves_nothing(run, capsys, monkeypatch):
    def stop(*arguments, **settings):
        raise KeyboardInterrupt

    before = store.effect_names(run)
    monkeypatch.setattr(context, "measure_places", stop)
    arguments = ["context", str(run.path), "--concept", "red", "--units", "1", "--samples", "4"]
    arguments += ["--name", "stopped"]
    with pytest.raises(SystemExit, match="130"):
        main([*arguments, "--search", "32"])
    assert capsys.readouterr().err.endswith("dissect: stopped; nothing was measured or stored\n")
    assert store.effect_names(run) == before
