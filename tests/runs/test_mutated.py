"""Values of other types anywhere in a run's files: whoever reads meets them as RunError, or not at all."""

import copy
import json
import random
import shutil

import pytest

from dissect import open_run
from dissect.errors import DissectError
from reports.facts import layer_facts
from reports.measured import effect_facts
from tests.runs.damaged_runs import reseal

VALUES = (None, -1, 0, 10**12, 1.5, "x", "", [], [[1]], {}, {"a": 1}, True)
N_CHANGES = 60


@pytest.fixture(scope="module")
def whole(planted_run, command, tmp_path_factory):
    run = shutil.copytree(planted_run.path, tmp_path_factory.mktemp("whole") / "run")
    done = command("ablate", run, "--concept", "red", "--units", 1, "--samples", 8, "--draws", 1)
    assert done.returncode == 0, done.stderr
    return run


def read_everything(path):
    run = open_run(path)
    json.dumps(run.summary(), allow_nan=False)
    run.areas(), run.co_occurrence(), run.trust
    for layer in run.layers:
        run.basis(layer), run.correlation(layer), run.activations(layer, 0), run.iou(layer)
        layer_facts(run, layer)
        run.strip(layer, 0)
    list(run.concept_strips())
    effect_facts(run)


def places(value, path=()):
    """The path of every value, not of each file's digest."""
    if path[:1] == ("files",) and len(path) == 2 and not str(path[1]).endswith("parquet"):
        return
    yield path
    if isinstance(value, list):  # its first and its last will do
        value = {key: value[key] for key in {0, len(value) - 1} if value}
    for key, child in value.items() if isinstance(value, dict) else ():
        yield from places(child, (*path, key))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["run.json", "trust.json", "arrays.zarr/units/zarr.json", "arrays.zarr/units/iou/zarr.json",
     "arrays.zarr/units/histogram/zarr.json", "arrays.zarr/+concepts/zarr.json", "recipe.json"],
)  # fmt: skip
def test_a_value_of_another_type_is_told_or_does_no_harm(whole, tmp_path, name):
    run = shutil.copytree(whole, tmp_path / "run")
    read_everything(run)
    file = next(run.glob("effects/*/recipe.json")) if name == "recipe.json" else run / name
    before = json.loads(file.read_text())
    draws = random.Random(name)
    every = [(place, value) for place in places(before) for value in VALUES]
    refused = 0
    for place, value in draws.sample(every, min(N_CHANGES, len(every))):
        changed = copy.deepcopy({"all": before})
        target, *path = changed, "all", *place
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = value
        file.write_text(json.dumps(changed["all"]))
        if name not in ("run.json", "recipe.json"):
            reseal(run)
        try:
            read_everything(run)
        except DissectError as error:
            refused += 1
            assert "\n" not in str(error), (place, value)  # noqa: PT017
        except Exception as error:
            pytest.fail(f"{place} = {value!r}: {type(error).__name__}: {error}")
    assert refused > len(every) / len(VALUES) / 8
