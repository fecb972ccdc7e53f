import base64
import json
import shlex

import numpy as np
import pytest

from dissect import LayerError, dissect
from reports.compact import compact_layer, quantise, to_script_text
from reports.facts import CURVES, by_chance, concept_pairs, layer_facts, unit_facts
from reports.findings import run_command
from reports.measured import effect_facts


@pytest.fixture(scope="module")
def facts(full_run):
    return layer_facts(full_run, "units")


def at_thresholds(facts):
    """IoU of each label read from its curve at the threshold that was used."""
    used = np.array(facts.numbers["threshold"])[:, None]
    place = np.abs(facts.edges - used).argmin(axis=1)
    return facts.curves[np.arange(facts.units), 0, place]


def test_a_curve_goes_through_the_iou_at_the_units_threshold(full_run, facts):
    assert at_thresholds(facts) == pytest.approx(full_run.units("units").iou.to_numpy(), abs=1e-9)
    best = [row.max() for row in facts.curves[:7, 0]]
    assert best == pytest.approx(list(full_run.units("units").iou[:7]), abs=0.05)


def test_curves_of_a_run_that_counts_as_the_original_go_through_its_iou(planted, tmp_path):
    run = dissect(
        planted, "colour", out=tmp_path / "r", n_samples=32, compat="gandissect", progress=False
    )
    own = layer_facts(run, "units")
    assert at_thresholds(own) == pytest.approx(run.units("units").iou.to_numpy(), abs=1e-9)


def test_shares_inside_and_outside_add_up_to_one(facts):
    assert facts.inside[:7].sum(axis=1) == pytest.approx(np.ones(7))
    assert facts.outside.sum(axis=1) == pytest.approx(np.ones(facts.units))


def test_a_units_facts_are_plain_values_with_its_label_first(full_run, facts):
    unit = unit_facts(facts, 0)
    json.dumps(unit, allow_nan=False)
    names = full_run.vocabulary.names
    assert names[unit["concept"]] == names[unit["best"][0]["concept"]] == "red"
    assert len({entry["concept"] for entry in unit["best"]}) == CURVES
    assert unit["samples"] == full_run.array("units", "top_indices").values[0].tolist()


def test_co_active_units_are_the_most_correlated_others(full_run, facts):
    matrix = full_run.coactivation("units").values
    for unit, others in enumerate(facts.coactive):
        assert unit not in [other for other, _ in others]
        shares = [r for _, r in others]
        assert shares == sorted(shares, reverse=True)
        for other, r in others:
            assert r == pytest.approx(matrix[unit, other], abs=1e-3)


def test_a_run_without_co_activation_says_none(planted_run):
    assert layer_facts(planted_run, "units").coactive is None
    with pytest.raises(LayerError, match="layer 'nope' is not in"):
        layer_facts(planted_run, "nope")


def test_chance_counts_units_whose_floor_other_masks_would_pass(full_run):
    table = full_run.table
    passed = table[(table.layer == "units") & (table.chance > full_run.config.min_iou)]
    assert by_chance(full_run)["units"]["units"] == passed.unit.nunique()


def test_concepts_know_who_is_named_after_what(full_run):
    pairs = concept_pairs(full_run, ["units"])
    red = full_run.vocabulary.names.index("red")
    first = next(pairs["red"].itertuples())
    assert (first.layer, first.unit, first.named) == ("units", 0, red)
    assert set(pairs["red"].layer) == {"units"}


def test_sixteen_bits_keep_shares_and_say_where_there_are_none():
    values = np.array([0, 0.5, 1, np.nan, 1 / 3])
    codes = np.frombuffer(base64.b64decode(quantise(values)), "<u2")
    assert codes[3] == 65535
    assert codes[[0, 1, 2, 4]] / 65534 == pytest.approx(values[[0, 1, 2, 4]], abs=1e-5)


def test_no_name_ends_the_script_that_holds_it():
    text = to_script_text({"name": "</script><!--&\u2028"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"name": "</script><!--&\u2028"}


def test_two_thousand_units_take_little_and_hold_no_nan(facts):
    data = to_script_text(compact_layer(facts))
    assert len(data) / facts.units < 2000
    json.loads(data, parse_constant=pytest.fail)


def test_effects_say_how_to_measure_them_again(full_run):
    effects = {effect.kind: effect for effect in effect_facts(full_run)}
    ablated = effects["ablate"]
    assert [line.name for line in ablated.lines] == ["iou", "random"]
    assert ablated.command.startswith("dissect ablate RUN --concept red --layer units --units 1")
    assert "--curve iou,random" in ablated.command
    assert "--value" not in ablated.command
    assert "--value mean" in effects["insert"].command
    assert effects["insert"].lines == []
    assert "--side 16" in effects["context"].command
    assert "--bad units:3" in effects["repair"].command
    assert effects["repair"].layers == {"units": [3]}


def test_the_commands_of_a_report_are_ones_that_the_command_line_takes(full_run):
    from dissect.cli import build_parser

    commands = [effect.command for effect in effect_facts(full_run)] + [run_command(full_run)]
    assert len(commands) == 5
    for command in commands:
        words = shlex.split(command)
        assert build_parser().parse_args(words[1:]).command
