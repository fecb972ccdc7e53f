import numpy as np
import pytest
import torch

from dissect.counting.samples import block_indices, make_images
from dissect.edits import Ablate, Insert, intervene
from dissect.errors import ConfigError, RunError
from dissect.studies.insertion_values import insertion_values, present_means
from dissect.studies.originals import Originals, open_models
from dissect.studies.pixels import (
    Treatment,
    causal_effect,
    check_present,
    effect_table,
    measure,
    specificity,
    table_of_sets,
)
from dissect.tracing import trace
from dissect.worlds.planted import PAINTS, PlantedGenerator
from segmenters import load_segmenter

N = 40
TOP = np.arange(32)[:, None].repeat(32, 1) < 16


@pytest.fixture(scope="module")
def originals(planted_run):
    return Originals(*open_models(planted_run), planted_run.config, n_samples=N)


def by_concept(table):
    return table.set_index("concept")


def test_unedited_images_are_the_same_bits_as_in_the_run(planted, planted_run, originals):
    for number in range(2):
        indices = block_indices(number, planted_run.config)
        expected = make_images(planted, planted_run.config, indices)
        found = originals.images(number)
        assert torch.equal(found, expected[: len(found)])
    assert len(originals.images(1)) == N - 32


def test_ablating_red_removes_all_of_it_and_nothing_else(originals):
    counts = measure(originals, [Ablate("units", [0])])
    table = by_concept(effect_table(counts, originals.vocabulary, seed=0))
    red, black = table.loc["red"], table.loc["black"]
    assert (red.removed_share, red.removed_share_low, red.removed_share_high) == (1, 1, 1)
    assert (red.before, red.after, red.added, red.change) == (36, 0, 0, -36)
    assert (black.added, black.removed) == (36, 0)
    others = table.loc[list(PAINTS[1:])]
    assert not others[["removed", "added", "change", "change_low", "change_high"]].any(axis=None)
    assert table.loc["orange", "images"] == 0
    assert np.isnan(table.loc["orange", "removed_share"])


def test_counts_are_those_of_plain_loops(planted, originals):
    edits = [Insert("units", [1], [1.0], TOP), Ablate("units", [0])]
    counts = measure(originals, edits, TOP)
    segmenter = load_segmenter("colour")
    latent = planted.sample(range(N), seed=0)
    before = segmenter.segment(planted.synthesize(latent))[:, 0].numpy()
    with intervene(planted, edits):
        after = segmenter.segment(planted.synthesize(latent))[:, 0].numpy()
    for row in range(N):
        for column, concept in enumerate(segmenter.vocabulary):
            was, now = before[row] == concept.id, after[row] == concept.id
            assert counts.before[row, column] == was.sum()
            assert counts.after[row, column] == now.sum()
            assert counts.kept[row, column] == (was & now).sum()
            assert counts.inside_before[row, column] == was[TOP].sum()
            assert counts.inside_after[row, column] == now[TOP].sum()
    assert counts.area == 512


def test_each_edited_image_is_segmented_once_and_unedited_ones_never_again(planted_run):
    generator, segmenter = open_models(planted_run)
    seen = []
    segment = segmenter.segment
    segmenter.segment = lambda images: (seen.append(len(images)), segment(images))[1]
    originals = Originals(generator, segmenter, planted_run.config, n_samples=N)
    for unit in range(3):
        measure(originals, [Ablate("units", [unit])])
    assert sum(seen) == 4 * N


def test_shares_have_intervals_over_images(originals):
    # Half of red goes where it lies in the upper half, so the share differs between images.
    counts = measure(originals, [Ablate("units", [0], TOP)])
    red = by_concept(effect_table(counts, originals.vocabulary, seed=0)).loc["red"]
    assert 0 < red.removed_share_low < red.removed_share < red.removed_share_high < 1
    # Each image loses all or nothing, so the error is that of a share of N images.
    error = np.sqrt(red.removed_share * (1 - red.removed_share) / N)
    assert red.removed_share_high - red.removed_share_low == pytest.approx(
        2 * 1.96 * error, rel=0.2
    )
    assert red.change_low == pytest.approx(-36 * red.removed_share_high)


def test_the_average_causal_effect_is_the_share_gained_between_ablation_and_insertion(originals):
    units = [0, 1, 2, 3, 4]
    ablated = measure(originals, [Ablate("units", units, TOP)], TOP)
    inserted = measure(originals, [Insert("units", units, [0, 0, 1.0, 0, 0], TOP)], TOP)
    table = by_concept(causal_effect(inserted, ablated, originals.vocabulary, seed=0))
    assert table.ace["blue"] == 1
    assert table.ace["black"] == -1
    assert table.ace["red"] == 0
    assert (table.ace_low["blue"], table.ace_high["blue"]) == (1, 1)
    usual = (inserted.inside_before / 512).mean(axis=0)
    column = originals.vocabulary["blue"].id - 1
    assert table.ace_normalised["blue"] == pytest.approx(1 / usual[column])
    assert np.isnan(table.ace_normalised["orange"])


def test_a_treatment_of_no_units_is_no_edit():
    assert Treatment("units").of([]) == []
    assert Treatment("units").of([3]) == [Ablate("units", [3])]
    assert Treatment("units", [5.0, 6.0]).of([1]) == [Insert("units", [1], [6.0])]


def test_net_shares_are_what_is_left_and_gross_ones_what_changes(originals):
    # Red is held at the left half, in every image: some goes, some comes.
    counts = measure(originals, [Insert("units", [0], [1.0], TOP), Ablate("units", [0], ~TOP)])
    table = by_concept(effect_table(counts, originals.vocabulary, seed=0))
    red = table.loc["red"]
    assert red.net_removed_share == pytest.approx(1 - red.after / red.before)
    assert red.net_added_share == pytest.approx(red.after / red.before - 1)
    assert red.net_removed_share == pytest.approx(red.removed_share - red.added_share)
    assert (red.net_added_share_low, red.net_added_share_high) == (
        pytest.approx(-red.net_removed_share_high), pytest.approx(-red.net_removed_share_low),
    )  # fmt: skip
    assert red.net_removed_share < 0 < red.removed_share
    assert np.isnan(table.loc["orange", "net_removed_share"])


def test_specificity_is_the_lead_over_what_other_concepts_lose(originals):
    share = {"share": "net_removed_share", "seed": 0}
    red = measure(originals, [Ablate("units", [0])])
    found = specificity(red, originals.vocabulary, "red", **share)
    # black grows by what red loses; green, blue and yellow stay as they are.
    black = by_concept(effect_table(red, originals.vocabulary, seed=0)).net_removed_share["black"]
    assert found["n_others"] == 4
    assert found["value"] == pytest.approx(1 - abs(black) / 4)
    assert found["value_low"] <= found["value"] <= found["value_high"]
    assert found["as_much"] == {}
    many = measure(originals, [Ablate("units", [0, 1, 2])])
    found = specificity(many, originals.vocabulary, "red", **share)
    assert found["as_much"] == {"green": 1, "blue": 1}
    assert specificity(many, originals.vocabulary, "orange", **share) is None


def test_several_sets_stand_below_each_other(originals):
    counts = {
        "chosen": measure(originals, [Ablate("units", [0])]),
        "random 1": measure(originals, []),
    }
    table = table_of_sets(counts, originals.vocabulary, seed=0)
    assert len(table) == 22
    red = table[table.concept == "red"].set_index("set").removed_share
    assert red.to_dict() == {"chosen": 1, "random 1": 0}
    draws = [measure(originals, [Ablate("units", [unit])]) for unit in (0, 3)]
    table = table_of_sets({}, originals.vocabulary, seed=0, draws={"random": draws})
    red = table[table.concept == "red"].set_index("set")
    assert red.net_removed_share.to_dict() == {"random": 0.5, "random 1": 1, "random 2": 0}
    # Two draws that differ say little of the next one.
    assert red.net_removed_share_low["random"] < -1


def test_a_concept_that_never_appears_is_told(originals):
    check_present(originals, "red")
    with pytest.raises(ConfigError, match="'orange' is in none of the 40 unedited images"):
        check_present(originals, "orange")
    with pytest.raises(ConfigError, match="units have no mean where it is"):
        present_means(originals, "units", "orange")


def test_the_mean_value_is_that_of_the_unit_where_the_concept_is(planted, originals):
    with trace(planted, "units") as maps:
        images = planted.synthesize(planted.sample(range(N), seed=0))
    segmenter = load_segmenter("colour")
    red = segmenter.segment(images)[:, 0] == segmenter.vocabulary["red"].id
    expected = [maps["units"][:, unit][red].mean().item() for unit in range(9)]
    np.testing.assert_allclose(present_means(originals, "units", "red"), expected, rtol=1e-5)


def test_a_quantile_is_that_of_the_units_values(planted, planted_run, originals):
    with trace(planted, "units") as maps:
        planted.synthesize(planted.sample(range(200), seed=0))
    values = maps["units"].permute(1, 0, 2, 3).reshape(9, -1)
    found = insertion_values(planted_run, originals, "units", "red", "q0.99")
    expected = values.quantile(0.99, dim=1).numpy()
    np.testing.assert_allclose(found[:4], expected[:4], rtol=0.1)
    for how in ("q1.5", "median", "q0.0"):
        with pytest.raises(ConfigError, match="expected mean, learned, or a quantile"):
            insertion_values(planted_run, originals, "units", "red", how)


def test_models_that_are_not_those_of_the_run_are_refused(planted_run, monkeypatch):
    import dissect.studies.originals as module

    class Other(PlantedGenerator):
        def __init__(self):
            super().__init__()
            self.fingerprint = "0" * 64

    monkeypatch.setattr(module, "load_generator", lambda spec, device: Other())
    with pytest.raises(RunError, match=r"generator .* has the fingerprint 000000000000"):
        open_models(planted_run)
