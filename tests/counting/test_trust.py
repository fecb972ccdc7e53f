import json

import numpy as np
import pytest
import torch

from dissect import ConfigError, RunConfig, dissect, open_run
from dissect.counting.trust import CHANGES, Trust, measure_trust
from dissect.statistics.agreement import count_concepts, count_pairs, normalised_entropy, pair_iou
from segmenters import Vocabulary
from segmenters.colour import ColourSegmenter

PLANTED = "dissect.worlds.planted:generator"


class Sides:
    """The left and the right half of the image, whatever is in it."""

    name = "sides"
    fingerprint = "sides"
    device = torch.device("cpu")
    vocabulary = Vocabulary.build(
        [(f"{side} side", "part", "part", "#808080") for side in ("left", "right")]
    )

    def segment(self, images):
        planes = torch.ones_like(images[:, :1]).long()
        planes[..., images.shape[-1] // 2 :] = 2
        return planes

    def score(self, images):
        return torch.full_like(images[:, :1], 1 / 3).expand(-1, 2, -1, -1)


def test_pairs_and_areas_are_those_of_a_naive_count():
    generator = np.random.default_rng(0)
    first = torch.from_numpy(generator.integers(0, 3, (2, 2, 5, 4)))
    first[:, 1] = torch.where(first[:, 1] > 0, first[:, 1] + 2, 0)
    second = torch.from_numpy(generator.integers(0, 3, (2, 1, 5, 4)))
    iou = pair_iou(
        count_pairs(first, second, 4, 3), count_concepts(first, 4), count_concepts(second, 3)
    )
    for one in range(1, 5):
        for other in range(1, 4):
            a, b = (first == one).any(dim=1), (second == other).any(dim=1)
            union = (a | b).sum().item()
            wanted = (a & b).sum().item() / union if union else np.nan
            assert iou[one - 1, other - 1] == pytest.approx(wanted, nan_ok=True)


def test_entropy_is_0_where_all_is_decided_and_1_where_nothing_is():
    even, sure = torch.full((1, 4, 1, 1), 0.25), torch.eye(4)[:1, :, None, None]
    assert normalised_entropy(even).item() == pytest.approx(1)
    assert normalised_entropy(sure).item() == pytest.approx(0, abs=1e-6)


class Dot(Sides):
    """One pixel of the first concept, the rest is nothing."""

    def segment(self, images):
        planes = torch.zeros_like(images[:, :1]).long()
        planes[..., 3, 5] = 1
        return planes


def test_a_concept_of_a_single_pixel_occurs():
    trust = Trust.empty(Dot.vocabulary, scores=False)
    images = torch.zeros(3, 3, 32, 32)
    trust.add(Dot(), images, Dot().segment(images))
    table = trust.table()
    assert table.images.tolist() == [3, 0]
    assert table.share.tolist() == [1 / 32**2, 0]


def test_left_and_right_agree_in_the_mirror_and_not_when_shifted():
    trust = Trust.empty(Sides.vocabulary)
    images = torch.zeros(3, 3, 32, 32)
    trust.add(Sides(), images, Sides().segment(images))
    table = trust.table().set_index("concept")
    assert (table.flip == 1).all()
    # Shifted by 2 of 32 columns, 30 seen: left 16 against 14, right 14 against 16.
    assert table["shift"].tolist() == [14 / 16, 14 / 16]
    assert table.entropy.tolist() == pytest.approx([1, 1])
    assert (table.images == 3).all()


def test_a_segmenter_that_sees_only_colours_agrees_with_itself(planted):
    config = RunConfig(PLANTED, "colour", (), n_samples=32)
    trust, comparison = measure_trust(
        ColourSegmenter(), planted, config, n_samples=20, other=ColourSegmenter(), progress=False
    )
    table = trust.table()
    occurs = table.images > 0
    assert table.attrs["images"] == 20
    assert (table[occurs].flip == 1).all()
    assert (table[occurs]["shift"] == 1).all()
    assert table[~occurs].lowest.isna().all()
    assert 0.5 < table.set_index("concept").rescale["red"] < 1
    against = comparison.table()
    assert (against.same_name[occurs] == 1).all()
    assert (against.best[occurs] == against.concept[occurs]).all()
    assert (against.best[~occurs] == "").all()


def test_a_run_stores_how_far_its_masks_are_to_be_trusted(planted_run, command):
    trust = planted_run.trust
    assert trust.attrs["images"] == 8
    assert list(trust.columns[4:8]) == [*CHANGES, "lowest"]
    agreement = planted_run.summary()["trust"]["agreement"]
    assert set(agreement) == {"red", "green", "blue", "yellow", "purple"}
    assert all(0 < value <= 1 for value in agreement.values())
    assert "masks of 8 samples agree" in command("show", planted_run.path).stdout


def test_a_run_of_the_first_version_is_read_as_before(planted_run, tmp_path):
    import shutil

    old = tmp_path / "old"
    shutil.copytree(planted_run.path, old)
    (old / "trust.json").unlink()
    record = json.loads((old / "run.json").read_text())
    del record["files"]["trust.json"], record["segmenter"]["part_of"]
    # What it does not name is not in its fingerprint either.
    assert "min_share" not in record["config"]
    (old / "run.json").write_text(json.dumps(record))
    run = open_run(old)
    assert run.trust is None
    assert run.config == planted_run.config
    assert run.summary()["trust"] is None
    assert run.units("units").equals(planted_run.units("units"))


def test_a_concept_that_covers_less_than_the_share_asked_for_labels_nothing(planted_run, tmp_path):
    settings = {"n_samples": 200, "progress": False}
    areas = planted_run.areas()
    share = float(areas["green"] + areas["blue"]) / 2  # the plus is smaller than the disc
    run = dissect(PLANTED, "colour", out=tmp_path / "R", min_share=share, **settings)
    assert run.config.min_share == share
    assert run.record["fingerprint"] != planted_run.record["fingerprint"]
    units = run.units("units").set_index("unit")
    kept = set(areas.index[areas >= share])
    assert "green" not in kept
    assert set(units.concept) <= kept
    assert units.concept[0] == "red"
    assert not units.is_named[1]  # the plus
    # What was counted and scored stays.
    assert run.iou("units").equals(planted_run.iou("units"))


@pytest.mark.parametrize("value", [-0.1, 1.0])
def test_a_share_out_of_range_is_refused(value):
    with pytest.raises(ConfigError, match=r"min_share is .*; expected a number from 0 to below 1"):
        RunConfig("a", "b", (), min_share=value)


def test_halves_label_units_only_where_both_parts_of_the_fold_agree(tmp_path):
    from dissect.statistics.scores import score

    def scores(inside):
        inside = np.array(inside)[None, None]  # one threshold, one unit
        area = np.array([100, 50])
        none = inside * 0
        return score(
            inside, np.full_like(inside, 60), none, none, area, 1000, image_pixels=100
        )  # fmt: skip

    halved, allowed = np.array([False, True]), np.ones(2, bool)
    half, whole = scores([30, 45]), scores([58, 10])
    assert half.best(0).tolist() == [1]
    assert half.best_unless_halved(0, allowed, halved, [half, half]).tolist() == [1]
    assert half.best_unless_halved(0, allowed, halved, [half, whole]).tolist() == [0]
    assert half.best_unless_halved(0, allowed, ~allowed, [half, whole]).tolist() == [1]


def test_trust_prints_a_table_and_one_object(command):
    arguments = ("trust", "colour", PLANTED, "--samples", 16, "--against", "colour")
    found = json.loads(command(*arguments, "--json").stdout)
    red = next(row for row in found["concepts"] if row["concept"] == "red")
    assert (red["flip"], red["shift"], red["same_name"], red["best"]) == (1, 1, 1, "red")
    assert found["concepts"][9]["flip"] is None  # pink, which is never drawn
    text = command(*arguments).stdout
    assert "never marked: " in text
    assert "red 1.00" in text
    wrong = command("trust", "colour", PLANTED, "--samples", 0)
    assert wrong.returncode == 2
    assert wrong.stderr.count("\n") == 1
