import graphlib
import json
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

import dissect

ROOT = Path(__file__).resolve().parents[1]


def test_the_public_names_are_those_of_the_snapshot():
    # To change the public surface on purpose, change the snapshot with it.
    snapshot = json.loads((ROOT / "tests" / "api_surface.json").read_text())
    assert sorted(dissect.__all__) == snapshot["dissect"]
    assert len(snapshot["dissect"]) <= 25
    for name in dissect.__all__:
        assert callable(getattr(dissect, name))


def test_public_things_say_what_they_are():
    assert [
        name for name in dissect.__all__ if not (getattr(dissect, name).__doc__ or "").strip()
    ] == []


def test_imports_point_one_way():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_no_module_is_longer_than_a_reader_can_hold():
    # A module holds one meaning, however long that is: this limit is an alarm that one has come to
    # hold two, never a reason to cut one in halves. A family of generators is one meaning too, and
    # reads checkpoints of many origins.
    sizes = {
        path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines())
        for package in ("dissect", "segmenters", "reports", "dashboard", "recipes")
        for path in (ROOT / package).rglob("*.py")
    }
    limit = {path: 600 if path.startswith("dissect/generators/") else 500 for path in sizes}
    assert {path: n for path, n in sizes.items() if n > limit[path]} == {}


@pytest.mark.parametrize("word", ["pickle.load", "eval(", "exec(", ".cuda()", "weights_only=False"])
def test_nothing_runs_what_a_file_says(word):
    found = []
    for package in ("dissect", "segmenters", "reports", "dashboard", "recipes"):
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text().replace(".eval(", "")
            if word in text:
                found.append(path.name)
    assert found == []


def test_no_module_imports_itself_by_way_of_others():
    # Imports inside functions and under TYPE_CHECKING count too.
    graph = grimp.build_graph("dissect", "segmenters", "reports", "dashboard", cache_dir=None)
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    assert len(imports["dissect"]) > 10  # the lazy names are among them
    graphlib.TopologicalSorter(imports).prepare()  # raises CycleError, which names the cycle
