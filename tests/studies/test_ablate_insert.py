import io
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dissect import open_run
from dissect.edits import Ablate, Insert
from dissect.errors import ConfigError, DissectError, LayerError, RunError
from dissect.studies import measure, open_effect, store
from dissect.studies.ablate_insert import measurement
from dissect.studies.drawing.curves import draw_curves, effect_curve
from dissect.studies.drawing.sheets import choose_rows, draw_sheet, make_rows
from dissect.studies.originals import Originals, open_models
from dissect.studies.pixels import Treatment
from dissect.studies.pixels import measure as measure_edits
from dissect.studies.registry import study_of


def measure_units(run, **settings):
    return measure(run, **settings).effect


FEW = {"n_samples": 40, "n_search": 32, "draws": 2, "progress": False}


@pytest.fixture(scope="module")
def run(planted_run, tmp_path_factory):
    """A copy: effects are written into the folder of a run."""
    path = tmp_path_factory.mktemp("effects") / "r"
    shutil.copytree(planted_run.path, path)
    return open_run(path)


@pytest.fixture(scope="module")
def originals(planted_run):
    return Originals(*open_models(planted_run), planted_run.config, n_samples=40)


def test_ablation_is_measured_told_and_kept(run):
    effect = measure_units(run, kind="ablate", concept="red", n_units=1, **FEW)
    summary = effect.record["summary"]
    assert (summary["layer"], summary["units"]) == ("units", [0])
    target = summary["target"]
    assert (target["removed_share"], target["removed_share_low"]) == (1, 1)
    assert (target["net_removed_share"], target["net_removed_share_low"]) == (1, 1)
    assert summary["of_layer"] == 9
    assert [row["concept"] for row in summary["side_effects"] if row["change"]] == ["black"]
    assert len(summary["random"]["draws"]) == len(summary["matched"]["draws"]) == 2
    assert all(0 not in units for units in effect.record["random_units"])
    assert all(0 not in one["units"] for one in effect.record["matched_units"])
    assert target["beyond_random"] is True
    assert summary["agreement"]["views"][0]["same_after"] == 1
    assert summary["specificity"]["value"] > 0.9
    assert effect.edits == [Ablate("units", [0])]
    assert {path.name for path in effect.path.iterdir()} == {
        "recipe.json", "effect.parquet", "sheet.png",
    }  # fmt: skip
    assert set(effect.table.set) == {
        "chosen", "random", "random 1", "random 2", "matched", "matched 1", "matched 2",
    }  # fmt: skip
    open_run(run.path)  # still whole


def test_insertion_paints_its_region_and_has_a_causal_effect(run):
    effect = measure_units(
        run, kind="insert", concept="blue", n_units=1, order="sweep", region=(0, 0, 8, 32),
        value="q0.99", name="blue-stripe", **FEW,
    )  # fmt: skip
    summary = effect.record["summary"]
    assert summary["units"] == [2]
    # Where another colour is, blue over it is a mixture; black takes it as it is.
    assert summary["target"]["ace"] > 0.6
    assert summary["target"]["added_share"] > 0.5
    (edit,) = effect.edits
    assert isinstance(edit, Insert)
    assert edit.region.sum() == 8 * 32
    assert open_effect(run, "blue-stripe").record == effect.record
    assert "blue-stripe" in store.effect_names(run)


def test_the_greedy_order_and_curves_of_several_orders(run):
    effect = measure_units(
        run, kind="ablate", concept="green", n_units=1, order="greedy",
        curve=("iou", "greedy", "random"), **FEW,
    )  # fmt: skip
    assert effect.record["summary"]["units"] == [1]
    curve = pd.read_parquet(effect.path / "curve.parquet")
    assert sorted(set(curve.order)) == ["greedy", "iou", "random"]
    found = curve[(curve.concept == "green") & (curve.order == "greedy")].set_index("n_units")
    assert found.removed_share.to_dict() == {0: 0, 1: 1, 2: 1, 5: 1}
    assert "How many units does green take?" in (effect.path / "curve.svg").read_text()


def test_units_picked_by_hand_are_measured_like_those_of_an_order(run, command):
    chosen = measure_units(run, kind="ablate", concept="red", n_units=1, **FEW)
    (unit,) = chosen.record["summary"]["units"]
    picked = measure_units(
        run, kind="ablate", concept="red", layer="units", picked=[unit], curve=["picked"], **FEW
    )
    assert picked.name == f"ablate-red-units-units-{unit}"
    pd.testing.assert_frame_equal(picked.table, chosen.table)
    assert picked.record["question"]["picked"] == [unit]
    assert "picked" not in chosen.record["question"]
    curve = pd.read_parquet(picked.path / store.CURVE)
    assert curve.n_units.max() == 1
    for kind, other in (("insert", ()), ("context", ("--side", 16))):
        done = command(
            kind, run.path, "--concept", "red", "--layer", "units", "--pick", "3,1",
            "--samples", 8, "--search", 32, "--draws", 0, "--json", *other,
        )  # fmt: skip
        found = json.loads(done.stdout)
        assert (found["units"], found["order"]) == ([3, 1], "picked")
        assert found["name"] == f"{kind}-red-units-units-3-1"


def test_the_same_question_gives_the_same_bytes(run):
    settings = {"kind": "ablate", "concept": "blue", "n_units": 2, **FEW}
    files = ("effect.parquet", "sheet.png")
    first = measure_units(run, **settings)
    content = [(first.path / file).read_bytes() for file in files]
    again = measure_units(run, **settings)
    assert again.path == first.path
    assert [(again.path / file).read_bytes() for file in files] == content
    assert [p.name for p in first.path.parent.iterdir() if p.name.startswith(".")] == []


def test_a_name_that_answers_another_question_is_refused_before_anything_is_measured(
    run, monkeypatch
):
    measure_units(run, kind="ablate", concept="red", n_units=1, name="mine", **FEW)
    monkeypatch.setattr(measurement, "prepare", lambda *_, **__: pytest.fail("it was measured"))
    with pytest.raises(ConfigError, match="answers another question"):
        measure_units(run, kind="ablate", concept="red", n_units=2, name="mine", **FEW)
    assert open_effect(run, "mine").record["question"]["n_units"] == 1


def test_units_in_another_basis_are_measured_as_the_run_read_them(tmp_path):
    from dissect import dissect

    run = dissect(
        "dissect.worlds.planted:generator", "colour", out=tmp_path / "r", n_samples=32,
        layers="units@pca:7", progress=False,
    )  # fmt: skip
    effect = measure_units(run, kind="ablate", concept="red", n_units=7, **FEW)
    assert effect.record["summary"]["layer"] == "units@pca:7"
    # Seven components hold all that varies; what is left is the mean image.
    assert effect.record["summary"]["target"]["removed_share"] == 1


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"concept": "orange"}, ConfigError, "'orange' is in none of the 40 unedited images"),
        ({"concept": "window"}, DissectError, "'window' is not in the vocabulary"),
        ({"n_units": 10}, ConfigError, "units is 10; expected from 1 to 9"),
        ({"n_units": 0}, ConfigError, "n_units is 0"),
        ({"layer": "unit"}, LayerError, "layer 'unit' is not in"),
        ({"region": (0, 0, 40, 8)}, ConfigError, "is not inside the image"),
        ({"order": "best"}, ConfigError, "order is 'best'"),
        ({"curve": ("worst",)}, ConfigError, "curve is \\('worst',\\)"),
        ({"kind": "remove"}, ConfigError, "kind is 'remove'"),
        ({"name": "../up"}, ConfigError, "name is '../up'"),
        ({"kind": "insert", "concept": "orange"}, ConfigError, "no mean where it is"),
        ({"order": "sweep", "n_candidates": 1, "n_units": 2}, ConfigError, "n_candidates is 1"),
        ({"n_samples": 1}, ConfigError, "n_samples is 1"),
        ({"n_sampels": 8}, ConfigError, "did you mean 'n_samples'"),
        ({"n_units": 2.0}, ConfigError, "n_units is 2.0; expected a whole number of at least 1"),
        ({"order": "gredy"}, ConfigError, "did you mean 'greedy'"),
        ({"order": "picked"}, ConfigError, "order is 'picked' but no units are picked"),
        ({"draws": "5"}, ConfigError, "draws is '5'"),
        ({"device": 0}, ConfigError, "device is 0; expected a text"),
        ({"picked": (1,)}, ConfigError, "no layer was given; expected theirs"),
        ({"picked": (1, 1), "layer": "units"}, ConfigError, "picked is 1, 1; expected different"),
        ({"picked": (True,), "layer": "units"}, ConfigError, "picked is \\(True,\\); expected different numbers"),
        ({"picked": (2, 9), "layer": "units"}, ConfigError, "unit 9 was picked; expected from 0"),
        ({"curve": ("picked",)}, ConfigError, "curve has 'picked' but no units are picked"),
    ],
)  # fmt: skip
def test_a_wrong_question_is_told_in_one_line_and_leaves_nothing(run, settings, error, message):
    before = store.effect_names(run)
    with pytest.raises(error, match=message) as caught:
        measure_units(
            run,
            **{
                "kind": "ablate",
                "concept": "red",
                "n_units": 1,
                "name": "wrong",
                **FEW,
                **settings,
            },
        )
    assert "\n" not in str(caught.value)
    assert store.effect_names(run) == before


def test_a_damaged_effect_is_told(run):
    effect = measure_units(run, kind="ablate", concept="red", n_units=1, name="damaged", **FEW)
    (effect.path / "recipe.json").write_text('{"kind": "gan-dissection effect"')
    with pytest.raises(RunError, match=r"is damaged .*delete that folder"):
        open_effect(run, "damaged")
    shutil.rmtree(effect.path)
    with pytest.raises(ConfigError, match="effect 'damaged' is not in"):
        open_effect(run, "damaged")


def test_a_curve_starts_at_no_units_and_no_effect(originals):
    curve = effect_curve(originals, Treatment("units"), [0, 1, 2], sizes=(0, 1, 3, 9))
    assert sorted(set(curve.n_units)) == [0, 1, 3]
    red = curve[curve.concept == "red"].set_index("n_units").removed_share
    assert red.to_dict() == {0: 0, 1: 1, 3: 1}
    svg = draw_curves(
        {"a<b": curve[curve.concept == "red"]}, value="removed_share", title="T", label="L"
    )
    assert "a&lt;b" in svg
    assert svg.count("<polyline") == 1
    with pytest.raises(ConfigError, match="expected 1 to 6"):
        draw_curves({}, value="removed_share", title="T", label="L")


def test_a_sheet_shows_what_was_measured(originals):
    edits = [Ablate("units", [0])]
    counts = measure_edits(originals, edits)
    rows = make_rows(originals, edits, counts, "red", n_rows=3)
    for row in rows:
        assert (row.pixels_before, row.pixels_after) == (36, 0)
        changed = (row.before != row.after).any(dim=0)
        assert changed.sum() == 36
    png = draw_sheet(rows, title="t" * 300, subtitle="s", concept="red")
    sheet = np.asarray(Image.open(io.BytesIO(png)).convert("L"))
    assert sheet.shape[0] > 3 * 160
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(sheet[64:224, 8:168], sheet[64:224, 176:336])


def test_a_sheet_does_not_show_the_best_samples_only():
    before, after = np.array([9, 9, 0, 9, 9, 0]), np.array([0, 8, 0, 4, 9, 0])
    assert choose_rows(before, after, 4) == [0, 3, 1, 4]
    assert choose_rows(before, after, 2) == [0, 4]
    assert choose_rows(np.zeros(3, int), np.zeros(3, int), 2) == [0, 1]


def test_the_command_line_measures_lists_and_shows(command, run):
    few = ("--samples", 40, "--search", 32, "--draws", 2)
    done = command("ablate", run.path, "--concept", "yellow", "--units", 1, *few, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["units"] == [3]
    assert found["target"]["removed_share"] == 1
    assert found["random"]["removed_share"] < 1
    inserted = command(
        "insert", run.path, "--concept", "yellow", "--units", 1, "--layer", "units", *few,
        "--region", "0,0,16,16", "--order", "greedy", "--name", "sun",
    )  # fmt: skip
    assert inserted.returncode == 0, inserted.stderr
    assert "causal effect δ" in inserted.stdout
    listed = json.loads(command("effects", run.path, "--json").stdout)
    assert {"sun", found["name"]} <= {effect["name"] for effect in listed["effects"]}
    shown = command("effects", run.path, "show", found["name"])
    assert "yellow: 12.0 → 0.0 pixels per image, 1.00 [1.00, 1.00] net removed" in shown.stdout
    assert "warning" not in shown.stdout


def test_a_set_is_by_default_at_most_a_quarter_of_its_layer_and_a_larger_one_is_warned_of(run):
    usual = measure(run, "ablate", concept="red", name="usual", **FEW)
    assert usual.effect.record["question"]["n_units"] == 2
    assert "warning" not in study_of(usual.effect).describe(usual.summary).to_text()
    large = measure(run, "ablate", concept="red", n_units=5, name="large", **FEW)
    text = study_of(large.effect).describe(large.summary).to_text()
    assert "warning: 5 of 9 units are 56 % of units" in text
    assert "take at most 2" in text
    assert {len(units) for units in large.effect.record["random_units"]} == {4}  # all others
    assert "4 random units, as the layer has no more others" in text
    whole = measure(run, "ablate", concept="red", n_units=9, name="whole", **FEW)
    assert (whole.summary["random"], whole.summary["matched"]) == (None, None)
    assert study_of(whole.effect).headline(whole.summary).startswith("1.00 of red net removed, 40")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--concept", "orange"), "is in none of the 500 unedited images"),
        (("--concept", "red", "--pick", "1-2"), "--pick is '1-2'; expected different numbers of units, from 0 on, such as 3,17"),
        (("--concept", "red", "--region", "1,2"), "expected four whole numbers of pixels"),
        (("--concept", "red", "--region", "0,0,99,99"), "is not inside the image"),
        (("--concept", "red", "--units", 20), "--units is 20; expected from 1 to 9"),
    ],
)  # fmt: skip
def test_a_mistake_on_the_command_line_is_one_line(command, planted_run, arguments, message):
    units = () if "--units" in arguments else ("--units", 1)
    done = command("ablate", planted_run.path, *arguments, *units)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (planted_run.path / "effects").exists()
