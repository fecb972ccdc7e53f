"""Runs of generators of texts: names of units and prompts that do not fit are named in one line."""

import json

import pytest

from dissect.errors import RunError
from dissect.runs.record import layers_of, read_record

NINE = [f"word {number}" for number in range(9)]


def changed(run, folder, *, label=None, **generator):
    """A copy of a run's record with other values of the generator."""
    record = json.loads((run.path / "run.json").read_text())
    record["generator"] |= generator
    record["config"]["label"] = label
    (folder / "run.json").write_text(json.dumps(record))
    return folder


def test_names_of_units_and_prompts_are_read_back(planted_run, tmp_path):
    given = {"unit_names": {"units": NINE}, "prompts": ["a", "b"], "n_classes": 2}
    record = read_record(changed(planted_run, tmp_path, label=1, **given))
    assert layers_of(record)["units"].unit_names == tuple(NINE)
    assert record["generator"]["prompts"] == ["a", "b"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"unit_names": {"units": NINE[:8]}}, "layer 'units' has 8 names of its 9 units"),
        ({"unit_names": {"other": ["a"]}}, "layer 'other' has 1 names of its 0 units"),
        ({"unit_names": {"units": [*NINE[:8], 7]}}, "unit_names, 'units' is 7; expected str"),
        ({"unit_names": {"units": "ninewords"}}, "is 'ninewords'; expected a list"),
        ({"unit_names": NINE}, "unit_names is ['word 0'"),
        ({"prompts": ["a", "b"], "n_classes": 3}, "it has 2 prompts, another number than its"),
        ({"prompts": ["a", "b"]}, "it has 2 prompts, another number than its classes"),
        ({"prompts": ["a", None], "n_classes": 2}, "prompts is None; expected str"),
        ({"prompts": {"a": "b"}, "n_classes": 1}, "prompts is {'a': 'b'}; expected a list"),
        ({"prompts": ["a"], "n_classes": 1, "label": 1}, "label is 1 of 1 prompts"),
        ({"prompts": ["a"], "n_classes": 1, "label": -1}, "label is -1 of 1"),
    ],
)
def test_texts_that_do_not_fit_are_one_line_that_names_the_file(planted_run, tmp_path, given, said):
    folder = changed(planted_run, tmp_path, **given)
    with pytest.raises(RunError) as caught:
        read_record(folder)
    assert said in str(caught.value)
    assert "run.json" in str(caught.value)
    assert "\n" not in str(caught.value)
