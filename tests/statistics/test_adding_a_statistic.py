"""A statistic of units is one module: a toy one is put beside the others and shows up everywhere."""

import json
import subprocess
import sys
import textwrap

import pytest

TOY = '''
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from dissect.statistics.columns import Column
from dissect.statistics.states import added
from dissect.statistics.units import UnitStatistic


@dataclass
class Fired(UnitStatistic):
    """In how many images a unit is above 0 anywhere."""

    images: Int[np.ndarray, " unit"] = added()
    above: Int[np.ndarray, " unit"] = added()

    name = "fired"
    columns = (
        Column(
            name="fired_share", title="fires in", since=3,
            meaning="share of images in which the unit is above 0 anywhere",
        ),
    )

    @classmethod
    def empty(cls, setup):
        return cls.zeros(unit=setup.n_units)

    def add(self, block, units):
        maps = block.maps[:, units].flatten(2)
        self.images[units] += len(maps)
        self.above[units] += (maps > 0).any(dim=2).sum(dim=0).numpy()

    def column_values(self):
        return {"fired_share": self.above / self.images}
'''

SCRIPT = """
import contextlib, io, json, sys
from pathlib import Path

import dissect.statistics.units as units

units.__path__.append(sys.argv[1])
from dissect import dissect, load_generator, load_segmenter, open_run, trace
from dissect.cli import main
from dissect.config import RunConfig
from dissect.counting.count import count_range, empty_state
from dissect.counting.driver import start_pass
from dissect.counting.subject import Subject
from dissect.runs.state import PassState
from dashboard.components.unit_table import _fields
from dashboard.unit_filter import sorts
from reports import build_report
from reports.facts import layer_facts

PLANTED = "dissect.worlds.planted:generator"
out = Path(sys.argv[2])
run = dissect(PLANTED, "colour", out=out, n_samples=64, progress=False)
generator = load_generator(PLANTED)
with trace(generator, "all") as maps:
    generator.synthesize(generator.sample(range(64), seed=0))
expected = (maps["units"].flatten(2) > 0).any(dim=2).double().mean(dim=0).tolist()

def printed(*words):
    with contextlib.redirect_stdout(io.StringIO()) as text:
        assert main([*words]) == 0
    return text.getvalue()

config = RunConfig("planted", "colour", ("units",), n_samples=64, block=16)
subject = Subject.of(generator, load_segmenter("colour"), config)
start = start_pass(subject, progress=False)
whole = count_range(subject, start, range(4))
first = count_range(subject, start, [0])
parts = [count_range(subject, empty_state(subject, first), [n]) for n in (3, 1, 2)]
merged = parts[0].merge(parts[1]).merge(first).merge(parts[2])
saved = PassState.from_arrays(merged.to_arrays())
counts = [one.to_arrays()["0.fired_above"].tolist() for one in (whole, merged, saved)]

old = open_run(sys.argv[3])
build_report(run, out=out.with_name("report"))
print(json.dumps({
    "expected": expected,
    "units": run.units("units").fired_share.tolist(),
    "stored": run.array("units", "fired_above").values.tolist(),
    "table": list(run.table.columns)[-3:],
    "shown": printed("show", str(out)).splitlines()[-10],
    "csv": printed("show", str(out), "--csv").splitlines()[0],
    "export": json.loads(printed("export", str(out), "--format", "json"))["columns"]["fired_share"],
    "facts": layer_facts(run, "units").numbers["fired_share"],
    "report": "fires in" in out.with_name("report").joinpath("index.html").read_text(),
    "sort": sorts()["fired-share"].title,
    "header": [field.header for field in _fields(run.units("units"))][-2:],
    "counts": counts,
    "old": ["fired_share" in old.units("units"), [one.name for one in old.columns][-1]],
}))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory, planted_run):
    folder = tmp_path_factory.mktemp("toy")
    (folder / "fired.py").write_text(textwrap.dedent(TOY))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, folder, folder / "run", planted_run.path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_statistic_is_counted_stored_and_in_the_table(found):
    assert 0 < min(found["expected"][:5]) < 1
    assert found["units"] == pytest.approx(found["expected"], abs=1e-12)
    assert found["stored"] == [round(64 * share) for share in found["expected"]]
    assert found["table"] == ["mixtures_below", "fired_share", "is_named"]


def test_a_statistic_merges_and_is_saved_with_the_pass(found):
    whole, merged, saved = found["counts"]
    assert whole == merged == saved == found["stored"]


def test_a_statistic_is_shown_wherever_units_are(found):
    assert found["shown"].split()[-4:] == ["images", "fires", "in", "named"]
    assert "fired_share" in found["csv"].split(",")
    assert found["export"] == "share of images in which the unit is above 0 anywhere"
    assert found["facts"] == [float(f"{share:.4g}") for share in found["units"]]
    assert found["report"]
    assert found["sort"] == "Fires in"
    assert found["header"] == ["Fires in", "Effect"]


def test_a_run_that_was_made_before_opens_without_it(found):
    assert found["old"] == [False, "mixtures_below"]
