"""Which units are causal: planted ones, all of them and no others."""

import json
import shutil

import pandas as pd
import pytest

from dissect import dissect, open_run
from dissect.errors import ConfigError
from dissect.studies import measure, open_effect
from dissect.studies.causal.verdict import judge_units
from dissect.studies.causes import set_causes, unit_causes
from dissect.studies.registry import study_of
from dissect.worlds.planted import MOVER, PAINTS

FEW = {"n_samples": 64, "progress": False}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of the world in which one unit holds the red square in its place."""
    out = tmp_path_factory.mktemp("causal") / "moving"
    return dissect("dissect.worlds.planted:moving", "colour", out=out, n_samples=96, progress=False)


@pytest.fixture(scope="module")
def effect(run):
    return measure(run, "causal", **FEW).effect


def test_exactly_the_units_that_paint_are_causal(run, effect):
    summary = effect.record["summary"]
    assert {(row["unit"], row["concept"]) for row in summary["causal"]} == set(enumerate(PAINTS))
    causes = unit_causes(run).set_index("unit")
    # Units 5 and 6 fire where red and green are, as surely as those that paint them.
    assert causes.concept[5] == "red"
    assert not causes.causal[5]
    assert causes.causal[list(range(5))].all()
    assert not causes.causal[list(range(5, 10))].any()
    assert (causes.effect == effect.name).all()


def test_a_unit_that_holds_a_thing_in_its_place_removes_nothing_net(run, effect):
    table = effect.table[effect.table.unit == MOVER].set_index("concept")
    assert table.removed_share["red"] == pytest.approx(11 / 36)
    assert table.net_removed_share["red"] == 0
    assert (table.net_removed_share_low["red"], table.net_removed_share_high["red"]) == (0, 0)
    labels = pd.DataFrame({"layer": ["units"], "unit": [MOVER], "concept": ["red"]})
    assert not unit_causes(run, labels).causal.any()
    single = measure(
        run, "ablate", concept="red", layer="units", picked=[MOVER], draws=2, n_search=32, **FEW
    )
    target = single.summary["target"]
    assert (target["net_removed_share"], target["removed_share"]) == (0, pytest.approx(11 / 36))
    assert not target["beyond_random"]
    found = study_of(single.effect).describe(single.summary).to_text()
    assert "red: 36.0 → 36.0 pixels per image, 0.00 [0.00, 0.00] net removed" in found
    assert "no evidence that these units are special to red" in found


def test_a_set_is_causal_beyond_random_sets_of_its_strength(run):
    for unit in (0, 5):
        measure(
            run, "ablate", concept="red", layer="units", picked=[unit], draws=4, n_search=32,
            n_samples=32, progress=False,
        )  # fmt: skip
    causes = set_causes(run).set_index("units")
    assert causes.causal[(0,)]
    assert not causes.causal[(5,)]
    assert causes.net_removed_share[(0,)] == 1
    assert causes.random[(0,)] == 0


def test_labels_of_other_units_find_less(effect):
    assert effect.record["summary"]["with_other_labels"] < 3


def test_few_false_units_are_called_causal_where_none_is():
    import numpy as np

    random = np.random.default_rng(0)
    found = []
    for _ in range(200):
        p = random.uniform(size=60)
        table = pd.DataFrame(
            {
                "layer": "a", "unit": range(60), "concept": "c", "p_random": p,
                "net_removed_share_low": random.normal(size=60),
            }
        )  # fmt: skip
        labels = table[["layer", "unit", "concept"]]
        found.append(judge_units(table, labels, fdr=0.05).causal.any())
    assert np.mean(found) <= 0.05


def test_it_is_listed_shown_and_found_by_whoever_asks(run, effect, command):
    assert open_effect(run, effect.name).record == effect.record
    text = command("effects", run.path, "show", effect.name).stdout
    assert "5 of 10 units are causal" in text
    again = command("causal", run.path, "--samples", 64, "--json")
    found = json.loads(again.stdout)
    assert found["causal"] == effect.record["summary"]["causal"]
    refused = command("causal", run.path, "--layers", "nonsense")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    with pytest.raises(ConfigError, match="expected different names of layers"):
        measure(run, "causal", layers=("units", "units"))


def test_nothing_is_said_where_nothing_was_measured(planted_run):
    assert unit_causes(planted_run).empty
    assert set_causes(planted_run).empty


def test_own_effects_are_those_of_units_alone(run, effect, tmp_path):
    from dashboard.pairs import measured_of

    shutil.copytree(run.path, tmp_path / "r")
    copied = open_run(tmp_path / "r", generator="dissect.worlds.planted:moving")
    shutil.rmtree(copied.path / "effects")
    measure(copied, "ablate", concept="red", layer="units", picked=[0, 7], draws=0, **FEW)
    of_set = measured_of(copied)
    assert {place: one.n_units for place, one in of_set.items()} == {
        ("units", 0): 2, ("units", 7): 2,
    }  # fmt: skip
    assert all(one.share != one.share for one in of_set.values())  # no number of its own
    measure(copied, "causal", **FEW)
    alone = measured_of(copied)
    assert (alone["units", 0].label, alone["units", 0].share) == ("red net removed", 1)
    assert alone["units", 0].n_units == 1
    assert alone["units", 7].n_units == 2
