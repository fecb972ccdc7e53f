import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from dissect import open_run
from dissect.cli import main
from dissect.edits import Ablate, intervene
from dissect.errors import ConfigError, LayerError
from dissect.photographs import read_image
from dissect.pictures import to_picture
from dissect.studies import measure, open_effect, store
from dissect.studies.originals import Originals, open_models
from dissect.studies.ranking import take_greedily
from dissect.studies.registry import STUDIES
from dissect.studies.repair.distance_change import distance_change
from dissect.studies.repair.frechet import Moments, frechet_distance
from dissect.studies.repair.real_images import read_data
from dissect.studies.repair.suspects import ablations, features_of, see, suspects
from segmenters import JoinedSegmenter, Segmenter, load_segmenter
from segmenters.features import HasFeatures, image_features
from tests.rounding import assert_same

FEW = {"n_samples": 64, "n_search": 64, "draws": 2, "progress": False}
RING = 4  # the planted unit that paints the purple ring


@pytest.fixture(scope="module")
def run(planted_run, tmp_path_factory):
    """A copy: effects are written into the folder of a run."""
    path = tmp_path_factory.mktemp("repairs") / "r"
    shutil.copytree(planted_run.path, path)
    return open_run(path)


def save_images(folder, generator, edits, *, seed, n=256):
    folder.mkdir()
    with intervene(generator, edits):
        images = generator.synthesize(generator.sample(range(n), seed=seed))
    for number, image in enumerate(images):
        to_picture(image).save(folder / f"{number:04}.png")
    return folder


@pytest.fixture(scope="module")
def without_rings(planted, tmp_path_factory):
    """Images of a world in which nobody ever drew a ring."""
    folder = tmp_path_factory.mktemp("data") / "without-rings"
    return save_images(folder, planted, [Ablate("units", [RING])], seed=7)


@pytest.fixture(scope="module")
def with_rings(planted, tmp_path_factory):
    """Images of the generator's own world."""
    return save_images(tmp_path_factory.mktemp("data") / "with-rings", planted, [], seed=7)


@pytest.fixture(scope="module")
def repair(run, without_rings):
    return measure(run, "repair", data=str(without_rings), n_candidates=9, **FEW)


def test_exactly_the_unit_that_draws_what_is_not_in_the_data_is_proposed(run, repair):
    assert repair.summary["units"] == {"units": [RING]}
    assert repair.effect.edits == [Ablate("units", [RING])]
    distance = repair.summary["distance"]
    assert distance["after"] < 0.1 * distance["before"]
    assert distance["change"] == pytest.approx(distance["after"] - distance["before"], rel=0.1)
    assert distance["change_low"] <= distance["change"] <= distance["change_high"] < 0
    assert len(distance["random"]["draws"]) == 2
    assert distance["random"]["change"] > 0
    by_concept = {row["concept"]: row for row in repair.summary["side_effects"]}
    assert by_concept["purple"]["removed_share"] == 1
    assert by_concept["red"]["change"] == 0
    tried = pd.read_parquet(repair.effect.path / "suspects.parquet")
    assert tried.unit.iloc[0] == RING
    assert (tried["drop"] > 0).tolist() == [True] + 8 * [False]
    assert open_effect(run, repair.effect.name).record == repair.effect.record
    open_run(run.path)  # still whole


def test_what_is_measured_was_neither_in_the_run_nor_searched(run, repair, without_rings):
    record = repair.effect.record
    # 200 samples of the run end in block 7 of 32; two blocks are searched.
    assert record["first_sample"] == 7 * 32 + 64
    data = read_data(
        without_rings, open_models(run)[0], lambda images: see(load_segmenter("colour"), images)
    )[0]
    originals = Originals(*open_models(run), run.config, n_samples=64, first=record["first_sample"])
    before, after = (
        frechet_distance(Moments.of(features_of(originals, edits)), data)
        for edits in ([], [Ablate("units", [RING])])
    )
    distance = record["summary"]["distance"]
    assert (distance["before"], distance["after"]) == pytest.approx((before, after), rel=1e-9)


def test_with_data_of_its_own_nothing_is_proposed_or_stored(run, with_rings):
    before = store.effect_names(run)
    repair = measure(run, "repair", data=str(with_rings), n_candidates=9, **FEW)
    assert (repair.summary["units"], repair.effect) == ({}, None)
    assert repair.summary["search"]["before"] == repair.summary["search"]["after"]
    assert store.effect_names(run) == before


def test_marked_units_are_measured_as_they_are(run, without_rings):
    marked = (("units", 0), ("units", RING), ("units", 0))
    repair = measure(run, "repair", bad=marked, data=str(without_rings), **FEW)
    assert repair.summary["units"] == {"units": [0, RING]}
    # The red square belongs to the data.
    assert repair.summary["distance"]["change_low"] > 0
    assert "search" not in repair.summary


def test_marked_units_need_no_data_but_no_distance_is_told_then(run):
    repair = measure(run, "repair", bad=(("units", 1),), **FEW)
    assert repair.summary["distance"] is None
    assert repair.summary["side_effects"][1]["concept"] == "green"
    with Image.open(repair.effect.path / store.SHEET) as sheet:
        assert sheet.size[1] > 6 * 160


def test_the_same_question_gives_the_same_bytes(run, repair, without_rings):
    files = (store.RECIPE, store.TABLE, store.SHEET, "suspects.parquet")
    first = [(repair.effect.path / file).read_bytes() for file in files]
    again = measure(run, "repair", data=str(without_rings), n_candidates=9, **FEW).effect
    assert again.path == repair.effect.path
    assert [(again.path / file).read_bytes() for file in files] == first


def test_a_name_that_answers_another_question_is_told_before_anything_is_made(
    run, repair, monkeypatch
):
    monkeypatch.setattr("dissect.studies.repair.measurement.open_models", None)
    with pytest.raises(ConfigError, match="answers another question"):
        measure(run, "repair", bad=(("units", 0),), name=repair.effect.name, **FEW)


def test_a_unit_is_suspect_by_how_far_its_top_images_lie(run):
    distances = np.arange(200.0)
    table = suspects(run, ["units"], distances)
    top = run.array("units", "top_indices").values
    expected = [distances[own[own >= 0]].mean() - distances.mean() for own in top]
    assert table.sort_values("unit").score.tolist() == pytest.approx(expected)
    assert table.score.is_monotonic_decreasing


def test_units_of_several_layers_are_one_edit_for_each():
    units = [("b", 3), ("a", 1), ("b", 0)]
    assert ablations(units) == [Ablate("b", [3, 0]), Ablate("a", [1])]


def test_the_greedy_search_ends_where_nothing_more_is_gained():
    # b and c do the same, d does harm.
    worth = {"a": {1, 2, 3}, "b": {4, 5}, "c": {4, 5}, "d": set()}

    def reach(taken):
        return len(set.union(*(worth[one] for one in taken))) - 9 * ("d" in taken)

    gains = {one: reach([one]) for one in worth}
    assert take_greedily(gains, reach, 4, least=0) == ["a", "b"]
    assert take_greedily(gains, reach, 1, least=0) == ["a"]
    assert take_greedily(gains, reach, 4) == ["a", "b", "c", "d"]


def test_an_image_file_is_turned_scaled_and_cut_to_its_middle(tmp_path):
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40] = (255, 0, 0)
    image = Image.fromarray(pixels)
    image.save(tmp_path / "a.png")
    found = read_image(tmp_path / "a.png", 8).astype(int)
    assert np.abs(found - (255, 0, 0)).max() <= 20  # the resizing overshoots at borders
    assert read_image(tmp_path / "a.png", 8, grey=True).shape == (8, 8, 1)
    halves = np.zeros((20, 20, 3), np.uint8)
    halves[:10] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by a quarter
    Image.fromarray(halves).save(tmp_path / "b.jpg", exif=exif)
    turned = read_image(tmp_path / "b.jpg", 10)
    assert turned[:, 6:].min() > 240
    assert turned[:, :4].max() < 15


@pytest.mark.parametrize("spec", ["scenes", "faces", "colour", "faces+colour"])
def test_features_of_an_image_depend_on_it_alone(spec):
    segmenter = load_segmenter(spec)
    images = torch.rand(3, 3, 48, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
    whole = image_features(segmenter, images)
    assert whole.ndim == 2
    assert (whole[0] - whole[1]).abs().max() > 1e-3
    torch.testing.assert_close(image_features(segmenter, images[1:2])[0], whole[1])
    assert not whole.requires_grad


def test_a_segmenter_without_features_is_asked_for_its_scores():
    colour = load_segmenter("colour")
    assert isinstance(colour, Segmenter)
    assert not isinstance(colour, HasFeatures)
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    scores = colour.score(images).flatten(2)
    expected = np.concatenate([scores.mean(2).numpy(), scores.numpy().std(axis=2)], axis=1)
    assert_same(image_features(colour, images), expected)
    joined = JoinedSegmenter(load_segmenter("faces"), colour)
    assert_same(image_features(joined, images)[:, -22:], expected)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({}, ConfigError, "repair was given no data"),
        ({"data": "nowhere"}, ConfigError, "'nowhere', which is not a folder"),
        ({"bad": (("units", 9),)}, LayerError, "unit 9 is not in units"),
        ({"bad": (("unit", 0),)}, LayerError, "layer 'unit' is not in"),
        ({"bad": (("units", 0),), "layer": "units"}, ConfigError, "expected one of the two"),
        ({"data": "scenes", "layer": "layr"}, LayerError, "layer 'layr' is not in"),
        ({"n_search": 1}, ConfigError, "n_search is 1"),
        ({"bad": ("units",)}, ConfigError, "expected a layer and units of it"),
        ({"bad": (("units", "0"),)}, ConfigError, "expected a layer and units of it"),
        ({"bad": (("units", 0),), "name": "../up"}, ConfigError, "name is '../up'"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_one_line_and_leaves_nothing(run, settings, error, message):
    before = store.effect_names(run)
    with pytest.raises(error, match=message) as caught:
        measure(run, "repair", **{**FEW, **settings})
    assert "\n" not in str(caught.value)
    assert store.effect_names(run) == before


def test_a_folder_with_too_few_or_damaged_images_is_told(run, tmp_path, without_rings):
    few = tmp_path / "few"
    few.mkdir()
    for path in sorted(without_rings.iterdir())[:31]:
        shutil.copy(path, few)
    (few / "notes.txt").write_text("no image")
    with pytest.raises(ConfigError, match="holds 31 PNG, JPEG or WebP images; expected at least"):
        measure(run, "repair", data=str(few), **FEW)
    whole = (few / "0000.png").read_bytes()
    (few / "0031.PNG").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConfigError, match=r"0031\.PNG cannot be read .*take it out") as caught:
        measure(run, "repair", data=str(few), **FEW)
    assert "\n" not in str(caught.value)


def test_the_command_line_repairs_lists_and_shows(command, run, without_rings, with_rings, capsys):
    few = ("--samples", 64, "--search", 64, "--draws", 1, "--candidates", 3)
    named = ("--name", "ring", "--json")
    done = command("repair", run.path, "--data", without_rings, *few, *named)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["units"], found["name"]) == ({"units": [RING]}, "ring")

    def told(*arguments):
        assert main(list(map(str, arguments))) == 0
        return capsys.readouterr().out

    assert told("effects", run.path, "show", "ring").startswith("repair, searched: ablate 1 unit")
    assert "ring: 1 unit of units ablated, distance to data fell: " in told("effects", run.path)
    text = told("repair", run.path, "--data", with_rings, *few)
    assert text.startswith("nothing to repair: none of 3 suspects")
    assert text.count("\n") == 1
    assert json.loads(told("repair", run.path, "--data", with_rings, *few, "--json"))["units"] == {}


@pytest.mark.parametrize("marked", ["units", "units:", "units:a", "units:-1", ":3"])
def test_units_that_are_marked_wrongly_are_told_in_one_line(run, marked, capsys):
    assert main(["repair", str(run.path), "--bad", marked]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "expected a layer and units of it, such as b16.conv1:3,7" in told


def test_an_edit_that_only_makes_few_images_alike_is_not_told_to_bring_them_nearer():
    random = np.random.default_rng(0)
    data = Moments(2.0, np.zeros(20), np.eye(20))
    plain, corrected = [], []
    for seed in range(10):
        before = random.normal(size=(48, 20))
        # 0.98 of its deviation is less than the data's: truly farther, by Σ (1 − 0.98)².
        told = distance_change({"before": before, "chosen": 0.98 * before}, data, seed=seed)
        plain.append(told["after"] - told["before"])
        corrected.append(told["change"])
        assert told["change_low"] < told["change"] < told["change_high"]
    assert np.mean(plain) < -0.05
    assert abs(np.mean(corrected) - 20 * 0.02**2) < 0.3 * abs(np.mean(plain))


def shifted(random, n, by):
    return random.normal(size=(n, 1)) + 1 + by


def test_the_interval_of_random_sets_holds_the_mean_over_all_sets_that_could_be_drawn():
    """Sets that shift images by s ~ N(0, 0.2²) change a distance of 1² by E[2 s + s²] = 0.2²."""
    random, data = np.random.default_rng(0), Moments(2.0, np.zeros(1), np.eye(1))
    covered = of_images = 0
    for seed in range(40):
        before = shifted(random, 60, 0)
        sets = {f"random {k}": before + 0.2 * random.normal() for k in range(4)}
        found = distance_change({"before": before, "chosen": before, **sets}, data, seed=seed)
        low, high = found["random"]["change_low"], found["random"]["change_high"]
        covered += low <= 0.04 <= high
        centre = found["random"]["change"]
        assert centre == pytest.approx(np.mean(found["random"]["draws"]), rel=1e-9)
        assert low < centre < high
        only = distance_change({"before": before, "chosen": sets["random 0"]}, data, seed=seed)
        of_images += only["change_low"] <= 0.04 <= only["change_high"]
    assert covered >= 36
    assert of_images < 20  # what an interval over images alone leaves out


def test_a_single_random_set_has_no_interval():
    random, data = np.random.default_rng(0), Moments(2.0, np.zeros(1), np.eye(1))
    before = shifted(random, 20, 0)
    found = distance_change({"before": before, "chosen": before, "random 1": before}, data, seed=0)
    assert found["random"]["change"] == pytest.approx(0, abs=1e-12)
    assert found["random"]["change_low"] is found["random"]["change_high"] is None


def test_a_second_segmenter_reads_a_repair_too(run):
    repair = measure(run, "repair", bad=(("units", 1),), second="colour", name="twice", **FEW)
    row = repair.summary["agreement"]["views"][-1]
    assert repair.summary["agreement"]["concept"] == "black"  # where green was
    assert row["view"] == "read by colour"
    assert (row["iou_before"], row["iou_after"]) == (1, 1)
    assert repair.effect.record["question"]["second"] == "colour"
    text = STUDIES["repair"].describe(repair.summary).to_text()
    assert "read by colour" in text
    assert "--second colour" in STUDIES["repair"].command(repair.effect.record["question"])
    with pytest.raises(ConfigError, match="knows no concept of colour"):
        measure(run, "repair", bad=(("units", 1),), second="faces", name="other", **FEW)


def test_a_repair_that_does_not_hold_on_unseen_samples_is_not_praised():
    change = {"change": -0.1, "change_low": -0.3, "change_high": 0.1}
    summary = {
        "kind": "repair", "order": "searched", "units": {"a": [1]}, "samples": 64,
        "data": {"source": "photos", "images": 99},
        "search": {"samples": 32, "candidates": 2, "before": 2.0, "after": 1.5},
        "distance": {"before": 2.0, "after": 1.9, **change, "random": None}, "side_effects": [],
    }  # fmt: skip
    told = STUDIES["repair"].describe(summary).to_text()
    assert "distance to data not surely changed: 2.000 to 1.900" in told
    assert "it fell on the 32 samples of the search (2.000 to 1.500), but not surely" in told
